// Rays: what the entry points (ray_api.cpp) and the loops (ray.cpp) share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"
#include "math/ray.h"

namespace a3d {

constexpr int64_t kRayChunk = 64;  // rays a task

// Packed samples: those of ray i are [offsets[i], offsets[i + 1]).
struct VolumeJob {
  const float *density, *colour, *t, *dt;  // m, m 3, m, m
  const int64_t* offsets;                  // r + 1
  float *rgb, *alpha, *depth;              // r 3, r, r
  float* weights;                          // m
  int32_t* used;                           // r: samples before the ray was opaque
};

struct VolumeGradients {
  const float *rgb, *alpha, *depth, *weights;  // given; all but the first may be null
  float *density, *colour;                     // m, m 3
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Writes t (null: none) of the first `limit` samples of a ray in occupied cells, and how many there are; returns
    // the i to go on with.
    int32_t ray_march(const Rays& rays, int64_t r, int64_t limit, float* t, int64_t& found);
    // Composites rays [begin, end).
    void volume_forward(const VolumeJob& job, int64_t begin, int64_t end);
    void volume_backward(const VolumeJob& job, const VolumeGradients& g, int64_t begin, int64_t end);
)
