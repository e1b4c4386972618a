// What a step of Adam needs to know; the same on both sides of the C interface.
#pragma once
#include "math/integers.h"
#if !defined(__CUDACC_RTC__)
#include <cmath>
#endif

namespace a3d {

struct AdamRates {
  float rate;                     // divided by the bias correction of the first moment
  float beta1, beta2, epsilon;
  float share1, share2;           // 1 - beta, rounded once: from float betas it would be off by 5e-5
  float inverse_root_correction;  // 1 / sqrt of the bias correction of the second
};

#if !defined(__CUDACC_RTC__)
// Those of step number `step`, from 1.
inline AdamRates adam_rates(int64_t step, double rate, double beta1, double beta2, double epsilon) {
  return {float(rate / (1 - std::pow(beta1, double(step)))),
          float(beta1),
          float(beta2),
          float(epsilon),
          float(1 - beta1),
          float(1 - beta2),
          float(1 / std::sqrt(1 - std::pow(beta2, double(step))))};
}
#endif

}  // namespace a3d
