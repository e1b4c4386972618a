// What the face does now: a motion, signs of life, a microphone or camera, and what somebody set by hand.
import type { Pose } from "../engine/head";
import { IDENTITY, compose, inverse, rotation } from "../engine/matrix";
import type { Bearing, Header, Turn } from "../engine/payload";
import type { Motion } from "../engine/protocol";

/** Values by name: expressions in 0..1 and turns in degrees. */
export type Values = Record<string, number>;

export class Performer {
  /** Set by hand: wins over everything. */
  readonly pinned = new Map<string, number>();
  /** From microphone or camera: wins over motion. */
  live: Values = {};
  /** Blinks, breath and glances: added to what moves anyway. */
  life: Values = {};
  motion: Motion | null = null;
  /** Seconds into the motion; null: the head rests. */
  time: number | null = null;
  /** Values of the last pose by name. */
  readonly shown: Values = {};
  /** What edits do to every pose. */
  bearing: Bearing | null;
  private middle = IDENTITY;

  constructor(readonly header: Header) {
    this.bearing = header.bearing ?? null;
  }

  get names(): string[] {
    return this.header.expressions;
  }

  get turns(): Record<string, Turn> {
    return this.header.turns;
  }

  get duration(): number {
    return this.motion ? this.motion.frames / this.motion.fps : 0;
  }

  use(motion: Motion | null): void {
    this.motion = motion;
    this.middle = IDENTITY;
    if (motion?.root && !motion.placed) {
      // The head's place in the middle of the performance becomes the place of the head at rest.
      const at = 16 * (motion.frames >> 1);
      this.middle = inverse(motion.root.subarray(at, at + 12));
    }
  }

  /** Names that a value of one name sets: `eyeBlink` is both sides. */
  resolve(name: string): string[] {
    if (this.names.includes(name) || name in this.turns) return [name];
    const pair = [`${name}Left`, `${name}Right`];
    if (pair.every((x) => this.names.includes(x))) return pair;
    throw new Error(`unknown name '${name}'`);
  }

  limits(name: string): [number, number] {
    const turn = this.turns[name];
    return turn ? [-turn.limit, turn.limit] : [0, 1];
  }

  /** Sets values by name; null lets motion have it again. Throws on a name that nobody has. */
  set(values: Record<string, number | null>): void {
    const resolved = Object.entries(values).map(([name, value]) => [this.resolve(name), value] as const);
    for (const [names, value] of resolved)
      for (const name of names) {
        if (value === null) {
          this.pinned.delete(name);
          continue;
        }
        if (!Number.isFinite(value)) throw new Error(`${name}: give a number`);
        const [low, high] = this.limits(name);
        this.pinned.set(name, Math.min(high, Math.max(low, value)));
      }
  }

  reset(): void {
    this.pinned.clear();
  }

  /** The camera of the clip, in the space of the head at rest. */
  sourceCamera(w2c: number[][]): Float64Array {
    const flat = Float64Array.from(w2c.slice(0, 3).flat());
    return compose(flat, inverse(this.middle));
  }

  /** The face of now, as edits of expression and pose make it. */
  pose(): Pose {
    return carried(this.plain(), this.bearing);
  }

  /** The face of now before edits: what a motion file says. */
  plain(): Pose {
    const { names, header, shown } = this, sample = this.sample();
    const expression = sample.expression;
    names.forEach((name, i) => {
      const moved = this.live[name] ?? expression[i];
      const value = this.pinned.get(name) ?? Math.max(moved, this.life[name] ?? 0);
      shown[name] = expression[i] = Math.min(1, Math.max(0, value));
    });
    for (const [name, turn] of Object.entries(this.turns)) {
      const degrees = this.pinned.get(name) ?? (this.live[name] ?? 0) + (this.life[name] ?? 0);
      shown[name] = degrees;
      if (!degrees) continue;
      for (const [joint, share] of Object.entries(turn.joints)) {
        const at = 3 * header.joints.indexOf(joint), angle = (degrees * share * Math.PI) / 180;
        for (let c = 0; c < 3; c++) sample.joints[at + c] += turn.axis[c] * angle;
      }
    }
    return sample;
  }

  /** The motion at its time, between two frames. */
  private sample(): Pose {
    const e = this.names.length, j = 3 * this.header.joints.length, { motion } = this;
    if (!motion || this.time === null)
      return { expression: new Float32Array(e), joints: new Float32Array(j), root: Float32Array.from(IDENTITY) };
    const place = Math.min(Math.max(this.time * motion.fps, 0), motion.frames - 1);
    const a = Math.floor(place), b = Math.min(a + 1, motion.frames - 1), t = place - a;
    const mix = (from: Float32Array, width: number) => {
      const out = new Float32Array(width);
      for (let i = 0; i < width; i++) out[i] = from[a * width + i] * (1 - t) + from[b * width + i] * t;
      return out;
    };
    const pose: Pose = { expression: mix(motion.expression, e), joints: mix(motion.joints, j), root: Float32Array.from(IDENTITY) };
    if (motion.root) pose.root = Float32Array.from(compose(this.middle, straight(mix(motion.root, 16))));
    if (motion.soft) pose.soft = mix(motion.soft, motion.soft.length / motion.frames);
    return pose;
  }
}

/** The pose as an avatar with this bearing shows it. */
function carried(pose: Pose, bearing: Bearing | null): Pose {
  if (!bearing) return pose;
  const { gain, offset, swing, turn } = bearing;
  const expression = pose.expression.map((x, i) => Math.min(1, Math.max(0, x * gain[i] + offset[i])));
  return { ...pose, expression, joints: pose.joints.map((x, i) => x * swing[Math.floor(i / 3)] + turn[i]) };
}

/** The nearest rotation to a mean of two: rows made orthonormal again. */
function straight(m: Float32Array): Float32Array {
  const length = (i: number) => Math.hypot(m[4 * i], m[4 * i + 1], m[4 * i + 2]) || 1;
  for (let i = 0; i < 2; i++) {
    if (i === 1) {
      const along = m[0] * m[4] + m[1] * m[5] + m[2] * m[6];
      for (let c = 0; c < 3; c++) m[4 + c] -= along * m[c];
    }
    const n = length(i);
    for (let c = 0; c < 3; c++) m[4 * i + c] /= n;
  }
  for (let c = 0; c < 3; c++) m[8 + c] = m[(c + 1) % 3] * m[4 + ((c + 2) % 3)] - m[(c + 2) % 3] * m[4 + ((c + 1) % 3)];
  return m;
}

/** A rotation vector that turns by Euler angles in degrees, yaw first: the order of Live Link Face. */
export function eulerVector(yaw: number, pitch: number, roll: number): [number, number, number] {
  const d = Math.PI / 180, a = rotation(0, yaw * d, 0), b = rotation(pitch * d, 0, 0), c = rotation(0, 0, roll * d);
  const m = product(product(a, b), c);
  const angle = Math.acos(Math.max(-1, Math.min(1, (m[0] + m[4] + m[8] - 1) / 2)));
  const s = angle < 1e-6 ? 0.5 : angle / (2 * Math.sin(angle));
  return [s * (m[7] - m[5]), s * (m[2] - m[6]), s * (m[3] - m[1])];
}

function product(a: number[], b: number[]): number[] {
  return a.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + a[3 * Math.floor(i / 3) + k] * b[3 * k + (i % 3)], 0));
}
