// One element of Adam (Kingma and Ba 2015), written once for CPU vectors and CUDA threads.
#pragma once
#include "math/adam_rates.h"
#include "math/config.h"

namespace A3D_MATH {

// Moves the moments and returns the new value.
template <class T>
A3D_HD T adam_moved(const AdamRates& s, T value, T gradient, T& first, T& second) {
  first = first + s.share1 * (gradient - first);
  second = s.beta2 * second + s.share2 * gradient * gradient;
  return value - s.rate * first / (sqrt(second) * s.inverse_root_correction + s.epsilon);
}

}  // namespace A3D_MATH
