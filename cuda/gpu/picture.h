// Pictures in bytes on the device: data that the kernels share.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kPictureThreads = 256;  // one pixel each

struct BytesArgs {
  const float *rgb, *alpha;  // n 3; n, or null
  int64_t n;
  uint8_t* out;  // n 3, or n 4 with alpha
};

struct CompositeArgs {
  const uint8_t *images, *masks;  // m h w 3, m h w
  const int64_t* rows;            // b
  const float* background;        // b 3
  int64_t m, count;               // pictures; pixels of the output, all pictures
  int32_t h, w, shrink;
  float *target, *mask;  // b h/shrink w/shrink 3 and the same without 3
};

}  // namespace a3d::gpu
