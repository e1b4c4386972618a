// The tile loop of the picture loss.
//
// Rows stream through: products of an input row are blurred along it into a ring of 11 rows; a ring blurred down gives the
// statistics of a row 5 above; their derivatives are blurred the same two ways and give the gradient of a row 10 above.
// The blur is its own adjoint, as the window is symmetric and what lies outside the picture is zero.
#include "cpu/loss.h"

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kTaps = 2 * kLossReach + 1;
constexpr int kSide = 3 * kLossReach;                       // floats of the reach
constexpr int kOut = 3 * kLossWidth;                        // floats of a tile's row,
constexpr int kMid = kOut + 2 * kSide;                      // of a row of statistics,
constexpr int kIn = kMid + 2 * kSide;                       // and of an input row
constexpr int kSlack = 32;                                  // vectors may run over the end: zeros there
constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;   // Wang et al. 2004, data range 1

// exp(-t^2 / (2 1.5^2)) for t = 0 to 5, divided by the sum over the window.
constexpr float kWindow[kLossReach + 1] = {0.266011725f,  0.213005538f,   0.109360690f,
                                             0.0360007721f, 0.00759875814f, 0.00102838013f};

struct Rows {
  float x[kIn + kSlack], y[kIn + kSlack], xx[kIn + kSlack], yy[kIn + kSlack], xy[kIn + kSlack];
  float blurred[5][kTaps][kMid + kSlack];
  float weight[kMid + kSlack];
  float slope[3][kMid + kSlack];  // by the mean of x, of x^2 and of x y
  float slopes[3][kTaps][kOut + kSlack];
  float out[kOut + kSlack];
};

A3D_INLINE void along(const float* in, float* out, int count) {
  for (int i = 0; i < count; i += kLanes) {
    F total = kWindow[0] * load(in + i + kSide);
    for (int t = 1; t <= kLossReach; t++)
      total += kWindow[t] * (load(in + i + kSide - 3 * t) + load(in + i + kSide + 3 * t));
    store(out + i, total);
  }
}

// Blurs down a ring whose middle row is `middle`.
template <int kLength>
A3D_INLINE F down(const float (*ring)[kLength], int64_t middle, int i) {
  const int64_t base = middle + kTaps * 4;  // never negative
  F total = kWindow[0] * load(ring[base % kTaps] + i);
  for (int t = 1; t <= kLossReach; t++)
    total += kWindow[t] * (load(ring[(base - t) % kTaps] + i) + load(ring[(base + t) % kTaps] + i));
  return total;
}

// One input row with its products; zeros outside the picture.
void read(const LossPicture& p, int64_t x0, int64_t row, Rows& rows) {
  const bool inside = row >= 0 && row < p.height;
  for (int i = 0; i < kIn; i += 3) {
    const int64_t x = x0 - 2 * kLossReach + i / 3;
    const bool valid = inside && x >= 0 && x < p.width;
    const int64_t at = 3 * (row * p.width + x);
    for (int c = 0; c < 3; c++) {
      rows.x[i + c] = valid ? p.render[at + c] : 0;
      rows.y[i + c] = valid ? p.target[at + c] : 0;
    }
  }
  for (int i = 0; i < kIn; i += kLanes) {
    const F x = load(rows.x + i), y = load(rows.y + i);
    store(rows.xx + i, x * x);
    store(rows.yy + i, y * y);
    store(rows.xy + i, x * y);
  }
  const int slot = int((row + 4 * kTaps) % kTaps);
  along(rows.x, rows.blurred[0][slot], kMid);
  along(rows.y, rows.blurred[1][slot], kMid);
  along(rows.xx, rows.blurred[2][slot], kMid);
  along(rows.yy, rows.blurred[3][slot], kMid);
  along(rows.xy, rows.blurred[4][slot], kMid);
}

// Weights of a row of statistics; zero outside the picture, where there are none.
void weigh(const LossPicture& p, int64_t x0, int64_t row, Rows& rows) {
  const bool inside = row >= 0 && row < p.height;
  for (int i = 0; i < kMid; i += 3) {
    const int64_t x = x0 - kLossReach + i / 3;
    const bool valid = inside && x >= 0 && x < p.width;
    const float w = !valid ? 0 : p.weight ? p.weight[row * p.width + x] : 1;
    rows.weight[i] = rows.weight[i + 1] = rows.weight[i + 2] = w;
  }
}

// The statistics of a row: returns the sum of weight (1 - SSIM) over the tile's own pixels, writes the slopes.
float compare(const LossPicture& p, int64_t row, int own, Rows& rows) {
  F total = {};
  for (int i = 0; i < kMid; i += kLanes) {
    const F mx = down(rows.blurred[0], row, i), my = down(rows.blurred[1], row, i);
    const F sx = down(rows.blurred[2], row, i) - mx * mx, sy = down(rows.blurred[3], row, i) - my * my;
    const F sxy = down(rows.blurred[4], row, i) - mx * my;
    const F n1 = 2.f * mx * my + kC1, n2 = 2.f * sxy + kC2, d1 = mx * mx + my * my + kC1, d2 = sx + sy + kC2;
    const F inverse = 1.f / (d1 * d2);
    const F ssim = n1 * n2 * inverse;
    const F weight = load(rows.weight + i);
    F counted = weight;
    if (i < kSide || i + kLanes > kSide + own)  // the neighbours count these
      for (int lane = 0; lane < kLanes; lane++)
        if (i + lane < kSide || i + lane >= kSide + own) counted[lane] = 0;
    total += counted * (1.f - ssim);
    if (!p.gradient) continue;
    const F scale = -p.ssim_scale * weight;
    const F by_sx = -ssim * d1 * inverse, by_sxy = 2.f * n1 * inverse;
    const F by_mean = 2.f * my * n2 * inverse - 2.f * mx * ssim * d2 * inverse - 2.f * mx * by_sx - my * by_sxy;
    store(rows.slope[0] + i, scale * by_mean);
    store(rows.slope[1] + i, scale * by_sx);
    store(rows.slope[2] + i, scale * by_sxy);
  }
  return sum(total);
}

// |x - y| of a row of the tile, and its gradient together with that of the slopes around it.
float finish(const LossPicture& p, int64_t x0, int64_t row, int own, Rows& rows) {
  const float* render = p.render + 3 * (row * p.width + x0);
  const float* target = p.target + 3 * (row * p.width + x0);
  float total = 0;
  for (int i = 0; i < own; i++) {
    const float difference = render[i] - target[i];
    const float w = p.weight ? p.weight[row * p.width + x0 + i / 3] : 1;
    total += w * (difference < 0 ? -difference : difference);
    rows.out[i] = w * p.l1_scale * (difference > 0 ? 1.f : difference < 0 ? -1.f : 0.f);
  }
  if (!p.gradient) return total;
  float* out = p.gradient + 3 * (row * p.width + x0);
  for (int i = 0; i < own; i += kLanes) {
    const F mean = down(rows.slopes[0], row, i), xx = down(rows.slopes[1], row, i), xy = down(rows.slopes[2], row, i);
    if (i + kLanes <= own) {
      store(out + i, load(rows.out + i) + mean + 2.f * load(render + i) * xx + load(target + i) * xy);
    } else {
      for (int lane = 0; i + lane < own; lane++)
        out[i + lane] = rows.out[i + lane] + mean[lane] + 2.f * render[i + lane] * xx[lane] + target[i + lane] * xy[lane];
    }
  }
  return total;
}

}  // namespace

void loss_tile(const LossPicture& p, int64_t x0, int64_t y0, double* sums) {
  alignas(64) Rows rows;
  for (float* f = rows.x; f < reinterpret_cast<float*>(&rows + 1); f++) *f = 0;
  const int64_t y1 = y0 + kLossHeight < p.height ? y0 + kLossHeight : p.height;
  const int own = 3 * int(x0 + kLossWidth < p.width ? kLossWidth : p.width - x0);
  for (int64_t row = y0 - 2 * kLossReach; row < y1 + 2 * kLossReach; row++) {
    read(p, x0, row, rows);
    const int64_t middle = row - kLossReach;
    if (middle < y0 - kLossReach) continue;
    weigh(p, x0, middle, rows);
    const float ssim = compare(p, middle, own, rows);
    if (middle >= y0 && middle < y1) sums[1] += ssim;
    if (p.gradient)
      for (int s = 0; s < 3; s++) along(rows.slope[s], rows.slopes[s][(middle + 4 * kTaps) % kTaps], kOut);
    const int64_t last = middle - kLossReach;
    if (last >= y0) sums[0] += finish(p, x0, last, own, rows);
  }
}

}  // namespace a3d::A3D_ISA
