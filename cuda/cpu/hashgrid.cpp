// Loops of the hash grid. Indices and weights are made for kLanes points at a time; rows are then read point by point,
// a whole row in one load: gathers would take four times as many loads. Prefetching gained nothing.
#include "cpu/hashgrid.h"

#include "cpu/simd.h"
#include "math/field.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kCorners = 8;

// A row of features as vectors of at most four, at any address.
template <int features>
struct Row {
  static constexpr int kWide = features < 4 ? features : 4, kCount = features / kWide;
  typedef float V __attribute__((vector_size(kWide * 4), aligned(4)));
  V v[kCount];
};
template <>
struct Row<1> {
  static constexpr int kWide = 1, kCount = 1;
  typedef float V;
  V v[1];
};

// Where kLanes points read one level, and how much of it they take.
struct Reading {
  alignas(64) uint32_t row[kCorners][kLanes];  // in floats from the table's begin
  alignas(64) float weight[kCorners][kLanes];
};

template <int features>
A3D_INLINE void locate(const GridLevel& level, const GridCell<F, U>& cell, Reading& reading) {
#pragma GCC unroll 8
  for (int k = 0; k < kCorners; k++) {
    store(reading.row[k], (grid_row(level, cell, k) + level.offset) * uint32_t(features));
    store(reading.weight[k], grid_weight(cell, k));
  }
}

A3D_INLINE void load_points(const GridJob& job, int64_t first, int lanes, F* point) {
  load_rows<3>(job.points + 3 * first, point, lanes);
}

template <int features>
void encode(const GridJob& job, int64_t begin, int64_t end) {
  typedef Row<features> R;
  typedef typename R::V V;
  const int64_t width = job.count * features;
  for (int64_t first = begin; first < end; first += kLanes) {
    const int lanes = end - first < kLanes ? int(end - first) : kLanes;
    F point[3];
    load_points(job, first, lanes, point);
    for (int64_t l = 0; l < job.count; l++) {
      const GridLevel& level = job.levels[l];
      Reading reading;
      locate<features>(level, grid_cell<U>(level, point), reading);
      for (int i = 0; i < lanes; i++) {
        V total[R::kCount] = {};
#pragma GCC unroll 8
        for (int k = 0; k < kCorners; k++) {
          const R& row = *(const R*)(job.table + reading.row[k][i]);
          for (int j = 0; j < R::kCount; j++) total[j] += reading.weight[k][i] * row.v[j];
        }
        V* out = (V*)(job.out + (first + i) * width + l * features);
        for (int j = 0; j < R::kCount; j++) out[j] = total[j];
      }
    }
  }
}

template <int features>
void backward_table(const GridJob& job, int64_t l) {
  typedef Row<features> R;
  const GridLevel& level = job.levels[l];
  float* const own = job.g_table + int64_t(level.offset) * features;
  for (int64_t i = 0; i < int64_t(level.size) * features; i++) own[i] = 0;
  const int64_t width = job.count * features;
  for (int64_t first = 0; first < job.m; first += kLanes) {
    const int lanes = job.m - first < kLanes ? int(job.m - first) : kLanes;
    F point[3];
    Reading reading;
    load_points(job, first, lanes, point);
    locate<features>(level, grid_cell<U>(level, point), reading);
    for (int i = 0; i < lanes; i++) {
      const R& g = *(const R*)(job.g_out + (first + i) * width + l * features);
#pragma GCC unroll 8
      for (int k = 0; k < kCorners; k++) {
        R& row = *(R*)(job.g_table + reading.row[k][i]);
        for (int j = 0; j < R::kCount; j++) row.v[j] += reading.weight[k][i] * g.v[j];
      }
    }
  }
}

typedef float Four __attribute__((vector_size(16), aligned(4)));

// The sums of the elements of four vectors.
A3D_INLINE Four sums(Four a, Four b, Four c, Four d) {
  typedef int32_t Order __attribute__((vector_size(16)));
  const Order low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
  const Four ab = __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
  const Four cd = __builtin_shuffle(c, d, low) + __builtin_shuffle(c, d, high);
  return __builtin_shuffle(ab, cd, first) + __builtin_shuffle(ab, cd, second);
}

// For each corner of a point's cell, the inner product of its row with the cotangent: eight floats.
template <int features>
A3D_INLINE void inner_products(const float* table, const Reading& reading, int lane, const float* g, float* out) {
  if constexpr (features < 4) {
    for (int k = 0; k < kCorners; k++) {
      const float* row = table + reading.row[k][lane];
      out[k] = g[0] * row[0] + (features == 2 ? g[features - 1] * row[features - 1] : 0.f);
    }
  } else {
    Four products[kCorners];
#pragma GCC unroll 8
    for (int k = 0; k < kCorners; k++) {
      const float* row = table + reading.row[k][lane];
      products[k] = *(const Four*)g * *(const Four*)row;
      if (features == 8) products[k] += *(const Four*)(g + 4) * *(const Four*)(row + 4);
    }
    *(Four*)out = sums(products[0], products[1], products[2], products[3]);
    *(Four*)(out + 4) = sums(products[4], products[5], products[6], products[7]);
  }
}

template <int features>
void backward_points(const GridJob& job, int64_t begin, int64_t end) {
  const int64_t width = job.count * features;
  for (int64_t first = begin; first < end; first += kLanes) {
    const int lanes = end - first < kLanes ? int(end - first) : kLanes;
    F point[3], gradient[3] = {};
    load_points(job, first, lanes, point);
    for (int64_t l = 0; l < job.count; l++) {
      const GridLevel& level = job.levels[l];
      const GridCell<F, U> cell = grid_cell<U>(level, point);
      alignas(64) float low[4 * kLanes] = {}, high[4 * kLanes] = {};  // rows of four corners each
      Reading reading;
      locate<features>(level, cell, reading);
      for (int i = 0; i < lanes; i++) {
        alignas(16) float inner[kCorners];
        inner_products<features>(job.table, reading, i, job.g_out + (first + i) * width + l * features, inner);
        *(Four*)(low + 4 * i) = *(const Four*)inner, *(Four*)(high + 4 * i) = *(const Four*)(inner + 4);
      }
      F products[kCorners];
      load_rows<4>(low, products), load_rows<4>(high, products + 4);
      grid_vjp(level, cell, point, products, gradient);
    }
    store_rows<3>(job.g_points + 3 * first, gradient, lanes);
  }
}
}  // namespace

// One instance for each number of features.
#define A3D_BY_FEATURES(function, ...)         \
  switch (features) {                          \
    case 1: return function<1>(__VA_ARGS__);   \
    case 2: return function<2>(__VA_ARGS__);   \
    case 4: return function<4>(__VA_ARGS__);   \
    case 8: return function<8>(__VA_ARGS__);   \
  }

void grid_encode(const GridJob& job, int features, int64_t begin, int64_t end) {
  A3D_BY_FEATURES(encode, job, begin, end)
}
void grid_backward_table(const GridJob& job, int features, int64_t level) {
  A3D_BY_FEATURES(backward_table, job, level)
}
void grid_backward_points(const GridJob& job, int features, int64_t begin, int64_t end) {
  A3D_BY_FEATURES(backward_points, job, begin, end)
}

}  // namespace a3d::A3D_ISA
