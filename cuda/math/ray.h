// How a ray meets an occupancy grid, for a CPU thread and a CUDA thread: plain floats, for rays part at every cell.
#pragma once
#include "math/integers.h"
#if !defined(__CUDACC_RTC__)
#include <math.h>
#endif
#if defined(__CUDACC__)
#define A3D_SCALAR __host__ __device__ __forceinline__
#else
#define A3D_SCALAR inline __attribute__((always_inline))
#endif

namespace a3d {

constexpr float kOpaque = 1e-4f;           // a ray ends where no more light than this is left
constexpr int32_t kRayDone = 0x7fffffff;   // nothing is left of a ray

// Rays and the grid that they walk through. Samples lie at near + (i + jitter) step for whole i.
struct Rays {
  const float *origins, *directions;  // r 3, r 3
  const float *near, *far, *jitter;   // r each
  const int32_t* first;               // r: the first i, or null for 0
  const uint8_t* occupancy;           // cells z, y, x
  int32_t cells[3];                   // along x, y, z
  float low[3], high[3], cell[3], per_metre[3];  // the box, size of a cell, and cells a metre
  float step;
};

// The part of a ray in the box.
struct RaySpan {
  float end, inverse[3];  // 1 / direction
  int32_t first;          // the first i there; kRayDone when there is no such part
};

A3D_SCALAR RaySpan ray_span(const Rays& rays, int64_t r) {
  const float *o = rays.origins + 3 * r, *d = rays.directions + 3 * r;
  const float near = rays.near[r];
  float begin = near;
  RaySpan span;
  span.end = rays.far[r];
  span.first = kRayDone;
  for (int c = 0; c < 3; c++) {
    span.inverse[c] = 1.f / d[c];
    if (d[c] == 0.f) {
      if (!(o[c] >= rays.low[c] && o[c] <= rays.high[c])) return span;
      continue;
    }
    const float a = (rays.low[c] - o[c]) * span.inverse[c], b = (rays.high[c] - o[c]) * span.inverse[c];
    begin = fmaxf(begin, fminf(a, b));
    span.end = fminf(span.end, fmaxf(a, b));
  }
  if (!(begin < span.end)) return span;  // a NaN ends here, too
  const int32_t i = int32_t(ceilf((begin - near) / rays.step - rays.jitter[r]));
  span.first = i > 0 ? i : 0;
  if (rays.first && rays.first[r] > span.first) span.first = rays.first[r];
  return span;
}

// Calls visit(t) for the first `limit` samples of ray `r` in occupied cells; returns the i to go on with. Whether a
// sample counts depends on its own cell alone: empty cells are jumped over, but the jumps decide nothing.
template <class Visit>
A3D_SCALAR int32_t walk(const Rays& rays, int64_t r, int64_t limit, Visit& visit) {
  const float *o = rays.origins + 3 * r, *d = rays.directions + 3 * r;
  const float near = rays.near[r], jitter = rays.jitter[r], per_step = 1.f / rays.step;
  const RaySpan span = ray_span(rays, r);
  if (span.first == kRayDone) return kRayDone;
  int32_t i = span.first;
  int64_t found = 0;
  while (found < limit) {
    const float t = near + (float(i) + jitter) * rays.step;
    if (!(t < span.end)) return kRayDone;
    int32_t cell[3];
    for (int c = 0; c < 3; c++) {
      const float at = (o[c] + t * d[c] - rays.low[c]) * rays.per_metre[c];
      const int32_t whole = int32_t(floorf(at)), last = rays.cells[c] - 1;
      cell[c] = whole < 0 ? 0 : whole > last ? last : whole;
    }
    if (rays.occupancy[(int64_t(cell[2]) * rays.cells[1] + cell[1]) * rays.cells[0] + cell[0]]) {
      visit(t);
      found++, i++;
      continue;
    }
    float leave = span.end;  // where the ray leaves this cell
    for (int c = 0; c < 3; c++) {
      if (d[c] == 0.f) continue;
      const float wall = rays.low[c] + float(cell[c] + (d[c] > 0.f)) * rays.cell[c];
      leave = fminf(leave, (wall - o[c]) * span.inverse[c]);
    }
    // A thousandth of a step early: the next sample is looked up by itself.
    const int32_t next = int32_t(ceilf((leave - near) * per_step - jitter - 1e-3f));
    i = next > i ? next : i + 1;
  }
  return i;
}

}  // namespace a3d
