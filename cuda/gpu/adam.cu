// One step of Adam over one tensor.
#include "gpu/kernel.h"
#include "gpu/adam.h"
#include "math/adam.h"

namespace a3d::gpu {

A3D_KERNEL(a3d_adam_step, AdamArgs, kAdamThreads) {
  const int64_t at = int64_t(blockIdx.x) * kAdamThreads + threadIdx.x;
  if (at >= args.count || (args.skip && args.skip[at / args.width])) return;
  float first = args.first[at], second = args.second[at];
  args.value[at] = adam_moved(args.rates, args.value[at], args.gradient[at], first, second);
  args.first[at] = first;
  args.second[at] = second;
}

}  // namespace a3d::gpu
