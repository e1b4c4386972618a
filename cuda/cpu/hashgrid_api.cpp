// Entry points of the hash grid.
#include "cpu/hashgrid.h"

#include <vector>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"

namespace {
using namespace a3d;

// Fills `out` from rows of resolution, first row, rows and whether hashed; returns what is wrong with them, or 0.
int32_t read_levels(const float* scales, const int64_t* shapes, int64_t levels, int64_t features, int64_t rows,
                    std::vector<GridLevel>& out) {
  if (features != 1 && features != 2 && features != 4 && features != 8)
    return fail("%lld features a level; give 1, 2, 4 or 8", (long long)features);
  if (levels < 1 || rows * features > int64_t(1) << 31)
    return fail("%lld levels of %lld rows in all", (long long)levels, (long long)rows);
  for (int64_t l = 0; l < levels; l++) {
    const int64_t *shape = shapes + 4 * l, resolution = shape[0], size = shape[2];
    const bool power = (size & (size - 1)) == 0, room = resolution * resolution * resolution <= size;
    if (!(scales[l] > 0 && scales[l] <= float(resolution - 1)) || shape[1] < 0 || size < 1 || shape[1] + size > rows || resolution < 2 || resolution > 1 << 20 ||
        !(shape[3] ? power : room))
      return fail("level %lld of the grid is not sound: resolution %lld, rows %lld to %lld of %lld", (long long)l,
                  (long long)resolution, (long long)shape[1], (long long)(shape[1] + size), (long long)rows);
    out.push_back({scales[l], uint32_t(resolution), uint32_t(shape[1]), uint32_t(size), uint32_t(shape[3] != 0)});
  }
  return 0;
}

int64_t chunks(int64_t m) { return (m + kGridChunk - 1) / kGridChunk; }
}  // namespace

extern "C" {

int32_t a3d_grid_encode(const float* points, const float* table, const float* scales, const int64_t* shapes, int64_t m,
                        int64_t levels, int64_t features, int64_t rows, float* out, int32_t threads) {
  std::vector<GridLevel> of;
  if (read_levels(scales, shapes, levels, features, rows, of)) return 1;
  const GridJob job{points, table, of.data(), m, levels, out, nullptr, nullptr, nullptr};
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
  std::vector<GridLevel> of;
  if (read_levels(scales, shapes, levels, features, rows, of)) return 1;
  const GridJob job{points, table, of.data(), m, levels, nullptr, g_out, g_table, g_points};
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
