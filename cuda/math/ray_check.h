// Reads rays and their grid from the C interface; host code of the CPU and of the GPU library.
#pragma once
#include "cpu/error.h"
#include "math/ray.h"

namespace a3d {

// Completes `rays`, whose pointers are set; returns 0, or fails with what is wrong.
inline int read_rays(const int64_t* cells, const float* box, float step, int64_t limit, Rays& rays) {
  rays.step = step;
  if (!(step > 0) || limit < 1 || limit >= kRayDone)
    return fail("rays: step %g, limit %lld; both must be more than 0", double(step), (long long)limit);
  for (int c = 0; c < 3; c++) {
    const float low = box[c], high = box[3 + c];
    if (!(low < high) || cells[c] < 1 || cells[c] > 4096)
      return fail("rays: a box from %g to %g in %lld cells", double(low), double(high), (long long)cells[c]);
    rays.cells[c] = int32_t(cells[c]);
    rays.low[c] = low, rays.high[c] = high;
    rays.cell[c] = (high - low) / float(cells[c]), rays.per_metre[c] = float(cells[c]) / (high - low);
  }
  return 0;
}

}  // namespace a3d
