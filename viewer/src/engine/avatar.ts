// Splats that ride on the head's triangles. The formulas are those of avatar3d/ops/reference_fit.py:
// mean = k R (m + dm) + P, rotation = R n(n(q) + dq), scale = k s, colour = c + dc.
import { Head, interleaved, type Pose } from "./head";
import type { Payload } from "./payload";
import { REGION_COLOURS, SH_C0, type Colouring, type Tint, type World } from "./scene";

const TINY = 1e-9; // metres; keeps frames of collapsed triangles finite
const FRAME = 13; // rotation by rows, size, anchor corner kept apart

export class AvatarScene {
  readonly head: Head;
  readonly world: World;
  private readonly n: number;
  private readonly face: Uint16Array;
  private readonly bary: Float32Array;
  private readonly means: Float32Array;
  private readonly quats: Float32Array;
  private readonly scales: Float32Array;
  private readonly base: Float32Array;
  private readonly regionOf: Uint8Array; // n r
  private readonly regions: number;
  private readonly means01: Float32Array; // mean luminance of each region
  private readonly frames: Float32Array;
  private readonly basis: Basis | null;
  private tints: Tint[] = [];
  private colouring: Colouring = "colour";
  private posed: Pose | null = null;

  constructor(payload: Payload) {
    this.head = new Head(payload);
    this.n = payload.header.splats;
    this.face = payload.whole("face") as Uint16Array;
    this.bary = interleaved(payload.floats("bary"), 2);
    this.means = interleaved(payload.floats("means"), 3);
    this.quats = normalised(interleaved(payload.floats("quats"), 4));
    this.scales = interleaved(payload.floats("log_scales"), 3).map(Math.exp);
    this.base = interleaved(payload.floats("colours"), 3).map((x) => 0.5 + SH_C0 * x);
    this.basis = payload.has("basis") ? new Basis(payload) : null;
    this.frames = new Float32Array((FRAME * this.head.faces.length) / 3);
    this.regions = payload.header.regions.length;
    this.regionOf = this.spread(payload.whole("regions") as Uint8Array);
    this.means01 = this.luminances();
    this.world = {
      count: this.n,
      centres: new Float32Array(3 * this.n),
      covariances: new Float32Array(6 * this.n),
      colours: new Float32Array(3 * this.n),
      opacities: payload.whole("opacities") as Uint8Array,
      harmonics: payload.has("sh") ? harmonics(payload) : null,
      version: 0,
    };
  }

  /** What splats are coloured by, and which regions are recoloured. */
  look(colouring: Colouring, tints: Tint[]): void {
    this.colouring = colouring;
    this.tints = tints.filter((x) => x.strength > 0 && x.region >= 0 && x.region < this.regions);
    if (this.posed) this.pose(this.posed);
  }

  /** Writes the splats of a pose into `world`. */
  pose(pose: Pose): void {
    this.posed = pose;
    this.head.pose(pose);
    this.turnFrames();
    this.basis?.weigh(pose);
    this.place();
    if (this.colouring === "normals") this.paintNormals();
    else if (this.colouring === "regions") this.paintRegions();
    else for (const tint of this.tints) this.paint(tint);
    this.world.version++;
  }

  /** Moving frame of each triangle: rows of R, then the size. */
  private turnFrames(): void {
    const { vertices: p, faces } = this.head;
    const out = this.frames;
    for (let f = 0, count = faces.length / 3; f < count; f++) {
      const a = 3 * faces[3 * f], b = 3 * faces[3 * f + 1], c = 3 * faces[3 * f + 2], o = FRAME * f;
      const ex = p[b] - p[a], ey = p[b + 1] - p[a + 1], ez = p[b + 2] - p[a + 2];
      const sx = p[c] - p[a], sy = p[c + 1] - p[a + 1], sz = p[c + 2] - p[a + 2];
      const length = Math.sqrt(ex * ex + ey * ey + ez * ez), li = 1 / Math.max(length, TINY);
      const ux = ex * li, uy = ey * li, uz = ez * li;
      let nx = uy * sz - uz * sy, ny = uz * sx - ux * sz, nz = ux * sy - uy * sx;
      const ni = 1 / Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), TINY);
      nx *= ni; ny *= ni; nz *= ni;
      const wx = -(ny * uz - nz * uy), wy = -(nz * ux - nx * uz), wz = -(nx * uy - ny * ux);
      out[o] = ux; out[o + 1] = nx; out[o + 2] = wx;
      out[o + 3] = uy; out[o + 4] = ny; out[o + 5] = wy;
      out[o + 6] = uz; out[o + 7] = nz; out[o + 8] = wz;
      out[o + 9] = Math.max((length + Math.abs(wx * sx + wy * sy + wz * sz)) / 2, TINY);
    }
  }

  private place(): void {
    const { face, bary, means, quats, scales, base, frames, basis, n } = this;
    const { vertices: p, faces } = this.head;
    const { centres, covariances, colours } = this.world;
    const offset = basis ? basis.offset : new Float64Array(10);
    for (let i = 0, next = 0; i < n; i++) {
      let mx = means[3 * i], my = means[3 * i + 1], mz = means[3 * i + 2];
      let qw = quats[4 * i], qx = quats[4 * i + 1], qy = quats[4 * i + 2], qz = quats[4 * i + 3];
      let r = base[3 * i], g = base[3 * i + 1], b = base[3 * i + 2];
      if (basis && next < basis.splats.length && basis.splats[next] === i) {
        basis.sum(next++);
        mx += offset[0]; my += offset[1]; mz += offset[2];
        qw += offset[3]; qx += offset[4]; qy += offset[5]; qz += offset[6];
        const q = 1 / Math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz + 1e-24);
        qw *= q; qx *= q; qy *= q; qz *= q;
        r += SH_C0 * offset[7]; g += SH_C0 * offset[8]; b += SH_C0 * offset[9];
      }
      colours[3 * i] = r; colours[3 * i + 1] = g; colours[3 * i + 2] = b;
      const f = face[i], o = FRAME * f, k = frames[o + 9];
      const f0 = frames[o], f1 = frames[o + 1], f2 = frames[o + 2], f3 = frames[o + 3], f4 = frames[o + 4];
      const f5 = frames[o + 5], f6 = frames[o + 6], f7 = frames[o + 7], f8 = frames[o + 8];
      const va = 3 * faces[3 * f], vb = 3 * faces[3 * f + 1], vc = 3 * faces[3 * f + 2];
      const wa = bary[2 * i], wb = bary[2 * i + 1], wc = 1 - wa - wb;
      mx *= k; my *= k; mz *= k;
      centres[3 * i] = f0 * mx + f1 * my + f2 * mz + wa * p[va] + wb * p[vb] + wc * p[vc];
      centres[3 * i + 1] = f3 * mx + f4 * my + f5 * mz + wa * p[va + 1] + wb * p[vb + 1] + wc * p[vc + 1];
      centres[3 * i + 2] = f6 * mx + f7 * my + f8 * mz + wa * p[va + 2] + wb * p[vb + 2] + wc * p[vc + 2];
      // Local covariance Q S^2 Q^T, then turned by the frame.
      const s0 = k * scales[3 * i], s1 = k * scales[3 * i + 1], s2 = k * scales[3 * i + 2];
      const q0 = (1 - 2 * (qy * qy + qz * qz)) * s0, q1 = 2 * (qx * qy - qw * qz) * s1, q2 = 2 * (qx * qz + qw * qy) * s2;
      const q3 = 2 * (qx * qy + qw * qz) * s0, q4 = (1 - 2 * (qx * qx + qz * qz)) * s1, q5 = 2 * (qy * qz - qw * qx) * s2;
      const q6 = 2 * (qx * qz - qw * qy) * s0, q7 = 2 * (qy * qz + qw * qx) * s1, q8 = (1 - 2 * (qx * qx + qy * qy)) * s2;
      const a0 = f0 * q0 + f1 * q3 + f2 * q6, a1 = f0 * q1 + f1 * q4 + f2 * q7, a2 = f0 * q2 + f1 * q5 + f2 * q8;
      const b0 = f3 * q0 + f4 * q3 + f5 * q6, b1 = f3 * q1 + f4 * q4 + f5 * q7, b2 = f3 * q2 + f4 * q5 + f5 * q8;
      const c0 = f6 * q0 + f7 * q3 + f8 * q6, c1 = f6 * q1 + f7 * q4 + f8 * q7, c2 = f6 * q2 + f7 * q5 + f8 * q8;
      const v = 6 * i;
      covariances[v] = a0 * a0 + a1 * a1 + a2 * a2;
      covariances[v + 1] = a0 * b0 + a1 * b1 + a2 * b2;
      covariances[v + 2] = a0 * c0 + a1 * c1 + a2 * c2;
      covariances[v + 3] = b0 * b0 + b1 * b1 + b2 * b2;
      covariances[v + 4] = b0 * c0 + b1 * c1 + b2 * c2;
      covariances[v + 5] = c0 * c0 + c1 * c1 + c2 * c2;
    }
  }

  private paintNormals(): void {
    const { colours } = this.world;
    for (let i = 0; i < this.n; i++)
      for (let c = 0; c < 3; c++) colours[3 * i + c] = 0.5 + 0.5 * this.frames[FRAME * this.face[i] + 3 * c + 1];
  }

  private paintRegions(): void {
    const { colours } = this.world;
    for (let i = 0; i < this.n; i++) {
      let best = REGION_COLOURS.length - 1, most = 96; // of 255: less is no region
      for (let r = 0; r < this.regions; r++) {
        // Small parts lie on larger ones (lips on skin), so that the later of two equals is not lost.
        const w = this.regionOf[this.regions * i + r] - (r === 2 ? 48 : 0);
        if (w > most) (most = w), (best = r);
      }
      for (let c = 0; c < 3; c++) colours[3 * i + c] = REGION_COLOURS[best][c];
    }
  }

  /** Gives a region another colour and leaves its light and shade. */
  private paint(tint: Tint): void {
    const { colours } = this.world;
    const gain = 1 / Math.max(this.means01[tint.region], 0.04);
    for (let i = 0; i < this.n; i++) {
      const share = (tint.strength * this.regionOf[this.regions * i + tint.region]) / 255;
      if (share < 0.004) continue;
      const light = luminance(colours, 3 * i) * gain;
      const shade = light > 1 ? 1 + 0.6 * (light - 1) : light;
      for (let c = 0; c < 3; c++) colours[3 * i + c] += share * (tint.colour[c] * shade - colours[3 * i + c]);
    }
  }

  /** Region weights of the splats (n r) from those of the vertices (r v). */
  private spread(regions: Uint8Array): Uint8Array {
    const { faces } = this.head, v = regions.length / this.regions, out = new Uint8Array(this.n * this.regions);
    for (let i = 0; i < this.n; i++) {
      const f = 3 * this.face[i], wa = this.bary[2 * i], wb = this.bary[2 * i + 1];
      for (let r = 0; r < this.regions; r++) {
        const at = r * v;
        out[this.regions * i + r] =
          wa * regions[at + faces[f]] + wb * regions[at + faces[f + 1]] + (1 - wa - wb) * regions[at + faces[f + 2]] + 0.5;
      }
    }
    return out;
  }

  private luminances(): Float32Array {
    const sum = new Float32Array(this.regions), weight = new Float32Array(this.regions).fill(1e-6);
    for (let i = 0; i < this.n; i++)
      for (let r = 0; r < this.regions; r++) {
        const w = this.regionOf[this.regions * i + r];
        sum[r] += w * luminance(this.base, 3 * i);
        weight[r] += w;
      }
    return sum.map((x, r) => x / weight[r]);
  }
}

/** Blendshapes of splats and the small network that weighs them. */
class Basis {
  readonly splats: Uint16Array | Uint32Array;
  readonly offset = new Float64Array(10);
  private readonly values: Int16Array; // m 10 k
  private readonly steps: Float32Array; // k 10
  private readonly k: number;
  private readonly layers: Float32Array[] = [];
  private active: Uint8Array = new Uint8Array(0);
  private weights = new Float64Array(0);

  constructor(payload: Payload) {
    const [k, , m] = payload.shape("basis");
    this.k = k;
    this.splats = running(payload.whole("basis_splats"));
    this.steps = payload.floats("basis_steps");
    const planes = payload.whole("basis");
    this.values = new Int16Array(planes.length);
    for (let c = 0; c < 10 * k; c++) {
      const at = (c % 10) * k + Math.floor(c / 10);
      for (let i = 0; i < m; i++) this.values[10 * k * i + at] = planes[c * m + i];
    }
    for (let i = 0; payload.has(`layer${i}`); i++) this.layers.push(payload.floats(`layer${i}`));
  }

  /** Evaluates the network on a pose. */
  weigh(pose: Pose): void {
    let x = Float64Array.from([...pose.expression, ...pose.joints]);
    for (let l = 0; l < this.layers.length; l += 2) {
      const matrix = this.layers[l], bias = this.layers[l + 1], width = x.length;
      const y = new Float64Array(bias.length);
      for (let o = 0; o < y.length; o++) {
        let sum = bias[o];
        for (let i = 0; i < width; i++) sum += matrix[o * width + i] * (l ? Math.max(x[i], 0) : x[i]);
        y[o] = sum;
      }
      x = y;
    }
    this.active = Uint8Array.from([...x.keys()].filter((i) => Math.abs(x[i]) > 1e-4));
    this.weights = x;
  }

  /** Leaves the offsets of the i-th splat that has any in `offset`: position, quaternion, colour. */
  sum(i: number): void {
    const { k, values, steps, active, weights, offset } = this;
    const count = active.length, base = 10 * k * i;
    for (let c = 0; c < 10; c++) {
      let sum = 0;
      const at = base + c * k;
      for (let a = 0; a < count; a++) sum += weights[active[a]] * values[at + active[a]];
      offset[c] = sum * steps[c]; // steps do not depend on the component
    }
  }
}

function normalised(quats: Float32Array): Float32Array {
  for (let i = 0; i < quats.length; i += 4) {
    const n = 1 / (Math.hypot(quats[i], quats[i + 1], quats[i + 2], quats[i + 3]) || 1);
    for (let c = 0; c < 4; c++) quats[i + c] *= n;
  }
  return quats;
}

/** Indices that grow, and may pass 65535: undoes the wrap of 16 bits. */
function running(wrapped: ArrayLike<number>): Uint32Array {
  const out = new Uint32Array(wrapped.length);
  for (let i = 0, high = 0; i < out.length; i++) {
    if (i && wrapped[i] < wrapped[i - 1]) high += 65536;
    out[i] = high + wrapped[i];
  }
  return out;
}

/** Higher harmonics: planes (k 3 n) to rows (n k 3). */
function harmonics(payload: Payload): Float32Array {
  const [k, channels] = payload.shape("sh");
  return interleaved(payload.floats("sh"), k * channels);
}

const luminance = (c: ArrayLike<number>, at: number): number => 0.299 * c[at] + 0.587 * c[at + 1] + 0.114 * c[at + 2];
