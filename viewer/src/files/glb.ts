// Splats in binary glTF (KHR_gaussian_splatting), at rest.
import { compose, IDENTITY, type Rigid } from "../engine/matrix";
import { Builder, SH_C0, type Splats } from "./builder";

const NAME = "KHR_gaussian_splatting";
const KNOWN = [NAME, "KHR_mesh_quantization", "KHR_materials_unlit"];
const WIDTHS: Record<string, number> = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };

export function readGlb(bytes: ArrayBuffer): Splats {
  const data = new DataView(bytes), damaged = () => new Error("the glTF file is truncated or damaged");
  if (bytes.byteLength < 28 || data.getUint32(4, true) !== 2 || data.getUint32(16, true) !== 0x4e4f534a) throw new Error("not a binary glTF 2.0 file");
  const length = data.getUint32(12, true), start = 20 + length;
  if (start + 8 > bytes.byteLength || start + 8 + data.getUint32(start, true) > bytes.byteLength) throw damaged();
  let top: any;
  try {
    top = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 20, length)));
  } catch {
    throw damaged();
  }
  const unknown = (top.extensionsRequired ?? []).filter((x: unknown) => !KNOWN.includes(x as string));
  if (unknown.length) throw new Error(`the glTF file needs extensions that the player does not know: ${String(unknown).slice(0, 80)}`);
  const found: [number, any][] = (top.meshes ?? []).flatMap((mesh: any, i: number) =>
    (mesh?.primitives ?? []).filter((x: any) => x?.extensions?.[NAME]).map((x: any) => [i, x]));
  if (!found.length) throw new Error("a glTF file without splats; the player shows no meshes");
  const buffer = new DataView(bytes, start + 8, data.getUint32(start, true));
  const parts = found.map(([mesh, primitive]) => ({ place: placeOf(top, mesh), read: reader(top, buffer, primitive.attributes ?? {}) }));
  const counts = parts.map((x) => x.read("POSITION", 3).length / 3), n = counts.reduce((a, b) => a + b, 0);
  // A place that turns would have to turn the harmonics, too: then their mean is shown.
  const straight = parts.every((x) => [1, 2, 4, 6, 8, 9].every((i) => Math.abs(x.place[i]) < 1e-6));
  const degree = straight ? [3, 2, 1].find((d) => parts.every((x) => x.read.has(`${NAME}:SH_DEGREE_${d}_COEF_0`))) ?? 0 : 0;
  const names = Array.from({ length: degree }, (_, d) => Array.from({ length: 2 * d + 3 }, (_, i) => `${NAME}:SH_DEGREE_${d + 1}_COEF_${i}`)).flat();
  const out = new Builder(n, names.length), { world } = out;
  let first = 0;
  parts.forEach(({ place, read }, at) => {
    const count = counts[at], part = (name: string, width: number) => {
      const values = read(`${NAME}:${name}`, width);
      if (values.length !== count * width) throw damaged();
      return values;
    };
    const centres = read("POSITION", 3), turns = part("ROTATION", 4), scales = part("SCALE", 3), opacities = part("OPACITY", 1);
    const colours = part("SH_DEGREE_0_COEF_0", 3), more = names.map((name) => read(name, 3));
    const size = Math.cbrt(Math.abs(determinant(place))), turn = quaternion(place, size), s = [0, 0, 0];
    for (let i = 0, o = first; i < count; i++, o++) {
      for (let c = 0; c < 3; c++) {
        world.centres[3 * o + c] = place[4 * c] * centres[3 * i] + place[4 * c + 1] * centres[3 * i + 1] + place[4 * c + 2] * centres[3 * i + 2] + place[4 * c + 3];
        world.colours[3 * o + c] = 0.5 + SH_C0 * colours[3 * i + c];
        s[c] = size * scales[3 * i + c];
        more.forEach((values, j) => ((world.harmonics as Float32Array)[3 * (names.length * o + j) + c] = values[3 * i + c]));
      }
      world.opacities[o] = Math.round(255 * Math.min(1, Math.max(0, opacities[i])));
      out.shape(o, s, multiplied(turn, [turns[4 * i + 3], turns[4 * i], turns[4 * i + 1], turns[4 * i + 2]]));
    }
    first += count;
  });
  return out.done();
}

/** Reads attributes by name, as numbers; whole ones that stand for 0 to 1 divided. */
function reader(top: any, buffer: DataView, attributes: Record<string, number>) {
  const wrong = (name: string) => new Error(`the glTF file's '${name}' is missing or damaged`);
  function read(name: string, width: number): Float32Array {
    const meta = top.accessors?.[attributes[name]], view = top.bufferViews?.[meta?.bufferView];
    const count = meta?.count, type = meta?.componentType, bytes = ({ 5120: 1, 5121: 1, 5122: 2, 5123: 2, 5126: 4 } as Record<string, number>)[type];
    if (!view || !bytes || WIDTHS[meta.type] !== width || meta.sparse || !Number.isInteger(count) || count < 1 || view.buffer) throw wrong(name);
    const row = view.byteStride ?? width * bytes, start = (view.byteOffset ?? 0) + (meta.byteOffset ?? 0);
    if (!(row >= width * bytes && start >= 0 && start + row * (count - 1) + width * bytes <= buffer.byteLength)) throw wrong(name);
    const most = meta.normalized ? ({ 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 } as Record<string, number>)[type] ?? 1 : 1;
    const get = { 5120: "getInt8", 5121: "getUint8", 5122: "getInt16", 5123: "getUint16", 5126: "getFloat32" }[type as 5126] as "getFloat32";
    const out = new Float32Array(count * width);
    for (let i = 0, o = 0; i < count; i++) for (let c = 0; c < width; c++, o++) out[o] = buffer[get](start + i * row + c * bytes, true) / most;
    return out;
  }
  return Object.assign(read, { has: (name: string) => name in attributes });
}

/** Where the first node that shows a mesh puts it; the place of a skinned one is where its bones are. */
function placeOf(top: any, mesh: number): Rigid {
  const nodes: any[] = top.nodes ?? [];
  let place = IDENTITY, at = nodes.findIndex((x) => x?.mesh === mesh);
  for (let steps = 0; at >= 0; steps++) {
    if (steps > nodes.length) throw new Error("nodes that hang on themselves: the glTF file is damaged");
    if (nodes[at].skin === undefined) place = compose(matrix(nodes[at]), place);
    const here = at;
    at = nodes.findIndex((x) => x?.children?.includes?.(here));
  }
  if (!place.every(Number.isFinite)) throw new Error("a node of the glTF file has a damaged place");
  return place;
}

function matrix(node: any): Rigid {
  if (node.matrix) return Float64Array.from({ length: 12 }, (_, i) => Number(node.matrix[4 * (i % 4) + Math.floor(i / 4)]));
  const [x, y, z, w] = node.rotation ?? [0, 0, 0, 1], s = node.scale ?? [1, 1, 1], t = node.translation ?? [0, 0, 0];
  const r = [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)];
  return Float64Array.from({ length: 12 }, (_, i) => (i % 4 === 3 ? t[Math.floor(i / 4)] : r[3 * Math.floor(i / 4) + (i % 4)] * s[i % 4]));
}

const determinant = (m: Rigid): number =>
  m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) + m[2] * (m[4] * m[9] - m[5] * m[8]);

/** The rotation of a place as wxyz. */
function quaternion(m: Rigid, size: number): number[] {
  const [a, b, c, d, e, f, g, h, i] = [0, 1, 2, 4, 5, 6, 8, 9, 10].map((k) => m[k] / size);
  const parts = [[1 + a + e + i, h - f, c - g, d - b], [h - f, 1 + a - e - i, b + d, c + g], [c - g, b + d, 1 - a + e - i, f + h], [d - b, c + g, f + h, 1 - a - e + i]];
  const best = parts.reduce((x, row, k) => (row[k] > parts[x][x] ? k : x), 0), n = Math.hypot(...parts[best]) || 1;
  return parts[best].map((x) => x / n);
}

const multiplied = ([a, b, c, d]: number[], [e, f, g, h]: number[]): number[] => [
  a * e - b * f - c * g - d * h, a * f + b * e + c * h - d * g, a * g - b * h + c * e + d * f, a * h + b * g - c * f + d * e,
];
