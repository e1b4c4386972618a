// The operations of cpu/simd.h for one float: with them the templates of math/ run in a CUDA thread.
#pragma once
#include "math/config.h"

namespace a3d::gpu {

// As in cpu/simd.h: b when a is NaN.
A3D_HD float min(float a, float b) { return a < b ? a : b; }
A3D_HD float max(float a, float b) { return a > b ? a : b; }
A3D_HD float keep(bool mask, float v) { return mask ? v : 0.f; }
A3D_HD float select(bool mask, float a, float b) { return mask ? a : b; }
A3D_HD float sqrt(float a) { return sqrtf(a); }
A3D_HD float exp(float a) { return expf(a); }
A3D_HD float log2(float a) { return log2f(a); }
A3D_HD float reciprocal(float a) { return 1.f / a; }

// As in cpu/simd.h, of numbers in [0, 2^31).
A3D_HD uint32_t truncate(float a) { return uint32_t(a); }
A3D_HD float to_float(uint32_t a) { return float(a); }
A3D_HD uint32_t wrap(uint32_t row, uint32_t size) { return row < size ? row : row - size; }

// 2^x by the special function unit, relative error about 2^-22, subnormal results 0; exact in the emulator.
A3D_HD float exp2(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#elif defined(A3D_EMULATOR)
  return emulator::approximated(exp2f(x), x);
#else
  return exp2f(x);
#endif
}

// c - a * b in one rounding, so that two kernels that need the same number get the same bits.
A3D_HD float minus_product(float c, float a, float b) { return fmaf(-a, b, c); }

}  // namespace a3d::gpu
