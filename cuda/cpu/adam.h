// Adam (Kingma and Ba 2015) over one tensor, in place, in one pass.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"
#include "math/adam_rates.h"

namespace a3d {

struct AdamStep {
  float* value;
  const float* gradient;
  float* first;   // moments
  float* second;
  AdamRates rates;
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Steps elements [begin, end).
    void adam_step(const AdamStep& step, int64_t begin, int64_t end);
)
