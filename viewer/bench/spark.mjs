// Spark: a static scene, seen by a camera that swings.
import { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";
import { PerspectiveCamera, Scene, WebGLRenderer } from "three";

const renderer = new WebGLRenderer({ antialias: false });
renderer.setPixelRatio(1);
renderer.setSize(800, 600);
document.body.append(renderer.domElement);
const scene = new Scene(), camera = new PerspectiveCamera(30, 800 / 600, 0.01, 10);
scene.add(new SparkRenderer({ renderer }));
const mesh = new SplatMesh({ url: "/scene.ply" });
await mesh.initialized;
mesh.quaternion.set(1, 0, 0, 0);
scene.add(mesh);
window.drawnFrames = 0;
let t = 0;
renderer.setAnimationLoop(() => {
  const yaw = 0.3 * Math.sin((t += 1 / 30) * 0.7);
  camera.position.set(0.75 * Math.sin(yaw), -0.045, 0.75 * Math.cos(yaw) - 0.02);
  camera.lookAt(0, -0.045, -0.02);
  renderer.render(scene, camera);
  window.drawnFrames++;
});
