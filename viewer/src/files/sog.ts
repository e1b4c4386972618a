// PlayCanvas' .sog, version 2: a zip of lossless WebP pictures, one pixel for each splat, and meta.json.
import { Builder, SH_C0, smallestThree, type Splats } from "./builder";
import { readZip } from "./zip";

const TAG = 252; // alpha of the picture of rotations: 252 + index of the component left out
const ROW = 64; // entries of the palette in a row of its picture

export async function readSog(bytes: ArrayBuffer): Promise<Splats> {
  const files = await readZip(bytes), text = files.get("meta.json");
  if (!text) throw new Error("a zip without meta.json: not a .sog file");
  let meta: any;
  try {
    meta = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw new Error("its meta.json is damaged");
  }
  if (meta?.version !== 2) throw new Error(`.sog version ${String(meta?.version).slice(0, 20)}; the player reads 2`);
  const n: unknown = meta.count;
  if (!(typeof n === "number" && Number.isInteger(n) && n > 0 && n <= 8_000_000)) throw new Error("its count of splats is wrong");
  const read = (part: string, which = 0, most = 4 * n + 4096) => {
    const name = meta[part]?.files?.[which], file = files.get(name);
    if (!file) throw new Error(`the picture '${String(name).slice(0, 60)}' is missing`);
    return picture(file, most);
  };
  const pixels = async (part: string, which = 0) => {
    const { data } = await read(part, which);
    if (data.length < 4 * n) throw new Error(`the picture of '${part}' is too small for ${n} splats`);
    return data;
  };
  const numbers = (value: unknown, size: number): number[] => {
    if (!Array.isArray(value) || value.length !== size || !value.every(Number.isFinite)) throw new Error("its meta.json is damaged");
    return value;
  };
  const low = numbers(meta.means?.mins, 3), high = numbers(meta.means?.maxs, 3);
  const sizes = numbers(meta.scales?.codebook, 256), tones = numbers(meta.sh0?.codebook, 256);
  const [fine, coarse, scales, turns, colours] = [await pixels("means"), await pixels("means", 1), await pixels("scales"), await pixels("quats"), await pixels("sh0")];
  const higher = meta.shN ? await palette(meta.shN, numbers(meta.shN.codebook, 256), await read("shN", 0, 1 << 24), await pixels("shN", 1)) : null;
  const out = new Builder(n, higher?.k ?? 0), { world } = out, s = [0, 0, 0], q = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) {
      const log = low[c] + ((high[c] - low[c]) * (fine[4 * i + c] | (coarse[4 * i + c] << 8))) / 65535;
      world.centres[3 * i + c] = Math.sign(log) * Math.expm1(Math.abs(log));
      world.colours[3 * i + c] = 0.5 + SH_C0 * tones[colours[4 * i + c]];
      s[c] = Math.exp(sizes[scales[4 * i + c]]);
    }
    world.opacities[i] = colours[4 * i + 3];
    if (turns[4 * i + 3] < TAG) throw new Error(`splat ${i} has no rotation: the file is damaged`);
    smallestThree(turns[4 * i + 3] - TAG, [0, 1, 2].map((c) => ((turns[4 * i + c] / 255) * 2 - 1) / Math.SQRT2), q);
    higher?.into(i, world.harmonics as Float32Array);
    out.shape(i, s, q);
  }
  return out.done();
}

/** What splats take from the palette of higher harmonics. */
function palette(meta: any, levels: number[], held: Picture, labels: Uint8Array) {
  const k = ({ 1: 3, 2: 8, 3: 15 } as Record<string, number>)[String(meta.bands)];
  if (!k || held.width !== ROW * k) throw new Error("its palette of harmonics is damaged");
  const entries = (held.data.length / held.width / 4) * ROW;
  return {
    k,
    into(i: number, out: Float32Array): void {
      const entry = labels[4 * i] | (labels[4 * i + 1] << 8);
      if (entry >= entries) throw new Error(`splat ${i} takes what its palette does not have`);
      const start = 4 * (Math.floor(entry / ROW) * held.width + (entry % ROW) * k);
      for (let j = 0; j < k; j++) for (let c = 0; c < 3; c++) out[3 * (k * i + j) + c] = levels[held.data[start + 4 * j + c]];
    },
  };
}

interface Picture {
  width: number;
  data: Uint8Array;
}

let gl: WebGL2RenderingContext | null = null;

/** Bytes of a picture as they are: a 2D canvas would multiply them by their opacity. */
async function picture(file: Uint8Array<ArrayBuffer>, most: number): Promise<Picture> {
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(new Blob([file], { type: "image/webp" }), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new Error("one of its pictures is damaged");
  }
  const { width, height } = image;
  gl ??= new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl) throw new Error("this browser has no WebGL2 for workers, which .sog files need");
  if (width * height > most || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error(`a picture of ${width}x${height}`);
  const texture = gl.createTexture(), frame = gl.createFramebuffer(), data = new Uint8Array(4 * width * height);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, image);
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.deleteFramebuffer(frame);
  gl.deleteTexture(texture);
  image.close();
  return { width, data };
}
