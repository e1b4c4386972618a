// gsplat.js: a static scene, seen by a camera that swings.
import { Camera, PLYLoader, Quaternion, Scene, Vector3, WebGLRenderer } from "gsplat";

const canvas = document.createElement("canvas");
document.body.append(canvas);
const renderer = new WebGLRenderer(canvas);
renderer.setSize(800, 600);
const scene = new Scene(), camera = new Camera();
await PLYLoader.LoadAsync("/scene.ply", scene, () => {});
camera.data.fx = camera.data.fy = 300 / Math.tan(Math.PI / 12);
window.drawnFrames = 0;
let t = 0;
const loop = () => {
  const yaw = 0.3 * Math.sin((t += 1 / 30) * 0.7);
  camera.position = new Vector3(0.75 * Math.sin(yaw), 0.045, -0.75 * Math.cos(yaw) + 0.02);
  camera.rotation = Quaternion.FromEuler(new Vector3(0, -yaw, 0));
  renderer.render(scene, camera);
  window.drawnFrames++;
  requestAnimationFrame(loop);
};
loop();
