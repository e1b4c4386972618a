// Small kernels, each with one mistake that the emulator must name. `bug` chooses it; 0 is none.
#pragma once
#include "avatar3d.h"

struct Planted {
  const float* in;
  float* out;
  int32_t n, bug;
};
enum PlantedBug {
  kNoBug,
  kMissingBarrier,      // neighbours' values are read before they are written
  kMissingReuseBarrier, // the next round overwrites what others still read
  kDivergentBarrier,    // half of the block waits elsewhere
  kEarlyReturn,         // a thread leaves, the others wait for it
  kOutOfBounds,         // a shared write past the end
  kUninitialised,       // a shared read of what nobody wrote
  kDivergentShuffle,    // half of a warp shuffles under the mask of all
  kShuffleOutsideMask,  // reads a lane that the mask leaves out
  kMissingSyncwarp,     // lanes of one warp meet in shared memory
  kAtomicAndPlain,      // one adds atomically, another reads at the same time
  kGlobalOutOfBounds,   // a global write past the end: for the address sanitizer
  kShiftTooFar,         // undefined by the language: for the other sanitizer
};

#ifdef __cplusplus
extern "C" {
#endif
// Two rounds over blocks of 64: out[i] = in[i] + in of the next in the block, twice.
A3D_API int32_t a3d_planted(const float* in, float* out, int64_t n, int32_t bug);
// The scan of sort_api.cpp by itself: n values in place, with scratch for ceil(n / 1024).
A3D_API int32_t a3d_planted_scan(int32_t* values, int32_t* sums, int64_t n);
#ifdef __cplusplus
}
#endif
