/** sRGB in 0..1 of #rgb, #rrggbb or a CSS colour name. Throws on anything else. */
export function parseColour(text: string): [number, number, number] {
  const context = document.createElement("canvas").getContext("2d") as CanvasRenderingContext2D;
  const seen = ["#010203", "#040506"].map((start) => {
    context.fillStyle = start;
    context.fillStyle = text;
    return context.fillStyle;
  });
  if (seen[0] !== seen[1] || !seen[0].startsWith("#")) throw new Error(`'${text}' is not a colour; write #rrggbb or a name`);
  return [1, 3, 5].map((i) => parseInt(seen[0].slice(i, i + 2), 16) / 255) as [number, number, number];
}

export const toHex = (c: ArrayLike<number>): string =>
  `#${Array.from(c).slice(0, 3).map((x) => Math.round(255 * x).toString(16).padStart(2, "0")).join("")}`;
