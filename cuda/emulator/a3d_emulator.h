// The C functions that the emulated library has beside those of avatar3d_gpu.h.
#pragma once
#include "avatar3d.h"

#ifdef __cplusplus
extern "C" {
#endif

// Order of threads and blocks from now on: 0 forward, 1 reverse, 2 random by `seed`.
A3D_API int32_t a3d_emulator_order(int32_t order, int64_t seed);
// Relative error of the functions that a device approximates (2^x); 0 at first.
A3D_API int32_t a3d_emulator_error(float relative);
// What a kernel's launches added up to since the last reset: 24 numbers, the fields of Counters (emulator.h) in order:
// launches, blocks, warps, threads, barriers, warp operations (by lane), shared reads, shared writes, 8 events by lane,
// 8 events by warp. Which event is which: A3D_COUNT in the kernel's file.
A3D_API int32_t a3d_emulator_counters(const char* kernel, int64_t* counters);
A3D_API int32_t a3d_emulator_reset(void);
// Name of the kernel number `index`, null past the last.
A3D_API const char* a3d_emulator_kernel(int64_t index);

// Runs a kernel by name with its argument structure: what a driver that stands in for CUDA's needs.
A3D_API int32_t a3d_emulator_launch(const char* kernel, int64_t x, int64_t y, int64_t z, int64_t threads,
                                    const uint8_t* arguments);

#ifdef __cplusplus
}
#endif
