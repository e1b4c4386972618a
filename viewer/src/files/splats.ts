// 3DGS files for viewing: .ply (float and PlayCanvas-compressed), .splat, .spz version 2 and 3.
import { gunzip } from "../engine/payload";
import { SH_C0, type World } from "../engine/scene";

export interface Splats {
  world: World;
  /** Shortest axis of each splat, n 3. */
  normals: Float32Array;
}

const MOST = 8_000_000;

/** Reads a scene. Throws an Error that says what is wrong with the file. */
export async function readSplats(bytes: ArrayBuffer, name: string): Promise<Splats> {
  const lower = name.toLowerCase();
  const start = new TextDecoder("latin1").decode(new Uint8Array(bytes, 0, Math.min(4, bytes.byteLength)));
  if (start.startsWith("ply")) return readPly(bytes);
  if (lower.endsWith(".spz") || start.startsWith("\x1f\x8b")) return readSpz(await gunzip(bytes));
  if (lower.endsWith(".splat")) return readSplat(bytes);
  throw new Error(`${name}: not a splat file that this player knows (.ply, .splat, .spz)`);
}

/** Collects splats, and turns scales and rotations into covariances. */
class Builder {
  readonly world: World;
  readonly normals: Float32Array;

  constructor(count: number, harmonics = 0) {
    if (!(count > 0)) throw new Error("the file holds no splats");
    if (count > MOST) throw new Error(`the file holds ${count} splats; the player shows up to ${MOST}`);
    this.normals = new Float32Array(3 * count);
    this.world = {
      count,
      centres: new Float32Array(3 * count),
      covariances: new Float32Array(6 * count),
      colours: new Float32Array(3 * count),
      opacities: new Uint8Array(count),
      harmonics: harmonics ? new Float32Array(3 * harmonics * count) : null,
      version: 1,
    };
  }

  /** Sets the shape of a splat: standard deviations along its axes and a quaternion wxyz. A splat of NaN is hidden. */
  shape(i: number, s: ArrayLike<number>, q: ArrayLike<number>): void {
    const { covariances: cov, centres, opacities } = this.world;
    const n = 1 / (Math.hypot(q[0], q[1], q[2], q[3]) || 1);
    const w = q[0] * n, x = q[1] * n, y = q[2] * n, z = q[3] * n;
    const r = [
      1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
      2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
      2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ];
    for (let a = 0, at = 6 * i; a < 3; a++)
      for (let b = a; b < 3; b++, at++) {
        let sum = 0;
        for (let c = 0; c < 3; c++) sum += r[3 * a + c] * r[3 * b + c] * s[c] * s[c];
        cov[at] = sum;
      }
    const thin = s[0] <= s[1] && s[0] <= s[2] ? 0 : s[1] <= s[2] ? 1 : 2;
    for (let c = 0; c < 3; c++) this.normals[3 * i + c] = r[3 * c + thin];
    if (!Number.isFinite(cov[6 * i] + cov[6 * i + 3] + cov[6 * i + 5] + centres[3 * i] + centres[3 * i + 1] + centres[3 * i + 2])) {
      opacities[i] = 0;
      centres.fill(0, 3 * i, 3 * i + 3);
      cov.fill(0, 6 * i, 6 * i + 6);
    }
  }

  done(): Splats {
    return { world: this.world, normals: this.normals };
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

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

/** Quaternion wxyz from the index of its largest part and the three others. */
function smallestThree(largest: number, others: number[], q: number[]): void {
  let rest = 1;
  for (let c = 0, j = 0; c < 4; c++) {
    if (c === largest) continue;
    q[c] = others[j];
    rest -= others[j] * others[j];
    j++;
  }
  q[largest] = Math.sqrt(Math.max(rest, 0));
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

function readSpz(raw: ArrayBuffer): Splats {
  const data = new DataView(raw), bytes = new Uint8Array(raw);
  if (raw.byteLength < 16 || data.getUint32(0, true) !== 0x5053474e) throw new Error("not an .spz file");
  const version = data.getUint32(4, true), n = data.getUint32(8, true), degree = data.getUint8(12), fraction = data.getUint8(13);
  if (version !== 2 && version !== 3) throw new Error(`.spz version ${version}; the player reads 2 and 3`);
  if (degree > 3) throw new Error(`.spz with harmonics of degree ${degree}`);
  const k = (degree + 1) ** 2 - 1, turn = version === 2 ? 3 : 4;
  if (raw.byteLength < 16 + n * (9 + 1 + 3 + 3 + turn + 3 * k)) throw new Error("the .spz file is truncated");
  const out = new Builder(n, k), { world } = out;
  const alphas = 16 + 9 * n, colours = alphas + n, scales = colours + 3 * n, turns = scales + 3 * n, rest = turns + turn * n;
  const s = [0, 0, 0], q = [0, 0, 0, 0], unit = 1 / (1 << fraction);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) {
      const p = 16 + 9 * i + 3 * c;
      world.centres[3 * i + c] = (((bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16)) << 8) >> 8) * unit;
      world.colours[3 * i + c] = 0.5 + SH_C0 * ((bytes[colours + 3 * i + c] / 255 - 0.5) / 0.15);
      s[c] = Math.exp(bytes[scales + 3 * i + c] / 16 - 10);
    }
    world.opacities[i] = bytes[alphas + i];
    if (version === 2) {
      const xyz = [0, 1, 2].map((c) => bytes[turns + 3 * i + c] / 127.5 - 1);
      q[0] = Math.sqrt(Math.max(0, 1 - xyz.reduce((sum, x) => sum + x * x, 0)));
      for (let c = 0; c < 3; c++) q[c + 1] = xyz[c];
    } else quaternionOf(data.getUint32(turns + 4 * i, true), q);
    if (world.harmonics) for (let j = 0; j < 3 * k; j++) world.harmonics[3 * k * i + j] = (bytes[rest + 3 * k * i + j] - 128) / 128;
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
