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
  F open[kTileVectors];  // transmittance, 0 once done
  F rest[kTileVectors];  // D - P, 0 once done
  F red[kTileVectors], green[kTileVectors], blue[kTileVectors], depth[kTileVectors];
};

// Where the pixels are, relative to the tile's centre: numbers stay below 8, and their squares keep their digits.
struct Places {
  F x[kTileVectors], y[kTileVectors], xx[kTileVectors], xy[kTileVectors], yy[kTileVectors];
};
constexpr float kCentre = 0.5f * (kTile - 1);

A3D_INLINE Places places_of_tile() {
  Places p;
  for (int block = 0; block < kBlocks; block++)
    for (int v = 0; v < kVectors; v++) {
      const int at = block * kVectors + v;
      p.x[at] = lane_x() + (block_x(block) - kCentre),
      p.y[at] = lane_y() + (block_y(block) + float(v * kRows) - kCentre);
      p.xx[at] = p.x[at] * p.x[at], p.xy[at] = p.x[at] * p.y[at], p.yy[at] = p.y[at] * p.y[at];
    }
  return p;
}

// Reads four pixels of a row of a block, or the first `count` of them.
A3D_INLINE void load_quad(const SplatCotangents& c, int64_t pixel, int count, TilePixels& t, int block, int y) {
  Quad open = {}, rest = {}, red = {}, green = {}, blue = {}, depth = {};
  if (count == kBlock) {
    open += 1.f;
    if (c.grad_rgb) {
      Quad r, g, b;
      read_rgb(c.grad_rgb + 3 * pixel, red, green, blue), read_rgb(c.rgb + 3 * pixel, r, g, b);
      rest = red * r + green * g + blue * b;
    }
    if (c.grad_depth) depth = *(const Quad*)(c.grad_depth + pixel), rest += depth * *(const Quad*)(c.depth + pixel);
    // alpha = 1 - T_end, so its cotangent acts as a background of -g.
    if (c.grad_alpha) rest -= *(const Quad*)(c.grad_alpha + pixel) * (1.f - *(const Quad*)(c.alpha + pixel));
  } else {
    for (int i = 0; i < count; i++) {
      const int64_t p = pixel + i;
      open[i] = 1.f;
      if (c.grad_rgb) {
        red[i] = c.grad_rgb[3 * p], green[i] = c.grad_rgb[3 * p + 1], blue[i] = c.grad_rgb[3 * p + 2];
        rest[i] = red[i] * c.rgb[3 * p] + green[i] * c.rgb[3 * p + 1] + blue[i] * c.rgb[3 * p + 2];
      }
      if (c.grad_depth) depth[i] = c.grad_depth[p], rest[i] += depth[i] * c.depth[p];
      if (c.grad_alpha) rest[i] -= c.grad_alpha[p] * (1.f - c.alpha[p]);
    }
  }
  quad_of(t.open, block, y) = open, quad_of(t.rest, block, y) = rest, quad_of(t.depth, block, y) = depth;
  quad_of(t.red, block, y) = red, quad_of(t.green, block, y) = green, quad_of(t.blue, block, y) = blue;
}

A3D_INLINE void load_tile(const SplatInputs& in, const SplatCotangents& c, int64_t view, int64_t column, int64_t row,
                          TilePixels& t) {
  for (int y = 0; y < kTile; y++)
    for (int x = 0; x < kTile; x += kBlock) {
      const int64_t left = row + y < in.height ? in.width - column - x : 0;
      const int count = left < 0 ? 0 : left < kBlock ? int(left) : kBlock;
      load_quad(c, (view * in.height + row + y) * in.width + column + x, count, t,
                y / kBlock * (kTile / kBlock) + x / kBlock, y % kBlock);
    }
}

// Opacity of a splat at the pixels of the blocks it touches, 0 where it is skipped.
A3D_INLINE void alphas_of(const SplatRecord& r, float cx, float cy, unsigned blocks, const Places& places, F* alphas) {
  for (; blocks; blocks &= blocks - 1)
    for (int v = 0; v < kVectors; v++) {
      const int at = __builtin_ctz(blocks) * kVectors + v;
      const F dx = places.x[at] - cx, dy = places.y[at] - cy;
      const F e = (r.log2_opacity - (r.c * dy) * dy) - (r.a * dx + r.b * dy) * dx;
      *alphas++ = min_where_ge(exp2(e), splat(kAlphaMax), e, splat(kLog2AlphaMin));
    }
}

// Closes the pixels that this splat would bring to the end of their transmittance: from now on T and D - P are 0 there,
// which makes all later gradients 0. Returns whether the block has an open pixel left.
A3D_INLINE bool close_pixels(F& alpha, F& before, F& after, F& rest, TilePixels& t, int block, int at) {
  const I open = after > kTransmittanceMin;
  alpha = keep(open, alpha), before = keep(open, before), after = keep(open, after), rest = keep(open, rest);
  t.open[at] = after;
  unsigned left = 0;
  for (int v = 0; v < kVectors; v++) left |= bits_gt(t.open[block * kVectors + v], F{});
  return left != 0;
}

// Walks one splat, centred at (x, y) relative to the tile's first pixel centre, over the blocks it touches. Returns the
// blocks that are done now. Alphas come from a loop of their own, as in the forward pass and for the same reason.
template <bool with_depth>
A3D_INLINE unsigned walk(const SplatRecord& r, float x, float y, unsigned blocks, TilePixels& t, const Places& places,
                         float out[kGradients]) {
  const float cx = x - kCentre, cy = y - kCentre;
  F alphas[kTileVectors];
  alphas_of(r, cx, cy, blocks, places, alphas);
  const F* next_alpha = alphas;
  F sums[kGradients] = {};
  unsigned done = 0;
  for (; blocks; blocks &= blocks - 1) {
    const int block = __builtin_ctz(blocks);
    for (int v = 0; v < kVectors; v++) {
      const int at = block * kVectors + v;
      F alpha = *next_alpha++, before = t.open[at], rest = t.rest[at];
      F after = minus_product(before, alpha, before);
      if (__builtin_expect(bits_le(after, splat(kTransmittanceMin)) & bits_gt(before, F{}), 0))
        if (!close_pixels(alpha, before, after, rest, t, block, at)) done |= 1u << block;
      const F weight = alpha * before;
      F along = r.colour[0] * t.red[at] + r.colour[1] * t.green[at] + r.colour[2] * t.blue[at];
      if (with_depth) along += r.z * t.depth[at];
      rest -= weight * along;
      t.open[at] = after, t.rest[at] = rest;
      const F g = keep(alpha < kAlphaMax,  // a clamped alpha does not follow its parameters
                       weight * along - (alpha * rest) * reciprocal(1.f - alpha));
      sums[kV] += g, sums[kVx] += g * places.x[at], sums[kVy] += g * places.y[at];
      sums[kVxx] += g * places.xx[at], sums[kVxy] += g * places.xy[at], sums[kVyy] += g * places.yy[at];
      sums[kRed] += weight * t.red[at], sums[kGreen] += weight * t.green[at], sums[kBlue] += weight * t.blue[at];
      if (with_depth) sums[kDepth] += weight * t.depth[at];
    }
  }

  float s[16];
  add_lanes<with_depth ? 10 : 9>(sums, s);
  // Shift the moments to the splat's centre.
  out[kV] = s[kV];
  out[kVx] = s[kVx] - cx * s[kV], out[kVy] = s[kVy] - cy * s[kV];
  out[kVxx] = s[kVxx] - 2.f * cx * s[kVx] + cx * cx * s[kV];
  out[kVxy] = s[kVxy] - cx * s[kVy] - cy * s[kVx] + cx * cy * s[kV];
  out[kVyy] = s[kVyy] - 2.f * cy * s[kVy] + cy * cy * s[kV];
  out[kRed] = s[kRed], out[kGreen] = s[kGreen], out[kBlue] = s[kBlue], out[kDepth] = with_depth ? s[kDepth] : 0.f;
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
  const uint32_t* chunk_slots = state.chunk_slots + view * chunks_of(in.splats);
  const int64_t tile_x = tile % state.tiles_x, tile_y = tile / state.tiles_x;
  const float origin_x = float(tile_x * kTile) + 0.5f, origin_y = float(tile_y * kTile) + 0.5f;

  TilePixels pixels;
  load_tile(in, c, view, tile_x * kTile, tile_y * kTile, pixels);
  const Places places = places_of_tile();
  unsigned alive = (1u << kBlocks) - 1;
  for (int64_t pair = begin; pair < end; pair++) {
    const int64_t ahead = pair + 8 < end ? pair + 8 : end - 1;
    __builtin_prefetch(&records[state.pair_splat[ahead]]);
    const uint32_t id = state.pair_splat[pair];
    const SplatRecord& r = records[id];
    const unsigned blocks = state.pair_blocks[pair] & alive;
    if (!blocks) continue;
    const TileRect rect = r.rect;
    const int64_t first_slot = c.slot_begin[view] + chunk_slots[id / kChunk] + rect.slot;
    const int64_t slot = first_slot + (tile_y - rect.y) * rect.wide + (tile_x - rect.x);
    float* out = c.slots + slot * kGradients;
    const float x = r.x - origin_x, y = r.y - origin_y;
    alive &= ~(c.grad_depth ? walk<true>(r, x, y, blocks, pixels, places, out)
                            : walk<false>(r, x, y, blocks, pixels, places, out));
    c.slot_used[slot] = 1;
    if (!alive) break;
  }
}

}  // namespace a3d::A3D_ISA
