// Entry points of rays on the device.
#include "gpu/ray.h"

#include "avatar3d_gpu.h"
#include "gpu/launch.h"
#include "math/ray_check.h"

using namespace a3d;
using namespace a3d::gpu;

extern "C" {

int32_t a3d_gpu_ray_count(const float* origins, const float* directions, const float* near, const float* far,
                          const float* jitter, const int32_t* first, const uint8_t* occupancy, const int64_t* cells,
                          const float* box, float step, int64_t limit, int64_t r, int64_t* offsets, int32_t* next,
                          void* stream) {
  RayArgs args = {{origins, directions, near, far, jitter, first, occupancy, {}, {}, {}, {}, {}, step},
                  r, limit, offsets + 1, next, nullptr, nullptr, nullptr};
  if (read_rays(cells, box, step, limit, args.rays)) return 1;
  return launch("a3d_ray_count", {blocks_of(r, kMarchThreads)}, kMarchThreads, stream, args);
}

int32_t a3d_gpu_ray_fill(const float* origins, const float* directions, const float* near, const float* far,
                         const float* jitter, const int32_t* first, const uint8_t* occupancy, const int64_t* cells,
                         const float* box, float step, int64_t limit, int64_t r, const int64_t* offsets, float* t,
                         int32_t* ray_of, void* stream) {
  RayArgs args = {{origins, directions, near, far, jitter, first, occupancy, {}, {}, {}, {}, {}, step},
                  r, limit, nullptr, nullptr, offsets, t, ray_of};
  if (read_rays(cells, box, step, limit, args.rays)) return 1;
  return launch("a3d_ray_fill", {blocks_of(r, kMarchThreads)}, kMarchThreads, stream, args);
}

int32_t a3d_gpu_volume_forward(const float* density, const float* colour, const float* t, const float* dt,
                               const int64_t* offsets, int64_t r, float* rgb, float* alpha, float* depth,
                               float* weights, int32_t* used, void* stream) {
  const VolumeArgs args = {density, colour,  t,       dt,      offsets, r,       rgb,    alpha,  depth,
                           weights, used,    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  return launch("a3d_volume_forward", {blocks_of(r, kVolumeThreads / 32)}, kVolumeThreads, stream, args);
}

int32_t a3d_gpu_volume_backward(const float* colour, const float* t, const float* dt, const int64_t* offsets,
                                int64_t r, float* alpha, float* weights, int32_t* used, const float* g_rgb,
                                const float* g_alpha, const float* g_depth, const float* g_weights, float* g_density,
                                float* g_colour, void* stream) {
  const VolumeArgs args = {nullptr, colour, t,     dt,      offsets, r,         nullptr,   alpha,   nullptr,
                           weights, used,   g_rgb, g_alpha, g_depth, g_weights, g_density, g_colour};
  return launch("a3d_volume_backward", {blocks_of(r, kVolumeThreads / 32)}, kVolumeThreads, stream, args);
}
}
