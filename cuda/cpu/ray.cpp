// Loops of rays. Samples are looked up kLanes at a time, empty cells too: that is faster here than to jump over them.
// Compositing takes the exponentials of some rays at once, then goes ray by ray.
#include "cpu/ray.h"

#include "cpu/simd.h"
#include "math/field.h"

namespace a3d::A3D_ISA {

int32_t ray_march(const Rays& rays, int64_t r, int64_t limit, float* t, int64_t& found) {
  found = 0;
  const RaySpan span = ray_span(rays, r);
  if (span.first == kRayDone) return kRayDone;
  const float *o = rays.origins + 3 * r, *d = rays.directions + 3 * r;
  F lane;
  for (int i = 0; i < kLanes; i++) lane[i] = float(i);
  for (int32_t i = span.first;; i += kLanes) {
    const F at = rays.near[r] + (float(i) + lane + rays.jitter[r]) * rays.step;
    I cell = {};
    for (int c = 2; c >= 0; c--) {
      const F place = max((o[c] + at * d[c] - rays.low[c]) * rays.per_metre[c], F{});
      cell = cell * rays.cells[c] + (I)truncate(min(place, splat(float(rays.cells[c] - 1))));
    }
    const unsigned inside = bits(at < span.end);
    unsigned hits = 0;
    for (int j = 0; j < kLanes; j++) hits |= unsigned(rays.occupancy[cell[j]] != 0) << j;
    for (hits &= inside; hits; hits &= hits - 1) {
      const int j = __builtin_ctz(hits);
      if (t) t[found] = at[j];
      if (++found == limit) return i + j + 1;
    }
    if (inside != (1u << kLanes) - 1) return kRayDone;
  }
}

void volume_forward(const VolumeJob& job, int64_t begin, int64_t end) {
  const int64_t first = job.offsets[begin], last = job.offsets[end];
  for (int64_t i = first; i < last; i += kLanes) {
    const int lanes = last - i < kLanes ? int(last - i) : kLanes;
    store(job.weights + i, absorbed(load(job.density + i, lanes) * load(job.dt + i, lanes)), lanes);
  }
  for (int64_t ray = begin; ray < end; ray++) {
    const int64_t from = job.offsets[ray], to = job.offsets[ray + 1];
    float left = 1, rgb[3] = {}, alpha = 0, depth = 0;
    int64_t i = from;
    for (; i < to && left > kOpaque; i++) {
      const float w = left * job.weights[i];
      for (int c = 0; c < 3; c++) rgb[c] += w * job.colour[3 * i + c];
      alpha += w;
      depth += w * job.t[i];
      left -= w;
      job.weights[i] = w;
    }
    job.used[ray] = int32_t(i - from);
    for (; i < to; i++) job.weights[i] = 0;
    for (int c = 0; c < 3; c++) job.rgb[3 * ray + c] = rgb[c];
    job.alpha[ray] = alpha;
    job.depth[ray] = depth;
  }
}

void volume_backward(const VolumeJob& job, const VolumeGradients& g, int64_t begin, int64_t end) {
  for (int64_t ray = begin; ray < end; ray++) {
    const int64_t from = job.offsets[ray], to = job.offsets[ray + 1], stop = from + job.used[ray];
    const float* g_rgb = g.rgb + 3 * ray;
    const float g_alpha = g.alpha ? g.alpha[ray] : 0, g_depth = g.depth ? g.depth[ray] : 0;
    for (int64_t i = stop; i < to; i++) g.density[i] = g.colour[3 * i] = g.colour[3 * i + 1] = g.colour[3 * i + 2] = 0;
    // From the back: `behind` is what the samples behind this one contribute, `left` the light that passes it.
    float behind = 0, left = 1 - job.alpha[ray];
    for (int64_t i = stop - 1; i >= from; i--) {
      const float w = job.weights[i], *colour = job.colour + 3 * i;
      const float slope = g_rgb[0] * colour[0] + g_rgb[1] * colour[1] + g_rgb[2] * colour[2] + g_alpha +
                          g_depth * job.t[i] + (g.weights ? g.weights[i] : 0);
      g.density[i] = job.dt[i] * (left * slope - behind);
      for (int c = 0; c < 3; c++) g.colour[3 * i + c] = w * g_rgb[c];
      behind += w * slope;
      left += w;
    }
  }
}

}  // namespace a3d::A3D_ISA
