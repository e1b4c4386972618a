// Adam (Kingma and Ba 2015) over one tensor, in place, in one pass.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

namespace a3d {

struct AdamStep {
  float* value;
  const float* gradient;
  float* first;   // moments
  float* second;
  float rate;                    // divided by the bias correction of the first moment
  float beta1, beta2, epsilon;
  float share1, share2;           // 1 - beta, rounded once: from float betas it would be off by 5e-5
  float inverse_root_correction;  // 1 / sqrt of the bias correction of the second
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Steps elements [begin, end).
    void adam_step(const AdamStep& step, int64_t begin, int64_t end);
)
