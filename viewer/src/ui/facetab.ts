// The face by hand: presets, head and gaze, and every expression.
import { EMOTIONS, GROUPS, VISEMES, mirrored, spoken } from "../drive/presets";
import type { Values } from "../drive/performer";
import type { Player } from "../player";
import { el, section, slider, tool, type Slider } from "./dom";

export class FaceTab {
  readonly root = el("div", { class: "tab" });
  private sliders = new Map<string, Slider>();
  private linked = true;
  private strength = 1;
  private gliding = 0;
  private stale = false; // sliders are moved once a screen frame, however often values change
  private search: HTMLInputElement | null = null;

  constructor(private readonly player: Player) {
    player.addEventListener("scene", () => this.build());
    for (const kind of ["change", "time"]) player.addEventListener(kind, () => (this.stale = true));
    player.onTick(() => this.stale && this.show());
  }

  /** Puts the cursor into the search field. */
  find(): void {
    this.search?.focus();
  }

  private build(): void {
    const { player } = this, performer = player.performer;
    this.sliders.clear();
    this.root.replaceChildren();
    if (!performer) {
      this.root.append(el("p", { class: "empty" }, "What is shown has no face to move. Open an avatar to get its expressions."));
      return;
    }
    this.root.append(this.presets(), this.pose(), this.expressions(performer.names));
    this.show();
  }

  private presets(): HTMLElement {
    const button = (kind: string, name: string, values: Values) =>
      el("button", { type: "button", class: "chip", "data-preset": name, onclick: () => this.take(kind, values) }, name);
    const strength = slider("Strength", 0, 1, 0.01, this.strength, (x) => (this.strength = x), percent);
    return section(
      "Presets",
      el("div", { class: "chips", role: "group", "aria-label": "Emotions" }, ...Object.entries(EMOTIONS).map(([n, v]) => button("emotion", n, v))),
      el("h3", {}, "Mouth shapes of speech"),
      el("div", { class: "chips small", role: "group", "aria-label": "Visemes" }, ...Object.entries(VISEMES).map(([n, v]) => button("viseme", n, v))),
      strength.row,
    );
  }

  /** An emotion replaces what was set; a mouth shape replaces what was set of jaw and mouth. */
  private take(kind: string, values: Values): void {
    const performer = this.player.performer;
    if (!performer) return;
    const goal: Values = {};
    for (const name of performer.pinned.keys())
      if (!(name in performer.turns) && (kind === "emotion" || /^(jaw|mouth|tongue)/.test(name))) goal[name] = 0;
    for (const [name, value] of Object.entries(values)) goal[name] = value * this.strength;
    this.glide(goal);
  }

  /** Moves to values within a quarter of a second. */
  private glide(goal: Values): void {
    const performer = this.player.performer;
    if (!performer) return;
    const from = Object.fromEntries(Object.keys(goal).map((x) => [x, performer.pinned.get(x) ?? 0]));
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const start = performance.now(), run = ++this.gliding;
    const step = (now: number) => {
      if (run !== this.gliding || this.player.performer !== performer) return;
      const t = calm ? 1 : Math.min(1, Math.max(0, now - start) / 250), s = t * t * (3 - 2 * t);
      const values: Record<string, number | null> = {};
      for (const [name, value] of Object.entries(goal)) values[name] = t === 1 && value === 0 ? null : from[name] + (value - from[name]) * s;
      this.player.set(values);
      if (t < 1) requestAnimationFrame(step);
    };
    step(calm ? start + 250 : start);
  }

  private pose(): HTMLElement {
    const { player } = this, performer = player.performer;
    const rows = Object.entries(performer?.turns ?? {}).map(([name, turn]) => this.slider(name, -turn.limit, turn.limit, 0.5, degrees));
    return section("Head and gaze", ...rows);
  }

  private expressions(names: string[]): HTMLElement {
    const left = [...names];
    const groups = GROUPS.map(([title, pattern]) => {
      const mine = left.filter((x) => pattern.test(x));
      for (const x of mine) left.splice(left.indexOf(x), 1);
      return el("details", { open: true, class: "group" }, el("summary", {}, title, el("span", { class: "count" }, String(mine.length))), ...mine.map((x) => this.slider(x, 0, 1, 0.01, plain)));
    });
    const link = tool("link", "Move left and right together", () => {
      this.linked = !this.linked;
      link.setAttribute("aria-pressed", String(this.linked));
    });
    link.setAttribute("aria-pressed", String(this.linked));
    this.search = el("input", { type: "search", placeholder: `Search ${names.length} expressions`, "aria-label": "Search expressions", oninput: () => this.filter(groups) });
    const bar = el(
      "div", { class: "bar" }, this.search, link,
      tool("dice", "Random expression", () => this.random()),
      tool("reset", "Reset everything set by hand", () => (this.gliding++, player.reset())),
    );
    const { player } = this;
    return section("Expressions", bar, ...groups);
  }

  private slider(name: string, low: number, high: number, step: number, form: (x: number) => string): HTMLElement {
    const made = slider(spoken(name), low, high, step, 0, (value) => {
      this.gliding++;
      const other = this.linked ? mirrored(name) : null;
      this.player.set(other ? { [name]: value, [other]: value } : { [name]: value });
    }, form);
    made.input.dataset.name = name;
    const output = made.row.querySelector("output") as HTMLOutputElement;
    const free = () => {
      const other = this.linked ? mirrored(name) : null;
      this.player.set(other ? { [name]: null, [other]: null } : { [name]: null });
    };
    output.title = "Click to release";
    output.addEventListener("click", free);
    made.input.addEventListener("keydown", (event) => {
      if (event.key === "Delete" || event.key === "Backspace") free();
    });
    made.input.addEventListener("dblclick", free);
    this.sliders.set(name, made);
    return made.row;
  }

  private filter(groups: HTMLDetailsElement[]): void {
    const words = (this.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    for (const [name, { row }] of this.sliders) {
      const text = `${name} ${spoken(name)}`.toLowerCase();
      if (row.parentElement?.tagName === "DETAILS") row.hidden = !words.every((x) => text.includes(x));
    }
    for (const group of groups) {
      group.hidden = [...group.querySelectorAll<HTMLElement>(".row")].every((x) => x.hidden);
      if (words.length) group.open = true;
    }
  }

  private random(): void {
    const names = Object.keys(EMOTIONS).slice(1), pick = () => EMOTIONS[names[Math.floor(Math.random() * names.length)]];
    const mixed: Values = {};
    for (const [values, share] of [[pick(), 0.7], [pick(), 0.45]] as const)
      for (const [name, value] of Object.entries(values)) mixed[name] = Math.min(1, (mixed[name] ?? 0) + share * value);
    this.take("emotion", mixed);
  }

  private show(): void {
    const performer = this.player.performer;
    this.stale = false;
    if (!performer || this.root.hidden || this.root.closest(".folded, .bare")) return;
    for (const [name, { row, show }] of this.sliders) {
      show(performer.shown[name] ?? 0);
      row.classList.toggle("pinned", performer.pinned.has(name));
    }
  }
}

const plain = (x: number): string => x.toFixed(2);
const percent = (x: number): string => `${Math.round(100 * x)} %`;
const degrees = (x: number): string => `${Math.round(x)}°`;
