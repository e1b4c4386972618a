// Adam on the device.
#pragma once
#include "math/adam_rates.h"
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kAdamThreads = 256;  // one element each: bound by memory, seven streams of floats

struct AdamArgs {
  float* value;
  const float* gradient;
  float *first, *second;
  const uint8_t* skip;  // rows, or null
  int64_t count, width;
  AdamRates rates;
};

}  // namespace a3d::gpu
