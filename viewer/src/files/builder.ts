// Splats on their way from a file into the world.
import { SH_C0, type World } from "../engine/scene";

export interface Splats {
  world: World;
  /** Shortest axis of each splat, n 3. */
  normals: Float32Array;
}

const MOST = 8_000_000;

/** Collects splats, and turns scales and rotations into covariances. */
export class Builder {
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

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Quaternion wxyz from the index of its largest part and the three others. */
export function smallestThree(largest: number, others: number[], q: number[]): void {
  let rest = 1;
  for (let c = 0, j = 0; c < 4; c++) {
    if (c === largest) continue;
    q[c] = others[j];
    rest -= others[j] * others[j];
    j++;
  }
  q[largest] = Math.sqrt(Math.max(rest, 0));
}

export { SH_C0 };
