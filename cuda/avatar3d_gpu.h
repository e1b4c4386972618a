// The C interface of the GPU library; avatar3d/ops/gpu.py holds the same table and a test compares the two.
//
// Rules, beside those of avatar3d.h: arrays are in device memory unless said otherwise, `stream` is a CUDA stream (null:
// the default one) of the current context, and functions return as soon as their kernels are in that stream. Results
// have the same bits in every run, unless a function says otherwise. The emulated library (cuda/emulator) has the same
// functions; there device memory is memory and streams are ignored.
#pragma once
#include "avatar3d.h"

#define A3D_GPU_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

// ---- library: cuda/gpu/library.cpp, driver.cpp -----------------------------------------------------------------------
A3D_API int32_t a3d_gpu_abi_version(void);
A3D_API const char* a3d_gpu_last_error(void);
// Takes the kernels from a fatbin or cubin (host memory), made by nvcc ahead of time or by NVRTC at first use; needs the
// driver. All functions below need it before.
A3D_API int32_t a3d_gpu_load(const uint8_t* image, int64_t bytes);

// ---- sort: cuda/gpu/sort.cu ------------------------------------------------------------------------------------------
// Sorts n pairs by the lowest `bits` bits of their keys as unsigned numbers, stably. keys and values: 2 n, the first row
// the input, the other room; *result (host memory) receives the row that holds the answer.
A3D_API int32_t a3d_gpu_sort_workspace(int64_t n, int64_t* words);
A3D_API int32_t a3d_gpu_sort(int64_t n, int32_t bits, int32_t* keys, int32_t* values, int32_t* workspace,
                             int32_t* result, void* stream);

#ifdef __cplusplus
}
#endif
