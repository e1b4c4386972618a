// Front-to-back blending of one tile: colour, transmittance and depth.
#include "cpu/simd.h"
#include "cpu/splat.h"
#include "cpu/splat_tile.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kBatch = 64;  // splats blended at a time: one bit each in a block's word

// The fields that blending reads, relative to the tile, packed so that a batch stays in the first-level cache.
struct Packed {
  float x, y, a, b, c, log2_opacity, red, green, blue, z;
};

// A vector of pixels.
struct Pixels {
  F open;           // transmittance, 0 once the pixel is done
  F transmittance;  // the same, kept when it is done
  F red, green, blue, depth;
};

// Blends the splats whose bits are set into one vector of pixels at (x, y); returns false when all of them are done.
A3D_INLINE bool blend(const Packed* batch, uint64_t word, F x, F y, Pixels& pixels) {
  Pixels p = pixels;
  bool alive = true;
  do {
    const Packed& s = batch[__builtin_ctzll(word)];
    word &= word - 1;
    const F dx = x - s.x, dy = y - s.y;
    const F e = s.log2_opacity - (s.a * dx + s.b * dy) * dx - (s.c * dy) * dy;
    const F alpha = keep(e >= kLog2AlphaMin, min(exp2(e), splat(kAlphaMax)));
    F weight = alpha * p.open;
    const F after = p.open - weight;
    const I open = after > kTransmittanceMin;
    weight = keep(open, weight);
    p.transmittance = select(open, after, p.transmittance);
    p.open = keep(open, after);
    p.red += weight * s.red, p.green += weight * s.green, p.blue += weight * s.blue, p.depth += weight * s.z;
    if (__builtin_expect(!any(open), 0)) {
      alive = false;
      break;
    }
  } while (word);
  pixels = p;
  return alive;
}

// Word of a block: bit i is set when splat i of the batch touches it.
A3D_INLINE uint64_t block_word(const int32_t* touched, int block) {
  uint64_t word = 0;
  for (int i = 0; i < kBatch; i += kLanes) word |= uint64_t(bits((*(const I*)(touched + i) << (31 - block)) >> 31)) << i;
  return word;
}
}  // namespace

void blend_tile(const SplatInputs& in, const SplatState& state, const SplatOutputs& out, int64_t view, int64_t tile) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const int64_t *range = state.tile_begin + view * (tiles + 1) + tile, begin = range[0], end = range[1];
  const SplatRecord* records = state.records + view * in.splats;
  const int64_t column = tile % state.tiles_x * kTile, row = tile / state.tiles_x * kTile;
  const float origin_x = float(column) + 0.5f, origin_y = float(row) + 0.5f;

  Pixels pixels[kBlocks * kVectors];
  for (Pixels& p : pixels) p = {splat(1.f), splat(1.f), F{}, F{}, F{}, F{}};
  const F lx = lane_x(), ly = lane_y();
  alignas(64) int32_t touched[kBatch];
  Packed batch[kBatch];
  unsigned alive = (1u << kBlocks) - 1;  // blocks with a pixel that is not done
  int64_t live = begin;                  // pairs that touch an open block move to the front, for the backward pass
  for (int64_t pair = begin; pair < end && alive;) {
    int n = 0;
    for (; pair < end && n < kBatch; pair++) {
      const int64_t ahead = pair + 16 < end ? pair + 16 : end - 1;
      __builtin_prefetch(&records[state.pair_splat[ahead]]);
      const uint32_t id = state.pair_splat[pair];
      const SplatRecord& r = records[id];
      const float x = r.x - origin_x, y = r.y - origin_y;
      const unsigned blocks = blocks_touched(r, x, y) & alive;
      if (!blocks) continue;
      state.pair_splat[live] = id, state.pair_blocks[live++] = uint16_t(blocks);
      touched[n] = int32_t(blocks);
      batch[n++] = {x, y, r.a, r.b, r.c, r.log2_opacity, r.colour[0], r.colour[1], r.colour[2], r.z};
    }
    for (int i = n; i < kBatch; i++) touched[i] = 0;
    for (unsigned rest = alive; rest; rest &= rest - 1) {
      const int block = __builtin_ctz(rest);
      const uint64_t word = block_word(touched, block);
      if (!word) continue;
      bool open = false;
      for (int v = 0; v < kVectors; v++)
        open |= blend(batch, word, lx + block_x(block), ly + (block_y(block) + float(v * kRows)), pixels[block * kVectors + v]);
      if (!open) alive &= ~(1u << block);
    }
  }
  state.tile_live[view * tiles + tile] = uint32_t(live - begin);

  const float* background = in.background + 3 * view;
  for (int block = 0; block < kBlocks; block++)
    for (int i = 0; i < kBlock * kBlock; i++) {
      const int64_t x = column + (block & 3) * kBlock + i % kBlock, y = row + (block >> 2) * kBlock + i / kBlock;
      if (x >= in.width || y >= in.height) continue;
      const Pixels& p = pixels[block * kVectors + i / kLanes];
      const int lane = i % kLanes;
      const int64_t pixel = (view * in.height + y) * in.width + x;
      const float t = p.transmittance[lane];
      out.rgb[3 * pixel] = p.red[lane] + t * background[0];
      out.rgb[3 * pixel + 1] = p.green[lane] + t * background[1];
      out.rgb[3 * pixel + 2] = p.blue[lane] + t * background[2];
      out.alpha[pixel] = 1.f - t;
      out.depth[pixel] = p.depth[lane];
    }
}

}  // namespace a3d::A3D_ISA
