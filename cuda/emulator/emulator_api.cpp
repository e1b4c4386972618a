// The C functions of the emulated library that tests call.
#include "emulator/a3d_emulator.h"

#include <string.h>

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "emulator/emulator.h"
#include "gpu/launch.h"

using namespace a3d::emulator;

extern "C" int32_t a3d_gpu_load(const uint8_t*, int64_t) { return 0; }  // kernels are part of this library

extern "C" int32_t a3d_emulator_order(int32_t wanted, int64_t seed) {
  if (wanted < kForward || wanted > kRandom)
    return a3d::fail("order %d is not 0 forward, 1 reverse or 2 random", wanted);
  set_order(Order(wanted), uint32_t(seed));
  return 0;
}

extern "C" int32_t a3d_emulator_error(float relative) {
  a3d::emulator::error = relative;
  return 0;
}

extern "C" int32_t a3d_emulator_counters(const char* kernel, int64_t* counters) {
  const Kernel* found = Kernel::find(kernel);
  if (!found) return a3d::fail("no kernel %s", kernel);
  memcpy(counters, &found->counters, sizeof(Counters));
  return 0;
}

extern "C" int32_t a3d_emulator_reset(void) {
  for (Kernel* kernel = kernels; kernel; kernel = kernel->next) kernel->counters = {};
  return 0;
}

extern "C" const char* a3d_emulator_kernel(int64_t index) {
  const Kernel* kernel = kernels;
  for (; kernel && index > 0; index--) kernel = kernel->next;
  return kernel ? kernel->name : nullptr;
}

extern "C" int32_t a3d_emulator_launch(const char* kernel, int64_t x, int64_t y, int64_t z, int64_t threads,
                                       const uint8_t* arguments) {
  const Kernel* found = Kernel::find(kernel);
  if (!found) return a3d::fail("no kernel %s", kernel);
  const a3d::gpu::Grid grid = {uint32_t(x), uint32_t(y), uint32_t(z)};
  return a3d::gpu::launch_raw(kernel, grid, uint32_t(threads), nullptr, arguments, found->bytes);
}
