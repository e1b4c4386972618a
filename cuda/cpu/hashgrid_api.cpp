// Entry points of the hash grid.
#include "cpu/hashgrid.h"

#include "avatar3d.h"
#include "cpu/pool.h"
#include "math/grid_check.h"

namespace {
using namespace a3d;

int64_t chunks(int64_t m) { return (m + kGridChunk - 1) / kGridChunk; }
}  // namespace

extern "C" {

int32_t a3d_grid_encode(const float* points, const float* table, const float* scales, const int64_t* shapes, int64_t m,
                        int64_t levels, int64_t features, int64_t rows, float* out, int32_t threads) {
  GridLevel of[kGridLevels];
  if (read_levels(scales, shapes, levels, features, rows, of)) return 1;
  const GridJob job{points, table, of, m, levels, out, nullptr, nullptr, nullptr};
  const auto loop = A3D_PICK(grid_encode);
  Pool::run(chunks(m), threads, [&](int64_t chunk) {
    const int64_t begin = chunk * kGridChunk;
    loop(job, int(features), begin, begin + kGridChunk < m ? begin + kGridChunk : m);
  });
  return 0;
}

int32_t a3d_grid_backward(const float* points, const float* table, const float* scales, const int64_t* shapes,
                          int64_t m, int64_t levels, int64_t features, int64_t rows, const float* g_out,
                          float* g_table, float* g_points, int32_t threads) {
  GridLevel of[kGridLevels];
  if (read_levels(scales, shapes, levels, features, rows, of)) return 1;
  const GridJob job{points, table, of, m, levels, nullptr, g_out, g_table, g_points};
  if (g_table) {  // one thread a level, points in order: the same sums for any number of threads
    const auto loop = A3D_PICK(grid_backward_table);
    Pool::run(levels, threads, [&](int64_t l) { loop(job, int(features), l); });
  }
  if (g_points) {
    const auto loop = A3D_PICK(grid_backward_points);
    Pool::run(chunks(m), threads, [&](int64_t chunk) {
      const int64_t begin = chunk * kGridChunk;
      loop(job, int(features), begin, begin + kGridChunk < m ? begin + kGridChunk : m);
    });
  }
  return 0;
}
}
