// What the page and its worker say to each other.
import type { Pose } from "./head";
import type { Header } from "./payload";
import type { Canvas } from "./painter";
import type { Colouring, Tint } from "./scene";

/** A motion in the avatar's own names, frame after frame. */
export interface Motion {
  fps: number;
  frames: number;
  /** t e */
  expression: Float32Array;
  /** t j 3 */
  joints: Float32Array;
  /** t 4 4; null: the torso stands still. */
  root: Float32Array | null;
  /** t o 3; null: no soft nodes. */
  soft: Float32Array | null;
  /** Whether roots are relative to the head at rest already. */
  placed?: boolean;
}

/** Where a scene lies, metres. */
export interface Bounds {
  centre: [number, number, number];
  radius: number;
}

export type ToWorker =
  | { type: "avatar"; bytes: ArrayBuffer }
  | { type: "still"; bytes: ArrayBuffer; name: string }
  | {
      type: "frame";
      id: number;
      /** World to camera, 3x4. */
      view: Float64Array;
      /** Left out while the face keeps still. */
      pose?: Pose;
      look?: { colouring: Colouring; tints: Tint[] };
      /** Shows the avatar before its edits. */
      before?: boolean;
      /** Asks for a picture instead of ordered splats. */
      paint?: Canvas;
      /** A buffer that the page no longer reads. */
      spare?: Uint32Array;
    };

export type FromWorker =
  | { type: "ready"; header: Header | null; motion: Motion | null; gaze: Float32Array | null; bounds: Bounds | null; count: number; paints: boolean }
  | { type: "frame"; id: number; data: Uint32Array; count: number; painted: Canvas | null; ms: { pose: number; order: number } }
  | { type: "failed"; message: string };
