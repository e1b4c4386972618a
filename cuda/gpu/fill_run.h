// What host code of other kernels takes from fill.cu.
#pragma once
#include "gpu/fill.h"
#include "gpu/launch.h"

namespace a3d::gpu {

inline int fill_zero(float* values, int64_t n, void* stream) {
  const Fill args = {values, n};
  return launch("a3d_fill", {blocks_of(n, kFillThreads)}, kFillThreads, stream, args);
}

}  // namespace a3d::gpu
