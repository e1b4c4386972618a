// The tile loop of the picture loss.
//
// Rows stream through: products of an input row are blurred along it into a ring of 11 rows; a ring blurred down gives
// the statistics of a row 5 above; their slopes are blurred the same two ways and give the gradient of a row 10 above.
// The blur is its own adjoint, as the window is symmetric and what lies outside the picture is zero.
#include "cpu/loss.h"

#include <stddef.h>

#include "cpu/simd.h"
#include "math/ssim.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kTaps = 2 * kLossReach + 1;
constexpr int kSide = 3 * kLossReach;                       // floats of the reach
constexpr int kOut = 3 * kLossWidth;                        // floats of a tile's row,
constexpr int kMid = kOut + 2 * kSide;                      // of a row of statistics,
constexpr int kIn = kMid + 2 * kSide;                       // and of an input row
// Lengths of rows in memory: vectors may run over the end, where zeros are, and rows begin on cache lines.
constexpr int kOutRow = (kOut + 31) / 16 * 16, kMidRow = (kMid + 31) / 16 * 16, kInRow = (kIn + 31) / 16 * 16;

struct alignas(64) Rows {
  float x[kInRow], y[kInRow], squares[kInRow], product[kInRow];
  // Rings hold every row twice, 11 apart, so that 11 rows in a row are always at hand at constant distances.
  float blurred[4][2 * kTaps][kMidRow];  // x, y, x^2 + y^2, x y
  float slope[3][kMidRow];               // of the loss by the blurred x, x^2 and x y
  float slopes[3][2 * kTaps][kOutRow];
  float weights[2 * kTaps][kMidRow];
};

A3D_INLINE int slot(int64_t row) { return int((row + 4 * kTaps) % kTaps); }  // rows begin 10 above the picture

A3D_INLINE void along(const float* in, float* out, float* twin, int count) {
  for (int i = 0; i < count; i += kLanes) {
    F total = kWindow[0] * load(in + i + kSide);
    for (int t = 1; t <= kLossReach; t++)
      total += kWindow[t] * (load(in + i + kSide - 3 * t) + load(in + i + kSide + 3 * t));
    store(out + i, total);
    store(twin + i, total);
  }
}

// Blurs down the 11 rows that begin at `first`.
template <int kLength>
A3D_INLINE F down(const float (*first)[kLength], int i) {
  F total = kWindow[0] * load(first[kLossReach] + i);
  for (int t = 1; t <= kLossReach; t++)
    total += kWindow[t] * (load(first[kLossReach - t] + i) + load(first[kLossReach + t] + i));
  return total;
}

// Whether the pictures are the same wherever a tile looks.
bool same(const LossPicture& p, int64_t x0, int64_t y0, int64_t y1) {
  const int64_t left = x0 - 2 * kLossReach < 0 ? 0 : x0 - 2 * kLossReach;
  const int64_t right = x0 + kLossWidth + 2 * kLossReach < p.width ? x0 + kLossWidth + 2 * kLossReach : p.width;
  const int64_t top = y0 - 2 * kLossReach < 0 ? 0 : y0 - 2 * kLossReach;
  const int64_t bottom = y1 + 2 * kLossReach < p.height ? y1 + 2 * kLossReach : p.height;
  for (int64_t row = top; row < bottom; row++) {
    const int64_t at = 3 * (row * p.width + left);
    if (__builtin_memcmp(p.render + at, p.target + at, size_t(12 * (right - left)))) return false;
  }
  return true;
}

// One input row with its products; what lies outside the picture stays zero. Returns whether both pictures agree.
bool read(const LossPicture& p, int64_t x0, int64_t row, Rows& rows) {
  if (row < 0 || row >= p.height) {
    for (int i = 0; i < kIn; i++) rows.x[i] = rows.y[i] = 0;
  } else {
    const int64_t left = x0 - 2 * kLossReach, begin = left < 0 ? 0 : left;
    const int64_t end = left + kIn / 3 < p.width ? left + kIn / 3 : p.width;
    const float *render = p.render + 3 * (row * p.width + begin), *target = p.target + 3 * (row * p.width + begin);
    float *x = rows.x + 3 * (begin - left), *y = rows.y + 3 * (begin - left);
    for (int64_t i = 0; i < 3 * (end - begin); i++) {
      x[i] = render[i];
      y[i] = target[i];
    }
  }
  I differs = {};
  for (int i = 0; i < kIn; i += kLanes) {
    const F x = load(rows.x + i), y = load(rows.y + i);
    differs |= x != y;
    store(rows.squares + i, x * x + y * y);
    store(rows.product + i, x * y);
  }
  const int to = slot(row);
  const float* from[4] = {rows.x, rows.y, rows.squares, rows.product};
  for (int m = 0; m < 4; m++) along(from[m], rows.blurred[m][to], rows.blurred[m][to + kTaps], kMid);
  return !any(differs);
}

// Weights of a row of statistics; zero outside the picture, where there are none.
void weigh(const LossPicture& p, int64_t x0, int64_t row, Rows& rows) {
  float *out = rows.weights[slot(row)], *twin = rows.weights[slot(row) + kTaps];
  for (int i = 0; i < kMidRow; i++) out[i] = 0;
  if (row >= 0 && row < p.height) {
    const int64_t left = x0 - kLossReach, begin = left < 0 ? 0 : left;
    const int count = int((left + kMid / 3 < p.width ? left + kMid / 3 : p.width) - begin);
    float* to = out + 3 * (begin - left);
    const float* weight = p.weight ? p.weight + row * p.width + begin : nullptr;
    for (int i = 0; i < count; i++) to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = weight ? weight[i] : 1;
  }
  for (int i = 0; i < kMidRow; i++) twin[i] = out[i];
}

// The statistics of a row: returns the sum of weight (1 - SSIM) over the tile's own pixels, writes the slopes.
float compare(const LossPicture& p, int64_t row, int own, Rows& rows) {
  const int first = slot(row - kLossReach);
  F total = {};
  for (int i = 0; i < kMid; i += kLanes) {
    const F mx = down(rows.blurred[0] + first, i), my = down(rows.blurred[1] + first, i);
    const F squares = down(rows.blurred[2] + first, i), product = down(rows.blurred[3] + first, i);
    const Similarity<F> s = similarity(mx, my, squares, product);
    const F weight = load(rows.weights[slot(row)] + i);
    F counted = weight;
    if (i < kSide || i + kLanes > kSide + own)  // the neighbours count these
      for (int lane = 0; lane < kLanes; lane++)
        if (i + lane < kSide || i + lane >= kSide + own) counted[lane] = 0;
    total += counted * (1.f - s.ssim);
    if (!p.gradient) continue;
    const F scale = -p.ssim_scale * weight;
    store(rows.slope[0] + i, scale * s.by_mean);
    store(rows.slope[1] + i, scale * s.by_squares);
    store(rows.slope[2] + i, scale * s.by_product);
  }
  return sum(total);
}

// |x - y| of a row of the tile, and its gradient together with that of the slopes around it.
float finish(const LossPicture& p, int64_t x0, int64_t row, int own, Rows& rows) {
  const float* render = p.render + 3 * (row * p.width + x0);
  const float* target = p.target + 3 * (row * p.width + x0);
  const float* weight = rows.weights[slot(row)] + kSide;
  float* out = p.gradient ? p.gradient + 3 * (row * p.width + x0) : nullptr;
  const int first = slot(row - kLossReach);
  F total = {};
  for (int i = 0; i < own; i += kLanes) {
    const int count = own - i < kLanes ? own - i : kLanes;
    F x = {}, y = {};
    if (count == kLanes) {
      x = load(render + i);
      y = load(target + i);
    } else {
      for (int lane = 0; lane < count; lane++) {
        x[lane] = render[i + lane];
        y[lane] = target[i + lane];
      }
    }
    const F difference = x - y, w = load(weight + i);
    total += w * abs(difference);  // lanes beyond the row differ by nothing
    if (!out) continue;
    const F sign = keep(difference > 0.f, splat(1.f)) - keep(difference < 0.f, splat(1.f));
    const F gradient = p.l1_scale * w * sign + down(rows.slopes[0] + first, i) +
                       2.f * x * down(rows.slopes[1] + first, i) + y * down(rows.slopes[2] + first, i);
    if (count == kLanes) {
      store(out + i, gradient);
    } else {
      for (int lane = 0; lane < count; lane++) out[i + lane] = gradient[lane];
    }
  }
  return sum(total);
}

// The loss without its structural part: no windows, so no rings of rows.
void only_difference(const LossPicture& p, int64_t x0, int64_t y0, int64_t y1, double* sums) {
  const int64_t x1 = x0 + kLossWidth < p.width ? x0 + kLossWidth : p.width;
  for (int64_t row = y0; row < y1; row++) {
    float total[kOut] = {};  // added in the end: the compiler keeps vectors of a loop without a running sum
    const int64_t at = 3 * (row * p.width + x0), count = 3 * (x1 - x0);
    for (int64_t i = 0; i < count; i++) {
      const float difference = p.render[at + i] - p.target[at + i];
      const float weight = p.weight ? p.weight[row * p.width + x0 + i / 3] : 1.f;
      total[i] = weight * (difference < 0.f ? -difference : difference);
      if (p.gradient) p.gradient[at + i] = p.l1_scale * weight * float((difference > 0.f) - (difference < 0.f));
    }
    F sum_of_row = {};
    for (int i = 0; i < kOut; i += kLanes) sum_of_row += load(total + i);
    sums[0] += sum(sum_of_row);
  }
}

}  // namespace

void loss_tile(const LossPicture& p, int64_t x0, int64_t y0, double* sums) {
  const int64_t y1 = y0 + kLossHeight < p.height ? y0 + kLossHeight : p.height;
  const int own = 3 * int(x0 + kLossWidth < p.width ? kLossWidth : p.width - x0);
  if (same(p, x0, y0, y1)) {
    for (int64_t row = y0; p.gradient && row < y1; row++)
      for (int i = 0; i < own; i++) p.gradient[3 * (row * p.width + x0) + i] = 0;
    return;
  }
  if (p.ssim_scale == 0) return only_difference(p, x0, y0, y1, sums);
  Rows rows;
  for (float* f = rows.x; f < reinterpret_cast<float*>(&rows + 1); f++) *f = 0;
  // A portrait's backdrop is often the same in both pictures: where a whole window is, its loss and slopes are zero,
  // and where all windows over a row are, its gradient is. `equal` and `still` count such rows on end.
  int equal = 0, still = 0;
  for (int64_t row = y0 - 2 * kLossReach; row < y1 + 2 * kLossReach; row++) {
    equal = read(p, x0, row, rows) ? equal + 1 : 0;
    const int64_t middle = row - kLossReach, last = middle - kLossReach;
    if (middle < y0 - kLossReach) continue;
    weigh(p, x0, middle, rows);
    still = equal >= kTaps ? still + 1 : 0;
    const int to = slot(middle);
    if (!still) {
      const float ssim = compare(p, middle, own, rows);
      if (middle >= y0 && middle < y1) sums[1] += ssim;
      if (p.gradient)
        for (int s = 0; s < 3; s++) along(rows.slope[s], rows.slopes[s][to], rows.slopes[s][to + kTaps], kOut);
    } else if (p.gradient) {
      for (int s = 0; s < 3; s++)
        for (int i = 0; i < kOutRow; i++) rows.slopes[s][to][i] = rows.slopes[s][to + kTaps][i] = 0;
    }
    if (last < y0) continue;
    if (still < kTaps) {
      sums[0] += finish(p, x0, last, own, rows);
    } else if (p.gradient) {
      float* out = p.gradient + 3 * (last * p.width + x0);
      for (int i = 0; i < own; i++) out[i] = 0;
    }
  }
}

}  // namespace a3d::A3D_ISA
