// The C functions of the splat rasterizer: checks, workspace layout and the order of the stages.
#include "cpu/splat.h"

#include <algorithm>
#include <cstring>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"
#include "cpu/splat_bin.h"

namespace a3d {
namespace {

// Hands out aligned pieces of one block of memory; with no block it only counts.
class Carver {
 public:
  explicit Carver(uint8_t* block) : begin_(block) {}
  template <class T>
  T* take(int64_t count) {
    T* piece = begin_ ? reinterpret_cast<T*>(aligned() + used_) : nullptr;
    used_ += (count * int64_t(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
    return piece;
  }
  int64_t bytes() const { return used_ + kAlign; }  // the block itself may start anywhere

 private:
  static constexpr int64_t kAlign = 64;
  uint8_t* aligned() const {
    return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(begin_) + kAlign - 1) / kAlign * kAlign);
  }
  uint8_t* begin_;
  int64_t used_ = 0;
};

int64_t tiles_along(int64_t pixels) { return (pixels + kTile - 1) / kTile; }

SplatState carve(Carver& block, int64_t splats, int64_t views, int64_t width, int64_t height, int64_t pairs) {
  SplatState s;
  s.tiles_x = tiles_along(width), s.tiles_y = tiles_along(height);
  const int64_t tiles = s.tiles_x * s.tiles_y, all = splats * views;
  const BinPlan plan = bin_plan(splats, tiles);
  s.records = block.take<SplatRecord>(all);
  s.rects = block.take<TileRect>(all);
  s.tile_begin = block.take<int64_t>(views * (tiles + 1));
  s.tile_live = block.take<uint32_t>(views * tiles);
  s.slot_counts = block.take<uint32_t>(views);
  s.chunk_slots = block.take<uint32_t>(views * chunks_of(splats));
  s.pair_splat = block.take<uint32_t>(pairs);
  s.pair_blocks = block.take<uint16_t>(pairs);
  s.chunks = block.take<ChunkSummary>(views * chunks_of(splats));
  s.keys = block.take<uint32_t>(all);
  s.order = block.take<SortEntry>(all);
  s.spare = block.take<SortEntry>(all);
  s.group_begin = block.take<int64_t>(views * (plan.groups + 1));
  s.histogram = block.take<uint32_t>(views * plan.groups * plan.histogram);
  return s;
}

struct Scratch {
  float* slots;
  uint8_t* slot_used;
  int64_t* slot_begin;
  float* cameras;
};

Scratch carve_backward(Carver& block, int64_t splats, int64_t views, int64_t slots) {
  Scratch s;
  s.slots = block.take<float>(slots * kGradients);
  s.slot_used = block.take<uint8_t>(slots);
  s.slot_begin = block.take<int64_t>(views + 1);
  s.cameras = block.take<float>(views * chunks_of(splats) * kCameraGradients);
  return s;
}

int check(const SplatInputs& in) {
  if (in.bases != 1 && in.bases != 4 && in.bases != 9 && in.bases != 16)
    return fail("sh has %lld bases; use 1, 4, 9 or 16 (degree 0 to 3)", (long long)in.bases);
  if (in.width < 1 || in.height < 1 || tiles_along(in.width) > 65535 || tiles_along(in.height) > 65535)
    return fail("image size %lld x %lld is out of range", (long long)in.width, (long long)in.height);
  if (in.splats < 0 || in.splats >= int64_t(kHidden) || in.views < 1)
    return fail("%lld splats in %lld views are out of range", (long long)in.splats, (long long)in.views);
  return 0;
}
}  // namespace

static void sum_cameras(const Scratch& scratch, int64_t views, int64_t chunks, float* out) {
  for (int64_t view = 0; view < views; view++)
    for (int k = 0; k < kCameraGradients; k++) {
      double total = 0;  // in double: the chunks of a large gradient may nearly cancel
      for (int64_t chunk = 0; chunk < chunks; chunk++)
        total += scratch.cameras[(view * chunks + chunk) * kCameraGradients + k];
      out[view * kCameraGradients + k] = float(total);
    }
}
}  // namespace a3d

using namespace a3d;

extern "C" int32_t a3d_splat_workspace(int64_t splats, int64_t views, int64_t width, int64_t height, int64_t pairs,
                                       int64_t* bytes) {
  Carver count(nullptr);
  carve(count, splats, views, width, height, pairs);
  *bytes = count.bytes();
  return 0;
}

extern "C" int32_t a3d_splat_forward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                     const float* means, const float* quats, const float* log_scales,
                                     const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                     const float* intrinsics, int32_t many_cameras, const float* background,
                                     uint8_t* workspace, int64_t pairs, float* rgb, float* alpha, float* depth,
                                     int64_t* counts, int32_t threads) {
  const SplatInputs in = {splats, views, bases, width, height, means, quats, log_scales, logits, sh, many_poses != 0,
                          many_cameras != 0, w2c, intrinsics, background};
  if (const int code = check(in)) return code;
  Carver block(workspace);
  const SplatState state = carve(block, splats, views, width, height, pairs);
  const int64_t chunks = chunks_of(splats), tiles = state.tiles_x * state.tiles_y;

  const auto project = A3D_PICK(project_splats);
  Pool::run(views * chunks, threads, [&](int64_t task) {
    const int64_t begin = task % chunks * kChunk;
    project(in, state, task / chunks, begin, std::min(splats, begin + kChunk));
  });
  sort_by_depth(in, state, threads);
  counts[0] = place_pairs(in, state);
  counts[1] = 0;
  for (int64_t view = 0; view < views; view++) {
    if (state.slot_counts[view] == UINT32_MAX) return fail("splats cover too many tiles; are their scales sane?");
    counts[1] += state.slot_counts[view];
  }
  if (counts[0] > pairs) return 0;
  list_pairs(in, state, threads);

  const SplatOutputs out = {rgb, alpha, depth};
  const auto blend = A3D_PICK(blend_tile);
  Pool::run(views * tiles, threads, [&](int64_t task) { blend(in, state, out, task / tiles, task % tiles); });
  return 0;
}

extern "C" int32_t a3d_splat_backward_workspace(int64_t splats, int64_t views, int64_t slots, int64_t* bytes) {
  Carver count(nullptr);
  carve_backward(count, splats, views, slots);
  *bytes = count.bytes();
  return 0;
}

extern "C" int32_t a3d_splat_backward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                      const float* means, const float* quats, const float* log_scales,
                                      const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                      const float* intrinsics, int32_t many_cameras, const float* background,
                                      uint8_t* workspace, int64_t pairs, const float* rgb, const float* alpha,
                                      const float* depth, const float* grad_rgb, const float* grad_alpha,
                                      const float* grad_depth, int64_t slots, uint8_t* scratch_block, float* grad_means,
                                      float* grad_quats, float* grad_log_scales, float* grad_logits, float* grad_sh,
                                      float* grad_cameras, int32_t threads) {
  const SplatInputs in = {splats, views, bases, width, height, means, quats, log_scales, logits, sh, many_poses != 0,
                          many_cameras != 0, w2c, intrinsics, background};
  if (const int code = check(in)) return code;
  Carver block(workspace), more(scratch_block);
  const SplatState state = carve(block, splats, views, width, height, pairs);
  const Scratch scratch = carve_backward(more, splats, views, slots);
  const int64_t chunks = chunks_of(splats), tiles = state.tiles_x * state.tiles_y;
  scratch.slot_begin[0] = 0;
  for (int64_t view = 0; view < views; view++)
    scratch.slot_begin[view + 1] = scratch.slot_begin[view] + state.slot_counts[view];
  if (scratch.slot_begin[views] != slots) return fail("the workspace does not belong to these splats");
  std::memset(scratch.slot_used, 0, slots);

  const SplatCotangents cotangents = {rgb, alpha, depth, grad_rgb, grad_alpha, grad_depth,
                                      scratch.slots, scratch.slot_used, scratch.slot_begin};
  const auto blend = A3D_PICK(blend_tile_backward);
  Pool::run(views * tiles, threads, [&](int64_t task) { blend(in, state, cotangents, task / tiles, task % tiles); });

  if (grad_cameras) std::memset(scratch.cameras, 0, views * chunks * kCameraGradients * sizeof(float));
  const SplatGradients out = {grad_means, grad_quats, grad_log_scales, grad_logits, grad_sh,
                              grad_cameras ? scratch.cameras : nullptr};
  const auto project = A3D_PICK(project_splats_backward);
  // Splats shared by all views sum over them inside one task; otherwise every view has its own.
  const int64_t groups = many_poses ? views : 1;
  Pool::run(groups * chunks, threads, [&](int64_t task) {
    const int64_t begin = task % chunks * kChunk;
    project(in, state, cotangents, out, task / chunks, many_poses ? 1 : views, begin, std::min(splats, begin + kChunk));
  });
  if (grad_cameras) sum_cameras(scratch, views, chunks, grad_cameras);
  return 0;
}
