// PlayCanvas: a static scene, seen by a camera that swings.
import * as pc from "playcanvas";

const canvas = document.createElement("canvas");
canvas.width = 800;
canvas.height = 600;
document.body.append(canvas);
const device = await pc.createGraphicsDevice(canvas, { deviceTypes: ["webgl2"], antialias: false });
device.maxPixelRatio = 1;
const options = new pc.AppOptions();
options.graphicsDevice = device;
options.componentSystems = [pc.RenderComponentSystem, pc.CameraComponentSystem, pc.GSplatComponentSystem];
options.resourceHandlers = [pc.TextureHandler, pc.ContainerHandler, pc.GSplatHandler];
const app = new pc.AppBase(canvas);
app.init(options);
app.setCanvasFillMode(pc.FILLMODE_NONE);
app.setCanvasResolution(pc.RESOLUTION_FIXED, 800, 600);
app.start();
const asset = new pc.Asset("scene", "gsplat", { url: "/scene.ply" });
await new Promise((done, fail) => {
  asset.on("load", done);
  asset.on("error", fail);
  app.assets.add(asset);
  app.assets.load(asset);
});
const entity = new pc.Entity(), camera = new pc.Entity();
entity.addComponent("gsplat", { asset });
entity.setLocalEulerAngles(180, 0, 0);
camera.addComponent("camera", { fov: 30, nearClip: 0.01, farClip: 10, clearColor: new pc.Color(0, 0, 0) });
app.root.addChild(entity);
app.root.addChild(camera);
window.drawnFrames = 0;
let t = 0;
app.on("update", () => {
  const yaw = 0.3 * Math.sin((t += 1 / 30) * 0.7);
  camera.setPosition(0.75 * Math.sin(yaw), -0.045, 0.75 * Math.cos(yaw) - 0.02);
  camera.lookAt(0, -0.045, -0.02);
});
app.on("frameend", () => window.drawnFrames++);
