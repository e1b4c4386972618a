#include "gpu/kernel.h"
#include "planted.h"

constexpr int kThreads = 64;

A3D_KERNEL(planted, Planted, kThreads) {
  A3D_SHARED(float, values, kThreads);
  A3D_SHARED(int, total, 1);
  const int t = threadIdx.x, at = blockIdx.x * kThreads + t, bug = args.bug;
  if (bug == kEarlyReturn && t == 5) return;
  if (t == 0) total[0] = 0;
  float sum = 0.f;
  for (int round = 0; round < 2; round++) {
    if (bug != kMissingReuseBarrier) __syncthreads();
    const int to = bug == kOutOfBounds && t == 63 ? kThreads : t;
    if (!(bug == kUninitialised && t == 7)) values[to] = args.in[at];
    if (bug == kDivergentBarrier && t < 32) {
      __syncthreads();
    } else if (bug != kMissingBarrier) {
      __syncthreads();
    }
    const float next = values[(t + 1) % kThreads];
    sum += args.in[at] + next;
    A3D_COUNT(0);
    if (t % 2) A3D_COUNT(1);
  }
  if (bug == kDivergentShuffle) sum = t % 2 ? __shfl_xor_sync(0xffffffffu, sum, 1) : sum;
  if (bug == kShuffleOutsideMask && t < 16) sum = __shfl_sync(0x0000ffffu, sum, 20);
  __syncthreads();
  if (t < 32) {
    values[t] = sum;
    if (bug != kMissingSyncwarp) __syncwarp();
    const float other = values[t ^ 1];
    sum = other == 12345.f ? 0.f : sum;
  }
  atomicAdd(&total[0], 1);
  if (bug != kAtomicAndPlain) __syncthreads();
  const int arrived = total[0];
  if (bug == kShiftTooFar) sum += float(1 << (bug + 20 + t));
  args.out[bug == kGlobalOutOfBounds ? at + 1 : at] = arrived == kThreads ? sum : 0.f;
}
