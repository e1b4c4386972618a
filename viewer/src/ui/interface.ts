// The page around the canvas: tools, tabs, timeline, keys, files that are dropped, and what is said to people.
import { VIEWS, type Player } from "../player";
import { drop, openFiles } from "./files";
import { FaceTab } from "./facetab";
import { el, tool } from "./dom";
import { gestures } from "./gestures";
import { LiveTab } from "./livetab";
import { LookTab } from "./looktab";
import { Recorder, save } from "./recorder";
import { ShareTab } from "./sharetab";
import css from "./style.css";
import { TakeTab } from "./taketab";
import { Timeline } from "./timeline";

export class Interface {
  readonly recorder: Recorder;
  readonly live: LiveTab;
  readonly look: LookTab;
  readonly takes: TakeTab;
  private readonly face: FaceTab;
  private readonly shell: HTMLElement;
  private readonly toast = el("div", { class: "toast", role: "status", "aria-live": "polite" });
  private readonly stats = el("span", { class: "stats", "aria-hidden": "true" });
  private readonly title = el("h1", {}, "avatar3d");
  private readonly sign = el("div", { class: "sign", role: "status", hidden: true });
  private readonly recordButton: HTMLButtonElement;
  private silence = 0;
  private dark: boolean;

  constructor(private readonly player: Player, body: HTMLElement, query: URLSearchParams) {
    document.head.append(el("style", {}, css));
    const wanted = query.get("theme");
    this.dark = wanted ? wanted === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    this.recorder = new Recorder(player);
    this.face = new FaceTab(player);
    this.look = new LookTab(player, () => this.backdrop());
    this.live = new LiveTab(player);
    this.takes = new TakeTab(player);
    const share = new ShareTab(player, () => void this.takePicture(), () => this.record());
    this.recordButton = tool("record", "Record a clip", () => this.record(), { class: "tool record", "aria-pressed": "false" });
    const files = el("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to open", onchange: () => void openFiles(player, [...(files.files ?? [])]).then(() => (files.value = "")) });
    const { canvas } = player;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "3D view. Arrow keys turn it, plus and minus zoom.");
    const top = el("header", { class: "top" },
      el("div", { class: "titles" }, this.title, this.stats), this.sign,
      el("div", { class: "tools", role: "toolbar", "aria-label": "Tools" },
        tool("open", "Open a file (O)", () => files.click()), files,
        tool("camera", "Save a picture (P)", () => void this.takePicture()), this.recordButton,
        tool("sun", "Light or dark (T)", () => this.theme()),
        tool("full", "Full screen (F)", () => this.full()),
        tool("help", "Keys (?)", () => this.help.showModal()),
        tool("panel", "Show or hide controls (H)", () => this.fold())));
    const tabs = this.tabs([["Face", this.face.root], ["Look", this.look.root], ["Live", this.live.root], ["Takes", this.takes.root], ["Share", share.root]]);
    this.shell = el("div", { class: "player" },
      el("main", { class: "view" }, canvas, el("div", { class: "start", hidden: true }, el("p", {}, "Drop an avatar, or splats: .ply, .spz, .sog, .splat, .glb"),
        el("button", { type: "button", class: "wide", onclick: () => files.click() }, "Open a file…")), top, new Timeline(player).root, this.toast),
      tabs, this.help);
    if (query.get("ui") === "0") this.shell.classList.add("bare");
    body.replaceChildren(...[...body.children].filter((x) => x.id === "avatar3d-data"), this.shell);
    if (matchMedia("(max-width: 700px)").matches && query.get("panel") === "0") this.fold();
    gestures(player, canvas);
    drop(player, this.shell);
    document.addEventListener("keydown", (event) => this.key(event));
    this.listen();
    player.onTick((seconds) => this.measure(seconds));
    this.backdrop();
  }

  private listen(): void {
    const { player } = this;
    player.addEventListener("error", (event) => this.say(String((event as CustomEvent).detail), true));
    player.addEventListener("note", (event) => this.say(String((event as CustomEvent).detail)));
    player.addEventListener("scene", () => {
      const empty = !player.stage.count;
      this.title.textContent = player.title || "avatar3d";
      document.title = player.title ? `${player.title} · avatar3d` : "avatar3d";
      this.shell.querySelector<HTMLElement>(".start")!.hidden = !empty;
      this.shell.classList.toggle("empty-scene", empty);
      this.told = "";
    });
    this.recorder.onstate = (on) => {
      this.recordButton.setAttribute("aria-pressed", String(on));
      this.recordButton.setAttribute("aria-label", on ? "Stop recording" : "Record a clip");
    };
    this.live.onstate = (on) => {
      this.sign.hidden = !on.length;
      this.sign.textContent = on.join(" · ");
    };
  }

  private tabs(pages: [string, HTMLElement][]): HTMLElement {
    const buttons: HTMLButtonElement[] = [];
    const choose = (at: number, focus = false) => {
      pages.forEach(([, page], i) => {
        page.hidden = i !== at;
        buttons[i].setAttribute("aria-selected", String(i === at));
        buttons[i].tabIndex = i === at ? 0 : -1;
      });
      if (focus) buttons[at].focus();
      this.player.tell("change");
    };
    pages.forEach(([name, page], i) => {
      const key = (event: KeyboardEvent) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) choose((i + step + pages.length) % pages.length, true);
      };
      buttons.push(el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `page-${name}`, onclick: () => choose(i), onkeydown: key }, name));
      page.id = `page-${name}`;
      page.setAttribute("role", "tabpanel");
      page.setAttribute("aria-labelledby", `tab-${name}`);
    });
    const panel = el("aside", { class: "panel", "aria-label": "Controls" }, el("div", { class: "tabs", role: "tablist" }, ...buttons), el("div", { class: "pages" }, ...pages.map(([, page]) => page)));
    choose(0);
    return panel;
  }

  /** Keys that work anywhere but in fields that take text. */
  private key(event: KeyboardEvent): void {
    const at = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName) && at.getAttribute("type") !== "range" && at.getAttribute("type") !== "checkbox") return;
    if (event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(at.tagName)) return;
    if (event.key === " " && at.getAttribute("type") === "checkbox") return;
    const { player } = this, { orbit } = player.stage;
    const slider = at.getAttribute("type") === "range";
    const zoom = (by: number) => (orbit.zoom(by), player.refresh(), player.tell("change"));
    const keys: Record<string, () => void> = {
      " ": () => (player.playing ? player.pause() : player.play()),
      ",": () => player.step(-1), ".": () => player.step(1),
      l: () => ((player.loop = !player.loop), player.tell("change")),
      r: () => player.performer && player.reset(), b: () => player.setLife({ blink: !player.blink }), i: () => player.setLife({ idle: !player.idle }),
      p: () => void this.takePicture(), v: () => this.record(), k: () => this.takes.toggle(), f: () => this.full(), t: () => this.theme(), h: () => this.fold(),
      "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1 / 0.9),
      "/": () => this.search(), "?": () => this.help.showModal(),
      o: () => this.shell.querySelector<HTMLInputElement>(".tools input[type=file]")?.click(),
    };
    if (!slider) Object.assign(keys, { Home: () => player.seek(0), End: () => player.seek(player.duration) });
    VIEWS.slice(0, 8).forEach((name, i) => (keys[String(i + 1)] = () => player.view(name)));
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || this.help.open) return;
    event.preventDefault();
    act();
  }

  private search(): void {
    this.shell.classList.remove("folded");
    document.getElementById("tab-Face")?.click();
    this.face.find();
  }

  private readonly help = el("dialog", { class: "help", "aria-label": "Keys" },
    el("h2", {}, "Keys"),
    el("dl", {}, ...[
      ["Space", "play or pause"], [", .", "frame back, forward"], ["Home End", "first, last frame"], ["L", "loop"], ["1 – 8", "views"],
      ["Arrows", "turn the view (with Shift: move it)"], ["+ −", "zoom"], ["/", "search expressions"], ["R", "reset the face"], ["Delete", "release a slider"],
      ["B I", "blinking, idle motion"], ["P", "picture"], ["V", "record a clip"], ["K", "record a performance"], ["O", "open a file"], ["F", "full screen"], ["T", "light or dark"], ["H", "hide controls"],
    ].flatMap(([keys, what]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, what)])),
    el("form", { method: "dialog" }, el("button", { class: "wide" }, "Close")));

  private async takePicture(): Promise<void> {
    try {
      save(await this.recorder.picture(), `${this.fileName()}.png`);
      this.say("Picture saved");
    } catch (error) {
      this.say((error as Error).message, true);
    }
  }

  private record(): void {
    if (this.recorder.on) return this.recorder.stop();
    try {
      void this.recorder.start().then((clip) => {
        save(clip, `${this.fileName()}.${clip.type.includes("mp4") ? "mp4" : "webm"}`);
        this.say(`Clip saved, ${(clip.size / 1e6).toFixed(1)} MB`);
      });
      this.say("Recording: press again to stop");
    } catch (error) {
      this.say((error as Error).message, true);
    }
  }

  private fileName(): string {
    return (this.player.title || "avatar").replace(/\.[a-z0-9]+$/i, "").replace(/[^\w-]+/g, "-");
  }

  private theme(): void {
    this.dark = !this.dark;
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    if (this.player.studio) this.backdrop();
  }

  /** A soft light behind the head, light or dark as the page is. */
  private backdrop(): void {
    const size = 512, canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    if (!context) return;
    this.player.studio = true;
    canvas.width = canvas.height = size;
    const glow = context.createRadialGradient(size / 2, 0.42 * size, 0, size / 2, 0.42 * size, 0.72 * size);
    for (const [at, colour] of this.dark ? ([[0, "#3a3d46"], [0.55, "#24262c"], [1, "#15161a"]] as const) : ([[0, "#fdfdfc"], [0.6, "#ebeae7"], [1, "#d5d4d0"]] as const))
      glow.addColorStop(at, colour);
    context.fillStyle = glow;
    context.fillRect(0, 0, size, size);
    canvas.toBlob((blob) => blob && this.player.studio && void this.player.background(blob, true));
  }

  private full(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.shell.requestFullscreen?.().catch(() => this.say("Full screen is not allowed here", true));
  }

  private fold(): void {
    this.shell.classList.toggle("folded");
    this.player.refresh();
    this.player.tell("change");
  }

  say(text: string, wrong = false): void {
    this.toast.textContent = text;
    this.toast.classList.toggle("wrong", wrong);
    this.toast.classList.add("shown");
    this.silence = wrong ? 8 : 3;
  }

  private elapsed = 0;
  private before = 0;
  private told = "";

  private measure(seconds: number): void {
    if (this.silence > 0 && (this.silence -= seconds) <= 0) this.toast.classList.remove("shown");
    this.elapsed += seconds;
    if (this.elapsed < 0.5) return;
    const { stage } = this.player, frames = stage.drawn - this.before;
    const text = stage.count ? `${stage.count.toLocaleString("en")} splats · ${frames ? `${Math.round(frames / this.elapsed)} fps` : "still"}` : "";
    if (text !== this.told) this.stats.textContent = this.told = text;
    this.before = stage.drawn;
    this.elapsed = 0;
  }
}
