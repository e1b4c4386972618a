// Performances made on this page: recorded while they happen, or set as keys with smooth ways between them.
import type { Pose } from "../engine/head";
import type { Motion } from "../engine/protocol";
import type { Values } from "./performer";

export const FPS = 30;
const LONGEST = 600; // seconds

/** A moment of a face. */
export interface Moment {
  time: number;
  expression: Float32Array;
  joints: Float32Array;
  root: Float32Array;
}

/** A moment that somebody has set, with the sliders that made it. */
export interface Key extends Moment {
  values: Values;
}

export function moment(time: number, pose: Pose): Moment {
  return { time, expression: pose.expression.slice(), joints: pose.joints.slice(), root: pose.root.slice(0, 12) };
}

/** Collects moments as they come, at whatever pace. */
export class Take {
  private readonly moments: Moment[] = [];
  private readonly start = performance.now();

  /** Adds the face of now; false when the take is as long as it may be. */
  add(pose: Pose): boolean {
    const time = this.seconds;
    if (time < LONGEST) this.moments.push(moment(time, pose));
    return time < LONGEST;
  }

  get seconds(): number {
    return (performance.now() - this.start) / 1000;
  }

  /** Throws if nothing has happened. */
  motion(): Motion {
    if (this.moments.length < 2) throw new Error("the take is too short");
    const first = this.moments[0].time;
    return sampled(this.moments.map((x) => ({ ...x, time: x.time - first })), (t) => t);
  }
}

/** The motion through keys: from each to the next it starts and stops gently. Throws on fewer than two. */
export function throughKeys(keys: Key[]): Motion {
  const sorted = [...keys].sort((a, b) => a.time - b.time);
  if (sorted.length < 2) throw new Error("two keys make a motion: add another");
  return sampled([{ ...sorted[0], time: 0 }, ...sorted.filter((x) => x.time > 0)], (t) => t * t * (3 - 2 * t));
}

/** Moments on an even grid. */
function sampled(moments: Moment[], ease: (t: number) => number): Motion {
  const last = moments[moments.length - 1].time, frames = Math.max(2, Math.round(last * FPS) + 1);
  const e = moments[0].expression.length, j = moments[0].joints.length;
  const motion: Motion = {
    fps: FPS, frames, soft: null, placed: true,
    expression: new Float32Array(frames * e), joints: new Float32Array(frames * j), root: new Float32Array(frames * 16),
  };
  for (let f = 0, at = 0; f < frames; f++) {
    const now = Math.min(f / FPS, last);
    while (at < moments.length - 2 && moments[at + 1].time <= now) at++;
    const a = moments[at], b = moments[Math.min(at + 1, moments.length - 1)];
    const t = b.time > a.time ? ease(Math.min(1, Math.max(0, (now - a.time) / (b.time - a.time)))) : 0;
    const mix = (out: Float32Array, start: number, from: Float32Array, to: Float32Array) => from.forEach((x, i) => (out[start + i] = x + t * (to[i] - x)));
    mix(motion.expression, f * e, a.expression, b.expression);
    mix(motion.joints, f * j, a.joints, b.joints);
    mix(motion.root as Float32Array, f * 16, a.root, b.root);
    (motion.root as Float32Array)[f * 16 + 15] = 1;
  }
  return motion;
}
