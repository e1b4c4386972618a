// How long kernels take: a mark in the stream before and after each launch, events on a device, a clock in the emulator.
#include <stdio.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"

#if defined(A3D_EMULATOR)
#include <chrono>
namespace a3d::gpu {
int mark(void*, void** at) {
  *at = new std::chrono::steady_clock::time_point(std::chrono::steady_clock::now());
  return 0;
}
int between(void* from, void* to, float* milliseconds) {
  using Point = std::chrono::steady_clock::time_point;
  *milliseconds = std::chrono::duration<float, std::milli>(*static_cast<Point*>(to) - *static_cast<Point*>(from)).count();
  delete static_cast<Point*>(from), delete static_cast<Point*>(to);
  return 0;
}
}  // namespace a3d::gpu
#endif

namespace a3d::gpu {
namespace {
struct Launch {
  std::string kernel;  // a copy: some names are put together for the call
  void *from, *to;
};
std::mutex lock;
bool timing = false;
std::vector<Launch> launches;
}  // namespace

int launch_timed(const char* kernel, Grid grid, uint32_t threads, void* stream, const void* arguments, size_t bytes) {
  if (!timing) return launch_raw(kernel, grid, threads, stream, arguments, bytes);
  const std::lock_guard<std::mutex> guard(lock);
  Launch one = {kernel, nullptr, nullptr};
  if (const int code = mark(stream, &one.from)) return code;
  if (const int code = launch_raw(kernel, grid, threads, stream, arguments, bytes)) return code;
  if (const int code = mark(stream, &one.to)) return code;
  launches.push_back(one);
  return 0;
}
}  // namespace a3d::gpu

using namespace a3d;
using namespace a3d::gpu;

extern "C" int32_t a3d_gpu_timing(int32_t on, uint8_t* text, int64_t bytes) {
  const std::lock_guard<std::mutex> guard(lock);
  std::map<std::string, std::vector<float>> times;
  for (const Launch& one : launches) {
    float milliseconds = 0;
    if (const int code = between(one.from, one.to, &milliseconds)) return code;
    times[one.kernel].push_back(milliseconds);
  }
  launches.clear();
  timing = on != 0;
  std::string lines;
  for (auto& [kernel, all] : times) {
    char line[128];
    std::nth_element(all.begin(), all.begin() + all.size() / 2, all.end());
    snprintf(line, sizeof(line), "%s %zu %.5f\n", kernel.c_str(), all.size(), all[all.size() / 2]);
    lines += line;
  }
  if (int64_t(lines.size()) >= bytes) return fail("times of %zu kernels need %zu bytes", times.size(), lines.size() + 1);
  memcpy(text, lines.c_str(), lines.size() + 1);
  return 0;
}
