// Features of points by a multiresolution hash grid, and the gradients.
#include "gpu/hashgrid.h"
#include "gpu/kernel.h"
#include "math/field.h"

namespace a3d::gpu {
namespace {

__device__ __forceinline__ void load_point(const GridArgs& args, int64_t at, float* point) {
#pragma unroll
  for (int c = 0; c < 3; c++) point[c] = args.points[3 * at + c];
}

// One level (blockIdx.y) of a point: threads of a warp read the same level, whose rows stay in the caches.
template <int features>
__device__ __forceinline__ void encode(const GridArgs& args) {
  const int64_t at = int64_t(blockIdx.x) * kGridThreads + threadIdx.x;
  if (at >= args.m) return;
  const GridLevel& level = args.levels[blockIdx.y];
  float point[3], total[features];
  load_point(args, at, point);
  const GridCell<float, uint32_t> cell = grid_cell<uint32_t>(level, point);
#pragma unroll
  for (int j = 0; j < features; j++) total[j] = 0.f;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    const float* row = args.table + int64_t(level.offset + grid_row(level, cell, k)) * features;
    const float weight = grid_weight(cell, k);
#pragma unroll
    for (int j = 0; j < features; j++) total[j] += weight * row[j];
  }
#pragma unroll
  for (int j = 0; j < features; j++) args.out[(at * args.count + blockIdx.y) * features + j] = total[j];
}

// Adds a point's cotangent of one level to the rows it read. By atomics: the last bits vary.
template <int features>
__device__ __forceinline__ void backward_table(const GridArgs& args) {
  const int64_t at = int64_t(blockIdx.x) * kGridThreads + threadIdx.x;
  if (at >= args.m) return;
  const GridLevel& level = args.levels[blockIdx.y];
  float point[3], g[features];
  load_point(args, at, point);
  const GridCell<float, uint32_t> cell = grid_cell<uint32_t>(level, point);
#pragma unroll
  for (int j = 0; j < features; j++) g[j] = args.g_out[(at * args.count + blockIdx.y) * features + j];
#pragma unroll
  for (int k = 0; k < 8; k++) {
    float* row = args.g_table + int64_t(level.offset + grid_row(level, cell, k)) * features;
    const float weight = grid_weight(cell, k);
#pragma unroll
    for (int j = 0; j < features; j++) atomicAdd(row + j, weight * g[j]);
  }
}

// The gradient of a point, level after level.
template <int features>
__device__ __forceinline__ void backward_points(const GridArgs& args) {
  const int64_t at = int64_t(blockIdx.x) * kGridThreads + threadIdx.x;
  if (at >= args.m) return;
  float point[3], gradient[3] = {0.f, 0.f, 0.f};
  load_point(args, at, point);
  for (int l = 0; l < args.count; l++) {
    const GridLevel& level = args.levels[l];
    const GridCell<float, uint32_t> cell = grid_cell<uint32_t>(level, point);
    float inner[8];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float* row = args.table + int64_t(level.offset + grid_row(level, cell, k)) * features;
      inner[k] = 0.f;
#pragma unroll
      for (int j = 0; j < features; j++) inner[k] += args.g_out[(at * args.count + l) * features + j] * row[j];
    }
    grid_vjp(level, cell, point, inner, gradient);
  }
#pragma unroll
  for (int c = 0; c < 3; c++) args.g_points[3 * at + c] = gradient[c];
}
}  // namespace

// No shared memory; a thread each.
#define A3D_GRID(features)                                                                            \
  A3D_KERNEL(a3d_grid_encode_##features, GridArgs, kGridThreads) { encode<features>(args); }          \
  A3D_KERNEL(a3d_grid_table_##features, GridArgs, kGridThreads) { backward_table<features>(args); }   \
  A3D_KERNEL(a3d_grid_points_##features, GridArgs, kGridThreads) { backward_points<features>(args); }
A3D_GRID(1)
A3D_GRID(2)
A3D_GRID(4)
A3D_GRID(8)

}  // namespace a3d::gpu
