// Performances made here: recorded, or set by keys; kept as files that the page and Python read again.
import { FPS, Take, moment, throughKeys, type Key } from "../drive/take";
import type { Player } from "../player";
import { el, icon, section, tool } from "./dom";
import { save } from "./recorder";

export class TakeTab {
  readonly root = el("div", { class: "tab" });
  private take: Take | null = null;
  private keys: Key[] = [];
  private count = 0;
  private readonly button = el("button", { type: "button", class: "wide", "aria-pressed": "false", onclick: () => this.toggle() }, icon("record"), "Record a performance");
  private readonly clock = el("p", { class: "hint", "aria-live": "off" });
  private readonly list = el("ol", { class: "keys", "aria-label": "Keys" });
  private readonly next = el("input", { type: "number", min: 0, max: 600, step: 0.1, value: "0", "aria-label": "Time of the next key in seconds" });
  private readonly saving: HTMLButtonElement[];
  private readonly mirror = el("button", { type: "button", class: "wide", disabled: true, onclick: () => this.player.mirrorTurns() }, "Turn the head the other way");

  constructor(private readonly player: Player) {
    const keep = (kind: "csv" | "json", label: string) =>
      el("button", { type: "button", class: "wide", disabled: true, onclick: () => this.save(kind) }, label);
    this.saving = [keep("csv", "Save as CSV (Live Link Face)"), keep("json", "Save as JSON (all joints)")];
    this.root.append(
      section("Record", el("p", { class: "hint" }, "Everything the face does is recorded: sliders, presets, microphone, camera, and a motion that plays. A finished take plays on the timeline."), this.button, this.clock),
      section("Keys", el("p", { class: "hint" }, "Make a face, add a key, make the next: the face moves smoothly from key to key."),
        el("div", { class: "bar" }, this.next, el("button", { type: "button", class: "wide", onclick: () => this.add() }, "Add a key"), tool("reset", "Remove all keys", () => this.set([]))), this.list),
      section("Keep", el("p", { class: "hint" }, "The motion on the timeline as a file. Drop it on any player, or drive an avatar with it in Python."), ...this.saving, this.mirror),
    );
    player.addEventListener("scene", () => this.set([]));
    for (const kind of ["scene", "motion"]) player.addEventListener(kind, () => this.show());
    player.onTick(() => this.tick());
  }

  get on(): boolean {
    return this.take !== null;
  }

  /** Starts or ends a take. */
  toggle(): void {
    const { player } = this;
    try {
      if (this.take) {
        const take = this.take;
        this.take = null;
        player.useMotion(take.motion(), `take ${++this.count}`);
        player.tell("note", `Take ${this.count}: ${player.duration.toFixed(1)} s`);
      } else {
        if (!player.performer) throw new Error("open an avatar first");
        this.take = new Take();
      }
    } catch (error) {
      player.tell("error", (error as Error).message);
    }
    this.show();
  }

  private tick(): void {
    const { take, player } = this;
    if (!take) return;
    if (!player.performer || !take.add(player.performer.plain())) this.toggle();
    this.clock.textContent = `${take.seconds.toFixed(1)} s`;
  }

  private add(): void {
    const { performer } = this.player, time = Math.min(600, Math.max(0, Math.round(10 * Number(this.next.value)) / 10));
    if (!performer) return this.player.tell("error", "open an avatar first");
    const key: Key = { ...moment(time, performer.plain()), values: { ...performer.shown } };
    this.set([...this.keys.filter((x) => x.time !== time), key].sort((a, b) => a.time - b.time));
    this.next.value = String(Math.round(10 * ((this.keys.at(-1)?.time ?? 0) + 1)) / 10);
  }

  private set(keys: Key[]): void {
    this.keys = keys;
    const rows = keys.map((key) => el("li", {},
      el("button", { type: "button", class: "chip", title: "Show and change this key", onclick: () => this.recall(key) }, `${key.time.toFixed(1)} s`),
      tool("close", `Remove the key at ${key.time.toFixed(1)} seconds`, () => this.set(this.keys.filter((x) => x !== key)))));
    this.list.replaceChildren(...rows);
    if (!keys.length) this.next.value = "0";
    if (keys.length > 1) {
      const { pinned } = this.player.performer ?? {}, held = new Map(pinned); // the face being made stays
      this.player.useMotion(throughKeys(keys), "keys", false);
      for (const [name, value] of held) pinned?.set(name, value);
      this.player.seek(keys.at(-1)?.time ?? 0);
    }
  }

  /** Puts a key's face on the sliders; adding at its time replaces it. */
  private recall(key: Key): void {
    this.next.value = String(key.time);
    this.player.pause();
    this.player.seek(this.keys.length > 1 ? key.time : null);
    this.player.set(key.values);
  }

  private save(kind: "csv" | "json"): void {
    const { player } = this, name = (player.motionName || "take").replace(/\.[a-z0-9]+$/i, "").replace(/[^\w-]+/g, "-");
    save(new Blob([player.saveMotion(kind)], { type: kind === "csv" ? "text/csv" : "application/json" }), `${name}.${kind}`);
  }

  private show(): void {
    const { player } = this;
    if (this.take && !player.performer) this.take = null;
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.lastChild?.replaceWith(this.on ? "Stop and play it" : "Record a performance");
    if (!this.on) this.clock.textContent = player.duration ? `On the timeline: ${player.motionName}, ${player.duration.toFixed(1)} s at ${Math.round(player.performer?.motion?.fps ?? FPS)} a second` : "";
    for (const each of [...this.saving, this.mirror]) each.disabled = !player.duration;
  }
}
