// Entry point of the picture loss.
#include "avatar3d.h"
#include "cpu/loss.h"
#include "cpu/pool.h"

extern "C" int32_t a3d_loss_l1_ssim(const float* render, const float* target, const float* weight, int64_t b, int64_t h,
                                    int64_t w, float ssim_share, double* parts, float* loss, float* gradient,
                                    int32_t threads) {
  using namespace a3d;
  const int64_t columns = (w + kLossWidth - 1) / kLossWidth, lines = (h + kLossHeight - 1) / kLossHeight;
  const int64_t tiles = columns * lines;
  double total = double(b * h * w);
  if (weight) {
    Pool::run(b * lines, threads, [&](int64_t task) {
      const int64_t top = task % lines * kLossHeight, rows = h - top < kLossHeight ? h - top : kLossHeight;
      const float* from = weight + (task / lines * h + top) * w;
      double sum = 0;
      for (int64_t i = 0; i < rows * w; i++) sum += from[i];
      parts[task] = sum;
    });
    total = 0;
    for (int64_t i = 0; i < b * lines; i++) total += parts[i];
  }
  const double share = total > 0 ? 1 / (3 * total) : 0;
  const double l1_scale = (1 - double(ssim_share)) * share, ssim_scale = double(ssim_share) * share;
  const auto loop = A3D_PICK(loss_tile);
  Pool::run(b * tiles, threads, [&](int64_t task) {
    const int64_t i = task / tiles, tile = task % tiles, at = i * h * w;
    const LossPicture picture{render + 3 * at,
                              target + 3 * at,
                              weight ? weight + at : nullptr,
                              gradient ? gradient + 3 * at : nullptr,
                              h,
                              w,
                              float(l1_scale),
                              float(ssim_scale)};
    double sums[2] = {0, 0};
    loop(picture, tile % columns * kLossWidth, tile / columns * kLossHeight, sums);
    parts[task] = l1_scale * sums[0] + ssim_scale * sums[1];
  });
  total = 0;
  for (int64_t i = 0; i < b * tiles; i++) total += parts[i];
  *loss = float(total);
  return 0;
}
