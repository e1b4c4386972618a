// Starts kernels through the CUDA driver, which is looked for when kernels are loaded and not before: the library loads
// on machines without one. Needs driver 525 or newer (CUDA 12), whose libraries of kernels belong to no context, so that
// one load serves every device.
#include <dlfcn.h>
#include <string.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"

namespace a3d::gpu {
namespace {
// The driver's functions, by their documented C signatures (CUDA Driver API 12.0); handles are opaque pointers.
struct Driver {
  int (*cuInit)(unsigned);
  int (*cuGetErrorString)(int, const char**);
  int (*cuCtxGetCurrent)(void**);
  int (*cuDevicePrimaryCtxRetain)(void**, int);
  int (*cuCtxSetCurrent)(void*);
  int (*cuLibraryLoadData)(void**, const void*, void*, void*, unsigned, void*, void*, unsigned);
  int (*cuLibraryGetKernel)(void**, void*, const char*);
  int (*cuEventCreate)(void**, unsigned);
  int (*cuEventRecord)(void*, void*);
  int (*cuEventSynchronize)(void*);
  int (*cuEventElapsedTime)(float*, void*, void*);
  int (*cuEventDestroy_v2)(void*);
  int (*cuLaunchKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                        void**);
};

constexpr int kNotFound = 500;  // CUDA_ERROR_NOT_FOUND

std::mutex lock;
Driver driver;
std::vector<void*> libraries;  // one for each image, in the order of loading
std::map<std::string, void*> found;

int check(int code, const char* what) {
  if (code == 0) return 0;
  const char* text = nullptr;
  if (driver.cuGetErrorString) driver.cuGetErrorString(code, &text);
  return fail("%s: CUDA error %d, %s", what, code, text ? text : "unknown");
}

int open_driver() {
  if (driver.cuLaunchKernel) return 0;
  void* file = dlopen("libcuda.so.1", RTLD_NOW);
  if (!file) return fail("no CUDA driver: %s", dlerror());
  Driver d = {};
  const struct {
    const char* name;
    void* to;
  } wanted[] = {{"cuInit", &d.cuInit},
                {"cuGetErrorString", &d.cuGetErrorString},
                {"cuCtxGetCurrent", &d.cuCtxGetCurrent},
                {"cuDevicePrimaryCtxRetain", &d.cuDevicePrimaryCtxRetain},
                {"cuCtxSetCurrent", &d.cuCtxSetCurrent},
                {"cuLibraryLoadData", &d.cuLibraryLoadData},
                {"cuLibraryGetKernel", &d.cuLibraryGetKernel},
                {"cuEventCreate", &d.cuEventCreate},
                {"cuEventRecord", &d.cuEventRecord},
                {"cuEventSynchronize", &d.cuEventSynchronize},
                {"cuEventElapsedTime", &d.cuEventElapsedTime},
                {"cuEventDestroy_v2", &d.cuEventDestroy_v2},
                {"cuLaunchKernel", &d.cuLaunchKernel}};
  for (const auto& w : wanted) {
    void* symbol = dlsym(file, w.name);
    if (!symbol) return fail("the CUDA driver lacks %s: it is older than 525 (CUDA 12)", w.name);
    memcpy(w.to, &symbol, sizeof(symbol));
  }
  if (const int code = d.cuInit(0)) {
    const char* text = nullptr;
    d.cuGetErrorString(code, &text);
    return fail("the CUDA driver does not start: error %d, %s", code, text ? text : "unknown");
  }
  driver = d;
  return 0;
}

// PyTorch has made a context; a bare program has not.
int need_context() {
  void* context = nullptr;
  if (const int code = check(driver.cuCtxGetCurrent(&context), "cuCtxGetCurrent")) return code;
  if (context) return 0;
  if (const int code = check(driver.cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain")) return code;
  return check(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
}
}  // namespace

int launch_raw(const char* kernel, Grid grid, uint32_t threads, void* stream, const void* arguments, size_t) {
  void* function = nullptr;
  {
    const std::lock_guard<std::mutex> guard(lock);
    if (libraries.empty()) return fail("%s: no kernels are loaded; call a3d_gpu_load", kernel);
    if (const int code = need_context()) return code;
    void*& known = found[kernel];
    for (size_t i = libraries.size(); !known && i-- > 0;) {
      const int code = driver.cuLibraryGetKernel(&known, libraries[i], kernel);
      if (code && (code != kNotFound || i == 0)) return check(code, kernel);
    }
    function = known;
  }
  void* parameters[] = {const_cast<void*>(arguments)};
  return check(driver.cuLaunchKernel(function, grid.x, grid.y, grid.z, threads, 1, 1, 0, stream, parameters, nullptr),
               kernel);
}

int mark(void* stream, void** at) {
  if (!driver.cuLaunchKernel) return fail("no kernels are loaded; call a3d_gpu_load");
  if (const int code = check(driver.cuEventCreate(at, 0), "cuEventCreate")) return code;
  return check(driver.cuEventRecord(*at, stream), "cuEventRecord");
}

int between(void* from, void* to, float* milliseconds) {
  if (const int code = check(driver.cuEventSynchronize(to), "cuEventSynchronize")) return code;
  if (const int code = check(driver.cuEventElapsedTime(milliseconds, from, to), "cuEventElapsedTime")) return code;
  driver.cuEventDestroy_v2(from), driver.cuEventDestroy_v2(to);
  return 0;
}
}  // namespace a3d::gpu

using namespace a3d::gpu;

extern "C" int32_t a3d_gpu_load(const uint8_t* image, int64_t) {
  const std::lock_guard<std::mutex> guard(lock);
  if (const int code = open_driver()) return code;
  if (const int code = need_context()) return code;
  void* loaded = nullptr;
  if (const int code = check(driver.cuLibraryLoadData(&loaded, image, nullptr, nullptr, 0, nullptr, nullptr, 0), "a3d_gpu_load"))
    return code;
  libraries.push_back(loaded), found.clear();  // a later image may hold a kernel of an earlier one anew
  return 0;
}
