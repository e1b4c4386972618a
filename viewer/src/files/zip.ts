// Files in a zip, in memory and with distrust.
import { inflate } from "../engine/payload";

const MOST = 1 << 29; // bytes, all together

/** Reads the files of a zip by name. Throws where it is damaged, encrypted, or would grow out of all proportion. */
export async function readZip(bytes: ArrayBuffer): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const data = new DataView(bytes), damaged = () => new Error("a damaged zip");
  let end = bytes.byteLength - 22;
  for (const first = Math.max(0, end - 65535); end >= first && data.getUint32(end, true) !== 0x06054b50; ) end--;
  if (end < 0 || data.getUint32(end, true) !== 0x06054b50) throw damaged();
  const count = data.getUint16(end + 10, true), files = new Map<string, Uint8Array<ArrayBuffer>>();
  let at = data.getUint32(end + 16, true), total = 0;
  if (count > 1000) throw new Error(`a zip of ${count} files`);
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || data.getUint32(at, true) !== 0x02014b50) throw damaged();
    const flags = data.getUint16(at + 8, true), method = data.getUint16(at + 10, true);
    const packed = data.getUint32(at + 20, true), size = data.getUint32(at + 24, true), local = data.getUint32(at + 42, true);
    const long = data.getUint16(at + 28, true), name = new TextDecoder().decode(new Uint8Array(bytes, at + 46, long));
    at += 46 + long + data.getUint16(at + 30, true) + data.getUint16(at + 32, true);
    if (flags & 1) throw new Error("the zip is encrypted");
    if ((total += size) > MOST || size > 1000 * (packed + 1000)) throw new Error(`'${name}' would unpack to ${size} bytes`);
    if (local + 30 > end || data.getUint32(local, true) !== 0x04034b50) throw damaged();
    const start = local + 30 + data.getUint16(local + 26, true) + data.getUint16(local + 28, true);
    if (start + packed > end || (method !== 0 && method !== 8) || (method === 0 && packed !== size)) throw damaged();
    const held = new Uint8Array(bytes, start, packed), content = method ? await inflate(held, "deflate-raw", size) : held;
    if (content.length !== size) throw damaged();
    files.set(name, content);
  }
  return files;
}
