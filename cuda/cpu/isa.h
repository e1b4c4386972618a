// One kernel source, compiled once per instruction set, chosen at run time.
//
// A kernel family `x` has x.h, which declares its loops inside A3D_FOR_EACH_ISA(...), and x.cpp (listed under KERNELS
// in CMakeLists.txt), which defines them inside `namespace a3d::A3D_ISA`. Callers take A3D_PICK(function).
#pragma once
#include <stdint.h>

namespace a3d {
// Instruction set in use: 0 base, 1 AVX2, 2 AVX-512.
int isa_level();
}  // namespace a3d

#if defined(__x86_64__) || defined(_M_X64)
#define A3D_FOR_EACH_ISA(...) \
  namespace a3d::base {       \
  __VA_ARGS__                 \
  }                           \
  namespace a3d::avx2 {       \
  __VA_ARGS__                 \
  }                           \
  namespace a3d::avx512 {     \
  __VA_ARGS__                 \
  }
#define A3D_PICK(function) \
  (a3d::isa_level() == 2 ? &a3d::avx512::function : a3d::isa_level() == 1 ? &a3d::avx2::function : &a3d::base::function)
#else
#define A3D_FOR_EACH_ISA(...) \
  namespace a3d::base {       \
  __VA_ARGS__                 \
  }
#define A3D_PICK(function) (&a3d::base::function)
#endif
