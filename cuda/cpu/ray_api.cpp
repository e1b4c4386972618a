// Entry points of rays: samples in occupied space, and volume compositing.
#include "cpu/ray.h"

#include "avatar3d.h"
#include "cpu/pool.h"
#include "math/ray_check.h"

namespace {
using namespace a3d;

int64_t chunks(int64_t r) { return (r + kRayChunk - 1) / kRayChunk; }
int64_t end_of(int64_t chunk, int64_t r) { return (chunk + 1) * kRayChunk < r ? (chunk + 1) * kRayChunk : r; }
}  // namespace

extern "C" {

int32_t a3d_ray_count(const float* origins, const float* directions, const float* near, const float* far,
                      const float* jitter, const int32_t* first, const uint8_t* occupancy, const int64_t* cells,
                      const float* box, float step, int64_t limit, int64_t r, int64_t* offsets, int32_t* next,
                      int32_t threads) {
  Rays rays = {origins, directions, near, far, jitter, first, occupancy, {}, {}, {}, {}, {}, step};
  if (read_rays(cells, box, step, limit, rays)) return 1;
  const auto loop = A3D_PICK(ray_march);
  Pool::run(chunks(r), threads, [&](int64_t chunk) {
    for (int64_t ray = chunk * kRayChunk; ray < end_of(chunk, r); ray++) {
      const int32_t to = loop(rays, ray, limit, nullptr, offsets[ray + 1]);
      if (next) next[ray] = to;
    }
  });
  offsets[0] = 0;
  for (int64_t ray = 0; ray < r; ray++) offsets[ray + 1] += offsets[ray];
  return 0;
}

int32_t a3d_ray_fill(const float* origins, const float* directions, const float* near, const float* far,
                     const float* jitter, const int32_t* first, const uint8_t* occupancy, const int64_t* cells,
                     const float* box, float step, int64_t limit, int64_t r, const int64_t* offsets, float* t,
                     int32_t* ray_of, int32_t threads) {
  Rays rays = {origins, directions, near, far, jitter, first, occupancy, {}, {}, {}, {}, {}, step};
  if (read_rays(cells, box, step, limit, rays)) return 1;
  const auto loop = A3D_PICK(ray_march);
  Pool::run(chunks(r), threads, [&](int64_t chunk) {
    for (int64_t ray = chunk * kRayChunk; ray < end_of(chunk, r); ray++) {
      int64_t found;
      if (offsets[ray + 1] == offsets[ray]) continue;
      loop(rays, ray, offsets[ray + 1] - offsets[ray], t + offsets[ray], found);
      for (int64_t i = offsets[ray]; i < offsets[ray + 1]; i++) ray_of[i] = int32_t(ray);
    }
  });
  return 0;
}

int32_t a3d_volume_forward(const float* density, const float* colour, const float* t, const float* dt,
                           const int64_t* offsets, int64_t r, float* rgb, float* alpha, float* depth, float* weights,
                           int32_t* used, int32_t threads) {
  const VolumeJob job{density, colour, t, dt, offsets, rgb, alpha, depth, weights, used};
  const auto loop = A3D_PICK(volume_forward);
  Pool::run(chunks(r), threads, [&](int64_t chunk) { loop(job, chunk * kRayChunk, end_of(chunk, r)); });
  return 0;
}

int32_t a3d_volume_backward(const float* colour, const float* t, const float* dt, const int64_t* offsets, int64_t r,
                            float* alpha, float* weights, int32_t* used, const float* g_rgb, const float* g_alpha,
                            const float* g_depth, const float* g_weights, float* g_density, float* g_colour,
                            int32_t threads) {
  const VolumeJob job{nullptr, colour, t, dt, offsets, nullptr, alpha, nullptr, weights, used};
  const VolumeGradients gradients{g_rgb, g_alpha, g_depth, g_weights, g_density, g_colour};
  const auto loop = A3D_PICK(volume_backward);
  Pool::run(chunks(r), threads, [&](int64_t chunk) { loop(job, gradients, chunk * kRayChunk, end_of(chunk, r)); });
  return 0;
}
}
