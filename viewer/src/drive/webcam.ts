// Expressions from a camera, by a model that the user gives: none is in the player, and nothing leaves the page.
// Accepted are the files of MediaPipe's tasks-vision with a face landmarker model, or a module of one's own that exports
// `default(files) -> { detect(video, milliseconds) -> values by ARKit name }`.
import type { Values } from "./performer";

interface Detector {
  detect(video: HTMLVideoElement, milliseconds: number): Values | null | Promise<Values | null>;
  close?(): void;
}

export class Webcam {
  readonly video = document.createElement("video");
  private stream: MediaStream | null = null;
  private detector: Detector | null = null;
  private busy = false;
  private neutral: Values = {};
  private raw: Values = {};
  /** Milliseconds that the last picture took. */
  took = 0;
  seen: Values | null = null;

  constructor() {
    this.video.muted = this.video.playsInline = true;
    this.video.setAttribute("aria-label", "Your camera");
  }

  get on(): boolean {
    return this.stream !== null;
  }

  get hasModel(): boolean {
    return this.detector !== null;
  }

  /** Takes the model's files. Rejects with what is missing. */
  async use(files: Iterable<File>): Promise<void> {
    const urls = new Map<string, string>();
    for (const file of files) urls.set(file.name, URL.createObjectURL(typed(file)));
    const find = (pattern: RegExp) => [...urls].find(([name]) => pattern.test(name))?.[1];
    const code = find(/^vision_bundle\.m?js$/) ?? find(/\.mjs$/);
    if (!code) throw new Error("no module among these files: choose vision_bundle.mjs with its wasm files and a .task model");
    const module = await import(/* @vite-ignore */ code);
    if (module.FaceLandmarker) {
      const [loader, binary, model] = [find(/internal\.js$/), find(/internal\.wasm$/), find(/\.task$/)];
      if (!loader || !binary || !model) throw new Error("choose vision_wasm_internal.js, vision_wasm_internal.wasm and face_landmarker.task, too");
      this.detector = await mediapipe(module, loader, binary, model);
    } else if (typeof module.default === "function") this.detector = (await module.default(urls)) as Detector;
    else throw new Error("that module has neither FaceLandmarker nor a default function");
  }

  async start(): Promise<void> {
    if (!this.detector) throw new Error("choose a model first");
    if (!navigator.mediaDevices) throw new Error("this page may not use a camera: open it by https, localhost or from disk");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
    } catch {
      throw new Error("the camera was not allowed");
    }
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
    this.stream = null;
    this.seen = null;
  }

  /** Looks at the picture of now unless the last is still being looked at. */
  async look(): Promise<void> {
    if (!this.stream || !this.detector || this.busy || this.video.readyState < 2) return;
    this.busy = true;
    const start = performance.now();
    try {
      const found = await this.detector.detect(this.video, start);
      if (found) {
        this.raw = found;
        this.seen = Object.fromEntries(
          Object.entries(found).map(([name, value]) => {
            const rest = this.neutral[name] ?? 0;
            const now = /^(head|gaze)/.test(name) ? value - rest : Math.max(0, (value - rest) / Math.max(0.2, 1 - rest));
            return [name, (this.seen?.[name] ?? now) * 0.4 + now * 0.6];
          }),
        );
      }
    } finally {
      this.took = performance.now() - start;
      this.busy = false;
    }
  }

  /** Takes the face of now for the face at rest. */
  calibrate(): void {
    this.neutral = { ...this.raw };
  }
}

/** Blob addresses have no ending: modules and wasm are known by their type. */
function typed(file: File): Blob {
  const type = /\.m?js$/.test(file.name) ? "text/javascript" : /\.wasm$/.test(file.name) ? "application/wasm" : "";
  return new Blob([file], { type });
}

async function mediapipe(vision: any, loader: string, binary: string, model: string): Promise<Detector> {
  const landmarker = await vision.FaceLandmarker.createFromOptions(
    { wasmLoaderPath: loader, wasmBinaryPath: binary },
    { baseOptions: { modelAssetPath: model }, runningMode: "VIDEO", numFaces: 1, outputFaceBlendshapes: true, outputFacialTransformationMatrixes: true },
  );
  return {
    detect(video, milliseconds) {
      const result = landmarker.detectForVideo(video, milliseconds), categories = result.faceBlendshapes?.[0]?.categories;
      if (!categories) return null;
      const values: Values = {};
      for (const c of categories) if (c.categoryName !== "_neutral") values[c.categoryName] = c.score;
      const m: number[] | undefined = result.facialTransformationMatrixes?.[0]?.data;
      if (m) {
        const degrees = 180 / Math.PI; // columns of a rotation that is yaw, then pitch, then roll
        values.headYaw = Math.atan2(m[8], m[10]) * degrees;
        values.headPitch = Math.asin(Math.max(-1, Math.min(1, -m[9]))) * degrees;
        values.headRoll = Math.atan2(m[1], m[5]) * degrees;
      }
      return values;
    },
    close: () => landmarker.close(),
  };
}
