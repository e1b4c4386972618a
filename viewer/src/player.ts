// The player without its controls: a stage, a performer and a clock. What a page can call is here.
import { lifeAt } from "./drive/life";
import { Performer, type Values } from "./drive/performer";
import { readMotion } from "./drive/motions";
import { toCsv, toJson } from "./drive/saving";
import { HEAD_VIEW, type OrbitState } from "./engine/orbit";
import type { Header } from "./engine/payload";
import type { Motion } from "./engine/protocol";
import { Stage } from "./engine/stage";
import { parseColour } from "./ui/colour";

export const VIEWS = ["front", "left", "right", "profile-left", "profile-right", "above", "below", "back", "source"] as const;
export type ViewName = (typeof VIEWS)[number];

const ANGLES: Record<Exclude<ViewName, "source">, [number, number]> = {
  front: [0, 0], left: [35, 0], right: [-35, 0], "profile-left": [90, 0], "profile-right": [-90, 0],
  above: [0, 35], below: [0, -30], back: [180, 0],
};

/** What changed: a page listens with `player.addEventListener`. */
export type PlayerEvent = "ready" | "change" | "time" | "error" | "scene" | "motion" | "note";

export class Player extends EventTarget {
  readonly stage: Stage;
  performer: Performer | null = null;
  header: Header | null = null;
  /** Name of what is shown. */
  title = "";
  /** The performance of the avatar itself, kept while another one is shown. */
  private own: Performer["motion"] = null;
  /** How expressions turn the eyes (e 2 3), radians. */
  private gaze: Float32Array = new Float32Array(0);
  motionName = "";
  playing = false;
  loop = true;
  speed = 1;
  blink = false;
  idle = false;
  /** Whether the backdrop follows light and dark: nobody chose another. */
  studio = true;
  private last = 0;
  private clock = 0;
  private radius = 0.2;
  private readonly hooks: ((seconds: number) => void)[] = [];
  private running = false;

  constructor(readonly canvas: HTMLCanvasElement) {
    super();
    this.stage = new Stage(canvas);
    this.stage.onfail = (message) => this.tell("error", message);
  }

  /** Called each screen frame with the seconds since the last. */
  onTick(hook: (seconds: number) => void): void {
    this.hooks.push(hook);
  }

  tell(kind: PlayerEvent, detail: unknown = null): void {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  // ---- what is shown

  async openAvatar(bytes: ArrayBuffer): Promise<void> {
    const ready = await this.stage.open(bytes, "avatar");
    if (!ready.header) throw new Error("the player file has no header");
    this.header = ready.header;
    this.title = ready.header.name;
    this.performer = new Performer(ready.header);
    this.own = ready.motion;
    this.gaze = ready.gaze ?? new Float32Array(6 * ready.header.expressions.length);
    this.performer.use(ready.motion);
    this.motionName = ready.motion ? "its own performance" : "";
    this.stage.up = null;
    this.radius = 0.2;
    this.playing = false;
    this.view("front");
    this.pose();
    this.begin();
    this.tell("scene");
  }

  /** Shows a file of splats, whatever it is of. */
  async openSplats(bytes: ArrayBuffer, name: string): Promise<void> {
    const ready = await this.stage.open(bytes, "still", name);
    this.header = null;
    this.performer = null;
    this.own = null;
    this.motionName = "";
    this.title = name;
    this.playing = false;
    const { centre, radius } = ready.bounds ?? { centre: [0, 0, 0], radius: 1 };
    this.radius = radius;
    // .ply, .splat and .sog files have y downwards; .spz and .glb files upwards.
    this.stage.up = /\.(spz|glb)$/i.test(name) ? null : FLIP;
    this.stage.orbit.set({ ...HEAD_VIEW, target: this.seen(centre), distance: 3.2 * radius });
    this.refresh();
    this.begin();
    this.tell("scene");
  }

  /** Turns a scene of splats upside down. */
  flip(): void {
    const target = this.stage.orbit.state.target;
    this.stage.up = this.stage.up ? null : FLIP;
    this.stage.orbit.set({ target: [target[0], -target[1], -target[2]] });
    this.refresh();
  }

  private seen(p: [number, number, number]): [number, number, number] {
    return this.stage.up ? [p[0], -p[1], -p[2]] : p;
  }

  // ---- what the face does

  /** Shows the avatar as it was before its edits, or as it is. Throws if it has none. */
  before(on: boolean): void {
    const { header, performer, stage } = this;
    if (!header?.before || !performer) throw new Error("this avatar has no edits to switch off");
    stage.before = on;
    performer.bearing = (on ? header.before.bearing : header.bearing) ?? null;
    stage.touch();
    this.changed();
  }

  /** Sets expressions (0 to 1) and turns (degrees) by name; null lets the motion have a name back. */
  set(values: Record<string, number | null>): void {
    this.need().set(values);
    this.changed();
  }

  /** The value of a name as it is shown. */
  get(name: string): number {
    const performer = this.need();
    performer.pose();
    return performer.shown[performer.resolve(name)[0]];
  }

  /** All values as they are shown. */
  values(): Values {
    const performer = this.need();
    performer.pose();
    return { ...performer.shown };
  }

  reset(): void {
    this.need().reset();
    this.changed();
  }

  setLive(values: Values): void {
    if (!this.performer) return;
    this.performer.live = values;
    this.changed();
  }

  setLife(change: { blink?: boolean; idle?: boolean }): void {
    Object.assign(this, change);
    if (this.performer) this.performer.life = lifeAt(this.clock, this.blink, this.idle);
    this.changed();
  }

  // ---- motion

  /** Loads a motion: Live Link Face CSV or ARKit JSON. */
  loadMotion(text: string, name: string): void {
    const performer = this.need();
    const { motion, missing, doubt } = readMotion(text, name, performer.header, this.gaze);
    performer.use(motion);
    this.motionName = name;
    if (missing.length) this.tell("note", `${name}: ${missing.length} columns are of nothing this head has`);
    if (doubt) this.tell("note", `${name}: its eyes turn against their weights; if the head does so, too, turn it the other way (Takes)`);
    this.seek(0);
    this.play();
    this.tell("motion");
  }

  /** Turns and tilts the head the other way in the motion on the timeline: files of some programs count so. */
  mirrorTurns(): void {
    const { motion, header } = this.need();
    if (!motion) throw new Error("there is no motion to turn");
    const joints = motion.joints.slice(), j = header.joints.length;
    for (const name of ["neck", "head"])
      for (let t = 0, at = 3 * header.joints.indexOf(name); t < motion.frames; t++, at += 3 * j) {
        joints[at + 1] *= -1;
        joints[at + 2] *= -1;
      }
    this.need().use({ ...motion, joints });
    this.tell("motion");
    this.changed();
  }

  /** Plays a motion that was made here; what was set by hand is released. */
  useMotion(motion: Motion, name: string, play = true): void {
    const performer = this.need();
    performer.use(motion);
    performer.reset();
    this.motionName = name;
    this.seek(0);
    if (play) this.play();
    this.tell("motion");
  }

  /** The motion on the timeline as a file's text. Throws if there is none. */
  saveMotion(kind: "csv" | "json"): string {
    const { motion, header } = this.need();
    if (!motion) throw new Error("there is no motion to save");
    return kind === "csv" ? toCsv(motion, header, this.gaze) : toJson(motion, header);
  }

  /** Back to the avatar's own performance. */
  ownMotion(): void {
    this.performer?.use(this.own);
    this.motionName = this.own ? "its own performance" : "";
    this.seek(0);
    this.tell("motion");
  }

  get hasOwnMotion(): boolean {
    return !!this.own && this.performer?.motion !== this.own;
  }

  get duration(): number {
    return this.performer?.duration ?? 0;
  }

  get time(): number | null {
    return this.performer?.time ?? null;
  }

  play(): void {
    if (!this.duration || !this.performer) return;
    if (this.performer.time === null || (this.performer.time >= this.duration - 1e-3 && !this.loop)) this.performer.time = 0;
    this.playing = true;
    this.tell("change");
  }

  pause(): void {
    this.playing = false;
    this.tell("change");
  }

  /** Moves to a time in seconds; null puts the head to rest. */
  seek(time: number | null): void {
    if (!this.performer) return;
    this.performer.time = time === null || !this.duration ? null : Math.min(Math.max(time, 0), this.duration);
    if (time === null) this.playing = false;
    this.tell("time");
    this.changed();
  }

  /** Moves by whole frames. */
  step(frames: number): void {
    const motion = this.performer?.motion;
    if (!motion) return;
    this.pause();
    this.seek(Math.round((this.time ?? 0) * motion.fps + frames) / motion.fps);
  }

  // ---- camera and style

  view(name: ViewName): void {
    const { orbit } = this.stage;
    if (name === "source") {
      const camera = this.header?.about.camera;
      const root = this.performer?.motion?.root;
      if (!camera || !root || !this.performer) throw new Error("this avatar does not know the camera it was filmed with");
      orbit.fixed = { w2c: this.performer.sourceCamera(camera.w2c), K: camera.K, width: camera.width, height: camera.height };
    } else {
      const [yaw, pitch] = ANGLES[name].map((x) => (x * Math.PI) / 180);
      if (this.header) orbit.set({ ...HEAD_VIEW, target: [...HEAD_VIEW.target], yaw, pitch });
      else orbit.set({ yaw, pitch, distance: 3.2 * this.radius });
    }
    this.refresh();
    this.tell("change");
  }

  camera(change: Partial<OrbitState>): void {
    this.stage.orbit.set(change);
    this.refresh();
  }

  /** A colour of CSS, "none", or a picture. */
  async background(what: string | Blob, studio = false): Promise<void> {
    const { stage } = this;
    this.studio = studio;
    if (typeof what !== "string") {
      const image = await createImageBitmap(what);
      if (this.studio !== studio) return; // somebody chose another while this one was decoded
      stage.renderer.setPicture(image);
    } else {
      stage.renderer.setPicture(null);
      stage.style.background = what === "none" ? [0, 0, 0, 0] : [...parseColour(what), 1];
    }
    stage.touch();
    this.tell("change");
  }

  /** Camera, size or style were changed. */
  refresh(): void {
    const eye = this.stage.orbit.state.distance;
    this.stage.style.range = this.header ? [eye - 0.14, eye + 0.16] : [Math.max(eye - this.radius, 0), eye + this.radius];
    this.stage.touch();
  }

  /** Draws what was set; resolves when it is on the canvas. */
  async settle(): Promise<void> {
    this.pose();
    await this.stage.settled();
  }

  // ---- clock

  private begin(): void {
    if (this.running) return;
    this.running = true;
    const frame = (now: number) => {
      this.tick(Math.min((now - this.last) / 1000, 0.25));
      this.last = now;
      requestAnimationFrame(frame);
    };
    this.last = performance.now();
    requestAnimationFrame(frame);
  }

  private tick(seconds: number): void {
    const { performer } = this;
    this.clock += seconds;
    let moved = false;
    if (performer && this.playing && this.duration && performer.time !== null) {
      performer.time += seconds * this.speed;
      if (performer.time >= this.duration || performer.time < 0) {
        if (this.loop) performer.time = (performer.time + this.duration) % this.duration;
        else {
          performer.time = this.duration;
          this.pause();
        }
      }
      moved = true;
      this.tell("time");
    }
    if (performer && (this.blink || this.idle)) {
      performer.life = lifeAt(this.clock, this.blink, this.idle && !this.playing);
      moved = true;
    }
    for (const hook of this.hooks) hook(seconds);
    if (moved) this.pose();
    this.stage.tick();
  }

  private pose(): void {
    if (this.performer) this.stage.setPose(this.performer.pose());
  }

  private changed(): void {
    this.pose();
    this.tell("change");
  }

  private need(): Performer {
    if (!this.performer) throw new Error("what is shown has no face to move");
    return this.performer;
  }
}

/** 180 degrees about x. */
const FLIP = Float64Array.of(1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0);
