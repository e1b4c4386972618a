// One canvas, one worker, one scene: asks the worker for ordered splats and draws them when something has changed.
import type { Pose } from "./head";
import type { Rigid } from "./matrix";
import { Orbit } from "./orbit";
import type { FromWorker, ToWorker } from "./protocol";
import { Renderer, type Style } from "./renderer";
import type { Colouring, Tint } from "./scene";

declare const WORKER_SOURCE: string;

export type Ready = Extract<FromWorker, { type: "ready" }>;

export interface Timing {
  /** Milliseconds of the worker. */
  pose: number;
  order: number;
}

export class Stage {
  readonly orbit = new Orbit();
  readonly renderer: Renderer;
  readonly style: Style = { layer: "splats", swell: 1, range: [0.4, 1.2], background: [0, 0, 0, 1] };
  readonly look: { colouring: Colouring; tints: Tint[] } = { colouring: "colour", tints: [] };
  /** Rotation of scenes that lie upside down. */
  up: Rigid | null = null;
  timing: Timing = { pose: 0, order: 0 };
  count = 0;
  /** Frames drawn, and frames that the worker made. */
  drawn = 0;
  posed = 0;
  /** Largest number of pixels for each CSS pixel. */
  density = 2;
  /** Whether the worker draws, and not WebGL: faster by far where there is no graphics card. */
  painting: boolean;
  /** Fewer pixels while things move on a slow machine; all of them when they stand. */
  adapt = true;
  onfail: (message: string) => void = () => {};
  onframe: () => void = () => {};

  /** Whether the avatar is shown as it was before its edits; `setPose` and `touch` are due after a change. */
  before = false;

  private readonly worker: Worker;
  private spare: Uint32Array | undefined;
  private asked = 0;
  private answered = 0;
  private waiting: { id: number; done: () => void }[] = [];
  private pose: Pose | null = null;
  private stale = { pose: false, look: false, view: false, picture: false };
  private loaded: ((ready: Ready) => void) | null = null;
  private refuse: ((error: Error) => void) | null = null;
  private active = false;
  private able = false; // whether the worker can draw this scene
  private quality = 1;
  private pace = 0; // smoothed seconds between frames that were drawn one after the other
  private lastDraw = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.renderer = new Renderer(canvas);
    this.painting = this.renderer.software;
    const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = (event: MessageEvent<FromWorker>) => this.heard(event.data);
    this.worker.onerror = (event) => this.onfail(event.message || "the worker failed");
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.onfail("the graphics card was lost: reload the page");
    });
  }

  /** Opens an avatar (a player file) or any scene of splats. Rejects with what is wrong with it. */
  open(bytes: ArrayBuffer, kind: "avatar" | "still", name = ""): Promise<Ready> {
    return new Promise((resolve, reject) => {
      this.loaded = (ready) => {
        this.active = true;
        this.able = ready.paints;
        this.pose = null;
        this.before = false;
        this.count = ready.count;
        this.spare = undefined;
        this.stale.look = this.stale.view = true;
        resolve(ready);
      };
      this.refuse = reject;
      const message: ToWorker = kind === "avatar" ? { type: "avatar", bytes } : { type: "still", bytes, name };
      this.worker.postMessage(message, [bytes]);
    });
  }

  setPose(pose: Pose): void {
    this.pose = pose;
    this.stale.pose = true;
  }

  /** To be called when `look` was changed. */
  setLook(look: Partial<{ colouring: Colouring; tints: Tint[] }>): void {
    Object.assign(this.look, look);
    this.stale.look = true;
  }

  /** To be called when camera, style or size were changed. */
  touch(): void {
    this.stale.view = true;
    if (!this.active || !this.paints) this.stale.picture = true;
  }

  private get paints(): boolean {
    return this.painting && this.able && this.style.layer === "splats";
  }

  /** Draws what has changed; asks the worker if it is free. To be called once a screen frame. */
  tick(): void {
    this.pacing();
    this.resize();
    if (this.active && this.asked === this.answered && (this.stale.pose || this.stale.look || this.stale.view)) this.ask();
    if (this.stale.picture) this.draw();
  }

  /** Resolves when everything that was set before is on the canvas. */
  async settled(): Promise<void> {
    while (this.asked !== this.answered) await this.answer(this.asked);
    this.quality = 1; // and it stays so while somebody waits
    this.resize();
    if (this.active && (this.stale.pose || this.stale.look || this.stale.view)) {
      this.ask();
      await this.answer(this.asked);
    }
    this.resize();
    this.draw();
  }

  draw(): void {
    this.stale.picture = false;
    const { width, height } = this.canvas;
    this.renderer.draw(this.orbit.view(width, height, this.up), this.style);
    this.drawn++;
    this.lastDraw = performance.now() / 1000;
    this.onframe();
  }

  /** Lowers the resolution where frames take longer than 1/14 s, and restores it when nothing moves. */
  private pacing(): void {
    const now = performance.now() / 1000, since = now - this.lastDraw;
    if (!this.adapt || !this.active || this.waiting.length) return;
    if (this.quality < 1 && since > 0.35) {
      this.quality = 1;
      this.pace = 0;
      this.stale.picture = true;
    } else if (this.stale.picture && since < 0.35) {
      this.pace += 0.25 * (since - this.pace);
      if (this.pace > 0.07) this.quality = Math.max(0.5, this.quality - 0.1);
      else if (this.pace < 0.025) this.quality = Math.min(1, this.quality + 0.1);
    }
  }

  private answer(id: number): Promise<void> {
    return new Promise((done) => this.waiting.push({ id, done }));
  }

  private ask(): void {
    const { stale } = this, { width, height } = this.canvas;
    const { w2c, lens } = this.orbit.view(width, height, this.up);
    const message: ToWorker = { type: "frame", id: ++this.asked, view: w2c };
    if (this.before) message.before = true;
    if (this.paints) message.paint = { width, height, lens, swell: this.style.swell };
    if (stale.pose && this.pose) message.pose = this.pose;
    if (stale.look) message.look = { colouring: this.look.colouring, tints: this.look.tints };
    if (this.spare) message.spare = this.spare;
    this.worker.postMessage(message, this.spare ? [this.spare.buffer] : []);
    this.spare = undefined;
    stale.pose = stale.look = stale.view = false;
  }

  private heard(message: FromWorker): void {
    if (message.type === "frame") {
      if (message.painted) this.renderer.uploadPainted(message.data, message.painted);
      else this.renderer.upload(message.data, message.count);
      this.spare = message.data;
      this.timing = message.ms;
      this.answered = message.id;
      this.posed++;
      this.stale.picture = true;
      this.waiting = this.waiting.filter((x) => (x.id <= message.id ? (x.done(), false) : true));
    } else if (message.type === "ready") {
      this.loaded?.(message);
      this.loaded = this.refuse = null;
    } else {
      const refuse = this.refuse;
      this.refuse = null;
      this.answered = this.asked;
      if (refuse) refuse(new Error(message.message));
      else this.onfail(message.message);
    }
  }

  private resize(): void {
    const { canvas } = this, ratio = Math.min(window.devicePixelRatio || 1, this.density) * this.quality;
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width === width && canvas.height === height) return;
    canvas.width = width;
    canvas.height = height;
    this.stale.picture = true;
    if (this.paints) this.stale.view = true;
  }
}
