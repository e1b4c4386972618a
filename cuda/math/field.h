// Radiance fields: the multiresolution hash grid and volume compositing, written once for CPU vectors and CUDA threads.
//
// The grid is the one of Instant-NGP (Mueller et al., SIGGRAPH 2022) with the layout of tiny-cuda-nn, so that a table
// means the same in both: vertices lie half a cell off the border, coarse levels are dense, fine ones are hashed.
#pragma once
#include "math/config.h"
#include "math/grid_level.h"

namespace A3D_MATH {

// The cell of a point in the unit cube, and where it lies within; U is the unsigned integer beside T.
template <class T, class U>
struct GridCell {
  U corner[3];    // its lowest vertex
  T fraction[3];  // in [0, 1)
};

template <class U, class T>
A3D_HD GridCell<T, U> grid_cell(const GridLevel& level, const T* point) {
  GridCell<T, U> cell;
  for (int c = 0; c < 3; c++) {
    const T scaled = min(max(point[c], T{}), T{} + 1.f) * level.scale + 0.5f;
    cell.corner[c] = truncate(scaled);
    cell.fraction[c] = scaled - to_float(cell.corner[c]);
  }
  return cell;
}

// The table row of vertex number `which` (bits: x, y, z) of a cell. Points near 1 have vertices one beyond the last:
// these wrap, as in tiny-cuda-nn.
template <class T, class U>
A3D_HD U grid_row(const GridLevel& level, const GridCell<T, U>& cell, int which) {
  const U x = cell.corner[0] + uint32_t(which & 1), y = cell.corner[1] + uint32_t(which >> 1 & 1),
          z = cell.corner[2] + uint32_t(which >> 2);
  if (level.hashed) return (x ^ y * 2654435761u ^ z * 805459861u) & (level.size - 1u);
  const U row = x + (y + z * level.resolution) * level.resolution;
  return wrap(row, level.size);
}

// How much of vertex `which` a point takes.
template <class T, class U>
A3D_HD T grid_weight(const GridCell<T, U>& cell, int which) {
  const T x = which & 1 ? cell.fraction[0] : 1.f - cell.fraction[0];
  const T y = which & 2 ? cell.fraction[1] : 1.f - cell.fraction[1];
  return x * y * (which & 4 ? cell.fraction[2] : 1.f - cell.fraction[2]);
}

// The gradient of a point in the unit cube, given `inner`, for each vertex the inner product of its features with the
// cotangent. Zero outside the cube, where points are clamped.
template <class T, class U>
A3D_HD void grid_vjp(const GridLevel& level, const GridCell<T, U>& cell, const T* point, const T inner[8], T* gradient) {
  const T* f = cell.fraction;
  for (int c = 0; c < 3; c++) {
    const int u = (c + 1) % 3, v = (c + 2) % 3;
    T slope = T{};
    for (int k = 0; k < 4; k++) {
      const int low = (k & 1) << u | (k >> 1) << v;
      const T a = k & 1 ? f[u] : 1.f - f[u], b = k & 2 ? f[v] : 1.f - f[v];
      slope += a * b * (inner[low | 1 << c] - inner[low]);
    }
    gradient[c] += keep((point[c] >= 0.f) & (point[c] <= 1.f), slope * level.scale);
  }
}

// 1 - exp(-x), x >= 0: how much light a step of optical depth x takes away. Its own series for small x, where the
// difference would lose all digits.
template <class T>
A3D_HD T absorbed(T x) {
  const T series = x * (1.f - x * (0.5f - x * (0.166666667f - x * 0.0416666667f)));
  return select(x < 0.03f, series, 1.f - exp(-x));
}

}  // namespace A3D_MATH
