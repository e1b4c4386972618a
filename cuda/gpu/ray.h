// Rays on the device: data that their kernels share. How a ray walks is in math/ray.h.
#pragma once
#include "math/ray.h"

namespace a3d::gpu {

constexpr int kMarchThreads = 128;   // one ray each: they part at every cell
constexpr int kVolumeThreads = 128;  // a warp for each ray

struct RayArgs {
  Rays rays;
  int64_t r, limit;
  int64_t* counts;         // r, or null
  int32_t* next;           // r, or null
  const int64_t* offsets;  // r + 1, to write samples
  float* t;
  int32_t* ray_of;
};

struct VolumeArgs {
  const float *density, *colour, *t, *dt;
  const int64_t* offsets;
  int64_t r;
  float *rgb, *alpha, *depth, *weights;
  int32_t* used;
  const float *g_rgb, *g_alpha, *g_depth, *g_weights;  // the last three may be null
  float *g_density, *g_colour;
};

}  // namespace a3d::gpu
