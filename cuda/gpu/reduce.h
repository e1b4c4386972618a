// Sums of several values over the lanes of a warp at once.
#pragma once
#include "gpu/kernel.h"

namespace a3d::gpu {

// In each step a lane gives half of its values to the lane that differs in one bit and takes its share of the others: n
// values cost about n + 5 shuffles instead of 5 n. The lane for which column_of<n>() is k returns the sum of value k.
template <int n, int bit = 16>
__device__ __forceinline__ float sum_columns(float (&v)[n]) {
  if constexpr (bit == 0) {
    return v[0];
  } else {
    constexpr int half = (n + 1) / 2;
    const bool upper = threadIdx.x & bit;
    float kept[half];
#pragma unroll
    for (int i = 0; i < n / 2; i++) {
      const float mine = upper ? v[2 * i + 1] : v[2 * i], theirs = upper ? v[2 * i] : v[2 * i + 1];
      kept[i] = mine + __shfl_xor_sync(0xffffffffu, theirs, bit);
    }
    if constexpr (n % 2) kept[half - 1] = v[n - 1] + __shfl_xor_sync(0xffffffffu, v[n - 1], bit);
    return sum_columns<half, bit / 2>(kept);
  }
}

// Which value's sum this lane returns from sum_columns<n>; -1 for a lane that only repeats another's.
template <int n, int bit = 16>
__device__ __forceinline__ int column_of() {
  if constexpr (bit == 0) {
    return 0;
  } else {
    const int upper = (threadIdx.x & bit) != 0, kept = column_of<(n + 1) / 2, bit / 2>();
    if (kept < 0) return -1;
    if (n % 2 && kept == n / 2) return upper ? -1 : n - 1;
    return 2 * kept + upper;
  }
}

}  // namespace a3d::gpu
