// Entry points of the GPU splat poser.
#include "gpu/pose.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/fill_run.h"
#include "gpu/launch.h"

using namespace a3d;
using namespace a3d::gpu;

namespace {
int32_t too_many(int64_t b) { return fail("%lld poses in one call; 65535 at most", (long long)b); }
constexpr int64_t kPoses = 65535;  // of a grid's second axis
}  // namespace

extern "C" {

int32_t a3d_gpu_pose_frames(const float* vertices, const int32_t* faces, int64_t b, int64_t v, int64_t f, float* frames,
                            void* stream) {
  if (b > kPoses) return too_many(b);
  const PoseFrames args = {vertices, faces, frames, v, f};
  return launch("a3d_pose_frames", {blocks_of(f, kPoseThreads), uint32_t(b)}, kPoseThreads, stream, args);
}

int32_t a3d_gpu_pose_forward(const float* means, const float* quats, const float* log_scales, const float* colours,
                             const int32_t* face, const float* bary, const float* basis_means, const float* basis_quats,
                             const float* basis_colours, const float* weights, const float* frames, int64_t n,
                             int64_t k, int64_t b, int64_t f, float* world_means, float* world_quats,
                             float* world_log_scales, float* world_colours, float* inverse_length, void* stream) {
  if (b > kPoses) return too_many(b);
  const PoseArgs args = {means,   quats,  log_scales, colours, face,       bary,        basis_means,      basis_quats,
                         basis_colours, weights, frames, n, f, int32_t(k), int32_t(b), world_means, world_quats,
                         world_log_scales, world_colours, inverse_length};
  return launch("a3d_pose_forward", {blocks_of(n, kPoseThreads), blocks_of(b, kPoseGroup)}, kPoseThreads, stream, args);
}

int32_t a3d_gpu_pose_backward(const float* means, const float* quats, const int32_t* face, const float* bary,
                              const float* basis_means, const float* basis_quats, const float* basis_colours,
                              const float* weights, const float* frames, int64_t n, int64_t k, int64_t b, int64_t f,
                              float* world_means, float* world_quats, float* inverse_length,
                              const float* g_world_means, const float* g_world_quats, const float* g_world_log_scales,
                              const float* g_world_colours, float* g_means, float* g_quats, float* g_log_scales,
                              float* g_colours, float* g_basis_means, float* g_basis_quats, float* g_basis_colours,
                              float* parts, float* g_weights, float* g_corners, void* stream) {
  const PoseArgs in = {means,         quats,   nullptr, nullptr, face,       bary,       basis_means, basis_quats,
                       basis_colours, weights, frames,  n,       f,          int32_t(k), int32_t(b),  world_means,
                       world_quats,   nullptr, nullptr, inverse_length};
  const uint32_t blocks = blocks_of(n, kPoseThreads);
  const PoseBackward args = {in,       g_world_means, g_world_quats, g_world_log_scales, g_world_colours,
                             g_means,  g_quats,       g_log_scales,  g_colours,          g_basis_means,
                             g_basis_quats, g_basis_colours, parts,  g_weights,          g_corners, int32_t(blocks)};
  if (const int code = launch("a3d_pose_backward", {blocks}, kPoseThreads, stream, args)) return code;
  return launch("a3d_pose_weights", {blocks_of(b * k, kPoseThreads)}, kPoseThreads, stream, args);
}

int32_t a3d_gpu_pose_scatter(const float* g_corners, const int32_t* face, const int32_t* faces, int64_t n, int64_t b,
                             int64_t v, float* g_vertices, void* stream) {
  if (b > kPoses) return too_many(b);
  if (const int code = fill_zero(g_vertices, 3 * b * v, stream)) return code;
  const PoseScatter args = {g_corners, face, faces, n, v, g_vertices};
  return launch("a3d_pose_scatter", {blocks_of(n, kPoseThreads), uint32_t(b)}, kPoseThreads, stream, args);
}
}
