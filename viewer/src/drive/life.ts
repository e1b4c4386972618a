// Signs of life: blinks, breath and glances. Functions of time alone, so that a recording can be made again.
import type { Values } from "./performer";

/** A number in [0, 1) that belongs to an integer. */
function chance(n: number): number {
  let x = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 4294967296;
}

const EVERY = 3.6; // seconds between blinks: people blink 15 to 20 times a minute

/** How closed the lids are. A blink closes in 80 ms and opens in 160 ms. */
export function blinkAt(t: number): number {
  let closed = 0;
  const slot = Math.floor(t / EVERY);
  for (const n of [slot - 1, slot]) {
    const start = (n + 0.15 + 0.7 * chance(n)) * EVERY;
    const twice = chance(n + 7919) < 0.12 ? [start, start + 0.34] : [start];
    for (const at of twice) {
      const dt = t - at;
      if (dt > 0 && dt < 0.24) closed = Math.max(closed, dt < 0.08 ? dt / 0.08 : 1 - (dt - 0.08) / 0.16);
    }
  }
  return closed * closed * (3 - 2 * closed);
}

/** Smooth noise in -1..1 with about one turn a second. */
function drift(t: number, seed: number): number {
  const n = Math.floor(t), f = t - n, s = f * f * f * (f * (6 * f - 15) + 10);
  const a = chance(n * 31 + seed), b = chance((n + 1) * 31 + seed);
  return 2 * (a + (b - a) * s) - 1;
}

/** Where the eyes rest: they jump, and stay for a second or so. */
function glance(t: number, seed: number): number {
  const every = 1.7, n = Math.floor(t / every), within = Math.min(1, (t - n * every) / 0.05);
  const a = chance(n * 17 + seed) - 0.5, b = chance((n + 1) * 17 + seed) - 0.5;
  return a + (b - a) * within;
}

export function lifeAt(t: number, blink: boolean, idle: boolean): Values {
  const values: Values = {};
  if (blink) values.eyeBlinkLeft = values.eyeBlinkRight = blinkAt(t);
  if (!idle) return values;
  values.headYaw = 2.4 * drift(t * 0.35, 1);
  values.headPitch = 1.3 * drift(t * 0.4, 2) + 0.35 * Math.sin((2 * Math.PI * t) / 4.2);
  values.headRoll = 1.2 * drift(t * 0.3, 3);
  values.gazeYaw = 5 * glance(t, 5) - 0.6 * values.headYaw;
  values.gazePitch = 2.5 * glance(t, 6) - 0.6 * values.headPitch;
  values.mouthSmileLeft = values.mouthSmileRight = 0.04 + 0.04 * drift(t * 0.25, 8);
  values.browInnerUp = Math.max(0, 0.08 * drift(t * 0.3, 9));
  return values;
}
