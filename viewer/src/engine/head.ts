// The head's mesh in a pose: sparse expressions, soft nodes, linear blend skinning. As avatar3d/heads/anny.py.
import { about, compose, rotation, type Rigid } from "./matrix";
import type { Payload } from "./payload";

/** What a face does; numbers in the order of the header's names. */
export interface Pose {
  expression: Float32Array;
  /** Rotation vectors of the joints, radians. */
  joints: Float32Array;
  /** Head space at rest to world, 3x4 row-major. */
  root: Float32Array;
  /** Shifts of soft nodes, metres. */
  soft?: Float32Array;
}

const PARENTS = [-1, 0, 1, 1, -1, -1];
const EYES = 2; // index of the left eye's joint

export class Head {
  readonly vertices: Float32Array;
  readonly faces: Uint16Array;
  private readonly rest: Float32Array;
  private readonly shaped: Float32Array;
  private readonly pivots: Float32Array;
  private readonly starts: number[] = [0];
  private readonly moved: Uint16Array;
  private readonly deltas: Float32Array;
  private readonly gaze: Float32Array;
  private readonly skin: Float32Array;
  private readonly soft: { node: Uint8Array; vertex: Uint16Array; weight: Float32Array } | null;

  constructor(payload: Payload) {
    this.faces = payload.whole("faces") as Uint16Array;
    this.rest = payload.floats("rest");
    this.shaped = new Float32Array(this.rest.length);
    this.vertices = new Float32Array(this.rest.length);
    this.pivots = payload.floats("pivots");
    for (const count of payload.whole("delta_counts")) this.starts.push(this.starts[this.starts.length - 1] + count);
    this.moved = payload.whole("delta_vertices") as Uint16Array;
    this.deltas = interleaved(payload.floats("deltas"), 3);
    this.gaze = payload.floats("gaze");
    this.skin = interleaved(payload.floats("skin"), 7);
    this.soft = payload.has("soft") ? sparse(payload.floats("soft"), this.rest.length / 3) : null;
  }

  /** Rest-to-world transforms of the torso and the joints. */
  transforms(pose: Pose): Rigid[] {
    const joints = Float64Array.from(pose.joints);
    for (let e = 0; e < pose.expression.length; e++) {
      const w = pose.expression[e];
      if (w) for (let i = 0; i < 6; i++) joints[3 * EYES + i] += w * this.gaze[6 * e + i];
    }
    const chain: Rigid[] = [Float64Array.from(pose.root.subarray(0, 12))];
    PARENTS.forEach((parent, i) => {
      const turn = rotation(joints[3 * i], joints[3 * i + 1], joints[3 * i + 2]);
      chain.push(compose(chain[parent + 1], about(turn, this.pivots.subarray(3 * i, 3 * i + 3))));
    });
    return chain;
  }

  /** Writes world-space vertices, metres, into `vertices`. */
  pose(pose: Pose): void {
    const { shaped, deltas, moved, skin, vertices } = this;
    shaped.set(this.rest);
    for (let e = 0; e < pose.expression.length; e++) {
      const w = pose.expression[e];
      if (w === 0) continue;
      for (let i = this.starts[e], end = this.starts[e + 1]; i < end; i++) {
        const v = 3 * moved[i];
        shaped[v] += w * deltas[3 * i];
        shaped[v + 1] += w * deltas[3 * i + 1];
        shaped[v + 2] += w * deltas[3 * i + 2];
      }
    }
    if (pose.soft && this.soft) {
      const { node, vertex, weight } = this.soft;
      for (let i = 0; i < node.length; i++)
        for (let c = 0; c < 3; c++) shaped[3 * vertex[i] + c] += weight[i] * pose.soft[3 * node[i] + c];
    }
    const bones = this.transforms(pose);
    const flat = new Float64Array(84);
    bones.forEach((bone, b) => flat.set(bone, 12 * b));
    const m = new Float64Array(12);
    for (let v = 0, count = vertices.length / 3; v < count; v++) {
      m.fill(0);
      for (let b = 0; b < 7; b++) {
        const w = skin[7 * v + b];
        if (w) for (let i = 0; i < 12; i++) m[i] += w * flat[12 * b + i];
      }
      const x = shaped[3 * v], y = shaped[3 * v + 1], z = shaped[3 * v + 2];
      vertices[3 * v] = m[0] * x + m[1] * y + m[2] * z + m[3];
      vertices[3 * v + 1] = m[4] * x + m[5] * y + m[6] * z + m[7];
      vertices[3 * v + 2] = m[8] * x + m[9] * y + m[10] * z + m[11];
    }
  }
}

/** From planes (c n) to rows (n c). */
export function interleaved(planes: Float32Array, channels: number): Float32Array {
  const n = planes.length / channels;
  const out = new Float32Array(planes.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < n; i++) out[channels * i + c] = planes[c * n + i];
  return out;
}

/** Weights of nodes (o v) that are not zero. */
function sparse(weights: Float32Array, vertices: number) {
  const node: number[] = [], vertex: number[] = [], weight: number[] = [];
  weights.forEach((w, i) => {
    if (w === 0) return;
    node.push(Math.floor(i / vertices));
    vertex.push(i % vertices);
    weight.push(w);
  });
  return { node: Uint8Array.from(node), vertex: Uint16Array.from(vertex), weight: Float32Array.from(weight) };
}
