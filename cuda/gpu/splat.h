// The GPU splat rasterizer: data that its kernels share.
//
// Stages: project (splat_project.cu) -> sort by depth (sort.cu) -> list per tile in that order, sort by tile, stably
// (splat_bin.cu) -> blend (splat_blend.cu); backward: blend again with gradients (splat_blend_backward.cu) -> add them
// up (splat_sums.cu) and undo the projection (splat_project_backward.cu). splat_api.cpp runs them. All views are in one
// launch of each.
#pragma once
#include "math/integers.h"
#include "math/raster.h"

namespace a3d::gpu {

constexpr int kProjectThreads = 128;  // one splat each
constexpr int kBinThreads = 256;      // one splat or pair each
constexpr int kBlendThreads = kTile * kTile;
constexpr int kBlendBatch = 256;          // splats in shared memory at a time, 12 kB: one loaded by each thread
constexpr int kBlendBackwardBatch = 64;   // 3 kB, and 20 kB for the sums of eight warps
constexpr int kColumns = 9;               // a splat's sums in a tile: v, v dx, v dy, v dx^2, v dx dy, v dy^2, red, green,
constexpr int kDepthColumns = 10;         // blue, and depth where it is wanted; v = alpha dL/dalpha

// A splat as the tiles read it. The exponent is log2_opacity - (a dx^2 + b dx dy + c dy^2), base 2.
struct alignas(16) SplatRecord {
  float x, y, a, b;
  float c, log2_opacity, slope_x, slope_y;  // slopes: -b / 2a and -b / 2c, where the ellipse is nearest along a line
  float red, green, blue, z;
};

// The tiles that a splat may touch; none when it is not drawn.
struct alignas(8) TileRect {
  uint16_t x, y, wide, high;
};

// A range of pairs or of slots.
struct alignas(8) Range {
  uint32_t begin, end;
};

// Inputs: see a3d_gpu_splat_forward.
struct SplatScene {
  const float *means, *quats, *log_scales, *logits, *sh, *w2c, *intrinsics, *background;
  int64_t splats;
  int32_t views, width, height, many_poses, many_cameras;
  int32_t tiles_x, tiles_y;
};

// Arrays inside the caller's workspace. A splat of a view is number view * splats + index; a tile likewise.
struct SplatState {
  SplatRecord* records;
  TileRect* rects;
  Range* slots;        // of each splat: its pairs before they were sorted, which are its gradient slots
  Range* tiles;        // of each tile: its pairs, near to far
  uint32_t* listed;    // pairs: the splat,
  uint32_t* slot_of;   // and its slot
  uint32_t *keys[2], *order[2];            // depths as sortable bits, numbers of splats
  uint32_t* begins;                        // by depth: tiles reached, then the first slot
  uint32_t *pair_tiles[2], *pair_slots[2]; // pairs by slot, then by tile
  uint32_t* pair_splats;                   // by slot
  uint32_t *histogram, *sums;              // scratch of sorts and scans
};

struct SplatForward {
  SplatScene scene;
  SplatState state;
  float *rgb, *alpha, *depth;
  unsigned long long* counts;  // pairs needed
  int64_t room;                // pairs there is room for
  int32_t from;                // which of two buffers a sort left its answer in
};

struct SplatBackward {
  SplatScene scene;
  SplatState state;
  const float *rgb, *alpha, *depth;
  const float *grad_rgb, *grad_alpha, *grad_depth;                     // any may be null
  float* slots;                                                        // `columns` floats each
  float* sums;                                                         // of each splat: kDepthColumns floats
  float *grad_means, *grad_quats, *grad_log_scales, *grad_logits, *grad_sh;  // any may be null
  float *camera_parts, *grad_cameras;                                  // views x blocks x 16; null when not wanted
  int32_t columns, blocks;
};

}  // namespace a3d::gpu
