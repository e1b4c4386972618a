// Splats in the world: what a camera can look at, whoever made it.

export type Colouring = "colour" | "normals" | "regions";

/** Splats of one moment. Arrays are reused from one moment to the next. */
export interface World {
  count: number;
  /** Metres, n 3. */
  centres: Float32Array;
  /** Upper triangles xx xy xz yy yz zz, square metres, n 6. */
  covariances: Float32Array;
  /** sRGB before higher harmonics, n 3. */
  colours: Float32Array;
  /** 0 to 255. */
  opacities: Uint8Array;
  /** Spherical harmonics of degree 1 and up, n k 3; null without. */
  harmonics: Float32Array | null;
  /** Grows whenever anything above has changed. */
  version: number;
}

export interface Tint {
  region: number;
  colour: [number, number, number];
  /** 0 to 1. */
  strength: number;
}

/** Colours of region ids, sRGB; the last is for splats of no region. */
export const REGION_COLOURS: [number, number, number][] = [
  [0.55, 0.34, 0.2], [0.95, 0.6, 0.15], [0.93, 0.78, 0.66], [0.85, 0.2, 0.32], [0.2, 0.55, 0.9], [0.8, 0.92, 1],
  [1, 1, 0.93], [0.93, 0.45, 0.6], [0.72, 0.5, 0.85], [0.55, 0.8, 0.55], [0.3, 0.42, 0.62], [0.45, 0.45, 0.48],
];

export const SH_C0 = 0.28209479177387814;
