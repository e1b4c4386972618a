// Samples of rays in occupied space, and light along rays of packed samples.
#include "gpu/kernel.h"
#include "gpu/ray.h"
#include "math/field.h"

namespace a3d::gpu {
namespace {

struct Count {
  int64_t samples = 0;
  __device__ __forceinline__ void operator()(float) { samples++; }
};

struct Write {
  float* t;
  __device__ __forceinline__ void operator()(float at) { *t++ = at; }
};

constexpr unsigned kAll = 0xffffffffu;

__device__ __forceinline__ float sum_of_warp(float v) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(kAll, v, by);
  return v;
}

// The sum over the lanes behind this one; `whole` receives the sum over all.
__device__ __forceinline__ float sum_behind(float v, float& whole) {
  const int lane = threadIdx.x % 32;
  float from_here = v;
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const float more = __shfl_down_sync(kAll, from_here, by);
    if (lane + by < 32) from_here += more;
  }
  whole = __shfl_sync(kAll, from_here, 0);
  const float behind = __shfl_down_sync(kAll, from_here, 1);
  return lane < 31 ? behind : 0.f;
}
}  // namespace

// How many samples each ray has.
A3D_KERNEL(a3d_ray_count, RayArgs, kMarchThreads) {
  const int64_t ray = int64_t(blockIdx.x) * kMarchThreads + threadIdx.x;
  if (ray >= args.r) return;
  Count count;
  const int32_t next = walk(args.rays, ray, args.limit, count);
  args.counts[ray] = count.samples;
  if (args.next) args.next[ray] = next;
}

// Writes as many samples as were counted.
A3D_KERNEL(a3d_ray_fill, RayArgs, kMarchThreads) {
  const int64_t ray = int64_t(blockIdx.x) * kMarchThreads + threadIdx.x;
  if (ray >= args.r) return;
  const int64_t from = args.offsets[ray], to = args.offsets[ray + 1];
  Write write = {args.t + from};
  walk(args.rays, ray, to - from, write);
  // None are left, unless the compiler rounded the two walks differently.
  while (write.t < args.t + to) write(args.rays.far[ray]);
  for (int64_t i = from; i < to; i++) args.ray_of[i] = int32_t(ray);
}

// Light along one ray by one warp, 32 samples at a time: what is left before each sample is a product over the lanes.
A3D_KERNEL(a3d_volume_forward, VolumeArgs, kVolumeThreads) {
  const int64_t ray = int64_t(blockIdx.x) * (kVolumeThreads / 32) + threadIdx.x / 32;
  if (ray >= args.r) return;
  const int lane = threadIdx.x % 32;
  const int64_t from = args.offsets[ray], to = args.offsets[ray + 1];
  float left = 1.f, rgb[3] = {0.f, 0.f, 0.f}, alpha = 0.f, depth = 0.f;
  int32_t used = 0;
  for (int64_t first = from; first < to; first += 32) {
    const int64_t i = first + lane;
    const bool mine = i < to;
    if (!(left > kOpaque)) {  // the same for all lanes
      if (mine) args.weights[i] = 0.f;
      continue;
    }
    const float share = mine ? absorbed(args.density[i] * args.dt[i]) : 0.f;
    float passed = 1.f - share;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const float before = __shfl_up_sync(kAll, passed, by);
      if (lane >= by) passed *= before;
    }
    const float before = __shfl_up_sync(kAll, passed, 1), here = left * (lane ? before : 1.f);
    const bool counts = mine && here > kOpaque;
    const float weight = counts ? here * share : 0.f;
    if (mine) args.weights[i] = weight;
    if (counts) {
#pragma unroll
      for (int c = 0; c < 3; c++) rgb[c] += weight * args.colour[3 * i + c];
      alpha += weight;
      depth += weight * args.t[i];
    }
    used += __popc(__ballot_sync(kAll, counts));
    left *= __shfl_sync(kAll, passed, 31);
  }
#pragma unroll
  for (int c = 0; c < 3; c++) rgb[c] = sum_of_warp(rgb[c]);
  alpha = sum_of_warp(alpha);
  depth = sum_of_warp(depth);
  if (lane) return;
#pragma unroll
  for (int c = 0; c < 3; c++) args.rgb[3 * ray + c] = rgb[c];
  args.alpha[ray] = alpha, args.depth[ray] = depth, args.used[ray] = used;
}

// The same from the back: the light that passes a sample, and what lies behind it, are sums over the lanes.
A3D_KERNEL(a3d_volume_backward, VolumeArgs, kVolumeThreads) {
  const int64_t ray = int64_t(blockIdx.x) * (kVolumeThreads / 32) + threadIdx.x / 32;
  if (ray >= args.r) return;
  const int lane = threadIdx.x % 32;
  const int64_t from = args.offsets[ray], to = args.offsets[ray + 1], stop = from + args.used[ray];
  float g_rgb[3];
#pragma unroll
  for (int c = 0; c < 3; c++) g_rgb[c] = args.g_rgb[3 * ray + c];
  const float g_alpha = args.g_alpha ? args.g_alpha[ray] : 0.f, g_depth = args.g_depth ? args.g_depth[ray] : 0.f;
  for (int64_t i = stop + lane; i < to; i += 32) {
    args.g_density[i] = 0.f;
#pragma unroll
    for (int c = 0; c < 3; c++) args.g_colour[3 * i + c] = 0.f;
  }
  float left = 1.f - args.alpha[ray], behind = 0.f;
  for (int64_t end = stop; end > from; end -= 32) {
    const int64_t i = end - 32 + lane;
    const bool mine = i >= from;
    float weight = 0.f, slope = 0.f;
    if (mine) {
      weight = args.weights[i];
      slope = g_alpha + g_depth * args.t[i] + (args.g_weights ? args.g_weights[i] : 0.f);
#pragma unroll
      for (int c = 0; c < 3; c++) slope += g_rgb[c] * args.colour[3 * i + c];
    }
    float all_weights, all_behind;
    const float passes = left + sum_behind(weight, all_weights);
    const float covered = behind + sum_behind(weight * slope, all_behind);
    if (mine) {
      args.g_density[i] = args.dt[i] * (passes * slope - covered);
#pragma unroll
      for (int c = 0; c < 3; c++) args.g_colour[3 * i + c] = weight * g_rgb[c];
    }
    left += all_weights, behind += all_behind;
  }
}

}  // namespace a3d::gpu
