// Version and errors of the GPU library.
#include <stdarg.h>
#include <stdio.h>

#include "avatar3d_gpu.h"
#include "cpu/error.h"

namespace a3d {
namespace {
thread_local char message[512] = "";
}

int fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  return 1;
}
}  // namespace a3d

extern "C" int32_t a3d_gpu_abi_version(void) { return A3D_GPU_ABI_VERSION; }
extern "C" const char* a3d_gpu_last_error(void) { return a3d::message; }
