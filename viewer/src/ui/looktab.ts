// How it is shown: camera, background, layers, colours of regions.
import { LAYERS, setLayer } from "../api";
import type { Header } from "../engine/payload";
import type { Tint } from "../engine/scene";
import { VIEWS, type Player } from "../player";
import { parseColour, toHex } from "./colour";
import { choice, el, section, slider, toggle } from "./dom";

const NAMES: Record<string, string> = {
  front: "Front", left: "¾ left", right: "¾ right", "profile-left": "Left", "profile-right": "Right",
  above: "Above", below: "Below", back: "Back", source: "As filmed",
};
const DEGREES = Math.PI / 180;

export class LookTab {
  readonly root = el("div", { class: "tab" });
  private tints = new Map<string, Tint>();
  private switches: (() => void)[] = [];

  constructor(private readonly player: Player, private readonly backdrop: () => void) {
    player.addEventListener("scene", () => this.build());
    player.addEventListener("change", () => this.show());
  }

  private show: () => void = () => {};

  private build(): void {
    const { player } = this, { stage, header } = player;
    this.tints.clear();
    this.switches = [];
    stage.setLook({ tints: [] });
    const views = VIEWS.filter((x) => x !== "source" || (header?.about.camera && header.motion));
    const fov = slider("Field of view", 10, 90, 1, stage.orbit.state.fov / DEGREES, (x) => this.dolly(x * DEGREES), (x) => `${Math.round(x)}°`);
    const scale = slider("Splat size", 0.05, 2, 0.05, stage.style.swell, (x) => ((stage.style.swell = x), player.refresh()), (x) => `${x.toFixed(2)} ×`);
    const density = slider("Sharpness", 0.25, 2, 0.25, stage.density, (x) => ((stage.density = x), player.refresh()), (x) => `${x.toFixed(2)} ×`);
    const layers = choice("Layer", LAYERS.filter((x) => header || x !== "regions").map((x) => [x, x[0].toUpperCase() + x.slice(1)] as const), this.layer(), (x) => setLayer(player, x));
    this.show = () => {
      fov.show(Math.round(stage.orbit.state.fov / DEGREES));
      scale.show(stage.style.swell);
      layers.show(this.layer());
      for (const show of this.switches) show();
    };
    this.root.replaceChildren(
      section("View", el("div", { class: "chips", role: "group", "aria-label": "Views" }, ...views.map((x) =>
        el("button", { type: "button", class: "chip", "data-view": x, onclick: () => this.view(x) }, NAMES[x]))), fov.row,
        header ? null : el("button", { type: "button", class: "wide", onclick: () => player.flip() }, "Turn upside down")),
      this.background(),
      section("Layer", layers.row, scale.row, density.row),
      header?.edits?.length ? this.edits(header) : "",
      header ? this.colours(header.regions) : "",
    );
  }

  private view(name: (typeof VIEWS)[number]): void {
    try {
      this.player.view(name);
    } catch (error) {
      this.player.tell("error", (error as Error).message);
    }
  }

  private layer(): (typeof LAYERS)[number] {
    const { style, look } = this.player.stage;
    return look.colouring !== "colour" ? look.colouring : style.layer;
  }

  /** Changes the field of view and keeps the head as large as it is. */
  private dolly(fov: number): void {
    const { state } = this.player.stage.orbit;
    this.player.camera({ fov, distance: (state.distance * Math.tan(state.fov / 2)) / Math.tan(fov / 2) });
  }

  private background(): HTMLElement {
    const { player } = this;
    const set = (what: string | Blob) => {
      void player.background(what).catch((error: Error) => player.tell("error", error.message));
    };
    const swatch = (name: string, colour: string) =>
      el("button", { type: "button", class: "swatch", "aria-label": name, title: name, style: `--c:${colour}`, onclick: () => set(colour) });
    const custom = el("input", { type: "color", "aria-label": "Other colour", value: "#7a8ca8", oninput: () => set(custom.value) });
    const file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => file.files?.[0] && set(file.files[0]) });
    return section(
      "Background",
      el("div", { class: "swatches" },
        el("button", { type: "button", class: "swatch studio", "aria-label": "Studio", title: "Studio", onclick: () => this.backdrop() }),
        swatch("White", "#ffffff"), swatch("Grey", "#808080"), swatch("Black", "#000000"), swatch("Green screen", "#00b140"), custom,
        el("button", { type: "button", class: "swatch none", "aria-label": "Transparent", title: "Transparent", onclick: () => set("none") })),
      file, el("button", { type: "button", class: "wide", onclick: () => file.click() }, "Picture…"),
    );
  }

  /** What was done to the avatar, and a switch that shows it without. */
  private edits(header: Header): HTMLElement {
    const { player } = this;
    const before = toggle("As it was before", player.stage.before, (on) => player.before(on));
    this.switches.push(() => (before.input.checked = player.stage.before));
    return section("Edits", el("ol", { class: "edits" }, ...(header.edits ?? []).map((edit) => el("li", {}, told(edit)))), header.before ? before.row : null);
  }

  private colours(regions: string[]): HTMLElement {
    const { player } = this;
    const rows = regions.map((name, region) => {
      const apply = () => {
        if (strength.input.valueAsNumber > 0)
          this.tints.set(name, { region, colour: parseColour(colour.value), strength: strength.input.valueAsNumber });
        else this.tints.delete(name);
        player.stage.setLook({ tints: [...this.tints.values()] });
      };
      const colour = el("input", { type: "color", value: START[name] ?? toHex([0.5, 0.4, 0.4]), "aria-label": `Colour of ${name}`, oninput: () => {
        if (strength.input.valueAsNumber === 0) strength.show(0.7);
        apply();
      } });
      const strength = slider(name[0].toUpperCase() + name.slice(1), 0, 1, 0.01, 0, apply, (x) => (x ? `${Math.round(100 * x)} %` : "off"));
      strength.input.dataset.region = name;
      strength.row.prepend(colour);
      strength.row.classList.add("tint");
      return strength.row;
    });
    return section("Recolour", el("p", { class: "hint" }, "Pick a colour, then how strongly it is mixed in. Light and shade stay."), ...rows);
  }
}

/** An edit in a line: its kind, and its numbers and words. */
function told({ kind, ...fields }: Record<string, unknown>): string {
  const plain = (x: unknown): string => (typeof x === "number" ? String(Math.round(x * 1000) / 1000) : Array.isArray(x) ? x.map(plain).join(" ")
    : x && typeof x === "object" ? Object.entries(x).map(([k, v]) => `${k} ${plain(v)}`).join(", ") : String(x));
  const words = Object.entries(fields).map(([name, x]) => (x && typeof x === "object" && !Array.isArray(x) ? plain(x) : `${name} ${plain(x)}`)).join(", ");
  return `${String(kind)}${words ? `: ${words.length > 160 ? `${words.slice(0, 157)}…` : words}` : ""}`;
}

const START: Record<string, string> = {
  hair: "#7a2e1f", brows: "#4a2c1a", skin: "#d9a07d", lips: "#b3263f", irises: "#2f7fc1", eyes: "#f5f0ea",
  teeth: "#fffbe9", tongue: "#c75b6b", ears: "#d9a07d", neck: "#d9a07d", clothes: "#23407a",
};

/** The signs of life, for the tab that drives. */
export function lifeToggles(player: Player): HTMLElement {
  const blink = toggle("Blink now and then", player.blink, (on) => player.setLife({ blink: on }));
  const idle = toggle("Breathe and look around", player.idle, (on) => player.setLife({ idle: on }));
  player.addEventListener("change", () => {
    blink.input.checked = player.blink;
    idle.input.checked = player.idle;
  });
  return section("Signs of life", blink.row, idle.row);
}
