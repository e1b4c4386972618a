// Zeros, where a kernel adds to what it finds.
#include "gpu/fill.h"
#include "gpu/kernel.h"

namespace a3d::gpu {

A3D_KERNEL(a3d_fill, Fill, kFillThreads) {
  const int64_t at = int64_t(blockIdx.x) * kFillThreads + threadIdx.x;
  if (at < args.n) args.values[at] = 0.f;
}

}  // namespace a3d::gpu
