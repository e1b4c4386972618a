// Pictures and clips of what is on the canvas.
import type { Player } from "../player";

export class Recorder {
  private recorder: MediaRecorder | null = null;
  onstate: (on: boolean) => void = () => {};

  constructor(private readonly player: Player) {}

  get on(): boolean {
    return this.recorder !== null;
  }

  /** The canvas as PNG, with transparency where the background is. */
  async picture(): Promise<Blob> {
    await this.player.settle();
    const { stage, canvas } = this.player;
    stage.draw(); // reading comes in the same turn as drawing: the buffer is not kept
    return await new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("no picture"))), "image/png"));
  }

  /** Starts a clip; resolves with it after `stop`. */
  start(fps = 30): Promise<Blob> {
    if (typeof MediaRecorder === "undefined") throw new Error("this browser cannot record");
    const kind = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"].find((x) => MediaRecorder.isTypeSupported(x));
    if (!kind) throw new Error("this browser cannot record video");
    const stream = this.player.canvas.captureStream(fps), parts: Blob[] = [];
    const recorder = (this.recorder = new MediaRecorder(stream, { mimeType: kind, videoBitsPerSecond: 8_000_000 }));
    this.onstate(true);
    this.player.stage.adapt = false; // a clip's size does not change
    this.player.stage.touch(); // a canvas that stands still gives no frame
    recorder.start(200);
    return new Promise((done, fail) => {
      recorder.ondataavailable = (event) => event.data.size && parts.push(event.data);
      recorder.onerror = () => fail(new Error("recording failed"));
      recorder.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        this.recorder = null;
        this.player.stage.adapt = true;
        this.onstate(false);
        done(new Blob(parts, { type: kind.split(";")[0] }));
      };
    });
  }

  stop(): void {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }

  /** A clip of some seconds. */
  async clip(seconds: number): Promise<Blob> {
    const clip = this.start();
    setTimeout(() => this.stop(), 1000 * Math.min(600, Math.max(0.1, seconds)));
    return await clip;
  }
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
