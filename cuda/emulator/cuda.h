// Stands in for what nvcc and NVRTC predefine, so that g++ compiles the literal .cu files: types, indices, intrinsics.
// Exact instead of approximate functions; otherwise the same operations.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "emulator/emulator.h"
#include "emulator/shared.h"

#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict
#define __align__(n) alignas(n)

struct alignas(8) float2 {
  float x, y;
};
struct float3 {
  float x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define threadIdx (::a3d::emulator::current->index)
#define blockIdx (::a3d::emulator::block_index)
#define blockDim (::a3d::emulator::block_size)
#define gridDim (::a3d::emulator::grid_size)
constexpr int warpSize = 32;

// ---- numbers -------------------------------------------------------------------------------------------------------
// Macros, for glibc has functions of these names.
#define __expf(x) expf(x)
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
template <class To, class From>
inline To a3d_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}
inline unsigned __float_as_uint(float x) { return a3d_bits<unsigned>(x); }
inline int __float_as_int(float x) { return a3d_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return a3d_bits<float>(x); }
inline float __int_as_float(int x) { return a3d_bits<float>(x); }
template <class T>
inline T __ldg(const T* p) {
  return *p;
}
template <class T>
inline T __ldcs(const T* p) {
  return *p;
}
template <class T>
inline void __stcs(T* p, T value) {
  *p = value;
}

// ---- together ------------------------------------------------------------------------------------------------------
#define A3D_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(A3D_HERE) { ::a3d::emulator::barrier(false, {file, line}); }
inline int __syncthreads_count(int predicate, A3D_HERE) {
  return ::a3d::emulator::barrier(predicate != 0, {file, line});
}
inline int __syncthreads_or(int predicate, A3D_HERE) {
  return ::a3d::emulator::barrier(predicate != 0, {file, line}) != 0;
}
inline int __syncthreads_and(int predicate, A3D_HERE) {
  return ::a3d::emulator::barrier(predicate == 0, {file, line}) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, A3D_HERE) {
  ::a3d::emulator::exchange(mask, 0, true, {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int predicate, A3D_HERE) {
  const uint64_t* given = ::a3d::emulator::exchange(mask, predicate != 0, false, {file, line});
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++) bits |= unsigned(given[lane] & 1) << lane;
  return bits;
}
inline int __any_sync(unsigned mask, int predicate, A3D_HERE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, A3D_HERE) {
  return __ballot_sync(mask, !predicate, file, line) == 0;
}
inline unsigned __activemask() { ::a3d::emulator::stop("__activemask is not defined well enough to be emulated"); }

namespace a3d::emulator {
template <class T>
inline uint64_t packed(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
inline T unpacked(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
inline T from_lane(unsigned mask, T value, unsigned lane, Place place) {
  if (lane < 32 && !(mask >> lane & 1)) stop("a shuffle reads lane %u, which is not in its mask %08x", lane, mask);
  const uint64_t* given = exchange(mask, packed(value), false, place);
  return lane < 32 ? unpacked<T>(given[lane]) : value;
}
inline unsigned lane() { return current->rank & 31; }
}  // namespace a3d::emulator

template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, A3D_HERE) {
  const uint64_t mine = ::a3d::emulator::packed(value);
  const uint64_t* given = ::a3d::emulator::exchange(mask, mine, false, {file, line});
  unsigned same = 0;
  for (int lane = 0; lane < 32; lane++) same |= unsigned((mask >> lane & 1) && given[lane] == mine) << lane;
  return same;
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int = 32, A3D_HERE) {
  return ::a3d::emulator::from_lane(mask, value, unsigned(source) & 31, {file, line});
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int = 32, A3D_HERE) {
  return ::a3d::emulator::from_lane(mask, value, ::a3d::emulator::lane() ^ unsigned(bits), {file, line});
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int = 32, A3D_HERE) {
  const unsigned lane = ::a3d::emulator::lane();
  return ::a3d::emulator::from_lane(mask, value, lane < by ? 32 : lane - by, {file, line});
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int = 32, A3D_HERE) {
  return ::a3d::emulator::from_lane(mask, value, ::a3d::emulator::lane() + by, {file, line});
}

// ---- atomic operations: on global memory and on elements of shared memory ------------------------------------------
// Threads take turns, so plain code is atomic; the order of the turns is what a device does not promise.
template <class T, class Change>
inline T a3d_atomic(T* at, Change change) {
  const T before = *at;
  *at = change(before);
  return before;
}
template <class T, class Change>
inline T a3d_atomic(const ::a3d::emulator::Element<T>& at, Change change) {
  return at.exchange(change);
}
template <class At, class T>
inline T atomicAdd(At&& at, T value) {
  return a3d_atomic(at, [value](T before) { return T(before + value); });
}
template <class At, class T>
inline T atomicMax(At&& at, T value) {
  return a3d_atomic(at, [value](T before) { return before < value ? value : before; });
}
template <class At, class T>
inline T atomicMin(At&& at, T value) {
  return a3d_atomic(at, [value](T before) { return value < before ? value : before; });
}
template <class At, class T>
inline T atomicOr(At&& at, T value) {
  return a3d_atomic(at, [value](T before) { return T(before | value); });
}
template <class At, class T>
inline T atomicExch(At&& at, T value) {
  return a3d_atomic(at, [value](T) { return value; });
}
template <class At, class T>
inline T atomicCAS(At&& at, T expected, T value) {
  return a3d_atomic(at, [expected, value](T before) { return before == expected ? value : before; });
}
