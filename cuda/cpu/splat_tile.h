// What the forward and the backward blend share: the 4x4 blocks of a tile and the test of which of them a splat
// touches.
#pragma once
#include "cpu/simd.h"
#include "cpu/splat.h"
#include "math/splat.h"

namespace a3d::A3D_ISA {

constexpr int kBlock = 4, kBlocks = 16;            // pixels on a side, blocks in a tile
constexpr int kVectors = kBlock * kBlock / kLanes; // vectors in a block: 1, 2 or 4
constexpr int kRows = kLanes / kBlock;             // rows of a block in one vector

A3D_INLINE float block_x(int block) { return float((block & 3) * kBlock); }
A3D_INLINE float block_y(int block) { return float((block >> 2) * kBlock); }

// Column and row of each lane within its block; row is that of the block's first vector.
A3D_INLINE F lane_x() {
  F v;
  for (int i = 0; i < kLanes; i++) v[i] = float(i % kBlock);
  return v;
}
A3D_INLINE F lane_y() {
  F v;
  for (int i = 0; i < kLanes; i++) v[i] = float(i / kBlock);
  return v;
}

// Pixels as vectors: `block * kVectors + v`, lanes row by row; so that row y of a block is four floats in a row.
constexpr int kTileVectors = kBlocks * kVectors;
typedef float Quad __attribute__((vector_size(16), aligned(4)));

A3D_INLINE Quad& quad_of(F* vectors, int block, int y) { return *((Quad*)vectors + block * kBlock + y); }
A3D_INLINE Quad quad_of(const F* vectors, int block, int y) { return *((const Quad*)vectors + block * kBlock + y); }

// Four pixels of interleaved rgb, from and to planes.
A3D_INLINE void write_rgb(float* out, Quad r, Quad g, Quad b) {
  const Quad low = __builtin_shufflevector(r, g, 0, 4, 1, 5), high = __builtin_shufflevector(r, g, 2, 6, 3, 7);
  const Quad middle = __builtin_shufflevector(low, b, 3, 5, 3, 5);
  *(Quad*)out = __builtin_shufflevector(low, b, 0, 1, 4, 2);
  *(Quad*)(out + 4) = __builtin_shufflevector(middle, high, 0, 1, 4, 5);
  *(Quad*)(out + 8) = __builtin_shufflevector(high, b, 6, 2, 3, 7);
}
A3D_INLINE void read_rgb(const float* in, Quad& r, Quad& g, Quad& b) {
  const Quad i = *(const Quad*)in, j = *(const Quad*)(in + 4), k = *(const Quad*)(in + 8);
  r = __builtin_shufflevector(__builtin_shufflevector(i, j, 0, 3, 6, 6), k, 0, 1, 2, 5);
  g = __builtin_shufflevector(__builtin_shufflevector(i, j, 1, 4, 7, 7), k, 0, 1, 2, 6);
  b = __builtin_shufflevector(__builtin_shufflevector(i, j, 2, 5, 5, 5), k, 0, 1, 4, 7);
}

// Blocks with a pixel inside the image, one bit each; columns and rows: pixels of the tile inside it.
A3D_INLINE unsigned blocks_inside(int64_t columns, int64_t rows) {
  unsigned inside = 0;
  for (int block = 0; block < kBlocks; block++)
    inside |= unsigned(block_x(block) < float(columns) && block_y(block) < float(rows)) << block;
  return inside;
}

// Bit k is set when the ellipse alpha >= 1/255 reaches a pixel centre of block k; (x, y) is the splat's centre relative
// to the tile's first pixel centre. One test for kLanes blocks at a time; see `reaches` in splat_bin.cpp.
A3D_INLINE unsigned blocks_touched(const SplatRecord& r, float x, float y) {
  const F a = splat(r.a), b = splat(r.b), c = splat(r.c), slope_x = splat(r.slope_x), slope_y = splat(r.slope_y);
  const F limit = splat((r.log2_opacity - kLog2AlphaMin) * 1.00001f + 1e-5f);  // rounding must not lose a pixel
  unsigned touched = 0;
  for (int first = 0; first < kBlocks; first += kLanes) {
    F left, top;
    for (int i = 0; i < kLanes; i++) left[i] = block_x(first + i), top[i] = block_y(first + i);
    left -= x, top -= y;
    const F right = left + float(kBlock - 1), bottom = top + float(kBlock - 1);
    const F px = min(right, max(left, F{})), py = min(bottom, max(top, F{}));
    const F ny = min(bottom, max(top, px * slope_y)), nx = min(right, max(left, py * slope_x));
    const F q = min((a * px + b * ny) * px + c * ny * ny, (a * nx + b * py) * nx + c * py * py);
    touched |= bits_le(q, limit) << first;
  }
  return touched;
}

}  // namespace a3d::A3D_ISA
