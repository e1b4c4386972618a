// Entry points of the hash grid on the device.
#include "gpu/hashgrid.h"

#include <stdio.h>

#include "avatar3d_gpu.h"
#include "gpu/fill_run.h"
#include "gpu/launch.h"
#include "math/grid_check.h"

using namespace a3d;
using namespace a3d::gpu;

namespace {
int run(const char* kernel, int64_t features, uint32_t levels, void* stream, const GridArgs& args) {
  char name[64];
  snprintf(name, sizeof(name), "a3d_grid_%s_%d", kernel, int(features));
  return launch(name, {blocks_of(args.m, kGridThreads), levels}, kGridThreads, stream, args);
}
}  // namespace

extern "C" {

int32_t a3d_gpu_grid_encode(const float* points, const float* table, const float* scales, const int64_t* shapes,
                            int64_t m, int64_t levels, int64_t features, int64_t rows, float* out, void* stream) {
  GridArgs args = {points, table, m, int32_t(levels), {}, out, nullptr, nullptr, nullptr};
  if (read_levels(scales, shapes, levels, features, rows, args.levels)) return 1;
  return run("encode", features, uint32_t(levels), stream, args);
}

int32_t a3d_gpu_grid_backward(const float* points, const float* table, const float* scales, const int64_t* shapes,
                              int64_t m, int64_t levels, int64_t features, int64_t rows, const float* g_out,
                              float* g_table, float* g_points, void* stream) {
  GridArgs args = {points, table, m, int32_t(levels), {}, nullptr, g_out, g_table, g_points};
  if (read_levels(scales, shapes, levels, features, rows, args.levels)) return 1;
  if (g_table) {
    if (const int code = fill_zero(g_table, rows * features, stream)) return code;
    if (const int code = run("table", features, uint32_t(levels), stream, args)) return code;
  }
  return g_points ? run("points", features, 1, stream, args) : 0;
}
}
