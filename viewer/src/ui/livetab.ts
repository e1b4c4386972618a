// Driving by microphone and camera: off until asked for, told when on, and never sent anywhere.
import { Microphone } from "../drive/microphone";
import { Webcam } from "../drive/webcam";
import type { Values } from "../drive/performer";
import { mirrored } from "../drive/presets";
import type { Player } from "../player";
import { el, icon, section, slider, toggle } from "./dom";
import { lifeToggles } from "./looktab";

export class LiveTab {
  readonly root = el("div", { class: "tab" });
  readonly microphone = new Microphone();
  readonly webcam = new Webcam();
  /** What is on, for the sign at the top of the page. */
  onstate: (on: string[]) => void = () => {};
  private gain = 1;
  private mirror = true;
  private readonly micButton: HTMLButtonElement;
  private readonly camButton: HTMLButtonElement;
  private readonly meter = el("div", { class: "meter", role: "meter", "aria-label": "Loudness", "aria-valuemin": 0, "aria-valuemax": 1 }, el("i"));
  private readonly delay = el("p", { class: "hint", "aria-live": "off" });

  constructor(private readonly player: Player) {
    this.micButton = el("button", { type: "button", class: "wide", "aria-pressed": "false", onclick: () => void this.toggleMicrophone() }, icon("mic"), "Use microphone");
    this.camButton = el("button", { type: "button", class: "wide", "aria-pressed": "false", disabled: true, onclick: () => void this.toggleCamera() }, icon("camera"), "Use camera");
    const files = el("input", { type: "file", multiple: true, hidden: true, "aria-label": "Model files", onchange: () => void this.take(files.files) });
    const calibrate = el("button", { type: "button", class: "wide", onclick: () => this.webcam.calibrate() }, "Take my face for neutral");
    const gain = slider("Gain", 0.2, 2, 0.05, 1, (x) => (this.gain = x), (x) => `${x.toFixed(2)} ×`);
    const mirror = toggle("Like a mirror", true, (on) => (this.mirror = on));
    this.webcam.video.hidden = true;
    this.root.append(
      lifeToggles(player),
      section("Microphone", el("p", { class: "hint" }, "The mouth follows your voice. Sound is analysed on this page; it is neither stored nor sent."), this.micButton, this.meter),
      section("Camera", el("p", { class: "hint" }, "The face follows yours, by a face model that you choose from your disk (MediaPipe's tasks-vision files, or a module of your own). Pictures are analysed on this page; they are neither stored nor sent. Film only people who agree."),
        el("button", { type: "button", class: "wide", onclick: () => files.click() }, icon("open"), "Choose model files…"), files, this.camButton, this.webcam.video, mirror.row, calibrate, this.delay),
      section("Both", gain.row),
    );
    player.onTick((seconds) => this.tick(seconds));
  }

  stop(): void {
    this.microphone.stop();
    this.webcam.stop();
    this.told();
  }

  private async toggleMicrophone(): Promise<void> {
    await this.switched(this.microphone);
  }

  private async toggleCamera(): Promise<void> {
    await this.switched(this.webcam);
  }

  private async switched(device: Microphone | Webcam): Promise<void> {
    try {
      if (device.on) device.stop();
      else if (this.player.performer) await device.start();
      else throw new Error("open an avatar first");
    } catch (error) {
      device.stop();
      this.player.tell("error", (error as Error).message);
    }
    this.told();
  }

  private async take(files: FileList | null): Promise<void> {
    if (!files?.length) return;
    try {
      await this.webcam.use(files);
      this.camButton.disabled = false;
      this.player.tell("note", "Model loaded. The camera is off until you switch it on.");
    } catch (error) {
      this.player.tell("error", (error as Error).message);
    }
  }

  private told(): void {
    this.micButton.setAttribute("aria-pressed", String(this.microphone.on));
    this.camButton.setAttribute("aria-pressed", String(this.webcam.on));
    this.micButton.lastChild?.replaceWith(this.microphone.on ? "Stop microphone" : "Use microphone");
    this.camButton.lastChild?.replaceWith(this.webcam.on ? "Stop camera" : "Use camera");
    this.webcam.video.hidden = !this.webcam.on;
    if (!this.microphone.on && !this.webcam.on) this.player.setLive({});
    this.onstate([...(this.microphone.on ? ["Microphone is on"] : []), ...(this.webcam.on ? ["Camera is on"] : [])]);
  }

  private tick(seconds: number): void {
    if (!this.microphone.on && !this.webcam.on) return;
    const values: Values = {};
    if (this.webcam.on) {
      this.webcam.look().catch((error: Error) => (this.webcam.stop(), this.told(), this.player.tell("error", `camera model: ${error.message}`)));
      for (const [name, value] of Object.entries(this.webcam.seen ?? {})) {
        const turned = /^(head|gaze)(Yaw|Roll)$/.test(name);
        const key = this.mirror ? (mirrored(name) ?? opposite(name)) : name;
        values[key] = turned ? (this.mirror ? -value : value) : value * (/^head|^gaze/.test(name) ? 1 : this.gain);
      }
      this.delay.textContent = `${Math.round(this.webcam.took)} ms for each picture`;
    }
    if (this.microphone.on) {
      for (const [name, value] of Object.entries(this.microphone.values(seconds))) values[name] = Math.max(values[name] ?? 0, value * this.gain);
      (this.meter.firstElementChild as HTMLElement).style.width = `${100 * this.microphone.level}%`;
      this.meter.setAttribute("aria-valuenow", this.microphone.level.toFixed(2));
    }
    this.player.setLive(values);
  }
}

/** jawLeft and mouthLeft are directions: in a mirror they are the other one. */
function opposite(name: string): string {
  if (!/^(jaw|mouth)(Left|Right)$/.test(name)) return name;
  return name.endsWith("Left") ? name.replace("Left", "Right") : name.replace("Right", "Left");
}
