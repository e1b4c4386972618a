// A scene of splats that does not move: any 3DGS file that was dropped on the player.
import { readSplats } from "../files/splats";
import type { Bounds } from "./protocol";
import type { Colouring, Tint, World } from "./scene";

export class StaticScene {
  private constructor(
    readonly world: World,
    readonly bounds: Bounds,
    private readonly base: Float32Array,
    private readonly normals: Float32Array,
  ) {}

  static async read(bytes: ArrayBuffer, name: string): Promise<StaticScene> {
    const { world, normals } = await readSplats(bytes, name);
    return new StaticScene(world, boundsOf(world), world.colours.slice(), normals);
  }

  look(colouring: Colouring, _tints: Tint[]): void {
    const from = colouring === "normals" ? this.normals.map((x) => 0.5 + 0.5 * x) : this.base;
    this.world.colours.set(from);
    this.world.version++;
  }

  pose(): void {}
}

/** The middle of a scene and a radius that holds most of it: medians, because stray splats lie far away. */
function boundsOf(world: World): Bounds {
  const step = Math.max(1, Math.floor(world.count / 20000)), sample: number[][] = [[], [], []];
  for (let i = 0; i < world.count; i += step) for (let c = 0; c < 3; c++) sample[c].push(world.centres[3 * i + c]);
  const centre = sample.map((x) => x.sort((a, b) => a - b)[x.length >> 1]) as [number, number, number];
  const low = sample.map((x) => x[Math.floor(0.05 * x.length)]), high = sample.map((x) => x[Math.floor(0.95 * (x.length - 1))]);
  return { centre, radius: Math.max(...high.map((x, c) => x - low[c]), 1e-3) * 0.6 };
}
