// Closest points on a mesh: a tree of boxes over faces sorted along a Morton curve, and the search in it. The formulas,
// and why the answer does not depend on the order of the search, are in math/closest.h and cpu/closest.cpp.
#include "gpu/closest.h"
#include "gpu/kernel.h"
#include "math/closest.h"

namespace a3d::gpu {
namespace {

constexpr float kFar = 3e38f;  // squared: farther than anything

__device__ __forceinline__ void grow(ClosestBox& box, const float* low, const float* high) {
#pragma unroll
  for (int c = 0; c < 3; c++) box.low[c] = fminf(box.low[c], low[c]), box.high[c] = fmaxf(box.high[c], high[c]);
}

__device__ __forceinline__ ClosestBox nothing() {
  return {{kFar, kFar, kFar}, {-kFar, -kFar, -kFar}};
}

// The lowest ten bits of x with two zeros between neighbours.
__device__ __forceinline__ uint32_t spread(uint32_t x) {
  x = (x | x << 16) & 0x030000ffu;
  x = (x | x << 8) & 0x0300f00fu;
  x = (x | x << 4) & 0x030c30c3u;
  return (x | x << 2) & 0x09249249u;
}

struct Best {
  float squared, bound;  // boxes beyond `bound` cannot hold a triangle as near as `squared`
  int32_t face;
  int64_t at;  // record
};

// As in cpu/closest.cpp: rounding errors are some 2e-7 of the distance plus the size of what is searched.
__device__ __forceinline__ float bound_of(float squared, float extent) {
  const float bound = sqrtf(squared) * 1.000002f + 2e-6f * extent;
  return fminf(bound * bound, kFar);
}

__device__ __forceinline__ Triangle<float> triangle_of(const ClosestRecord& record) {
  Triangle<float> out;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    out.a[c] = record.triangle[c], out.b[c] = record.triangle[3 + c], out.c[c] = record.triangle[6 + c];
    out.along[0][c] = record.triangle[9 + c], out.along[1][c] = record.triangle[12 + c];
    out.normal[c] = record.triangle[15 + c], out.per_length[c] = record.triangle[18 + c];
  }
  return out;
}

__device__ __forceinline__ void try_leaf(const ClosestQueryArgs& args, int64_t leaf, const float* point, float extent,
                                         Best& best) {
  const int64_t first = leaf * kClosestArity;
  const int64_t end = first + kClosestArity < args.f ? first + kClosestArity : args.f;
#pragma unroll 1
  for (int64_t i = first; i < end; i++) {
    const float squared = nearest(triangle_of(args.records[i]), point).squared;
    const int32_t face = args.records[i].face;
    if (squared > best.squared || (squared == best.squared && face >= best.face)) continue;
    best.squared = squared, best.face = face, best.at = i;
  }
  best.bound = bound_of(best.squared, extent);
}

__device__ __forceinline__ float away(const ClosestQueryArgs& args, int level, int64_t node, const float* point) {
  const ClosestBox& box = args.boxes[level][node];
  return box_distance(box.low, box.high, point);
}
}  // namespace

// The box of all vertices, by one block.
A3D_KERNEL(a3d_closest_bounds, ClosestBuildArgs, kBoundsThreads) {
  A3D_SHARED(float, low, 3 * kBoundsThreads);
  A3D_SHARED(float, high, 3 * kBoundsThreads);
  ClosestBox box = nothing();
  for (int64_t i = threadIdx.x; i < args.v; i += kBoundsThreads) grow(box, args.vertices + 3 * i, args.vertices + 3 * i);
#pragma unroll
  for (int c = 0; c < 3; c++) {
    low[c * kBoundsThreads + threadIdx.x] = box.low[c];
    high[c * kBoundsThreads + threadIdx.x] = box.high[c];
  }
  __syncthreads();
  for (int half = kBoundsThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) {
#pragma unroll
      for (int c = 0; c < 3; c++) {
        const int at = c * kBoundsThreads + threadIdx.x;
        low[at] = fminf(low[at], low[at + half]);
        high[at] = fmaxf(high[at], high[at + half]);
      }
    }
    __syncthreads();
  }
  if (threadIdx.x >= 3) return;
  args.bounds->low[threadIdx.x] = low[threadIdx.x * kBoundsThreads];
  args.bounds->high[threadIdx.x] = high[threadIdx.x * kBoundsThreads];
}

// Where a face's middle lies on a curve through the box that keeps neighbours together.
A3D_KERNEL(a3d_closest_keys, ClosestBuildArgs, kClosestThreads) {
  const int64_t face = int64_t(blockIdx.x) * kClosestThreads + threadIdx.x;
  if (face >= args.f) return;
  uint32_t key = 0;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    float middle = 0.f;
#pragma unroll
    for (int k = 0; k < 3; k++) middle += args.vertices[3 * int64_t(args.faces[3 * face + k]) + c];
    const float side = args.bounds->high[c] - args.bounds->low[c];
    const float place = side > 0.f ? (middle / 3.f - args.bounds->low[c]) / side : 0.f;
    key |= spread(uint32_t(max(min(place * 1024.f, 1023.f), 0.f))) << c;
  }
  args.keys[face] = key;
  args.values[face] = uint32_t(face);
}

// A leaf: the records of its faces, and their box.
A3D_KERNEL(a3d_closest_leaves, ClosestBuildArgs, kClosestThreads) {
  const int64_t leaf = int64_t(blockIdx.x) * kClosestThreads + threadIdx.x;
  if (leaf >= args.count) return;
  ClosestBox box = nothing();
#pragma unroll 1
  for (int64_t i = leaf * kClosestArity; i < (leaf + 1) * kClosestArity && i < args.f; i++) {
    const int32_t face = int32_t(args.values[i]);
    const SortedCorners sorted = sorted_corners(args.faces + 3 * int64_t(face));
    const float* corner[3];
#pragma unroll
    for (int k = 0; k < 3; k++) {
      corner[k] = args.vertices + 3 * int64_t(sorted.vertex[k]);
      grow(box, corner[k], corner[k]);
    }
    write_record<float>(corner[0], corner[1], corner[2], args.records[i].triangle);
    args.records[i].face = face;
    args.records[i].order = sorted.order[0] | sorted.order[1] << 2 | sorted.order[2] << 4;
  }
  args.boxes[leaf] = box;
}

// The boxes of one level around those of the level below.
A3D_KERNEL(a3d_closest_nodes, ClosestBuildArgs, kClosestThreads) {
  const int64_t node = int64_t(blockIdx.x) * kClosestThreads + threadIdx.x;
  if (node >= args.count) return;
  ClosestBox box = nothing();
  for (int64_t i = node * kClosestArity; i < (node + 1) * kClosestArity && i < args.below_count; i++)
    grow(box, args.below[i].low, args.below[i].high);
  args.boxes[node] = box;
}

// First straight down to the leaf whose boxes are nearest, for a bound; then through the tree in order of numbers,
// leaving out what lies beyond it. A child's number says where its parent is, so that nothing needs to be remembered.
A3D_KERNEL(a3d_closest_query, ClosestQueryArgs, kClosestThreads) {
  const int64_t i = int64_t(blockIdx.x) * kClosestThreads + threadIdx.x;
  if (i >= args.m) return;
  float point[3], extent = 0.f;
  bool finite = true;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    point[c] = args.points[3 * i + c];
    finite = finite && point[c] - point[c] == 0.f;
    extent += args.bounds->high[c] - args.bounds->low[c];
  }
  const float within = fminf(args.radius * args.radius, kFar);
  Best best = {within, bound_of(within, extent), 0x7fffffff, -1};
  if (finite) {
    int64_t node = 0;
    for (int level = args.top - 1; level >= 0; level--) {
      float least = kFar;
      int64_t child = node * kClosestArity;
      const int64_t end = child + kClosestArity < args.count[level] ? child + kClosestArity : args.count[level];
      node = child;
      for (; child < end; child++) {
        A3D_COUNT(0);
        const float d = away(args, level, child, point);
        if (d < least) least = d, node = child;
      }
    }
    const int64_t known = node;
    try_leaf(args, known, point, extent, best);
    int level = args.top;
    node = 0;
    for (;;) {
      A3D_COUNT(0);
      if (away(args, level, node, point) <= best.bound) {
        if (level > 0) {
          level--, node *= kClosestArity;
          continue;
        }
        A3D_COUNT(1);
        if (node != known) try_leaf(args, node, point, extent, best);
      }
      while (level < args.top && ((node + 1) % kClosestArity == 0 || node + 1 == args.count[level]))
        level++, node /= kClosestArity;
      if (level == args.top) break;
      node++;
    }
  }
  if (best.at < 0) {
    args.face[i] = -1;
    args.distance[i] = args.radius;
#pragma unroll
    for (int c = 0; c < 3; c++) args.bary[3 * i + c] = 0.f;
    return;
  }
  const ClosestRecord& record = args.records[best.at];
  const Nearest<float> found = nearest(triangle_of(record), point);
#pragma unroll
  for (int k = 0; k < 3; k++) args.bary[3 * i + (record.order >> 2 * k & 3)] = found.weight[k];
  args.face[i] = best.face;
  args.distance[i] = sqrtf(best.squared);
}

}  // namespace a3d::gpu
