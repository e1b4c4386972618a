// Live Link Face's CSV, read as avatar3d/motions/livelink.py reads it: the same signs, units, rates and bridged gaps.
import { eulerVector } from "./performer";

const PARTS = ["head", "lefteye", "righteye"].map((part) => ["yaw", "pitch", "roll"].map((axis) => part + axis));
const TIMES = ["timecode", "blendshapecount", "time", "timestamp", "frame"];
const APP = 60; // the app's own rate, where nothing else is said
const NOMINAL = [24, 25, 30, 48, 50, 60, 90, 100, 120, 240]; // rates that time codes count in
const USUAL = [24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 90, 100, 120];
const DAY = 86_400;

/** What files hold: a row of weights for each frame, turns beside them. */
export interface Table {
  names: string[];
  rows: number[][];
  fps: number;
  /** Rotation vector of the head in each frame, radians. */
  turns?: number[][];
  /** Rotation vectors of the left and the right eye in each frame: the whole turn, what the weights say included. */
  eyes?: number[][];
  /** Seconds at which frames were taken, where the file says so. */
  times?: number[];
  /** Rotation vectors of all joints in each frame, and where the head is (4x4 row-major): of our own files. */
  joints?: number[][];
  roots?: number[][];
}

/** A name without case, separators and short sides: `eyeBlink_L` and `EyeBlinkLeft` are one. */
export function key(name: string): string {
  const long = name.trim().toLowerCase().replace(/[_.-](l|r)$/, (_, side) => (side === "l" ? "left" : "right"));
  return long.replace(/[\s_.-]/g, "");
}

/** Reads a CSV; of columns that are neither in `known` (keys) nor angles it keeps the names alone. */
export function fromCsv(text: string, name: string, known: Set<string>): Table {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  while (lines.length && !lines[lines.length - 1].replaceAll(",", "").trim()) lines.pop();
  const cut = (line: string) => line.split(",").map((x) => x.trim().replace(/^"(.*)"$/, "$1").trim());
  const head = cut(lines.shift() ?? ""), keys = head.map(key), cells = lines.map(cut);
  const wanted = keys.map((x) => known.has(x) || PARTS.flat().includes(x)), count = keys.indexOf("blendshapecount");
  const lost = cells.map((row) => count >= 0 && row[count] === "0");
  if (lost.length && lost.every(Boolean)) throw new Error(`${name}: no face in any of ${lost.length} frames (BlendShapeCount is 0 throughout)`);
  const values = cells.map((row, i) => {
    if (lost[i]) return head.map(() => 0);
    if (row.length !== head.length) throw new Error(`${name}: line ${i + 2} has ${row.length} of ${head.length} columns`);
    return row.map((cell, c) => (wanted[c] ? number(cell, `${name}: line ${i + 2}, ${head[c]}`) : 0));
  });
  bridge(values, lost);
  const kept = head.map((_, c) => c).filter((c) => !TIMES.includes(keys[c]) && !PARTS.flat().includes(keys[c]));
  const at = PARTS.map((part) => part.map((x) => keys.lastIndexOf(x)));
  const most = values.reduce((m, row) => at.flat().reduce((n, c) => Math.max(n, Math.abs(row[c] ?? 0)), m), 0);
  const unit = most > Math.PI ? 1 : 180 / Math.PI; // other tools write degrees
  const turned = values.map((row) =>
    at.map((columns) => {
      const [yaw, pitch, roll] = columns.map((c) => (row[c] ?? 0) * unit);
      // Unreal's axes are left-handed: yaw is positive to the person's right, roll tips the crown to the left.
      return eulerVector(-yaw, pitch, -roll);
    }),
  );
  const column = (...names: string[]) => keys.findIndex((x) => names.includes(x));
  const time = column("time", "timestamp"), code = column("timecode");
  const told = time >= 0 ? { fps: rate(cells.map((row) => Number(row[time]))) } : code >= 0 ? coded(cells.map((row) => row[code] ?? "")) : { fps: APP };
  return {
    names: kept.map((c) => head[c]),
    rows: values.map((row) => kept.map((c) => row[c])),
    turns: turned.map((x) => x[0]),
    eyes: turned.map((x) => [...x[1], ...x[2]]),
    ...told,
  };
}

/** Whether the eyes' angles turn against what the weights say: then another program wrote the file, with other signs. */
export function against(eyes: number[][], said: number[][]): boolean {
  return [0, 1].some((c) => {
    let told = 0, shown = 0, both = 0;
    eyes.forEach((row, t) =>
      [c, c + 3].forEach((i) => {
        told += row[i] ** 2;
        shown += said[t][i] ** 2;
        both += row[i] * said[t][i];
      }),
    );
    const size = Math.sqrt(told * shown);
    return size > 1e-3 && both < -0.5 * size; // the app's own files agree to 0.9 and more
  });
}

/**
 * What the angles of the eyes add to the gaze of the weights, both t 6: the app says gaze twice. Nothing where a tool
 * disagrees with the app about signs.
 */
export function beyond(eyes: number[][], said: number[][]): number[][] {
  let agree = 0, turned = false, looks = false;
  eyes.forEach((row, t) =>
    row.forEach((x, c) => {
      agree += x * said[t][c];
      turned ||= x !== 0;
      looks ||= Math.abs(said[t][c]) > 1e-6;
    }),
  );
  if (!turned || (agree <= 0 && looks)) return eyes.map((row) => row.map(() => 0));
  return eyes.map((row, t) => row.map((x, c) => x - said[t][c]));
}

/** Rows on an even grid where the times of frames leave one: dropped frames keep their time. */
export function even(rows: number[][], times: number[] | undefined, fps: number, most: number): number[][] {
  if (!times) return rows;
  const last = times.length - 1, count = Math.round((times[last] - times[0]) * fps) + 1;
  const grid = (i: number) => times[0] + i / fps;
  if (count > most || (count === times.length && times.every((x, i) => Math.abs(x - grid(i)) <= 0.5 / fps))) return rows;
  let a = 0;
  return Array.from({ length: count }, (_, i) => {
    const now = Math.min(grid(i), times[last]);
    while (a < last - 1 && times[a + 1] <= now) a++;
    const t = (now - times[a]) / (times[a + 1] - times[a]);
    return rows[a].map((x, c) => x + t * (rows[a + 1][c] - x));
  });
}

export function number(value: unknown, where: string): number {
  const x = typeof value === "string" ? Number(value.trim() || NaN) : value;
  if (typeof x !== "number" || !Number.isFinite(x)) throw new Error(`${where}: not a number`);
  return x;
}

/** Frames a second of rising times; the app's if they do not tell. */
export function rate(times: number[]): number {
  const span = times.length > 1 ? times[times.length - 1] - times[0] : 0;
  const fps = (times.length - 1) / span;
  return span > 0 && fps > 1 && fps < 1000 ? Math.round(fps * 100) / 100 : APP;
}

/** Fills rows in which the app lost the face, on a line between those beside them. */
function bridge(rows: number[][], lost: boolean[]): void {
  const seen = lost.flatMap((x, i) => (x ? [] : [i]));
  let next = 0;
  lost.forEach((gone, i) => {
    while (next < seen.length && seen[next] < i) next++;
    if (!gone) return;
    const a = seen[next - 1] ?? seen[next], b = seen[next] ?? a, t = a === b ? 0 : (i - a) / (b - a);
    rows[i] = rows[a].map((x, c) => x + t * (rows[b][c] - x));
  });
}

/** Rate and times of time codes HH:MM:SS:FF.sub; within one second nothing says how many frames make it up. */
function coded(codes: string[]): { fps: number; times?: number[] } {
  const found = codes.map((x) => /^(\d+):(\d+):(\d+)[:;](\d+(?:\.\d*)?)$/.exec(x));
  const parts = found.flatMap((m) => (m ? [m.slice(1).map(Number)] : []));
  if (parts.length < 2 || parts.length < codes.length || new Set(parts.map((x) => x[2])).size < 2) return { fps: APP };
  const top = parts.reduce((m, x) => Math.max(m, x[3]), 0), nominal = NOMINAL.find((n) => n > top) ?? 240;
  let midnight = 0, before = -Infinity;
  const times = parts.map(([h, m, s, f]) => {
    const now = h * 3600 + m * 60 + s + f / nominal;
    if (now < before - DAY / 2) midnight += DAY;
    before = now;
    return now + midnight;
  });
  const steps = times.slice(1).map((x, i) => x - times[i]), sorted = [...steps].sort((a, b) => a - b);
  const step = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  if (!(step > 1e-4) || sorted[0] <= 0) return { fps: APP };
  const span = times[times.length - 1] - times[0], frames = Math.round(span / step), fps = frames / span;
  const off = (usual: number) => Math.abs(usual / fps - 1), near = USUAL.reduce((a, b) => (off(b) < off(a) ? b : a));
  return { fps: off(near) * frames < 0.5 ? near : fps, times }; // half a frame over the whole file: nobody could tell
}
