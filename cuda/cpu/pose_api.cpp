// Entry points of the splat poser.
#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"
#include "cpu/pose.h"

namespace {
using namespace a3d;
int64_t chunks(int64_t n) { return (n + kPoseChunk - 1) / kPoseChunk; }
}  // namespace

extern "C" {

int32_t a3d_pose_frames(const float* vertices, const int32_t* faces, int64_t b, int64_t v, int64_t f, float* frames,
                        int32_t threads) {
  for (int64_t i = 0; i < 3 * f; i++)
    if (faces[i] < 0 || faces[i] >= v)
      return fail("face %lld names vertex %d of %lld", (long long)(i / 3), faces[i], (long long)v);
  constexpr int64_t kFaces = 1024;  // a task
  const int64_t tasks = (f + kFaces - 1) / kFaces;
  const auto loop = A3D_PICK(pose_frames);
  Pool::run(b * tasks, threads, [&](int64_t task) {
    const int64_t pose = task / tasks, begin = task % tasks * kFaces;
    loop(vertices + 3 * v * pose, faces, begin, begin + kFaces < f ? begin + kFaces : f,
         reinterpret_cast<PoseFrame*>(frames) + f * pose);
  });
  return 0;
}

int32_t a3d_pose_forward(const float* means, const float* quats, const float* log_scales, const float* colours,
                         const int32_t* face, const float* bary, const float* basis_means, const float* basis_quats,
                         const float* basis_colours, const float* weights, const float* frames, int64_t n, int64_t k,
                         int64_t b, int64_t f, float* world_means, float* world_quats, float* world_log_scales,
                         float* world_colours, float* inverse_length, int32_t threads) {
  for (int64_t i = 0; i < n; i++)
    if (face[i] < 0 || face[i] >= f)
      return fail("splat %lld is bound to face %d of %lld", (long long)i, face[i], (long long)f);
  const auto* moving = reinterpret_cast<const PoseFrame*>(frames);
  const PoseSplats splats{means,       quats,         log_scales, colours, face, bary, basis_means,
                          basis_quats, basis_colours, weights,    moving,  n,    k,    b,           f};
  const PoseWorld world{world_means, world_quats, world_log_scales, world_colours, inverse_length};
  const auto loop = A3D_PICK(pose_forward);
  Pool::run(chunks(n), threads, [&](int64_t chunk) { loop(splats, world, chunk); });
  return 0;
}

int32_t a3d_pose_backward(const float* means, const float* quats, const int32_t* face, const float* bary,
                          const float* basis_means, const float* basis_quats, const float* basis_colours,
                          const float* weights, const float* frames, int64_t n, int64_t k, int64_t b, int64_t f,
                          float* world_means, float* world_quats, float* inverse_length, const float* g_world_means,
                          const float* g_world_quats, const float* g_world_log_scales, const float* g_world_colours,
                          float* g_means, float* g_quats, float* g_log_scales, float* g_colours, float* g_basis_means,
                          float* g_basis_quats, float* g_basis_colours, float* parts, float* g_weights,
                          float* g_corners, int32_t threads) {
  const auto* moving = reinterpret_cast<const PoseFrame*>(frames);
  const PoseSplats splats{means,       quats,         nullptr, nullptr, face, bary, basis_means,
                          basis_quats, basis_colours, weights, moving,  n,    k,    b,           f};
  const PoseWorld world{world_means, world_quats, nullptr, nullptr, inverse_length};
  const PoseGradients gradients{g_world_means, g_world_quats, g_world_log_scales, g_world_colours, g_means,
                                g_quats,       g_log_scales,  g_colours,          g_basis_means,   g_basis_quats,
                                g_basis_colours, parts,       g_corners};
  const auto loop = A3D_PICK(pose_backward);
  Pool::run(chunks(n), threads, [&](int64_t chunk) { loop(splats, world, gradients, chunk); });
  for (int64_t i = 0; i < b * k; i++) {
    double total = 0;
    for (int64_t chunk = 0; chunk < chunks(n); chunk++) total += parts[chunk * b * k + i];
    g_weights[i] = float(total);
  }
  return 0;
}

int32_t a3d_pose_scatter(const float* g_corners, const int32_t* face, const int32_t* faces, int64_t n, int64_t b,
                         int64_t v, float* g_vertices, int32_t threads) {
  // One thread a pose, splats in order: the same sums for any number of threads.
  Pool::run(b, threads, [&](int64_t pose) {
    float* out = g_vertices + 3 * v * pose;
    for (int64_t i = 0; i < 3 * v; i++) out[i] = 0;
    for (int64_t i = 0; i < n; i++) {
      const float* g = g_corners + 9 * (pose * n + i);
      for (int j = 0; j < 3; j++) {
        float* to = out + 3 * int64_t(faces[3 * int64_t(face[i]) + j]);
        for (int c = 0; c < 3; c++) to[c] += g[3 * j + c];
      }
    }
  });
  return 0;
}
}
