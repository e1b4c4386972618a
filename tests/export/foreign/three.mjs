// Opens a glTF file with three.js' loader and prints what it found.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

globalThis.self = globalThis;
globalThis.ProgressEvent = class {};
const three = createRequire(process.argv[2] + '/').resolve('three/addons/loaders/GLTFLoader.js');
const { GLTFLoader } = await import(pathToFileURL(three));
const data = fs.readFileSync(process.argv[3]);
const found = await new GLTFLoader().parseAsync(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength), '');
const told = { bones: 0, shapes: 0, points: 0, tracks: found.animations.map((a) => a.tracks.length) };
found.scene.traverse((node) => {
  told.bones += node.isBone ? 1 : 0;
  if (node.isPoints) {
    told.points = node.geometry.attributes.position.count;
    told.shapes = Object.keys(node.morphTargetDictionary ?? {}).length;
  }
});
console.log(JSON.stringify(told));
