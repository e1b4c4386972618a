// The avatar's block of numbers, as avatar3d/export/player_pack.py writes it.

/** Where an array lies in the block, and how its numbers are written. */
interface Entry {
  form: "f32" | "u16" | "u8" | "step" | "running";
  shape: number[];
  at: number;
  step?: number;
}

export interface Turn {
  joints: Record<string, number>;
  axis: [number, number, number];
  limit: number;
}

export interface About {
  source?: string;
  camera?: { K: number[][]; w2c: number[][]; width: number; height: number };
  [key: string]: unknown;
}

/** How an avatar carries its face: what edits do to every pose, as avatar3d/rig/bearing.py. */
export interface Bearing {
  gain: number[];
  offset: number[];
  swing: number[];
  turn: number[];
}

export interface Header {
  version: number;
  kind: string;
  name: string;
  about: About;
  splats: number;
  expressions: string[];
  joints: string[];
  turns: Record<string, Turn>;
  regions: string[];
  bearing?: Bearing | null;
  /** What was done to the avatar, in order; their results are in the numbers. */
  edits?: Record<string, unknown>[];
  /** What it was before; arrays that differ are named `before:NAME`. */
  before?: { splats: number; bearing: Bearing | null } | null;
  motion: { fps: number; frames: number; names: string[] } | null;
  arrays: Record<string, Entry>;
}

const VERSION = 1;

export class Payload {
  private constructor(
    readonly header: Header,
    private readonly data: DataView,
  ) {}

  /** Reads a gzipped block. Throws an Error of one line if it is not one. */
  static async read(bytes: ArrayBuffer): Promise<Payload> {
    const raw = await gunzip(bytes);
    const view = new DataView(raw);
    if (raw.byteLength < 8 || view.getUint32(0, false) !== 0x41334450) throw new Error("not a player file");
    const length = view.getUint32(4, true);
    if (8 + length > raw.byteLength) throw new Error("the player file is truncated");
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 8, length))) as Header;
    if (header.version > VERSION) throw new Error(`the player file has version ${header.version}; update the player`);
    return new Payload(header, new DataView(raw, 8 + length));
  }

  /** The avatar before its edits; null if it has none. */
  before(): Payload | null {
    const { header } = this;
    if (!header.before) return null;
    const arrays = { ...header.arrays };
    for (const name in arrays) if (name.startsWith("before:")) arrays[name.slice(7)] = arrays[name];
    return new Payload({ ...header, ...header.before, arrays }, this.data);
  }

  has(name: string): boolean {
    return name in this.header.arrays;
  }

  shape(name: string): number[] {
    return this.entry(name).shape;
  }

  /** Numbers of an array; steps are multiplied out. */
  floats(name: string): Float32Array {
    const { entry, count, bytes } = this.find(name);
    if (entry.form === "f32") return new Float32Array(bytes.slice(0, 4 * count).buffer);
    if (entry.form === "step") return Float32Array.from(unfolded(bytes, count), (x) => x * (entry.step ?? 1));
    throw new Error(`array '${name}' has the form ${entry.form}`);
  }

  /** Whole numbers of an array: bytes, counts, running indices, or steps as they are. */
  whole(name: string): Uint8Array | Uint16Array | Int16Array {
    const { entry, count, bytes } = this.find(name);
    if (entry.form === "u8") return bytes.slice(0, count);
    if (entry.form === "u16") return new Uint16Array(bytes.slice(0, 2 * count).buffer);
    const steps = unfolded(bytes, count);
    if (entry.form === "step") return steps;
    const out = new Uint16Array(count);
    let last = 0;
    for (let i = 0; i < count; i++) out[i] = last += steps[i];
    return out;
  }

  private entry(name: string): Entry {
    const entry = this.header.arrays[name];
    if (!entry) throw new Error(`the player file has no array '${name}'`);
    return entry;
  }

  private find(name: string) {
    const entry = this.entry(name);
    const count = entry.shape.reduce((a, b) => a * b, 1);
    const size = { f32: 4, u16: 2, u8: 1, step: 2, running: 2 }[entry.form] * count;
    if (!(entry.at >= 0 && entry.at + size <= this.data.byteLength)) throw new Error(`the player file ends inside '${name}'`);
    return { entry, count, bytes: new Uint8Array(this.data.buffer, this.data.byteOffset + entry.at, size) };
  }
}

/** Zigzag numbers from their two byte planes. */
function unfolded(bytes: Uint8Array, count: number): Int16Array {
  const out = new Int16Array(count);
  for (let i = 0; i < count; i++) {
    const x = bytes[i] | (bytes[count + i] << 8);
    out[i] = (x >>> 1) ^ -(x & 1);
  }
  return out;
}

/** Unpacks gzip, or gives back what is not packed. Throws where it would become larger than `most` bytes. */
export async function gunzip(bytes: ArrayBuffer, most = 1 << 30): Promise<ArrayBuffer> {
  const start = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (start[0] !== 0x1f || start[1] !== 0x8b) return bytes;
  return (await inflate(new Uint8Array(bytes), "gzip", most)).buffer;
}

/** Unpacks a stream, and stops at `most` bytes: files may lie about what is in them. */
export async function inflate(bytes: Uint8Array<ArrayBuffer>, form: "gzip" | "deflate-raw", most: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(form)).getReader(), parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(next.value);
      if ((size += next.value.length) > most) throw new RangeError(`the file unpacks to more than ${most} bytes`);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error instanceof RangeError ? error : new Error("the file is truncated or damaged");
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
