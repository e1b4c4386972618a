// Everything that is done once a splat and frame, away from the page: posing, colours, order.
import { AvatarScene } from "./avatar";
import { interleaved } from "./head";
import { Orderer, WORDS } from "./order";
import { MOST_PAINTED, Painter, paintedSize } from "./painter";
import { Payload } from "./payload";
import type { FromWorker, Motion, ToWorker } from "./protocol";
import { StaticScene } from "./still";

const port = self as unknown as { postMessage(m: FromWorker, t?: Transferable[]): void; onmessage: unknown };
const orderer = new Orderer();
let painter: Promise<Painter | null> | null = null;
let scene: AvatarScene | StaticScene | null = null;
let before: AvatarScene | null = null; // the avatar as it was before its edits

port.onmessage = async (event: MessageEvent<ToWorker>) => {
  const m = event.data;
  try {
    const hand = await (painter ??= Painter.make());
    const paints = (count: number) => hand !== null && count <= MOST_PAINTED;
    if (m.type === "avatar") {
      const payload = await Payload.read(m.bytes);
      const made = new AvatarScene(payload);
      scene = made;
      const other = payload.before();
      before = other && new AvatarScene(other);
      const motion = motionOf(payload), gaze = payload.floats("gaze");
      port.postMessage({ type: "ready", header: payload.header, motion, gaze, bounds: null, count: made.world.count, paints: paints(made.world.count) });
    } else if (m.type === "still") {
      const made = await StaticScene.read(m.bytes, m.name);
      scene = made;
      before = null;
      port.postMessage({ type: "ready", header: null, motion: null, gaze: null, bounds: made.bounds, count: made.world.count, paints: paints(made.world.count) });
    } else if (scene) {
      const start = performance.now(), shown = m.before && before ? before : scene;
      if (m.look) for (const each of [scene, before]) each?.look(m.look.colouring, m.look.tints);
      if (m.pose) shown.pose(m.pose);
      const posed = performance.now();
      const { world } = shown, canvas = hand && m.paint ? m.paint : null;
      const rows = Math.max(1, Math.ceil(world.count / 1024)), [wide, tall] = canvas ? paintedSize(canvas) : [rows * 1024, WORDS];
      const out = m.spare && m.spare.length === wide * tall ? m.spare : new Uint32Array(wide * tall);
      let count = 0;
      if (canvas && hand) hand.paint(world, orderer.order, (count = orderer.sort(world, m.view)), m.view, canvas, out);
      else count = orderer.write(world, m.view, out);
      const ms = { pose: posed - start, order: performance.now() - posed };
      port.postMessage({ type: "frame", id: m.id, data: out, count, painted: canvas, ms }, [out.buffer]);
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
