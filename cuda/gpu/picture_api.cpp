// Entry points of pictures in bytes on the device.
#include "gpu/picture.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"

using namespace a3d;
using namespace a3d::gpu;

extern "C" {

int32_t a3d_gpu_image_bytes(const float* rgb, const float* alpha, int64_t pixels, uint8_t* out, void* stream) {
  const BytesArgs args = {rgb, alpha, pixels, out};
  return launch("a3d_image_bytes", {blocks_of(pixels, kPictureThreads)}, kPictureThreads, stream, args);
}

int32_t a3d_gpu_composite(const uint8_t* images, const uint8_t* masks, const int64_t* rows, const float* background,
                          int64_t m, int64_t h, int64_t w, int64_t b, int64_t shrink, float* target, float* mask,
                          void* stream) {
  if (shrink < 1 || shrink > 256 || h / shrink < 1 || w / shrink < 1 || h > 1 << 20 || w > 1 << 20)
    return fail("pictures of %lld x %lld cannot shrink by %lld", (long long)w, (long long)h, (long long)shrink);
  const CompositeArgs args = {images, masks, rows, background, m, b * (h / shrink) * (w / shrink), int32_t(h),
                              int32_t(w), int32_t(shrink), target, mask};
  return launch("a3d_composite", {blocks_of(args.count, kPictureThreads)}, kPictureThreads, stream, args);
}
}
