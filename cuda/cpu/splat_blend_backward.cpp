// Gradients of blending one tile. Walks front to back once more: with D = sum_i w_i (c_i . g) + T_end (background . g),
// known from the forward result, and P the same sum up to and with splat i,
//   dL/dalpha_i = T_i (c_i . g) - (D - P) / (1 - alpha_i)
// so no list of per-pixel contributions is stored. A splat's sums stay in registers over the tile's blocks and go to a
// slot of their own: no atomics, and the same bits for any number of threads.
#include "cpu/simd.h"
#include "cpu/splat.h"
#include "cpu/splat_tile.h"

namespace a3d::A3D_ISA {
namespace {

// A tile's pixels: cotangents, and the running values of the walk.
struct TilePixels {
  F open[kBlocks * kVectors];     // transmittance, 0 once done
  F rest[kBlocks * kVectors];     // D - P
  F red[kBlocks * kVectors], green[kBlocks * kVectors], blue[kBlocks * kVectors], depth[kBlocks * kVectors];
};

// Moments of a vector of pixels about the tile's centre, per block and vector.
struct Places {
  F x[kBlocks * kVectors], y[kBlocks * kVectors];
};

A3D_INLINE void load_pixels(const SplatInputs& in, const SplatCotangents& c, int64_t view, int64_t column, int64_t row,
                            TilePixels& t) {
  for (int block = 0; block < kBlocks; block++)
    for (int i = 0; i < kBlock * kBlock; i++) {
      const int64_t x = column + (block & 3) * kBlock + i % kBlock, y = row + (block >> 2) * kBlock + i / kBlock;
      const int at = block * kVectors + i / kLanes, lane = i % kLanes;
      float g[5] = {0.f, 0.f, 0.f, 0.f, 0.f}, total = 0.f;
      const bool inside = x < in.width && y < in.height;
      if (inside) {
        const int64_t pixel = (view * in.height + y) * in.width + x;
        if (c.grad_rgb)
          for (int k = 0; k < 3; k++) g[k] = c.grad_rgb[3 * pixel + k], total += g[k] * c.rgb[3 * pixel + k];
        if (c.grad_depth) g[3] = c.grad_depth[pixel], total += g[3] * c.depth[pixel];
        // alpha = 1 - T_end, so its cotangent acts as a background of -g.
        if (c.grad_alpha) total -= c.grad_alpha[pixel] * (1.f - c.alpha[pixel]);
      }
      t.open[at][lane] = inside ? 1.f : 0.f;
      t.rest[at][lane] = total;
      t.red[at][lane] = g[0], t.green[at][lane] = g[1], t.blue[at][lane] = g[2], t.depth[at][lane] = g[3];
    }
}

// Sums of each of n vectors.
A3D_INLINE void sums(const F* v, int n, float* out) {
  for (int i = 0; i < n; i++) out[i] = sum(v[i]);
}

// Walks one splat over the blocks it touches. Returns the blocks that are done now.
template <bool with_depth>
A3D_INLINE unsigned walk(const SplatRecord& r, float x, float y, unsigned blocks, TilePixels& t, const Places& places,
                         float out[kGradients]) {
  F v0 = F{}, vx = F{}, vy = F{}, vxx = F{}, vxy = F{}, vyy = F{}, red = F{}, green = F{}, blue = F{}, depth = F{};
  unsigned done = 0;
  // Relative to the tile's centre, where the moments are taken: numbers stay below 8 and squares keep their digits.
  const float cx = x - 7.5f, cy = y - 7.5f;
  do {
    const int block = __builtin_ctz(blocks);
    blocks &= blocks - 1;
    bool open = false;
    for (int v = 0; v < kVectors; v++) {
      const int at = block * kVectors + v;
      const F px = places.x[at], py = places.y[at];
      const F dx = px - cx, dy = py - cy;
      const F e = r.log2_opacity - (r.a * dx + r.b * dy) * dx - (r.c * dy) * dy;
      const F raw = exp2(e);
      const F before = t.open[at];
      // An alpha of 0 changes nothing below, so pixels that skip the splat need no other care.
      F alpha = keep((e >= kLog2AlphaMin) & (before > 0.f), min(raw, splat(kAlphaMax)));
      F weight = alpha * before;
      F after = before - weight;
      const I closes = (after <= kTransmittanceMin) & (alpha > 0.f);
      if (__builtin_expect(any(closes), 0)) {
        alpha = keep(~closes, alpha), weight = keep(~closes, weight), after = keep(~closes, after);
      }
      t.open[at] = after;
      open |= any(after > 0.f);
      F along = r.colour[0] * t.red[at] + r.colour[1] * t.green[at] + r.colour[2] * t.blue[at];
      if (with_depth) along += r.z * t.depth[at];
      const F rest = t.rest[at] - weight * along;
      t.rest[at] = rest;
      F g = alpha * (before * along - rest * reciprocal(1.f - alpha));
      g = keep(raw < kAlphaMax, g);  // a clamped alpha does not follow its parameters
      red += weight * t.red[at], green += weight * t.green[at], blue += weight * t.blue[at];
      if (with_depth) depth += weight * t.depth[at];
      v0 += g;
      const F gx = g * px, gy = g * py;
      vx += gx, vy += gy, vxx += gx * px, vxy += gx * py, vyy += gy * py;
    }
    if (__builtin_expect(!open, 0)) done |= 1u << block;
  } while (blocks);

  const F all[10] = {v0, vx, vy, vxx, vxy, vyy, red, green, blue, depth};
  float s[10];
  sums(all, with_depth ? 10 : 9, s);
  if (!with_depth) s[9] = 0.f;
  // Shift the moments to the splat's centre.
  out[kV] = s[0];
  out[kVx] = s[1] - cx * s[0], out[kVy] = s[2] - cy * s[0];
  out[kVxx] = s[3] - 2.f * cx * s[1] + cx * cx * s[0];
  out[kVxy] = s[4] - cx * s[2] - cy * s[1] + cx * cy * s[0];
  out[kVyy] = s[5] - 2.f * cy * s[2] + cy * cy * s[0];
  for (int i = 6; i < 10; i++) out[i] = s[i];
  return done;
}
}  // namespace

void blend_tile_backward(const SplatInputs& in, const SplatState& state, const SplatCotangents& c, int64_t view,
                         int64_t tile) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const int64_t begin = state.tile_begin[view * (tiles + 1) + tile];
  const int64_t end = begin + state.tile_live[view * tiles + tile];
  if (begin == end) return;
  const SplatRecord* records = state.records + view * in.splats;
  const int64_t tile_x = tile % state.tiles_x, tile_y = tile / state.tiles_x;
  const float origin_x = float(tile_x * kTile) + 0.5f, origin_y = float(tile_y * kTile) + 0.5f;

  TilePixels pixels;
  load_pixels(in, c, view, tile_x * kTile, tile_y * kTile, pixels);
  Places places;
  const F lx = lane_x(), ly = lane_y();
  for (int block = 0; block < kBlocks; block++)
    for (int v = 0; v < kVectors; v++) {
      places.x[block * kVectors + v] = lx + (block_x(block) - 7.5f);
      places.y[block * kVectors + v] = ly + (block_y(block) + float(v * kRows) - 7.5f);
    }
  unsigned alive = (1u << kBlocks) - 1;
  for (int64_t pair = begin; pair < end; pair++) {
    const int64_t ahead = pair + 8 < end ? pair + 8 : end - 1;
    __builtin_prefetch(&records[state.pair_splat[ahead]]);
    const SplatRecord& r = records[state.pair_splat[pair]];
    const unsigned blocks = state.pair_blocks[pair] & alive;
    if (!blocks) continue;
    const int64_t slot = c.slot_begin[view] + r.slot + (tile_y - r.tile_y) * r.tiles_wide + (tile_x - r.tile_x);
    float* out = c.slots + slot * kGradients;
    const float x = r.x - origin_x, y = r.y - origin_y;
    alive &= ~(c.grad_depth ? walk<true>(r, x, y, blocks, pixels, places, out)
                            : walk<false>(r, x, y, blocks, pixels, places, out));
    c.slot_used[slot] = 1;
    if (!alive) break;
  }
}

}  // namespace a3d::A3D_ISA
