// Splats from far to near, packed as the vertex shader reads them: eight words each.
import type { World } from "./scene";

const NEAR = 0.01; // metres, as the Python renderer
const BINS = 65536;
export const WORDS = 8;

export class Orderer {
  private keys = new Uint16Array(0);
  private depths = new Float32Array(0);
  order = new Uint32Array(0);
  private readonly counts = new Uint32Array(BINS + 1);

  /**
   * Writes the splats before a camera, farthest first, into `out` (eight words each) and returns how many.
   * Words: centre as three floats; red, green, blue, opacity as bytes; largest variance as a float; the covariance's six
   * entries in units of it as signed 16-bit fractions.
   * @param view World to camera, 3x4 row-major, OpenCV axes.
   */
  write(world: World, view: ArrayLike<number>, out: Uint32Array): number {
    const count = this.sort(world, view);
    const floats = new Float32Array(out.buffer, out.byteOffset, out.length);
    const { centres, covariances: cov, colours, opacities } = world;
    const shade = world.harmonics ? harmonicShader(world, view) : null;
    for (let at = 0; at < count; at++) {
      const i = this.order[at], o = WORDS * at, c = 3 * i, v = 6 * i;
      floats[o] = centres[c];
      floats[o + 1] = centres[c + 1];
      floats[o + 2] = centres[c + 2];
      let r = colours[c], g = colours[c + 1], b = colours[c + 2];
      if (shade) ([r, g, b] = shade(i, r, g, b));
      out[o + 3] = byte(r) | (byte(g) << 8) | (byte(b) << 16) | (opacities[i] << 24);
      const most = Math.max(cov[v], cov[v + 3], cov[v + 5], 1e-20), unit = 32767 / most;
      floats[o + 4] = most;
      out[o + 5] = pair(cov[v] * unit, cov[v + 1] * unit);
      out[o + 6] = pair(cov[v + 2] * unit, cov[v + 3] * unit);
      out[o + 7] = pair(cov[v + 4] * unit, cov[v + 5] * unit);
    }
    return count;
  }

  /** Puts splats in front of the camera into `order`, farthest first (counting sort of 16 bits); returns how many. */
  sort(world: World, view: ArrayLike<number>): number {
    const n = world.count, { centres } = world, [x, y, z, t] = [view[8], view[9], view[10], view[11]];
    if (this.depths.length < n) {
      this.depths = new Float32Array(n);
      this.keys = new Uint16Array(n);
      this.order = new Uint32Array(n);
    }
    const { depths, keys, order, counts } = this;
    let near = Infinity, far = -Infinity;
    for (let i = 0; i < n; i++) {
      const d = x * centres[3 * i] + y * centres[3 * i + 1] + z * centres[3 * i + 2] + t;
      depths[i] = d;
      if (d > NEAR) {
        if (d < near) near = d;
        if (d > far) far = d;
      }
    }
    if (!(far >= near)) return 0;
    counts.fill(0);
    const scale = (BINS - 1) / Math.max(far - near, 1e-9);
    let count = 0;
    for (let i = 0; i < n; i++)
      if (depths[i] > NEAR) {
        const key = ((far - depths[i]) * scale) | 0;
        keys[i] = key;
        counts[key + 1]++;
        count++;
      }
    for (let k = 0; k < BINS; k++) counts[k + 1] += counts[k];
    for (let i = 0; i < n; i++) if (depths[i] > NEAR) order[counts[keys[i]]++] = i;
    return count;
  }
}

/** Adds what higher harmonics give in the direction from the camera to a splat. */
export function harmonicShader(world: World, view: ArrayLike<number>) {
  const sh = world.harmonics as Float32Array, k = sh.length / world.count / 3, { centres } = world;
  const eye = [0, 1, 2].map((i) => -(view[i] * view[3] + view[4 + i] * view[7] + view[8 + i] * view[11]));
  const basis = new Float64Array(15), out: [number, number, number] = [0, 0, 0];
  return (i: number, r: number, g: number, b: number) => {
    const dx = centres[3 * i] - eye[0], dy = centres[3 * i + 1] - eye[1], dz = centres[3 * i + 2] - eye[2];
    const s = 1 / Math.sqrt(dx * dx + dy * dy + dz * dz + 1e-20);
    harmonicsOf(dx * s, dy * s, dz * s, basis);
    for (let j = 0, at = 3 * k * i; j < k; j++, at += 3) {
      r += basis[j] * sh[at];
      g += basis[j] * sh[at + 1];
      b += basis[j] * sh[at + 2];
    }
    out[0] = r;
    out[1] = g;
    out[2] = b;
    return out;
  };
}

/** Real spherical harmonics of degree 1 to 3 of a unit vector, ordered as in 3D Gaussian splatting. */
function harmonicsOf(x: number, y: number, z: number, out: Float64Array): void {
  const xx = x * x, yy = y * y, zz = z * z;
  out[0] = -0.4886025119029199 * y;
  out[1] = 0.4886025119029199 * z;
  out[2] = -0.4886025119029199 * x;
  out[3] = 1.0925484305920792 * x * y;
  out[4] = -1.0925484305920792 * y * z;
  out[5] = 0.31539156525252005 * (2 * zz - xx - yy);
  out[6] = -1.0925484305920792 * x * z;
  out[7] = 0.5462742152960396 * (xx - yy);
  out[8] = -0.5900435899266435 * y * (3 * xx - yy);
  out[9] = 2.890611442640554 * x * y * z;
  out[10] = -0.4570457994644658 * y * (4 * zz - xx - yy);
  out[11] = 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy);
  out[12] = -0.4570457994644658 * x * (4 * zz - xx - yy);
  out[13] = 1.445305721320277 * z * (xx - yy);
  out[14] = -0.5900435899266435 * x * (xx - 3 * yy);
}

const byte = (x: number): number => (x <= 0 ? 0 : x >= 1 ? 255 : (x * 255 + 0.5) | 0);
// Rounds by truncating a number that is surely positive: Math.round is slower, and this runs 300,000 times a frame.
const pair = (a: number, b: number): number => (((a + 65536.5) | 0) & 0xffff) | (((b + 65536.5) | 0) << 16);
