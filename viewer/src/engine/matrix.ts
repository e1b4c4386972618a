// Small rotations and rigid transforms; 3x4 transforms are row-major arrays of 12 numbers that act on columns.

export type Vec3 = [number, number, number];
export type Rigid = Float64Array;

/** Row-major 3x3 of a rotation vector in radians (Rodrigues). */
export function rotation(x: number, y: number, z: number): number[] {
  const angle = Math.hypot(x, y, z);
  const small = angle < 1e-8;
  const s = small ? 1 : Math.sin(angle) / angle;
  const c = small ? 0.5 : (1 - Math.cos(angle)) / (angle * angle);
  return [
    1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y,
    c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x,
    c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y),
  ];
}

/** x -> R (x - pivot) + pivot. */
export function about(r: number[], pivot: ArrayLike<number>): Rigid {
  const out = new Float64Array(12);
  for (let i = 0; i < 3; i++) {
    let moved = pivot[i];
    for (let j = 0; j < 3; j++) {
      out[4 * i + j] = r[3 * i + j];
      moved -= r[3 * i + j] * pivot[j];
    }
    out[4 * i + 3] = moved;
  }
  return out;
}

/** a after b. */
export function compose(a: ArrayLike<number>, b: ArrayLike<number>): Rigid {
  const out = new Float64Array(12);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 4; j++) {
      let sum = j === 3 ? a[4 * i + 3] : 0;
      for (let k = 0; k < 3; k++) sum += a[4 * i + k] * b[4 * k + j];
      out[4 * i + j] = sum;
    }
  return out;
}

export function inverse(a: ArrayLike<number>): Rigid {
  const out = new Float64Array(12);
  for (let i = 0; i < 3; i++) {
    let moved = 0;
    for (let j = 0; j < 3; j++) {
      out[4 * i + j] = a[4 * j + i];
      moved -= a[4 * j + i] * a[4 * j + 3];
    }
    out[4 * i + 3] = moved;
  }
  return out;
}

export const IDENTITY: Rigid = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0);

export function apply(a: ArrayLike<number>, p: ArrayLike<number>): Vec3 {
  return [0, 1, 2].map((i) => a[4 * i] * p[0] + a[4 * i + 1] * p[1] + a[4 * i + 2] * p[2] + a[4 * i + 3]) as Vec3;
}

export const sub = (a: ArrayLike<number>, b: ArrayLike<number>): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: ArrayLike<number>, b: ArrayLike<number>): Vec3 => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
export const unit = (a: ArrayLike<number>): Vec3 => {
  const n = Math.hypot(a[0], a[1], a[2]) || 1;
  return [a[0] / n, a[1] / n, a[2] / n];
};
