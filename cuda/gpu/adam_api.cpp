// Entry point of Adam on the device.
#include "gpu/adam.h"

#include "avatar3d_gpu.h"
#include "gpu/launch.h"

extern "C" int32_t a3d_gpu_adam_step(float* value, const float* gradient, float* first, float* second,
                                     const uint8_t* skip, int64_t rows, int64_t width, int64_t step, double rate,
                                     double beta1, double beta2, double epsilon, void* stream) {
  using namespace a3d::gpu;
  const AdamArgs args = {value, gradient, first, second, skip, rows * width, width > 0 ? width : 1,
                         a3d::adam_rates(step, rate, beta1, beta2, epsilon)};
  return launch("a3d_adam_step", {blocks_of(args.count, kAdamThreads)}, kAdamThreads, stream, args);
}
