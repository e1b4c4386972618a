// Draws splats on the processor, for machines without a graphics card: src/paint, compiled to WebAssembly.
import { harmonicShader } from "./order";
import type { World } from "./scene";

declare const PAINTER: string; // WebAssembly, base64

const TILE = 16;
const HEAP = 6144; // behind what paint.ts keeps for itself
const RECORD = 48;

/** What a painter draws with. */
export interface Canvas {
  width: number;
  height: number;
  /** fx fy cx cy, pixels. */
  lens: ArrayLike<number>;
  /** Multiplies standard deviations. */
  swell: number;
}

interface Kernel {
  memory: WebAssembly.Memory;
  room(bytes: number): number;
  project(n: number, order: number, centres: number, spreads: number, colours: number, opacities: number, records: number, counts: number, seen: number): void;
  list(count: number, records: number, counts: number, tiles: number, lists: number): void;
  shade(counts: number, tiles: number, lists: number, picture: number): void;
}

/** Pixels of the picture that is painted: rows and columns are filled up to whole tiles. */
export const paintedSize = (canvas: Canvas): [number, number] => [TILE * Math.ceil(canvas.width / TILE), TILE * Math.ceil(canvas.height / TILE)];

/** Most splats: beyond them memory is better left to others. */
export const MOST_PAINTED = 1_500_000;

export class Painter {
  private version = -1;
  private world: World | null = null;

  private constructor(private readonly kernel: Kernel) {
    const limits = new Float32Array(kernel.memory.buffer, 1024, 256);
    for (let i = 1; i < 256; i++) limits[i] = Math.log(i);
  }

  /** Null where the browser or the page's policy has no WebAssembly with SIMD. */
  static async make(): Promise<Painter | null> {
    try {
      const bytes = Uint8Array.from(atob(PAINTER), (c) => c.charCodeAt(0));
      const { instance } = await WebAssembly.instantiate(bytes, {});
      return new Painter(instance.exports as unknown as Kernel);
    } catch {
      return null;
    }
  }

  /**
   * Draws into `out`, premultiplied RGBA, top row first, of the size `paintedSize`.
   * @param order The splats in front of the camera, farthest first.
   * @param view World to camera, 3x4 row-major, OpenCV axes.
   */
  paint(world: World, order: Uint32Array, count: number, view: ArrayLike<number>, canvas: Canvas, out: Uint32Array): void {
    const { kernel } = this, [wide, tall] = paintedSize(canvas), tiles = (wide / TILE) * (tall / TILE), n = world.count;
    let end = HEAP;
    const take = (bytes: number) => {
      const at = end;
      end += (bytes + 15) & ~15;
      return at;
    };
    const centres = take(12 * n), spreads = take(24 * n), colours = take(12 * n), opacities = take(n);
    const orders = take(4 * n), counts = take(4 * tiles), seen = take(16), records = take(RECORD * n);
    this.reserve(end);
    let { buffer } = kernel.memory;
    if (this.world !== world || this.version !== world.version) {
      this.world = world;
      this.version = world.version;
      new Float32Array(buffer, centres).set(world.centres);
      new Float32Array(buffer, spreads).set(world.covariances);
      new Float32Array(buffer, colours).set(world.colours);
      new Uint8Array(buffer, opacities).set(world.opacities);
    }
    if (world.harmonics) this.light(world, order, count, view, new Float32Array(buffer, colours, 3 * n));
    new Uint32Array(buffer, orders).set(order.subarray(0, count));
    new Uint32Array(buffer, counts, tiles).fill(0);
    new Float32Array(buffer, 0, 19).set([...Array.from(view).slice(0, 12), ...Array.from(canvas.lens), canvas.swell ** 2, canvas.width, canvas.height]);
    kernel.project(count, orders, centres, spreads, colours, opacities, records, counts, seen);
    const [found, touches] = new Uint32Array(buffer, seen, 2);
    const lists = take(4 * touches), picture = take(4 * wide * tall);
    this.reserve(end);
    buffer = kernel.memory.buffer;
    kernel.list(found, records, counts, tiles, lists);
    kernel.shade(counts, tiles, lists, picture);
    out.set(new Uint32Array(buffer, picture, wide * tall));
  }

  private light(world: World, order: Uint32Array, count: number, view: ArrayLike<number>, out: Float32Array): void {
    const shade = harmonicShader(world, view), { colours } = world;
    for (let k = 0; k < count; k++) {
      const c = 3 * order[k], [r, g, b] = shade(order[k], colours[c], colours[c + 1], colours[c + 2]);
      out[c] = r;
      out[c + 1] = g;
      out[c + 2] = b;
    }
  }

  private reserve(bytes: number): void {
    if (!this.kernel.room(bytes + (1 << 20))) throw new Error("not enough memory to draw without a graphics card");
  }
}
