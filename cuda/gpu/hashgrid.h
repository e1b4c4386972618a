// The multiresolution hash grid on the device: data that its kernels share. The formulas are in math/field.h.
#pragma once
#include "math/grid_level.h"

namespace a3d::gpu {

constexpr int kGridThreads = 256;  // one point each, in the table's passes of one level

struct GridArgs {
  const float *points, *table;  // m 3; rows features
  int64_t m;
  int32_t count;  // of levels
  GridLevel levels[kGridLevels];
  float* out;                // m (count features)
  const float* g_out;
  float *g_table, *g_points;  // the first begins as zeros
};

}  // namespace a3d::gpu
