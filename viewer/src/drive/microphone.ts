// Mouth shapes from a microphone: loudness, and where in the spectrum the energy lies. Nothing leaves the page.
import type { Values } from "./performer";

const SIZE = 1024;

/** Energies of a spectrum's parts, in decibels above the quiet. */
export interface Bands {
  loud: number;
  /** 0..1: first formant low (closed vowels) to high (open). */
  open: number;
  /** 0..1: second formant low (round lips) to high (spread). */
  spread: number;
  /** 0..1: share of hiss. */
  hiss: number;
}

export class Microphone {
  private context: AudioContext | null = null;
  private stream: MediaStream | null = null;
  private analyser: AnalyserNode | null = null;
  private readonly spectrum = new Float32Array(SIZE / 2);
  private readonly wave = new Float32Array(SIZE);
  private floor = 0.003;
  private smooth: Values = {};
  /** Loudness of the last moment, 0..1. */
  level = 0;

  get on(): boolean {
    return this.stream !== null;
  }

  /** Asks for the microphone. Rejects with what people should know. */
  async start(): Promise<void> {
    if (!navigator.mediaDevices) throw new Error("this page may not use a microphone: open it by https, localhost or from disk");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    } catch {
      throw new Error("the microphone was not allowed");
    }
    this.context = new AudioContext();
    await this.context.resume();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = SIZE;
    this.analyser.smoothingTimeConstant = 0.35;
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    void this.context?.close();
    this.stream = this.context = this.analyser = null;
    this.smooth = {};
    this.level = 0;
  }

  /** What the mouth does now. */
  values(seconds: number): Values {
    const { analyser, context } = this;
    if (!analyser || !context) return {};
    analyser.getFloatFrequencyData(this.spectrum);
    analyser.getFloatTimeDomainData(this.wave);
    const rms = Math.sqrt(this.wave.reduce((sum, x) => sum + x * x, 0) / SIZE);
    // The quiet sinks to what is heard at once and rises slowly, so that speech never becomes the quiet.
    this.floor = Math.max(0.0008, Math.min(rms, this.floor * (1 + 0.15 * seconds)));
    const bands = measure(this.spectrum, context.sampleRate / SIZE, rms, this.floor);
    this.level = bands.loud;
    const wanted = shapes(bands), out: Values = {};
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(this.smooth)])) {
      const last = this.smooth[name] ?? 0, goal = wanted[name] ?? 0;
      const value = last + (goal - last) * (1 - Math.exp(-seconds / (goal > last ? 0.04 : 0.08)));
      if (value > 0.002) out[name] = value;
    }
    return (this.smooth = out);
  }
}

/** Reads formants roughly: speech has its first between 250 and 900 Hz, its second between 700 and 2600 Hz. */
export function measure(decibels: Float32Array, hertz: number, rms: number, floor: number): Bands {
  const power = (low: number, high: number, by = 0): number => {
    let sum = 0, weighted = 0;
    for (let i = Math.max(1, Math.round(low / hertz)); i <= Math.min(decibels.length - 1, high / hertz); i++) {
      const p = 10 ** (Math.max(decibels[i], -120) / 10);
      sum += p;
      weighted += p * i * hertz;
    }
    return by ? weighted / Math.max(sum, 1e-12) : sum;
  };
  const first = power(250, 1000, 1), second = power(900, 2800, 1);
  const voice = power(100, 3000), hiss = power(3800, 9000);
  const clamp = (x: number) => Math.min(1, Math.max(0, x));
  return {
    loud: clamp(Math.log2(Math.max(rms, 1e-6) / (2.2 * floor)) / 4.2),
    open: clamp((first - 380) / 330),
    spread: clamp((second - 1150) / 750),
    hiss: clamp((hiss / Math.max(voice + hiss, 1e-12) - 0.12) * 2.2),
  };
}

/** Expressions of a moment's sound. */
export function shapes({ loud, open, spread, hiss }: Bands): Values {
  const voiced = loud * (1 - hiss), round = Math.max(0, 0.55 - spread) / 0.55, wide = Math.max(0, spread - 0.45) / 0.55;
  const jaw = voiced * (0.18 + 0.5 * open) + 0.05 * loud * hiss;
  const side = { mouthStretch: 0.3 * voiced * wide + 0.3 * loud * hiss, mouthSmile: 0.22 * voiced * wide, mouthLowerDown: 0.25 * voiced * open + 0.22 * loud * hiss, mouthUpperUp: 0.14 * voiced };
  const out: Values = { jawOpen: jaw, mouthFunnel: 0.5 * voiced * round, mouthPucker: 0.45 * voiced * round * (1 - open) };
  for (const [name, value] of Object.entries(side)) out[`${name}Left`] = out[`${name}Right`] = value;
  return out;
}
