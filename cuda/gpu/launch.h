// How host code starts a kernel: by its name, through the CUDA driver (driver.cpp) or the emulator. So the files
// *_api.cpp need no CUDA headers and no nvcc, and are the same files in both libraries.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace a3d::gpu {

struct Grid {
  uint32_t x = 1, y = 1, z = 1;
};

int launch_raw(const char* kernel, Grid grid, uint32_t threads, void* stream, const void* arguments, size_t bytes);
// The same with the time taken where a3d_gpu_timing asked for it (timing_api.cpp).
int launch_timed(const char* kernel, Grid grid, uint32_t threads, void* stream, const void* arguments, size_t bytes);
// A mark in the stream, and the milliseconds between two, which are gone then (driver.cpp).
int mark(void* stream, void** at);
int between(void* from, void* to, float* milliseconds);

// Starts grid x threads of `kernel` on `stream`; returns 0 or an error code with its text set. Nothing is started for
// an empty grid.
template <class Arguments>
int launch(const char* kernel, Grid grid, uint32_t threads, void* stream, const Arguments& arguments) {
  if (!grid.x || !grid.y || !grid.z) return 0;
  return launch_timed(kernel, grid, threads, stream, &arguments, sizeof(Arguments));
}

// Blocks of `size` that hold n.
inline uint32_t blocks_of(int64_t n, int64_t size) { return uint32_t((n + size - 1) / size); }

}  // namespace a3d::gpu
