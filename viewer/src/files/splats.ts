// 3DGS files for viewing: .ply (float and PlayCanvas-compressed), .splat, .spz, .sog, .glb.
import { gunzip } from "../engine/payload";
import { Builder, SH_C0, sigmoid, smallestThree, type Splats } from "./builder";
import { readGlb } from "./glb";
import { readSog } from "./sog";
import { unzstd } from "./zstd";

/** Reads a scene. Throws an Error that says what is wrong with the file. */
export async function readSplats(bytes: ArrayBuffer, name: string): Promise<Splats> {
  const lower = name.toLowerCase();
  const start = new TextDecoder("latin1").decode(new Uint8Array(bytes, 0, Math.min(4, bytes.byteLength)));
  if (start.startsWith("ply")) return readPly(bytes);
  if (start === "NGSP") return readSpz4(bytes);
  if (start === "glTF") return readGlb(bytes);
  if (start.startsWith("PK")) return await readSog(bytes);
  if (lower.endsWith(".spz") || start.startsWith("\x1f\x8b")) return readSpz(await gunzip(bytes, SPZ_MOST));
  if (lower.endsWith(".splat")) return readSplat(bytes);
  throw new Error(`${name}: not a splat file that this player knows (.ply, .splat, .spz, .sog, .glb)`);
}

interface Element {
  name: string;
  count: number;
  properties: { name: string; type: string }[];
}

const SIZES: Record<string, number> = {
  char: 1, int8: 1, uchar: 1, uint8: 1, short: 2, int16: 2, ushort: 2, uint16: 2,
  int: 4, int32: 4, uint: 4, uint32: 4, float: 4, float32: 4, double: 8, float64: 8,
};

function readPly(bytes: ArrayBuffer): Splats {
  const text = new TextDecoder("latin1").decode(new Uint8Array(bytes, 0, Math.min(65536, bytes.byteLength)));
  const end = text.indexOf("end_header\n");
  if (end < 0) throw new Error("the ply file has no header");
  const elements: Element[] = [];
  for (const line of text.slice(0, end).split("\n").map((x) => x.trim().split(/\s+/))) {
    if (line[0] === "format" && line[1] !== "binary_little_endian") throw new Error(`ply of the form ${line[1]}; write it as binary_little_endian`);
    if (line[0] === "element") elements.push({ name: line[1], count: Number(line[2]), properties: [] });
    if (line[0] === "property") {
      if (line[1] === "list") {
        if (elements.at(-1)?.name === "vertex") throw new Error("the ply file is a mesh, not splats");
        break;
      }
      if (!(line[1] in SIZES)) throw new Error(`ply property of unknown type '${line[1]}'`);
      elements.at(-1)?.properties.push({ name: line[2], type: line[1] });
    }
  }
  const data = new DataView(bytes, end + 11);
  const tables = new Map<string, Table>();
  let at = 0;
  for (const element of elements) {
    const table = new Table(data, at, element);
    at += table.size;
    if (at > data.byteLength) throw new Error(`the ply file ends inside its '${element.name}' element`);
    tables.set(element.name, table);
  }
  const vertex = tables.get("vertex");
  if (!vertex) throw new Error("the ply file has no vertices");
  const chunk = tables.get("chunk");
  if (chunk && vertex.has("packed_position")) return unpackPly(vertex, chunk);
  for (const name of ["x", "opacity", "scale_0", "rot_0", "f_dc_0"])
    if (!vertex.has(name)) throw new Error(`the ply file has no '${name}': it is not a file of splats`);
  return floatPly(vertex);
}

/** Rows of one element of a ply file. */
class Table {
  readonly count: number;
  readonly size: number;
  private readonly stride: number;
  private readonly columns = new Map<string, { at: number; type: string }>();

  constructor(private readonly data: DataView, private readonly start: number, element: Element) {
    this.count = element.count;
    let at = 0;
    for (const p of element.properties) {
      this.columns.set(p.name, { at, type: p.type });
      at += SIZES[p.type];
    }
    this.stride = at;
    this.size = at * this.count;
    if (!(this.count >= 0)) throw new Error(`the ply file gives no count of '${element.name}'`);
  }

  has(name: string): boolean {
    return this.columns.has(name);
  }

  /** Reader of one column. */
  column(name: string): (row: number) => number {
    const found = this.columns.get(name);
    if (!found) throw new Error(`the ply file has no '${name}'`);
    const { data, stride } = this, at = this.start + found.at;
    switch (found.type) {
      case "float": case "float32": return (i) => data.getFloat32(at + i * stride, true);
      case "double": case "float64": return (i) => data.getFloat64(at + i * stride, true);
      case "uint": case "uint32": return (i) => data.getUint32(at + i * stride, true);
      case "int": case "int32": return (i) => data.getInt32(at + i * stride, true);
      case "ushort": case "uint16": return (i) => data.getUint16(at + i * stride, true);
      case "short": case "int16": return (i) => data.getInt16(at + i * stride, true);
      case "uchar": case "uint8": return (i) => data.getUint8(at + i * stride);
      default: return (i) => data.getInt8(at + i * stride);
    }
  }
}

function floatPly(vertex: Table): Splats {
  const rest = [45, 24, 9].find((n) => vertex.has(`f_rest_${n - 1}`)) ?? 0, k = rest / 3;
  const out = new Builder(vertex.count, k), { world } = out;
  const read = (names: string[]) => names.map((x) => vertex.column(x));
  const xyz = read(["x", "y", "z"]), dc = read(["f_dc_0", "f_dc_1", "f_dc_2"]), scale = read(["scale_0", "scale_1", "scale_2"]);
  const rot = read(["rot_0", "rot_1", "rot_2", "rot_3"]), opacity = vertex.column("opacity");
  const more = Array.from({ length: rest }, (_, i) => vertex.column(`f_rest_${i}`));
  const s = [0, 0, 0], q = [0, 0, 0, 0];
  for (let i = 0; i < vertex.count; i++) {
    for (let c = 0; c < 3; c++) {
      world.centres[3 * i + c] = xyz[c](i);
      world.colours[3 * i + c] = 0.5 + SH_C0 * dc[c](i);
      s[c] = Math.exp(scale[c](i));
    }
    for (let c = 0; c < 4; c++) q[c] = rot[c](i);
    world.opacities[i] = Math.round(255 * sigmoid(opacity(i)));
    if (world.harmonics)
      for (let j = 0; j < k; j++) for (let c = 0; c < 3; c++) world.harmonics[3 * (k * i + j) + c] = more[c * k + j](i);
    out.shape(i, s, q);
  }
  return out.done();
}

/** PlayCanvas's compressed ply: chunks of 256 splats with their ranges. */
function unpackPly(vertex: Table, chunk: Table): Splats {
  if (256 * chunk.count < vertex.count) throw new Error("the compressed ply file has too few chunks");
  const out = new Builder(vertex.count), { world } = out;
  const bounds = (name: string) => ["x", "y", "z"].map((c) => [chunk.column(`min_${name}${c}`), chunk.column(`max_${name}${c}`)]);
  const places = bounds(""), sizes = bounds("scale_");
  const tones = chunk.has("min_r") ? ["r", "g", "b"].map((c) => [chunk.column(`min_${c}`), chunk.column(`max_${c}`)]) : null;
  const position = vertex.column("packed_position"), rotation = vertex.column("packed_rotation");
  const scale = vertex.column("packed_scale"), colour = vertex.column("packed_color");
  const split = (x: number) => [(x >>> 21) / 2047, ((x >>> 11) & 1023) / 1023, (x & 2047) / 2047];
  const s = [0, 0, 0], q = [0, 0, 0, 0];
  for (let i = 0; i < vertex.count; i++) {
    const row = i >> 8, at = split(position(i)), size = split(scale(i)), tone = colour(i), turn = rotation(i);
    for (let c = 0; c < 3; c++) {
      const low = places[c][0](row), small = sizes[c][0](row);
      world.centres[3 * i + c] = low + at[c] * (places[c][1](row) - low);
      s[c] = Math.exp(small + size[c] * (sizes[c][1](row) - small));
      const level = ((tone >>> (24 - 8 * c)) & 255) / 255;
      world.colours[3 * i + c] = tones ? tones[c][0](row) + level * (tones[c][1](row) - tones[c][0](row)) : level;
    }
    world.opacities[i] = tone & 255;
    smallestThree(turn >>> 30, [20, 10, 0].map((b) => (((turn >>> b) & 1023) / 1023 - 0.5) * Math.SQRT2), q);
    out.shape(i, s, q);
  }
  return out.done();
}

function readSplat(bytes: ArrayBuffer): Splats {
  if (bytes.byteLength % 32) throw new Error("the .splat file is truncated: its size is no multiple of 32");
  const count = bytes.byteLength / 32, out = new Builder(count), { world } = out;
  const floats = new Float32Array(bytes), raw = new Uint8Array(bytes);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) {
      world.centres[3 * i + c] = floats[8 * i + c];
      world.colours[3 * i + c] = raw[32 * i + 24 + c] / 255;
    }
    world.opacities[i] = raw[32 * i + 27];
    out.shape(i, floats.subarray(8 * i + 3, 8 * i + 6), [28, 29, 30, 31].map((c) => (raw[32 * i + c] - 128) / 128));
  }
  return out.done();
}

const SPZ_MOST = 16 + 8_000_000 * 64; // bytes of the largest file that is read

/** What an .spz file says of itself, and the bytes of each of its parts. */
interface Spz {
  version: number;
  n: number;
  degree: number;
  fraction: number;
  sizes: number[];
}

function spzHead(data: DataView): Spz {
  const version = data.getUint32(4, true), n = data.getUint32(8, true), degree = data.getUint8(12), fraction = data.getUint8(13);
  if (degree > 3) throw new Error(`.spz with harmonics of degree ${degree}`);
  if (!(fraction >= 1 && fraction <= 24)) throw new Error("the .spz file is damaged");
  const k = (degree + 1) ** 2 - 1;
  return { version, n, degree, fraction, sizes: [9, 1, 3, 3, version === 2 ? 3 : 4, ...(k ? [3 * k] : [])].map((x) => x * n) };
}

/** Versions 2 and 3, out of their gzip stream. */
function readSpz(raw: ArrayBuffer): Splats {
  const data = new DataView(raw);
  if (raw.byteLength < 16 || data.getUint32(0, true) !== 0x5053474e) throw new Error("not an .spz file");
  const head = spzHead(data);
  if (head.version !== 2 && head.version !== 3) throw new Error(`.spz version ${head.version}; the player reads 2 to 4`);
  if (raw.byteLength < head.sizes.reduce((a, b) => a + b, 16)) throw new Error("the .spz file is truncated");
  let at = 16;
  return unpackSpz(head, head.sizes.map((size) => new Uint8Array(raw, (at += size) - size, size)));
}

/** Version 4: each part is a zstd stream. */
function readSpz4(raw: ArrayBuffer): Splats {
  const data = new DataView(raw);
  if (raw.byteLength < 32) throw new Error("the .spz file is truncated");
  const head = spzHead(data), count = data.getUint8(15), list = data.getUint32(16, true);
  if (head.version !== 4) throw new Error(`.spz version ${head.version}; the player reads 2 to 4`);
  if (count !== head.sizes.length || list < 32 || list + 16 * count > raw.byteLength) throw new Error("the .spz file is damaged");
  let at = list + 16 * count;
  const places = head.sizes.map((size, i) => {
    const held = Number(data.getBigUint64(list + 16 * i, true)), told = Number(data.getBigUint64(list + 16 * i + 8, true));
    if (told !== size || at + held > raw.byteLength || size > 100_000 * (held + 100)) throw new Error("the .spz file is truncated or damaged");
    return new Uint8Array(raw, (at += held) - held, held);
  });
  if (head.n > 8_000_000) throw new Error(`the file holds ${head.n} splats; the player shows up to 8000000`);
  return unpackSpz(head, places.map((part, i) => unzstd(part, head.sizes[i])));
}

function unpackSpz({ version, n, degree, fraction }: Spz, [places, alphas, colours, scales, turns, rest]: Uint8Array[]): Splats {
  const k = (degree + 1) ** 2 - 1, out = new Builder(n, k), { world } = out, words = new DataView(turns.buffer, turns.byteOffset);
  const s = [0, 0, 0], q = [0, 0, 0, 0], unit = 1 / (1 << fraction);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) {
      const p = 9 * i + 3 * c;
      world.centres[3 * i + c] = (((places[p] | (places[p + 1] << 8) | (places[p + 2] << 16)) << 8) >> 8) * unit;
      world.colours[3 * i + c] = 0.5 + SH_C0 * ((colours[3 * i + c] / 255 - 0.5) / 0.15);
      s[c] = Math.exp(scales[3 * i + c] / 16 - 10);
    }
    world.opacities[i] = alphas[i];
    if (version === 2) {
      const xyz = [0, 1, 2].map((c) => turns[3 * i + c] / 127.5 - 1);
      q[0] = Math.sqrt(Math.max(0, 1 - xyz.reduce((sum, x) => sum + x * x, 0)));
      for (let c = 0; c < 3; c++) q[c + 1] = xyz[c];
    } else quaternionOf(words.getUint32(4 * i, true), q);
    if (world.harmonics) for (let j = 0; j < 3 * k; j++) world.harmonics[3 * k * i + j] = (rest[3 * k * i + j] - 128) / 128;
    out.shape(i, s, q);
  }
  return out.done();
}

/** Version 3's rotation: two bits name the largest of x y z w, the rest are ten bits each: sign and nine of size. */
function quaternionOf(word: number, q: number[]): void {
  const largest = word >>> 30, xyzw = [0, 0, 0, 0];
  let sum = 0;
  for (let c = 3; c >= 0; c--) {
    if (c === largest) continue;
    const size = (word & 511) / 511 / Math.SQRT2;
    xyzw[c] = (word >>> 9) & 1 ? -size : size;
    sum += xyzw[c] ** 2;
    word >>>= 10;
  }
  xyzw[largest] = Math.sqrt(Math.max(0, 1 - sum));
  q[0] = xyzw[3];
  for (let c = 0; c < 3; c++) q[c + 1] = xyzw[c];
}
