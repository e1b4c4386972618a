// Motion files: Live Link Face CSV and ARKit JSON, columns matched by name.
import type { Header } from "../engine/payload";
import type { Motion } from "../engine/protocol";
import { eulerVector } from "./performer";

const ANGLES = ["headyaw", "headpitch", "headroll", "lefteyeyaw", "lefteyepitch", "lefteyeroll", "righteyeyaw", "righteyepitch", "righteyeroll"];
const MOST = 200_000; // frames: more than an hour

interface Table {
  names: string[];
  rows: number[][];
  fps: number;
  /** Rotation vector of the head in each frame, radians. */
  turns?: number[][];
  /** Rotation vectors of all joints in each frame, and where the head is (4x4 row-major): of our own files. */
  joints?: number[][];
  roots?: number[][];
}

/** Reads a motion for a head. Throws an Error that names what is wrong. */
export function readMotion(text: string, name: string, header: Header): { motion: Motion; missing: string[] } {
  const table = text.trimStart().startsWith("{") || text.trimStart().startsWith("[") ? fromJson(text, name, header) : fromCsv(text, name);
  if (!table.rows.length) throw new Error(`${name}: no frames in it`);
  if (table.rows.length > MOST) throw new Error(`${name}: ${table.rows.length} frames; the player plays up to ${MOST}`);
  const frames = table.rows.length, e = header.expressions.length, j = header.joints.length;
  const motion: Motion = {
    fps: table.fps, frames, root: null, soft: null,
    expression: new Float32Array(frames * e), joints: new Float32Array(frames * j * 3),
  };
  const lower = header.expressions.map((x) => x.toLowerCase()), missing: string[] = [];
  const angle = new Map<string, number>();
  table.names.forEach((column, c) => {
    const plain = column.toLowerCase(), at = lower.indexOf(plain);
    if (at >= 0) table.rows.forEach((row, t) => (motion.expression[t * e + at] = Math.min(1, Math.max(0, row[c]))));
    else if (ANGLES.includes(plain)) angle.set(plain, c);
    else if (plain !== "_neutral") missing.push(column);
  });
  if (missing.length === table.names.length) throw new Error(`${name}: no column is a name of ARKit, such as jawOpen`);
  turnJoints(motion, table, header, angle);
  if (table.joints) motion.joints.set(table.joints.flat());
  if (table.joints && table.roots) motion.root = Float32Array.from(table.roots.flat());
  return { motion, missing };
}

/**
 * Live Link Face gives yaw, pitch and roll of the head in radians; Unreal's axes are left-handed: yaw is positive to the
 * person's right, roll tips the crown to the left. Gaze comes as eyeLook weights, too, in every file of the app: turning
 * the eyes by both would do it twice.
 */
function turnJoints(motion: Motion, table: Table, header: Header, angle: Map<string, number>): void {
  const columns = ["headyaw", "headpitch", "headroll"].map((x) => angle.get(x) ?? -1), j = header.joints.length;
  const most = table.rows.reduce((m, row) => Math.max(m, ...columns.map((c) => Math.abs(row[c] ?? 0))), 0);
  const unit = most > Math.PI ? 1 : 180 / Math.PI;
  table.rows.forEach((row, t) => {
    const [yaw, pitch, roll] = columns.map((c) => (row[c] ?? 0) * unit);
    put(t, table.turns?.[t] ?? eulerVector(-yaw, pitch, -roll));
  });
  function put(t: number, v: number[]): void {
    for (const [joint, share] of [["neck", 0.4], ["head", 0.6]] as const) {
      const at = header.joints.indexOf(joint);
      if (at >= 0) for (let c = 0; c < 3; c++) motion.joints[3 * (t * j + at) + c] = share * v[c];
    }
  }
}

function fromCsv(text: string, name: string): Table {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter((x) => x.trim());
  const head = (lines.shift() ?? "").split(",").map((x) => x.trim());
  const skip = new Set(["timecode", "blendshapecount", "time", "timestamp", "frame"]);
  const kept = head.map((_, c) => c).filter((c) => !skip.has(head[c].toLowerCase()));
  const rows = lines.map((line, i) => {
    const cells = line.split(",");
    if (cells.length < head.length) throw new Error(`${name}: line ${i + 2} has ${cells.length} of ${head.length} columns`);
    return kept.map((c) => number(cells[c], `${name}: line ${i + 2}, ${head[c]}`));
  });
  const code = head.findIndex((x) => x.toLowerCase() === "timecode");
  const time = head.findIndex((x) => ["time", "timestamp"].includes(x.toLowerCase()));
  const cells = (c: number) => lines.map((x) => x.split(",")[c]);
  const fps = time >= 0 ? rate(cells(time).map(Number)) : code >= 0 ? codedRate(cells(code)) : APP;
  return { names: kept.map((c) => head[c]), rows, fps };
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

function number(value: unknown, where: string): number {
  const x = typeof value === "string" ? Number(value.trim() || NaN) : value;
  if (typeof x !== "number" || !Number.isFinite(x)) throw new Error(`${where}: not a number`);
  return x;
}

const APP = 60; // Live Link Face's own rate, where nothing else is said
const NOMINAL = [24, 25, 30, 48, 50, 60, 90, 100, 120, 240]; // rates that time codes count in

/** Frames a second of time codes HH:MM:SS:FF.sub; within one second nothing says how many frames make it up. */
function codedRate(codes: string[]): number {
  const parts = codes.map((x) => x.trim().split(/[:;]/).map(Number));
  if (parts.some((x) => x.length !== 4 || x.some(Number.isNaN)) || new Set(parts.map((x) => x[2])).size < 2) return APP;
  const most = parts.reduce((m, x) => Math.max(m, x[3]), 0), nominal = NOMINAL.find((n) => n > most) ?? 240;
  return rate(parts.map(([h, m, s, f]) => h * 3600 + m * 60 + s + f / nominal));
}

/** Frames a second of rising times; the app's if they do not tell. */
function rate(times: number[]): number {
  const span = times.length > 1 ? times[times.length - 1] - times[0] : 0;
  const fps = (times.length - 1) / span;
  return span > 0 && fps > 1 && fps < 1000 ? Math.round(fps * 100) / 100 : APP;
}
