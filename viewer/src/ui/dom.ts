// Elements in one line, and the icons.

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, unknown>;

/** Makes an element. `on…` attributes are listeners; `true` sets an empty attribute, false and null none. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value as EventListener);
    else if (name === "value" || name === "checked") (made as any)[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((x): x is Node | string => x !== null && x !== undefined && x !== false));
  return made;
}

// Strokes on a grid of 24.
const PATHS: Record<string, string> = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  stop: "M6 6h12v12H6z",
  loop: "M17 3l3 3-3 3M20 6H8a4 4 0 0 0-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 0 0 4-4v-1",
  back: "M18 5l-9 7 9 7zM6 5v14",
  next: "M6 5l9 7-9 7zM18 5v14",
  link: "M9 15l6-6M11 6l1-1a4.2 4.2 0 0 1 6 6l-1 1M13 18l-1 1a4.2 4.2 0 0 1-6-6l1-1",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  record: "M12 19a7 7 0 1 0 0-14 7 7 0 0 0 0 14z",
  open: "M3 7v12h15l3-9H8l-3 7M3 7V5h6l2 3h8v2",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  help: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.7v.1",
  panel: "M4 5h16v14H4zM14.5 5v14",
  reset: "M4 5v5h5M4.5 10a8 8 0 1 1-.5 4",
  mic: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zM6 11.5a6 6 0 0 0 12 0M12 17.5V21",
  dice: "M5 5h14v14H5zM9 9v.1M15 9v.1M12 12v.1M9 15v.1M15 15v.1",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "M6 6l12 12M18 6L6 18",
};

export function icon(name: string): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg"), path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon and a name that is read aloud. */
export function tool(name: string, label: string, onclick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return el("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

/** A labelled slider with its value beside it. */
export interface Slider {
  row: HTMLElement;
  input: HTMLInputElement;
  show(value: number): void;
}

let count = 0;

export function slider(label: string, low: number, high: number, step: number, value: number, changed: (value: number) => void, form: (x: number) => string = (x) => x.toFixed(2)): Slider {
  const id = `s${count++}`;
  const input = el("input", { type: "range", id, min: low, max: high, step });
  const output = el("output", { for: id });
  const show = (x: number) => {
    const text = form(x);
    if (output.textContent === text) return;
    input.value = String(x);
    // A slider that goes both ways is filled from its middle.
    const at = (100 * (x - low)) / (high - low), from = low < 0 ? 50 : 0;
    input.style.setProperty("--from", `${Math.min(at, from)}%`);
    input.style.setProperty("--at", `${Math.max(at, from)}%`);
    input.setAttribute("aria-valuetext", text);
    output.textContent = text;
  };
  input.addEventListener("input", () => {
    show(Number(input.value));
    changed(Number(input.value));
  });
  show(value);
  input.value = String(value);
  return { row: el("div", { class: "row" }, el("label", { for: id, title: label }, label), input, output), input, show };
}

/** A row of buttons of which one is pressed. */
export function choice<T extends string>(label: string, options: readonly (readonly [T, string])[], chosen: T, changed: (value: T) => void): { row: HTMLElement; show(value: T): void } {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": "false", "data-value": value, onclick: () => (show(value), changed(value)) }, text),
  );
  function show(value: T): void {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.value === value));
  }
  show(chosen);
  return { row: el("div", { class: "choice", role: "group", "aria-label": label }, ...buttons), show };
}

export function toggle(label: string, on: boolean, changed: (on: boolean) => void): { row: HTMLElement; input: HTMLInputElement } {
  const input = el("input", { type: "checkbox", role: "switch", checked: on, onchange: () => changed(input.checked) });
  return { row: el("label", { class: "switch" }, el("span", {}, label), input), input };
}

export function section(title: string, ...children: Child[]): HTMLElement {
  return el("section", {}, el("h2", {}, title), ...children);
}
