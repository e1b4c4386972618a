// Pictures as bytes, and pictures in bytes over solid colours.
#include "gpu/kernel.h"
#include "gpu/picture.h"

namespace a3d::gpu {
namespace {

__device__ __forceinline__ uint8_t quantised(float x) { return uint8_t(max(min(x, 1.f), 0.f) * 255.f + 0.5f); }
}  // namespace

// Colours in [0, 1], one pixel a thread; with alpha divided by it.
A3D_KERNEL(a3d_image_bytes, BytesArgs, kPictureThreads) {
  const int64_t at = int64_t(blockIdx.x) * kPictureThreads + threadIdx.x;
  if (at >= args.n) return;
  if (!args.alpha) {
#pragma unroll
    for (int c = 0; c < 3; c++) args.out[3 * at + c] = quantised(args.rgb[3 * at + c]);
    return;
  }
  const float alpha = args.alpha[at];
#pragma unroll
  for (int c = 0; c < 3; c++) args.out[4 * at + c] = quantised(args.rgb[3 * at + c] / max(alpha, 1e-4f));
  args.out[4 * at + 3] = quantised(alpha);
}

// A block of shrink x shrink pixels a thread, in exact integer sums. A row outside gives zeros: the host cannot look.
A3D_KERNEL(a3d_composite, CompositeArgs, kPictureThreads) {
  const int64_t at = int64_t(blockIdx.x) * kPictureThreads + threadIdx.x;
  if (at >= args.count) return;
  const int64_t wide = args.w / args.shrink, high = args.h / args.shrink;
  const int64_t picture = at / (wide * high), y = at / wide % high, x = at % wide, row = args.rows[picture];
  uint32_t colour[3] = {0, 0, 0}, matte = 0;
  if (row >= 0 && row < args.m)
    for (int line = 0; line < args.shrink; line++) {
      const int64_t first = (row * args.h + y * args.shrink + line) * args.w + x * args.shrink;
      for (int64_t i = first; i < first + args.shrink; i++) {
        const uint32_t mask = args.masks[i];
#pragma unroll
        for (int c = 0; c < 3; c++) colour[c] += args.images[3 * i + c] * mask;
        matte += mask;
      }
    }
  const float of_mask = 1.f / (255.f * float(args.shrink * args.shrink)), of_colour = of_mask / 255.f;
  const float opaque = float(matte) * of_mask;
  args.mask[at] = opaque;
#pragma unroll
  for (int c = 0; c < 3; c++)
    args.target[3 * at + c] = float(colour[c]) * of_colour + args.background[3 * picture + c] * (1.f - opaque);
}

}  // namespace a3d::gpu
