// Stands in for libcuda.so.1: the functions that cuda/gpu/driver.cpp asks for, by NVIDIA's documented signatures.
// Kernels are run by the emulated library, whose path FAKE_EMULATED gives. An "image" is a text: it holds the kernels
// whose names begin with it. With FAKE_BROKEN set the driver does not start.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FAKE extern "C" __attribute__((visibility("default")))

static void* emulated() {
  static void* library = dlopen(getenv("FAKE_EMULATED"), RTLD_NOW | RTLD_LOCAL);
  return library;
}
static int context = 0;

FAKE int cuInit(unsigned) { return getenv("FAKE_BROKEN") ? 100 : 0; }
FAKE int cuGetErrorString(int code, const char** text) {
  *text = code == 100 ? "no CUDA-capable device is detected" : code == 500 ? "named symbol not found" : "launch failed";
  return 0;
}
FAKE int cuCtxGetCurrent(void** current) { return *current = context ? &context : nullptr, 0; }
FAKE int cuDevicePrimaryCtxRetain(void** primary, int device) { return *primary = &context, device; }
FAKE int cuCtxSetCurrent(void* wanted) { return context = wanted == &context, 0; }
FAKE int cuLibraryLoadData(void** library, const void* image, void*, void*, unsigned, void*, void*, unsigned) {
  if (!emulated() || !image) return 1;
  return *library = strdup(static_cast<const char*>(image)), 0;
}
FAKE int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  const auto counters = reinterpret_cast<int (*)(const char*, int64_t*)>(dlsym(emulated(), "a3d_emulator_counters"));
  int64_t numbers[24];
  const char* prefix = static_cast<char*>(library);
  if (strncmp(name, prefix, strlen(prefix)) || counters(name, numbers)) return 500;
  return *kernel = strdup(name), 0;
}
FAKE int cuLaunchKernel(void* kernel, unsigned x, unsigned y, unsigned z, unsigned tx, unsigned ty, unsigned tz,
                        unsigned shared, void*, void** parameters, void**) {
  if (!context || ty != 1 || tz != 1 || shared) return 1;
  const auto launch = reinterpret_cast<int (*)(const char*, int64_t, int64_t, int64_t, int64_t, const void*)>(
      dlsym(emulated(), "a3d_emulator_launch"));
  return launch(static_cast<const char*>(kernel), x, y, z, tx, parameters[0]) ? 719 : 0;
}
FAKE int cuEventCreate(void** event, unsigned) { return *event = malloc(1), 0; }
FAKE int cuEventRecord(void*, void*) { return 0; }
FAKE int cuEventSynchronize(void*) { return 0; }
FAKE int cuEventElapsedTime(float* milliseconds, void*, void*) { return *milliseconds = 0.25f, 0; }
FAKE int cuEventDestroy_v2(void* event) { return free(event), 0; }
