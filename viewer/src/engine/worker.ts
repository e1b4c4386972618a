// Everything that is done once a splat and frame, away from the page: posing, colours, order.
import { AvatarScene } from "./avatar";
import { interleaved } from "./head";
import { Orderer, WORDS } from "./order";
import { Payload } from "./payload";
import type { FromWorker, Motion, ToWorker } from "./protocol";
import { StaticScene } from "./still";

const port = self as unknown as { postMessage(m: FromWorker, t?: Transferable[]): void; onmessage: unknown };
const orderer = new Orderer();
let scene: AvatarScene | StaticScene | null = null;

port.onmessage = async (event: MessageEvent<ToWorker>) => {
  const m = event.data;
  try {
    if (m.type === "avatar") {
      const payload = await Payload.read(m.bytes);
      const made = new AvatarScene(payload);
      scene = made;
      const motion = motionOf(payload), gaze = payload.floats("gaze");
      port.postMessage({ type: "ready", header: payload.header, motion, gaze, bounds: null, count: made.world.count });
    } else if (m.type === "still") {
      const made = await StaticScene.read(m.bytes, m.name);
      scene = made;
      port.postMessage({ type: "ready", header: null, motion: null, gaze: null, bounds: made.bounds, count: made.world.count });
    } else if (scene) {
      const start = performance.now();
      if (m.look) scene.look(m.look.colouring, m.look.tints);
      if (m.pose) scene.pose(m.pose);
      const posed = performance.now();
      const rows = Math.max(1, Math.ceil(scene.world.count / 1024));
      const room = rows * 1024 * WORDS;
      const out = m.spare && m.spare.length === room ? m.spare : new Uint32Array(room);
      const count = orderer.write(scene.world, m.view, out);
      const ms = { pose: posed - start, order: performance.now() - posed };
      port.postMessage({ type: "frame", id: m.id, data: out, count, ms }, [out.buffer]);
    }
  } catch (error) {
    port.postMessage({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
};

function motionOf(payload: Payload): Motion | null {
  const { motion } = payload.header;
  if (!motion) return null;
  const rows = (name: string) => interleaved(payload.floats(name), payload.shape(name)[0]);
  return {
    fps: motion.fps,
    frames: motion.frames,
    expression: rows("motion_expression"),
    joints: rows("motion_joints"),
    root: payload.floats("motion_root"),
    soft: payload.has("soft") && payload.has("motion_soft") ? rows("motion_soft") : null,
  };
}
