// AssemblyScript, not TypeScript: becomes WebAssembly. Draws splats without a graphics card, in tiles and from near to
// far, so that what is hidden costs nothing. Constants are those of avatar3d/ops/reference.py.
//
// Memory: [0, 1024) the camera, [1024, 2048) limits of the exponent by opacity, [2048, 6144) the tile; the rest is laid
// out by engine/painter.ts.

const TILE: i32 = 16;
const LIMITS: usize = 1024;
const RED: usize = 2048;
const GREEN: usize = 3072;
const BLUE: usize = 4096;
const CLEAR: usize = 5120; // transmittance
const NEAR: f32 = 0.01;
const RECORD: usize = 48;
const GONE: f32 = 0.0005; // transmittance below which an 8-bit picture shows nothing more
const OFTEN: i32 = 8; // splats between looks at whether a tile is full

// @ts-ignore: decorator
@inline function camera(i: usize): f32 {
  return load<f32>(i << 2);
}

/**
 * Writes a record for each splat that touches the picture, nearest first, and counts how many touch each tile.
 * Records: centre x y, conic a b c (halved), opacity, limit, red, green, blue, x0 | x1 << 16, y0 | y1 << 16.
 * `seen` returns how many there are in its first word and how many touches in its second.
 */
export function project(
  n: i32, order: usize, centres: usize, spreads: usize, colours: usize, opacities: usize, records: usize, counts: usize, seen: usize,
): void {
  const a0 = camera(0), a1 = camera(1), a2 = camera(2), a3 = camera(3);
  const b0 = camera(4), b1 = camera(5), b2 = camera(6), b3 = camera(7);
  const c0 = camera(8), c1 = camera(9), c2 = camera(10), c3 = camera(11);
  const fx = camera(12), fy = camera(13), cx = camera(14), cy = camera(15), swell = camera(16);
  const width = camera(17), height = camera(18);
  const left: f32 = -(cx + 0.15 * width) / fx, right: f32 = (1.15 * width - cx) / fx;
  const top: f32 = -(cy + 0.15 * height) / fy, bottom: f32 = (1.15 * height - cy) / fy;
  const wide = (i32(width) + TILE - 1) / TILE, lastX = i32(width) - 1, lastY = i32(height) - 1;
  let out = records, touches = 0;
  for (let k = n - 1; k >= 0; k--) {
    const i = load<u32>(order + (usize(k) << 2));
    const opacity = load<u8>(opacities + i);
    if (opacity <= 1) continue;
    const p = centres + 12 * i, x = load<f32>(p), y = load<f32>(p, 4), z = load<f32>(p, 8);
    const depth = c0 * x + c1 * y + c2 * z + c3;
    if (!(depth > NEAR)) continue;
    const inverse: f32 = 1 / depth;
    const rx = (a0 * x + a1 * y + a2 * z + a3) * inverse, ry = (b0 * x + b1 * y + b2 * z + b3) * inverse;
    // The linearisation is bent back 15 % of the image's width outside it.
    const bx = min(max(rx, left), right), by = min(max(ry, top), bottom), sx = fx * inverse, sy = fy * inverse;
    const u0 = (a0 - bx * c0) * sx, u1 = (a1 - bx * c1) * sx, u2 = (a2 - bx * c2) * sx;
    const v0 = (b0 - by * c0) * sy, v1 = (b1 - by * c1) * sy, v2 = (b2 - by * c2) * sy;
    const s = spreads + 24 * i;
    const xx = load<f32>(s), xy = load<f32>(s, 4), xz = load<f32>(s, 8), yy = load<f32>(s, 12), yz = load<f32>(s, 16), zz = load<f32>(s, 20);
    const w0 = xx * u0 + xy * u1 + xz * u2, w1 = xy * u0 + yy * u1 + yz * u2, w2 = xz * u0 + yz * u1 + zz * u2;
    const A: f32 = swell * (u0 * w0 + u1 * w1 + u2 * w2) + 0.3, B = swell * (v0 * w0 + v1 * w1 + v2 * w2);
    const D: f32 = swell * (v0 * (xx * v0 + xy * v1 + xz * v2) + v1 * (xy * v0 + yy * v1 + yz * v2) + v2 * (xz * v0 + yz * v1 + zz * v2)) + 0.3;
    const det = A * D - B * B;
    if (!(det > 0)) continue;
    const limit = load<f32>(LIMITS + (usize(opacity) << 2));
    const px = rx * fx + cx, py = ry * fy + cy, reachX = sqrt<f32>(2 * limit * A), reachY = sqrt<f32>(2 * limit * D);
    // Pixels whose centres lie inside.
    const x0 = max(i32(ceil<f32>(px - reachX - 0.5)), 0), x1 = min(i32(floor<f32>(px + reachX - 0.5)), lastX);
    const y0 = max(i32(ceil<f32>(py - reachY - 0.5)), 0), y1 = min(i32(floor<f32>(py + reachY - 0.5)), lastY);
    if (x0 > x1 || y0 > y1) continue;
    const half: f32 = 0.5 / det, c = colours + 12 * i;
    store<f32>(out, px);
    store<f32>(out, py, 4);
    store<f32>(out, D * half, 8);
    store<f32>(out, -2 * B * half, 12);
    store<f32>(out, A * half, 16);
    store<f32>(out, f32(opacity) / 255, 20);
    store<f32>(out, limit, 24);
    store<f32>(out, load<f32>(c), 28);
    store<f32>(out, load<f32>(c, 4), 32);
    store<f32>(out, load<f32>(c, 8), 36);
    store<u32>(out, x0 | (x1 << 16), 40);
    store<u32>(out, y0 | (y1 << 16), 44);
    out += RECORD;
    for (let ty = y0 / TILE; ty <= y1 / TILE; ty++)
      for (let tx = x0 / TILE; tx <= x1 / TILE; tx++) {
        const at = counts + (usize(ty * wide + tx) << 2);
        store<u32>(at, load<u32>(at) + 1);
        touches++;
      }
  }
  store<u32>(seen, u32((out - records) / RECORD));
  store<u32>(seen, touches, 4);
}

/** Turns counts of tiles into the ends of their lists, and writes the lists: addresses of records, nearest first. */
export function list(count: i32, records: usize, counts: usize, tiles: i32, lists: usize): void {
  const wide = (i32(camera(17)) + TILE - 1) / TILE;
  let start = 0;
  for (let t = 0; t < tiles; t++) {
    const at = counts + (usize(t) << 2), size = load<u32>(at);
    store<u32>(at, start);
    start += size;
  }
  for (let r = records, end = records + RECORD * usize(count); r < end; r += RECORD) {
    const xs = load<u32>(r, 40), ys = load<u32>(r, 44);
    for (let ty = i32(ys & 0xffff) / TILE, y1 = i32(ys >> 16) / TILE; ty <= y1; ty++)
      for (let tx = i32(xs & 0xffff) / TILE, x1 = i32(xs >> 16) / TILE; tx <= x1; tx++) {
        const at = counts + (usize(ty * wide + tx) << 2), next = load<u32>(at);
        store<u32>(lists + (usize(next) << 2), u32(r));
        store<u32>(at, next + 1);
      }
  }
}

/** Draws the tiles into premultiplied RGBA bytes; rows are as long as all tiles of a row. */
export function shade(counts: usize, tiles: i32, lists: usize, picture: usize): void {
  const wide = (i32(camera(17)) + TILE - 1) / TILE;
  let from = lists;
  for (let t = 0; t < tiles; t++) {
    const to = lists + (usize(load<u32>(counts + (usize(t) << 2))) << 2);
    const tx = (t % wide) * TILE, ty = (t / wide) * TILE;
    tile(from, to, tx, ty);
    from = to;
    bytes(picture + (usize(ty * wide * TILE + tx) << 2), usize(wide * TILE) << 2);
  }
}

/** Adds the splats of one tile, nearest first, until it is full. */
function tile(from: usize, to: usize, tx: i32, ty: i32): void {
  const zero = f32x4.splat(0), one = f32x4.splat(1), gone = f32x4.splat(GONE), most = f32x4.splat(0.999), four = f32x4.splat(4);
  const steps = f32x4(0, 1, 2, 3);
  for (let i: usize = 0; i < 1024; i += 16) {
    v128.store(RED + i, zero);
    v128.store(GREEN + i, zero);
    v128.store(BLUE + i, zero);
    v128.store(CLEAR + i, one);
  }
  let left = OFTEN;
  for (let at = from; at < to; at += 4) {
    const r = usize(load<u32>(at)), xs = load<u32>(r, 40), ys = load<u32>(r, 44);
    const x0 = max(i32(xs & 0xffff) - tx, 0) & ~3, x1 = min(i32(xs >> 16) - tx, TILE - 1);
    const y0 = max(i32(ys & 0xffff) - ty, 0), y1 = min(i32(ys >> 16) - ty, TILE - 1);
    const first = f32x4.add(f32x4.splat(f32(tx + x0) + 0.5 - load<f32>(r)), steps);
    const ca = v128.load32_splat(r, 8), cb = load<f32>(r, 12), cc = load<f32>(r, 16);
    const opacity = v128.load32_splat(r, 20), limit = v128.load32_splat(r, 24);
    const red = v128.load32_splat(r, 28), green = v128.load32_splat(r, 32), blue = v128.load32_splat(r, 36);
    let dy: f32 = f32(ty + y0) + 0.5 - load<f32>(r, 4);
    for (let y = y0; y <= y1; y++, dy += 1) {
      const b = f32x4.splat(cb * dy), c = f32x4.splat(cc * dy * dy);
      let dx = first, p = usize((y * TILE + x0) << 2);
      for (let x = x0; x <= x1; x += 4, p += 16, dx = f32x4.add(dx, four)) {
        const power = f32x4.add(f32x4.mul(f32x4.add(f32x4.mul(ca, dx), b), dx), c), clear = v128.load(p, CLEAR);
        const inside = v128.and(f32x4.le(power, limit), f32x4.gt(clear, gone));
        if (!v128.any_true(inside)) continue;
        const alpha = v128.and(f32x4.pmin(f32x4.mul(opacity, falling(power)), most), inside);
        const weight = f32x4.mul(alpha, clear);
        v128.store(p, f32x4.sub(clear, weight), CLEAR);
        v128.store(p, f32x4.add(v128.load(p, RED), f32x4.mul(weight, red)), RED);
        v128.store(p, f32x4.add(v128.load(p, GREEN), f32x4.mul(weight, green)), GREEN);
        v128.store(p, f32x4.add(v128.load(p, BLUE), f32x4.mul(weight, blue)), BLUE);
      }
    }
    if (--left == 0) {
      if (full()) return;
      left = OFTEN;
    }
  }
}

/** exp(-x) for x from 0 to 6, to 3e-5 of itself: a polynomial of x / 8, to the eighth power. */
// @ts-ignore: decorator
@inline function falling(x: v128): v128 {
  const t = f32x4.mul(x, f32x4.splat(-0.125));
  let e = f32x4.add(f32x4.mul(t, f32x4.splat(0.02943392)), f32x4.splat(0.15960682));
  e = f32x4.add(f32x4.mul(e, t), f32x4.splat(0.49831296));
  e = f32x4.add(f32x4.mul(e, t), f32x4.splat(0.99986933));
  e = f32x4.add(f32x4.mul(e, t), f32x4.splat(1));
  e = f32x4.mul(e, e);
  e = f32x4.mul(e, e);
  return f32x4.mul(e, e);
}

function full(): bool {
  const gone = f32x4.splat(GONE);
  for (let i: usize = CLEAR; i < CLEAR + 1024; i += 64) {
    const a = f32x4.pmax(v128.load(i), v128.load(i, 16)), b = f32x4.pmax(v128.load(i, 32), v128.load(i, 48));
    if (v128.any_true(f32x4.gt(f32x4.pmax(a, b), gone))) return false;
  }
  return true;
}

/** Writes the tile as bytes. */
function bytes(out: usize, stride: usize): void {
  const scale = f32x4.splat(255), half = f32x4.splat(0.5), one = f32x4.splat(1);
  for (let y: usize = 0; y < 16; y++)
    for (let x: usize = 0; x < 64; x += 16) {
      const p: usize = (y << 6) + x;
      const r = whole(v128.load(p, RED), scale, half), g = whole(v128.load(p, GREEN), scale, half), b = whole(v128.load(p, BLUE), scale, half);
      const a = whole(f32x4.sub(one, v128.load(p, CLEAR)), scale, half);
      v128.store(out + stride * y + x, v128.or(v128.or(r, i32x4.shl(g, 8)), v128.or(i32x4.shl(b, 16), i32x4.shl(a, 24))));
    }
}

// @ts-ignore: decorator
@inline function whole(x: v128, scale: v128, half: v128): v128 {
  return i32x4.min_u(i32x4.trunc_sat_f32x4_u(f32x4.add(f32x4.mul(x, scale), half)), i32x4.splat(255));
}

/** Makes room; returns whether there was any. */
export function room(bytes: i32): bool {
  const pages = (bytes + 0xffff) >>> 16, missing = pages - memory.size();
  return missing <= 0 || memory.grow(missing) >= 0;
}
