// Reads the levels of a hash grid from the C interface; host code of the CPU and of the GPU library.
#pragma once
#include "cpu/error.h"
#include "math/grid_level.h"

namespace a3d {

// Fills `out` from `shapes`, rows of resolution, first row, rows and whether hashed; returns 0, or fails with what is
// wrong: after that no kernel leaves the table.
inline int read_levels(const float* scales, const int64_t* shapes, int64_t levels, int64_t features, int64_t rows,
                       GridLevel* out) {
  if (features != 1 && features != 2 && features != 4 && features != 8)
    return fail("%lld features a level; give 1, 2, 4 or 8", (long long)features);
  if (levels < 1 || levels > kGridLevels || rows * features > int64_t(1) << 31)
    return fail("%lld levels of %lld rows in all", (long long)levels, (long long)rows);
  for (int64_t l = 0; l < levels; l++) {
    const int64_t *shape = shapes + 4 * l, resolution = shape[0], size = shape[2];
    const bool small = resolution >= 2 && resolution <= 1 << 20 && scales[l] > 0 && scales[l] <= float(resolution - 1);
    const bool room = shape[3] ? (size & (size - 1)) == 0 : small && resolution * resolution * resolution <= size;
    if (!small || !room || shape[1] < 0 || size < 1 || shape[1] + size > rows)
      return fail("level %lld of the grid is not sound: resolution %lld, rows %lld to %lld of %lld", (long long)l,
                  (long long)resolution, (long long)shape[1], (long long)(shape[1] + size), (long long)rows);
    out[l] = {scales[l], uint32_t(resolution), uint32_t(shape[1]), uint32_t(size), uint32_t(shape[3] != 0)};
  }
  return 0;
}

}  // namespace a3d
