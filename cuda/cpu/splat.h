// The CPU splat rasterizer: data that its stages share, and the loops compiled per instruction set.
//
// Stages: project (splat_project.cpp) -> depth sort and tile lists (splat_bin.cpp) -> blend (splat_blend.cpp);
// backward: blend again with gradients (splat_blend_backward.cpp) -> reduce and undo the projection
// (splat_project_backward.cpp). splat.cpp runs them. Tiles are 16x16 pixels, cut into sixteen 4x4 blocks.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"
#include "math/raster.h"

namespace a3d {

// The tiles that a splat may touch, none when it is not drawn; and its first gradient slot, counted from the chunk's
// (SplatState::chunk_slots): one slot per tile, row by row.
struct TileRect {
  uint16_t x, y, wide, high;
  uint32_t slot;
  uint32_t count() const { return uint32_t(wide) * high; }
};

// A splat as the tiles read it: one cache line. The exponent is log2_opacity - (a dx^2 + b dx dy + c dy^2), base 2.
struct alignas(64) SplatRecord {
  float x, y, a, b, c, log2_opacity, colour[3], z;
  float slope_x, slope_y;  // -b / 2a and -b / 2c: where the ellipse is nearest along a row or column
  TileRect rect;
};

// What the projection knows about kChunk splats, for the sort.
struct ChunkSummary {
  uint32_t nearest, farthest, drawn;  // depth keys, number
  uint64_t slots;
};

// A splat in the depth sort.
struct SortEntry {
  uint32_t key, splat;
};

// What a tile adds to a splat's gradient: v = alpha dL/dalpha over the pixels, with moments about the splat's centre.
constexpr int kGradients = 12;
enum { kV, kVx, kVy, kVxx, kVxy, kVyy, kRed, kGreen, kBlue, kDepth };

struct SplatInputs {
  int64_t splats, views, bases, width, height;
  const float *means, *quats, *log_scales, *logits, *sh;
  bool many_poses, many_cameras;
  const float *w2c, *intrinsics, *background;  // background: views x 3
  int64_t pose(int64_t view) const { return many_poses ? view : 0; }
};

// Arrays inside the caller's workspace; they live from forward to backward.
struct SplatState {
  SplatRecord* records;  // views x splats
  TileRect* rects;       // views x splats
  ChunkSummary* chunks;  // views x chunks
  uint32_t* keys;        // views x splats: depth as sortable bits, kHidden when not drawn
  SortEntry* order;      // views x splats: the drawn ones, near to far
  SortEntry* spare;      // views x splats, scratch of the sort
  int64_t* group_begin;  // views x (groups + 1): ranges of `order` that are sorted and listed as tasks
  uint32_t* slot_counts; // views: slots in all
  uint32_t* chunk_slots; // views x chunks: the first slot of each
  uint32_t* histogram;   // scratch of sort and binning
  int64_t* tile_begin;   // views x (tiles + 1): ranges of pairs
  uint32_t* tile_live;   // views x tiles: pairs kept at the front of the range by the forward pass
  uint32_t* pair_splat;  // the pairs: which splat,
  uint16_t* pair_blocks; // and which of the tile's blocks it touches
  int64_t tiles_x, tiles_y;
};

struct SplatOutputs {
  float *rgb, *alpha, *depth;
};

struct SplatCotangents {
  const float *rgb, *alpha, *depth;                   // forward results
  const float *grad_rgb, *grad_alpha, *grad_depth;    // any may be null
  float* slots;                                       // kGradients floats per slot
  uint8_t* slot_used;
  const int64_t* slot_begin;                          // views + 1
};

struct SplatGradients {
  float *means, *quats, *log_scales, *logits, *sh;  // any may be null
  float* cameras;                                   // per chunk x kCameraGradients, or null
};
constexpr int64_t kChunk = 1024;      // splats per task of the projections; fixes the order of sums
inline int64_t chunks_of(int64_t splats) { return (splats + kChunk - 1) / kChunk; }

}  // namespace a3d

A3D_FOR_EACH_ISA(
    void project_splats(const SplatInputs& in, const SplatState& state, int64_t view, int64_t begin, int64_t end);
    void blend_tile(const SplatInputs& in, const SplatState& state, const SplatOutputs& out, int64_t view,
                    int64_t tile);
    void blend_tile_backward(const SplatInputs& in, const SplatState& state, const SplatCotangents& cotangents,
                             int64_t view, int64_t tile);
    void project_splats_backward(const SplatInputs& in, const SplatState& state, const SplatCotangents& cotangents,
                                 const SplatGradients& out, int64_t first_view, int64_t views, int64_t begin,
                                 int64_t end);
)
