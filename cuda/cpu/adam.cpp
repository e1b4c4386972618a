// The loop of Adam: bound by memory, seven streams of floats.
#include "cpu/adam.h"

#include <math.h>

#include "cpu/simd.h"

namespace a3d::A3D_ISA {

void adam_step(const AdamStep& s, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    const F g = load(s.gradient + i);
    const F held = load(s.first + i);
    const F m = held + s.share1 * (g - held);
    const F v = s.beta2 * load(s.second + i) + s.share2 * g * g;
    store(s.first + i, m);
    store(s.second + i, v);
    store(s.value + i, load(s.value + i) - s.rate * m / (sqrt(v) * s.inverse_root_correction + s.epsilon));
  }
  for (; i < end; i++) {
    const float g = s.gradient[i];
    const float m = s.first[i] + s.share1 * (g - s.first[i]);
    const float v = s.beta2 * s.second[i] + s.share2 * g * g;
    s.first[i] = m;
    s.second[i] = v;
    s.value[i] -= s.rate * m / (sqrtf(v) * s.inverse_root_correction + s.epsilon);
  }
}

}  // namespace a3d::A3D_ISA
