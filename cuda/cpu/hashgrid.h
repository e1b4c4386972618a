// The multiresolution hash grid: what the entry points (hashgrid_api.cpp) and the loops (hashgrid.cpp) share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"
#include "math/grid_level.h"

namespace a3d {

constexpr int64_t kGridChunk = 512;  // points a task: their features stay in the second-level cache

struct GridJob {
  const float* points;  // m 3, in the unit cube
  const float* table;   // rows features
  const GridLevel* levels;
  int64_t m, count;  // points, levels
  float* out;        // m (count features)
  const float* g_out;
  float* g_table;   // rows features, or null
  float* g_points;  // m 3, or null
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Features of points [begin, end). `features` a row: 1, 2, 4 or 8.
    void grid_encode(const GridJob& job, int features, int64_t begin, int64_t end);
    // Sets the gradient of one level's rows, from all points in order.
    void grid_backward_table(const GridJob& job, int features, int64_t level);
    // Sets the gradients of points [begin, end).
    void grid_backward_points(const GridJob& job, int features, int64_t begin, int64_t end);
)
