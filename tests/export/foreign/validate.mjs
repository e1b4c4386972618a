// Prints Khronos' validator's findings on a glTF file as JSON: [severity, code, pointer] each; severity 0 is an error.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const { validateBytes } = createRequire(process.argv[2] + '/')('gltf-validator');
const found = await validateBytes(new Uint8Array(fs.readFileSync(process.argv[3])), { maxIssues: 1000 });
console.log(JSON.stringify(found.issues.messages.map((m) => [m.severity, m.code, m.pointer])));
