// Version, errors and the choice of instruction set.
#include <atomic>
#include <cstdarg>
#include <cstdio>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace a3d {
namespace {
thread_local char message[512] = "";

int supported() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
  return 0;
}

std::atomic<int> level{-1};
}  // namespace

int fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  return 1;
}

int isa_level() {
  int current = level.load(std::memory_order_relaxed);
  if (current < 0) level.store(current = supported(), std::memory_order_relaxed);
  return current;
}
}  // namespace a3d

extern "C" {
int32_t a3d_abi_version(void) { return A3D_ABI_VERSION; }
const char* a3d_last_error(void) { return a3d::message; }
int32_t a3d_isa_supported(void) { return a3d::supported(); }
int32_t a3d_isa(void) { return a3d::isa_level(); }

int32_t a3d_set_isa(int32_t wanted) {
  if (wanted > a3d::supported()) return a3d::fail("instruction set %d is above %d, the highest of this CPU", wanted, a3d::supported());
  a3d::level.store(wanted < 0 ? a3d::supported() : wanted);
  return 0;
}
}
