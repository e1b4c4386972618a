// The C functions of the GPU splat rasterizer: checks, workspace layout and the order of the launches.
#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/carver.h"
#include "gpu/launch.h"
#include "gpu/sort_run.h"
#include "gpu/splat.h"

namespace a3d::gpu {
namespace {

int64_t tiles_of(const SplatScene& s) { return int64_t(s.views) * s.tiles_x * s.tiles_y; }

// Bits of the largest number below n.
int bits_below(int64_t n) {
  int bits = 1;
  while (bits < 32 && (int64_t(1) << bits) < n) bits++;
  return bits;
}

SplatState carve(Carver& block, const SplatScene& scene, int64_t room) {
  const int64_t all = scene.splats * scene.views, most = all > room ? all : room;
  SplatState s;
  s.records = block.take<SplatRecord>(all), s.rects = block.take<TileRect>(all), s.slots = block.take<Range>(all);
  s.tiles = block.take<Range>(tiles_of(scene));
  s.listed = block.take<uint32_t>(room), s.slot_of = block.take<uint32_t>(room);
  for (int i = 0; i < 2; i++) s.keys[i] = block.take<uint32_t>(all), s.order[i] = block.take<uint32_t>(all);
  s.begins = block.take<uint32_t>(all);
  for (int i = 0; i < 2; i++)
    s.pair_tiles[i] = block.take<uint32_t>(room), s.pair_slots[i] = block.take<uint32_t>(room);
  s.pair_splats = block.take<uint32_t>(room);
  s.histogram = block.take<uint32_t>(sort_histogram(most));
  const int64_t scanned = sort_histogram(most) > all ? sort_histogram(most) : all;
  s.sums = block.take<uint32_t>(scan_sums(scanned));
  return s;
}

SplatScene scene_of(int64_t splats, int64_t views, int64_t width, int64_t height) {
  SplatScene s = {};
  s.splats = splats, s.views = int32_t(views), s.width = int32_t(width), s.height = int32_t(height);
  s.tiles_x = int32_t((width + kTile - 1) / kTile), s.tiles_y = int32_t((height + kTile - 1) / kTile);
  return s;
}

int check(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height) {
  if (bases != 1 && bases != 4 && bases != 9 && bases != 16)
    return fail("sh has %lld bases; use 1, 4, 9 or 16 (degree 0 to 3)", (long long)bases);
  if (width < 1 || height < 1 || width > 65535 * kTile || height > 65535 * kTile)
    return fail("image size %lld x %lld is out of range", (long long)width, (long long)height);
  if (splats < 0 || views < 1 || views > 65535 || splats * views >= int64_t(kHidden))
    return fail("%lld splats in %lld views are out of range", (long long)splats, (long long)views);
  const int64_t tiles = views * ((width + kTile - 1) / kTile) * ((height + kTile - 1) / kTile);
  if (tiles > INT32_MAX)
    return fail("%lld views of %lld x %lld are too many tiles", (long long)views, (long long)width, (long long)height);
  return 0;
}

const char* by_bases(int64_t bases, const char* of1, const char* of4, const char* of9, const char* of16) {
  return bases == 1 ? of1 : bases == 4 ? of4 : bases == 9 ? of9 : of16;
}

// The stages up to and with the lists of the tiles.
int list(SplatForward& args, int64_t bases, void* stream) {
  const SplatScene& scene = args.scene;
  const SplatState& s = args.state;
  const int64_t all = scene.splats * scene.views;
  const uint32_t over_splats = blocks_of(all, kBinThreads);
  const Grid over_views = {blocks_of(scene.splats, kProjectThreads), uint32_t(scene.views)};
  const char* project = by_bases(bases, "a3d_splat_project_1", "a3d_splat_project_4", "a3d_splat_project_9",
                                 "a3d_splat_project_16");
  const Grid over_tiles = {blocks_of(tiles_of(scene), kBinThreads)};
  if (const int code = launch("a3d_splat_begin", over_tiles, kBinThreads, stream, args)) return code;
  if (const int code = launch(project, over_views, kProjectThreads, stream, args)) return code;

  const SortBuffers by_depth = {{s.keys[0], s.keys[1]}, {s.order[0], s.order[1]}, s.histogram, s.sums};
  if (const int code = sort(by_depth, nullptr, all, 32, &args.from, stream)) return code;
  if (const int code = launch("a3d_splat_reach", {over_splats}, kBinThreads, stream, args)) return code;
  if (const int code = scan(s.begins, s.sums, all, stream)) return code;
  if (const int code = launch("a3d_splat_pairs", {over_splats}, kBinThreads, stream, args)) return code;

  const SortBuffers by_tile = {
      {s.pair_tiles[0], s.pair_tiles[1]}, {s.pair_slots[0], s.pair_slots[1]}, s.histogram, s.sums};
  const int64_t* pairs = reinterpret_cast<const int64_t*>(args.counts);
  if (const int code = sort(by_tile, pairs, args.room, bits_below(tiles_of(scene)), &args.from, stream)) return code;
  return launch("a3d_splat_tiles", {blocks_of(args.room, kBinThreads)}, kBinThreads, stream, args);
}
}  // namespace
}  // namespace a3d::gpu

using namespace a3d;
using namespace a3d::gpu;

extern "C" int32_t a3d_gpu_splat_workspace(int64_t splats, int64_t views, int64_t width, int64_t height, int64_t pairs,
                                           int64_t* bytes) {
  Carver count(nullptr);
  carve(count, scene_of(splats, views, width, height), pairs);
  *bytes = count.bytes();
  return 0;
}

extern "C" int32_t a3d_gpu_splat_forward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                         const float* means, const float* quats, const float* log_scales,
                                         const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                         const float* intrinsics, int32_t many_cameras, const float* background,
                                         uint8_t* workspace, int64_t pairs, float* rgb, float* alpha, float* depth,
                                         int64_t* counts, void* stream) {
  if (const int code = check(splats, views, bases, width, height)) return code;
  if (pairs < 0 || pairs > INT32_MAX) return fail("room for %lld pairs is out of range", (long long)pairs);
  SplatForward args = {};
  SplatScene& scene = args.scene = scene_of(splats, views, width, height);
  scene.means = means, scene.quats = quats, scene.log_scales = log_scales, scene.logits = logits, scene.sh = sh;
  scene.w2c = w2c, scene.intrinsics = intrinsics, scene.background = background;
  scene.many_poses = many_poses, scene.many_cameras = many_cameras;
  Carver block(workspace);
  args.state = carve(block, scene, pairs);
  args.rgb = rgb, args.alpha = alpha, args.depth = depth, args.room = pairs;
  args.counts = reinterpret_cast<unsigned long long*>(counts);
  if (const int code = list(args, bases, stream)) return code;
  const Grid over_tiles = {uint32_t(scene.tiles_x * scene.tiles_y), uint32_t(views)};
  return launch("a3d_splat_blend", over_tiles, kBlendThreads, stream, args);
}

extern "C" int32_t a3d_gpu_splat_backward_workspace(int64_t splats, int64_t views, int64_t slots, int64_t* bytes) {
  Carver count(nullptr);
  count.take<float>(slots * kDepthColumns);
  count.take<float>(views * splats * kDepthColumns);
  count.take<float>(views * blocks_of(splats, kProjectThreads) * kCameraGradients);
  *bytes = count.bytes();
  return 0;
}

extern "C" int32_t a3d_gpu_splat_backward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                          const float* means, const float* quats, const float* log_scales,
                                          const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                          const float* intrinsics, int32_t many_cameras, const float* background,
                                          uint8_t* workspace, int64_t pairs, const float* rgb, const float* alpha,
                                          const float* depth, const float* grad_rgb, const float* grad_alpha,
                                          const float* grad_depth, int64_t slots, uint8_t* scratch, float* grad_means,
                                          float* grad_quats, float* grad_log_scales, float* grad_logits, float* grad_sh,
                                          float* grad_cameras, void* stream) {
  if (const int code = check(splats, views, bases, width, height)) return code;
  if (slots < 0 || slots > pairs)
    return fail("%lld slots do not belong to %lld pairs", (long long)slots, (long long)pairs);
  SplatBackward args = {};
  SplatScene& scene = args.scene = scene_of(splats, views, width, height);
  scene.means = means, scene.quats = quats, scene.log_scales = log_scales, scene.logits = logits, scene.sh = sh;
  scene.w2c = w2c, scene.intrinsics = intrinsics, scene.background = background;
  scene.many_poses = many_poses, scene.many_cameras = many_cameras;
  Carver block(workspace), more(scratch);
  args.state = carve(block, scene, pairs);
  args.rgb = rgb, args.alpha = alpha, args.depth = depth;
  args.grad_rgb = grad_rgb, args.grad_alpha = grad_alpha, args.grad_depth = grad_depth;
  args.columns = grad_depth ? kDepthColumns : kColumns, args.blocks = int32_t(blocks_of(splats, kProjectThreads));
  args.slots = more.take<float>(slots * kDepthColumns);
  args.sums = more.take<float>(views * splats * kDepthColumns);
  args.camera_parts = more.take<float>(views * args.blocks * kCameraGradients);
  args.grad_means = grad_means, args.grad_quats = grad_quats, args.grad_log_scales = grad_log_scales;
  args.grad_logits = grad_logits, args.grad_sh = grad_sh, args.grad_cameras = grad_cameras;

  const Grid over_tiles = {uint32_t(scene.tiles_x * scene.tiles_y), uint32_t(views)};
  const char* blend = grad_depth ? "a3d_splat_blend_backward_depth" : "a3d_splat_blend_backward";
  if (const int code = launch(blend, over_tiles, kBlendThreads, stream, args)) return code;
  const Grid over_splats = {blocks_of(splats * views, kBinThreads)};
  if (const int code = launch("a3d_splat_sums", over_splats, kBinThreads, stream, args)) return code;
  const char* project =
      grad_cameras ? by_bases(bases, "a3d_splat_project_backward_1_camera", "a3d_splat_project_backward_4_camera",
                              "a3d_splat_project_backward_9_camera", "a3d_splat_project_backward_16_camera")
                   : by_bases(bases, "a3d_splat_project_backward_1", "a3d_splat_project_backward_4",
                              "a3d_splat_project_backward_9", "a3d_splat_project_backward_16");
  const Grid over_poses = {uint32_t(args.blocks), many_poses ? uint32_t(views) : 1u};
  if (const int code = launch(project, over_poses, kProjectThreads, stream, args)) return code;
  if (!grad_cameras) return 0;
  return launch("a3d_splat_cameras", {kCameraGradients, uint32_t(views)}, 32, stream, args);
}
