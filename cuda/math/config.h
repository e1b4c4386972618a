// What the shared mathematics needs from the compiler: templates over T run with T = float in a CUDA thread (in the
// emulator, too) and with T = F, a vector of floats, on a CPU. Literals are floats: they broadcast to vectors.
#pragma once
#if defined(__CUDACC__)
#define A3D_MATH a3d::gpu
#define A3D_HD __host__ __device__ __forceinline__
#define A3D_TABLE __device__ constexpr // an array of constants
#elif defined(A3D_EMULATOR)
#define A3D_MATH a3d::gpu
#define A3D_HD inline __attribute__((always_inline))
#define A3D_TABLE constexpr
#else
#include "cpu/simd.h"
#define A3D_MATH a3d::A3D_ISA
#define A3D_HD inline __attribute__((always_inline))
#define A3D_TABLE constexpr
#endif
