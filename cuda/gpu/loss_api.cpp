// Entry points of the picture loss on the device.
#include "gpu/loss.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"

using namespace a3d;
using namespace a3d::gpu;

namespace {
int64_t tiles_of(int64_t b, int64_t h, int64_t w) {
  return b * int64_t(blocks_of(h, kLossTile)) * int64_t(blocks_of(w, kLossTile));
}

// *out = the sum of n values; `scratch` has room for a number per chunk.
int sum(const float* values, int64_t n, float* scratch, float* out, void* stream) {
  const uint32_t blocks = blocks_of(n, kLossChunk);
  if (const int code = launch("a3d_loss_parts", {blocks}, kLossThreads, stream, LossSum{values, scratch, n})) return code;
  return launch("a3d_loss_total", {1}, kLossThreads, stream, LossSum{scratch, out, int64_t(blocks)});
}
}  // namespace

extern "C" {

int32_t a3d_gpu_loss_workspace(int64_t b, int64_t h, int64_t w, int64_t* floats) {
  *floats = 9 * b * h * w + tiles_of(b, h, w) + blocks_of(b * h * w, kLossChunk) + blocks_of(tiles_of(b, h, w), kLossChunk) + 1;
  return 0;
}

int32_t a3d_gpu_loss_l1_ssim(const float* render, const float* target, const float* weight, int64_t b, int64_t h,
                             int64_t w, float ssim_share, float* workspace, float* loss, float* gradient,
                             void* stream) {
  if (b > 65535 || h > 1 << 20 || w > 1 << 20)
    return fail("a loss of %lld pictures of %lld x %lld is out of range", (long long)b, (long long)w, (long long)h);
  const int64_t pixels = b * h * w, tiles = tiles_of(b, h, w);
  float* parts = workspace + 9 * pixels;
  float* scratch = parts + tiles;
  float* whole = scratch + blocks_of(pixels, kLossChunk) + blocks_of(tiles, kLossChunk);
  if (weight)
    if (const int code = sum(weight, pixels, scratch, whole, stream)) return code;
  const LossArgs args = {render, target, weight, workspace, parts, weight ? whole : nullptr, gradient, int32_t(b),
                         int32_t(h), int32_t(w), ssim_share};
  const Grid grid = {blocks_of(w, kLossTile), blocks_of(h, kLossTile), uint32_t(b)};
  if (const int code = launch("a3d_loss_compare", grid, kLossThreads, stream, args)) return code;
  if (gradient)
    if (const int code = launch("a3d_loss_gradient", grid, kLossThreads, stream, args)) return code;
  return sum(parts, tiles, scratch, loss, stream);
}
}
