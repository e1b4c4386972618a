// Motion files: Live Link Face CSV and ARKit JSON, columns matched by name.
import type { Header } from "../engine/payload";
import type { Motion } from "../engine/protocol";
import { against, beyond, even, fromCsv, key, number, rate, type Table } from "./livelink";

const MOST = 200_000; // frames: nearly an hour at the app's rate
const WEIGHT = 2; // beyond it a column holds percentages or something else altogether
const NECK = 0.4; // part of a head's turn that the neck carries

/**
 * Reads a motion for a head. Throws an Error that names what is wrong.
 *
 * `gaze` (e 2 3) turns the eyes by each expression, radians: what a file says by angles and by weights counts once.
 */
export function readMotion(text: string, name: string, header: Header, gaze: Float32Array): { motion: Motion; missing: string[]; doubt: boolean } {
  const at = new Map(header.expressions.map((x, i) => [key(x), i]));
  const table = /^\s*[{[]/.test(text) ? fromJson(text, name, header) : fromCsv(text, name, new Set(at.keys()));
  if (!table.rows.length) throw new Error(`${name}: no frames in it`);
  if (table.rows.length > MOST) throw new Error(`${name}: ${table.rows.length} frames; the player plays up to ${MOST}`);
  const columns = table.names.map((x) => at.get(key(x)) ?? -1), e = header.expressions.length;
  const missing = table.names.filter((x, c) => columns[c] < 0 && key(x) !== "neutral");
  if (columns.every((x) => x < 0)) throw new Error(`${name}: no column is a name of ARKit, such as jawOpen`);
  columns.forEach((x, c) => {
    if (x >= 0 && columns.indexOf(x) < c) throw new Error(`${name}: column '${table.names[c]}' comes twice`);
  });
  const weights = table.rows.map((row, t) => {
    const out = new Array<number>(e).fill(0);
    columns.forEach((x, c) => {
      if (x < 0) return;
      if (Math.abs(row[c]) > WEIGHT) throw new Error(`${name}: frame ${t}: ${table.names[c]} is ${row[c]}; weights go from 0 to 1`);
      out[x] = Math.min(1, Math.max(0, row[c]));
    });
    return out;
  });
  const on = (rows: number[][]) => even(rows, table.times, table.fps, MOST);
  const expression = on(weights), frames = expression.length;
  const motion: Motion = {
    fps: table.fps, frames, root: null, soft: null,
    expression: Float32Array.from(expression.flat()), joints: new Float32Array(frames * header.joints.length * 3),
  };
  let doubt = false;
  if (table.joints) motion.joints.set(table.joints.flat());
  else {
    const head = on(table.turns ?? table.rows.map(() => [0, 0, 0]));
    turn(motion, header, "neck", head, NECK);
    turn(motion, header, "head", head, 1 - NECK);
    if (table.eyes) {
      const said = weights.map((row) => looked(row, gaze)), eyes = on(beyond(table.eyes, said));
      doubt = against(table.eyes, said);
      turn(motion, header, "eye_left", eyes.map((x) => x.slice(0, 3)), 1);
      turn(motion, header, "eye_right", eyes.map((x) => x.slice(3)), 1);
    }
  }
  if (table.joints && table.roots) motion.root = Float32Array.from(table.roots.flat());
  return { motion, missing, doubt };
}

/** Turns of both eyes that the weights of one frame stand for. */
function looked(weights: number[], gaze: Float32Array): number[] {
  const out = [0, 0, 0, 0, 0, 0];
  weights.forEach((w, e) => {
    if (w) for (let i = 0; i < 6; i++) out[i] += w * gaze[6 * e + i];
  });
  return out;
}

function turn(motion: Motion, header: Header, joint: string, vectors: number[][], share: number): void {
  const at = header.joints.indexOf(joint), j = header.joints.length;
  if (at >= 0) vectors.forEach((v, t) => v.forEach((x, c) => (motion.joints[3 * (t * j + at) + c] = share * x)));
}

/** {names, frames: [{weights, time}], fps?} as chat avatars exchange it, or a list of {name: value}. */
function fromJson(text: string, name: string, header: Header): Table {
  let data: any;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(`${name}: not JSON`);
  }
  const frames: any[] = Array.isArray(data) ? data : (data.frames ?? []);
  if (!Array.isArray(frames) || !frames.length) throw new Error(`${name}: no frames in it`);
  const first = frames[0]?.blendshapes ?? frames[0]?.weights ?? frames[0];
  const names: string[] = Array.isArray(first) ? (data.names ?? data.blendshapes ?? []) : Object.keys(first).filter((x) => typeof first[x] === "number" && x !== "time");
  const rows = frames.map((frame, t) => {
    const values = frame?.blendshapes ?? frame?.weights ?? frame;
    return names.map((x, c) => number(Array.isArray(values) ? values[c] : values?.[x], `${name}: frame ${t}, ${x}`));
  });
  const times = frames.map((x) => x?.time).filter((x) => typeof x === "number");
  const turns = frames.map((x) => (Array.isArray(x?.rotation) && x.rotation.length === 3 ? x.rotation.map(Number) : [0, 0, 0]));
  const own = Array.isArray(data.joints) && header.joints.join() === data.joints.join();
  const joints = own ? table(frames, "joints", 3 * header.joints.length) : undefined, roots = own ? table(frames, "root", 16) : undefined;
  return { names, rows, turns, joints, roots, fps: Number(data.fps) > 0 ? Number(data.fps) : rate(times) };
}

/** Numbers of one field in every frame; undefined unless every frame has them all. */
function table(frames: any[], field: string, count: number): number[][] | undefined {
  const rows = frames.map((frame) => (Array.isArray(frame?.[field]) ? frame[field].flat(2) : []));
  return rows.every((row) => row.length === count && row.every(Number.isFinite)) ? rows : undefined;
}
