// Front-to-back blending of one tile: colour, transmittance and depth.
#include "cpu/simd.h"
#include "cpu/splat.h"
#include "cpu/splat_tile.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kBatch = 64;  // splats blended at a time: one bit each in a block's word
constexpr int kGroup = 4;   // splats blended between two looks for pixels that close

struct Batch {
  // Relative to the tile. One more: a splat that touches nothing is written, and overwritten by the next.
  SplatRecord splats[kBatch + 1];
  alignas(64) int32_t touched[kBatch + 1];
};

// The pixels of a tile as vectors.
struct TilePixels {
  F open[kTileVectors];           // transmittance, 0 once the pixel is done
  F transmittance[kTileVectors];  // of the pixels that are done
  F red[kTileVectors], green[kTileVectors], blue[kTileVectors], depth[kTileVectors];
};

// Blends one splat into the pixels of vector `at`, some of which may close; `alive` has a bit for each that is open.
A3D_INLINE void blend_closing(const SplatRecord& s, F alpha, TilePixels& t, int at, unsigned& alive, F& open,
                              F sums[4]) {
  F weight = alpha * open, after = minus_product(open, alpha, open);
  if (const unsigned closing = bits_le(after, splat(kTransmittanceMin)) & alive) {
    const I closed = after <= kTransmittanceMin;
    t.transmittance[at] += keep(closed, open);  // 0 for those closed before
    weight = keep(~closed, weight), after = keep(~closed, after);
    alive &= ~closing;
  }
  open = after;
  sums[0] += weight * s.colour[0], sums[1] += weight * s.colour[1], sums[2] += weight * s.colour[2];
  sums[3] += weight * s.z;
}

// Blends the splats whose bits are set into vector `at`, whose first pixel is at (x, y). Returns whether a pixel of it
// is still open. Two loops, alphas first: each has a short chain of dependent operations, so that the CPU's window
// holds several turns of it; in one loop it holds fewer than two, and waits.
A3D_INLINE bool blend(const Batch& batch, uint64_t word, F x, F y, TilePixels& t, int at) {
  F alphas[kBatch];
  uint8_t which[kBatch];
  int n = 0;
  for (; word; word &= word - 1) {
    const int i = __builtin_ctzll(word);
    const SplatRecord& s = batch.splats[i];
    const F dx = x - s.x, dy = y - s.y;
    const F e = (s.log2_opacity - (s.c * dy) * dy) - (s.a * dx + s.b * dy) * dx;
    which[n] = uint8_t(i);
    alphas[n++] = min_where_ge(exp2(e), splat(kAlphaMax), e, splat(kLog2AlphaMin));
  }
  for (; n % kGroup; n++) which[n] = which[n - 1], alphas[n] = F{};  // kBatch is a multiple of kGroup
  F open = t.open[at], sums[4] = {t.red[at], t.green[at], t.blue[at], t.depth[at]};
  unsigned alive = bits_gt(open, F{});
  for (int i = 0; i < n; i += kGroup) {
    F weights[kGroup], after = open;
    for (int j = 0; j < kGroup; j++)
      weights[j] = alphas[i + j] * after, after = minus_product(after, alphas[i + j], after);
    // Closing a pixel is rare, once in its life: kept out of the common path. Transmittance only falls, so that the
    // last of the group tells for all.
    if (__builtin_expect((bits_le(after, splat(kTransmittanceMin)) & alive) != 0, 0)) {
      for (int j = 0; j < kGroup; j++)
        blend_closing(batch.splats[which[i + j]], alphas[i + j], t, at, alive, open, sums);
      if (!alive) break;
      continue;
    }
    open = after;
    for (int j = 0; j < kGroup; j++) {
      const SplatRecord& s = batch.splats[which[i + j]];
      for (int c = 0; c < 3; c++) sums[c] += weights[j] * s.colour[c];
      sums[3] += weights[j] * s.z;
    }
  }
  t.open[at] = open, t.red[at] = sums[0], t.green[at] = sums[1], t.blue[at] = sums[2], t.depth[at] = sums[3];
  return alive != 0;
}

// Word of a block: bit i is set when splat i of the batch touches it.
A3D_INLINE uint64_t block_word(const Batch& batch, int block) {
  uint64_t word = 0;
  for (int i = 0; i < kBatch; i += kLanes)
    word |= uint64_t(bits_with(*(const I*)(batch.touched + i), 1 << block)) << i;
  return word;
}

// Writes the pixels of a block's row: count of them, up to 4.
A3D_INLINE void write_quad(const SplatOutputs& out, int64_t pixel, int count, const float background[3],
                           const TilePixels& t, int block, int y) {
  const Quad left = quad_of(t.open, block, y) + quad_of(t.transmittance, block, y), alpha = 1.f - left;
  const Quad depth = quad_of(t.depth, block, y);
  const Quad red = quad_of(t.red, block, y) + left * background[0];
  const Quad green = quad_of(t.green, block, y) + left * background[1];
  const Quad blue = quad_of(t.blue, block, y) + left * background[2];
  if (count == kBlock) {
    write_rgb(out.rgb + 3 * pixel, red, green, blue);
    *(Quad*)(out.alpha + pixel) = alpha, *(Quad*)(out.depth + pixel) = depth;
    return;
  }
  for (int i = 0; i < count; i++) {
    float* rgb = out.rgb + 3 * (pixel + i);
    rgb[0] = red[i], rgb[1] = green[i], rgb[2] = blue[i];
    out.alpha[pixel + i] = alpha[i], out.depth[pixel + i] = depth[i];
  }
}

A3D_INLINE void write_tile(const SplatInputs& in, const SplatOutputs& out, int64_t view, int64_t column, int64_t row,
                           const TilePixels& t) {
  for (int y = 0; y < kTile && row + y < in.height; y++)
    for (int x = 0; x < kTile && column + x < in.width; x += kBlock) {
      const int64_t count = in.width - column - x, pixel = (view * in.height + row + y) * in.width + column + x;
      write_quad(out, pixel, count < kBlock ? int(count) : kBlock, in.background + 3 * view, t,
                 y / kBlock * (kTile / kBlock) + x / kBlock, y % kBlock);
    }
}
}  // namespace

void blend_tile(const SplatInputs& in, const SplatState& state, const SplatOutputs& out, int64_t view, int64_t tile) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const int64_t *range = state.tile_begin + view * (tiles + 1) + tile, begin = range[0], end = range[1];
  const SplatRecord* records = state.records + view * in.splats;
  const int64_t column = tile % state.tiles_x * kTile, row = tile / state.tiles_x * kTile;
  const float origin_x = float(column) + 0.5f, origin_y = float(row) + 0.5f;

  TilePixels pixels;
  for (int i = 0; i < kTileVectors; i++) {
    pixels.open[i] = splat(1.f);
    pixels.transmittance[i] = pixels.red[i] = pixels.green[i] = pixels.blue[i] = pixels.depth[i] = F{};
  }
  // Asks for the output's cache lines now: they arrive while the tile is blended.
  for (int64_t y = row; y < row + kTile && y < in.height; y++) {
    const int64_t pixel = (view * in.height + y) * in.width + column;
    for (int line = 0; line < 3; line++) __builtin_prefetch(out.rgb + 3 * pixel + 16 * line, 1);
    __builtin_prefetch(out.alpha + pixel, 1), __builtin_prefetch(out.depth + pixel, 1);
  }
  const F lx = lane_x(), ly = lane_y();
  Batch batch;
  unsigned alive = blocks_inside(in.width - column, in.height - row);  // blocks with a pixel that is open
  int64_t live = begin;  // pairs that touch an open block move to the front, for the backward pass
  for (int64_t pair = begin; pair < end && alive;) {
    int n = 0;
    for (; pair < end && n < kBatch; pair++) {
      const int64_t ahead = pair + 16 < end ? pair + 16 : end - 1;
      __builtin_prefetch(&records[state.pair_splat[ahead]]);
      const uint32_t id = state.pair_splat[pair];
      const SplatRecord& r = records[id];
      const float x = r.x - origin_x, y = r.y - origin_y;
      const unsigned blocks = blocks_touched(r, x, y) & alive;
      // Written in any case and counted only when something is touched: a branch here would be guessed wrong too often.
      state.pair_splat[live] = id, state.pair_blocks[live] = uint16_t(blocks);
      batch.touched[n] = int32_t(blocks);
      batch.splats[n] = r, batch.splats[n].x = x, batch.splats[n].y = y;
      live += blocks != 0, n += blocks != 0;
    }
    for (int i = n; i < kBatch; i++) batch.touched[i] = 0;
    for (unsigned rest = alive; rest; rest &= rest - 1) {
      const int block = __builtin_ctz(rest);
      const uint64_t word = block_word(batch, block);
      if (!word) continue;
      bool open = false;
      for (int v = 0; v < kVectors; v++)
        open |= blend(batch, word, lx + block_x(block), ly + (block_y(block) + float(v * kRows)), pixels,
                      block * kVectors + v);
      if (!open) alive &= ~(1u << block);
    }
  }
  state.tile_live[view * tiles + tile] = uint32_t(live - begin);
  write_tile(in, out, view, column, row, pixels);
}

}  // namespace a3d::A3D_ISA
