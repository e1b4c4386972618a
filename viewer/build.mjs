// Bundles src/ into ../avatar3d/export/player.js, the one file that the Python package ships. `--check` writes nothing
// and fails if that file is not what the sources build.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import asc from "assemblyscript/asc";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "avatar3d", "export", "player.js");
const shared = { bundle: true, minify: true, write: false, target: "es2022", legalComments: "none", charset: "utf8" };

/** Digest of the sources: lets a test without node see that the bundle is stale. */
function digest() {
  const files = readdirSync(join(here, "src"), { recursive: true, withFileTypes: true })
    .filter((x) => x.isFile())
    .map((x) => join(x.parentPath ?? x.path, x.name))
    .map((x) => [relative(here, x).replaceAll("\\", "/"), x])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash("sha256");
  for (const [name, path] of files) hash.update(`${name}\0`).update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

async function bundle(entry, define, format) {
  const result = await build({ ...shared, entryPoints: [join(here, "src", entry)], define, format, loader: { ".css": "text" } });
  return result.outputFiles[0].text.trim();
}

/** The renderer for machines without a graphics card, as WebAssembly. */
async function painter() {
  let binary;
  const held = { readFile: (name, base) => (existsSync(join(base, name)) ? readFileSync(join(base, name), "utf8") : null), listFiles: () => [] };
  const options = ["-O3", "--runtime", "stub", "--noAssert", "--enable", "simd", "--memoryBase", "6144", "--baseDir", here, "--outFile", "paint.wasm"];
  const { error, stderr } = await asc.main(["src/paint/paint.ts", ...options], { ...held, writeFile: (_, contents) => void (binary = contents) });
  if (error) throw new Error(`paint.ts: ${stderr.toString()}`);
  return JSON.stringify(Buffer.from(binary).toString("base64"));
}

const worker = await bundle("engine/worker.ts", { PAINTER: await painter() }, "iife");
const code = await bundle("main.ts", { WORKER_SOURCE: JSON.stringify(worker) }, "iife");
// A page holds the bundle inside a script element, which these two would end.
const text = `/* avatar3d player; sources ${digest()} */\n${code}\n`.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
console.log(`${(text.length / 1024).toFixed(1)} kB, ${(gzipSync(text, { level: 9 }).length / 1024).toFixed(1)} kB gzipped`);
if (process.argv.includes("--check")) {
  if (!existsSync(target) || readFileSync(target, "utf8") !== text) {
    console.error("player.js is not what src/ builds: run `npm run build` in viewer/");
    process.exit(1);
  }
} else writeFileSync(target, text);
