// The loop of Adam: bound by memory, seven streams of floats.
#include "cpu/adam.h"

#include <math.h>

#include "cpu/simd.h"
#include "math/adam.h"

namespace a3d::A3D_ISA {

void adam_step(const AdamStep& s, int64_t begin, int64_t end) {
  const AdamRates& r = s.rates;
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    F first = load(s.first + i), second = load(s.second + i);
    store(s.value + i, adam_moved(r, load(s.value + i), load(s.gradient + i), first, second));
    store(s.first + i, first);
    store(s.second + i, second);
  }
  for (; i < end; i++) {
    const float g = s.gradient[i];
    const float m = s.first[i] + r.share1 * (g - s.first[i]);
    const float v = r.beta2 * s.second[i] + r.share2 * g * g;
    s.first[i] = m;
    s.second[i] = v;
    s.value[i] -= r.rate * m / (sqrtf(v) * r.inverse_root_correction + r.epsilon);
  }
}

}  // namespace a3d::A3D_ISA
