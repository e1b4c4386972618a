// Play, scrub, loop and speed of a motion.
import type { Player } from "../player";
import { el, icon, tool } from "./dom";

export class Timeline {
  readonly root: HTMLElement;
  private readonly scrub: HTMLInputElement;
  private readonly clock = el("output", { class: "clock" });
  private readonly playing: HTMLButtonElement;
  private readonly own: HTMLButtonElement;
  private readonly curve = el("canvas", { class: "curve", width: 600, height: 26, "aria-hidden": "true" });

  constructor(private readonly player: Player) {
    this.playing = tool("play", "Play", () => (player.playing ? player.pause() : player.play()), { class: "tool main" });
    this.scrub = el("input", { type: "range", min: 0, max: 1, step: 0.001, "aria-label": "Time", oninput: () => player.seek(Number(this.scrub.value)) });
    const loop = tool("loop", "Loop", () => {
      player.loop = !player.loop;
      player.tell("change");
    });
    const speed = el("select", { "aria-label": "Speed", onchange: () => (player.speed = Number(speed.value)) },
      ...[0.1, 0.25, 0.5, 1, 1.5, 2].map((x) => el("option", { value: x, selected: x === 1 }, `${x}×`)));
    this.own = el("button", { type: "button", class: "chip", hidden: true, onclick: () => player.ownMotion() }, "Its own");
    this.root = el("div", { class: "timeline", role: "group", "aria-label": "Timeline", hidden: true },
      this.playing,
      tool("back", "Frame back", () => player.step(-1), { class: "tool wideonly" }),
      tool("next", "Frame forward", () => player.step(1), { class: "tool wideonly" }),
      el("div", { class: "track" }, this.curve, this.scrub), this.clock, loop, speed, this.own,
      tool("stop", "Rest pose", () => player.seek(null)));
    for (const kind of ["scene", "motion"]) player.addEventListener(kind, () => this.build());
    player.addEventListener("time", () => this.show());
    player.addEventListener("change", () => {
      loop.setAttribute("aria-pressed", String(player.loop));
      if (![...speed.options].some((x) => Number(x.value) === player.speed)) speed.append(el("option", { value: player.speed }, `${player.speed}×`));
      speed.value = String(player.speed);
      this.show();
    });
    loop.setAttribute("aria-pressed", String(player.loop));
  }

  private build(): void {
    const { player } = this;
    this.root.hidden = !player.duration;
    this.scrub.max = String(player.duration || 1);
    this.own.hidden = !player.hasOwnMotion;
    this.scrub.title = player.motionName;
    this.plot();
    this.show();
  }

  private show(): void {
    const { player } = this, time = player.time ?? 0, label = player.playing ? "Pause" : "Play";
    this.scrub.value = String(time);
    this.scrub.style.setProperty("--at", `${(100 * time) / (player.duration || 1)}%`);
    const text = `${stamp(time)} / ${stamp(player.duration)}`;
    if (this.clock.textContent !== text) {
      this.clock.textContent = text;
      this.scrub.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${player.duration.toFixed(1)} seconds`);
    }
    if (this.playing.title !== label) {
      this.playing.title = label;
      this.playing.setAttribute("aria-label", label);
      this.playing.replaceChildren(icon(player.playing ? "pause" : "play"));
    }
  }

  /** How much the face moves, as a curve behind the slider. */
  private plot(): void {
    const motion = this.player.performer?.motion, context = this.curve.getContext("2d");
    if (!context) return;
    const { width, height } = this.curve;
    context.clearRect(0, 0, width, height);
    if (!motion) return;
    const e = motion.expression.length / motion.frames, activity = new Float32Array(width);
    for (let x = 0; x < width; x++) {
      const t = Math.min(motion.frames - 1, Math.floor((x / width) * motion.frames));
      for (let i = 0; i < e; i++) activity[x] += motion.expression[t * e + i];
    }
    const most = Math.max(...activity, 1e-3);
    context.fillStyle = "#8a90a0";
    for (let x = 0; x < width; x += 3) {
      const tall = Math.max(1, (height * activity[x]) / most);
      context.fillRect(x, (height - tall) / 2, 2, tall);
    }
  }
}

function stamp(seconds: number): string {
  const m = Math.floor(seconds / 60);
  return `${m}:${(seconds - 60 * m).toFixed(1).padStart(4, "0")}`;
}
