// Zeros in device memory.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kFillThreads = 256;

struct Fill {
  float* values;
  int64_t n;
};

}  // namespace a3d::gpu
