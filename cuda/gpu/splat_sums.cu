// Adds up the slots of each splat of each view: what its tiles had to say about its gradient.
#include "gpu/reduce.h"
#include "gpu/splat_device.h"

namespace a3d::gpu {
namespace {

constexpr uint32_t kAlone = 16;  // slots that one thread adds up; those of larger splats are added by their whole warp

__device__ __forceinline__ void add_slot(const SplatBackward& args, uint32_t slot, float (&sums)[kDepthColumns]) {
  const float* of_it = args.slots + int64_t(slot) * args.columns;
#pragma unroll
  for (int k = 0; k < kColumns; k++) sums[k] += of_it[k];
  if (args.columns == kDepthColumns) sums[kColumns] += of_it[kColumns];
}
}  // namespace

// One thread for each splat of each view; without shared memory. The order of a sum depends on the number of slots
// alone.
A3D_KERNEL(a3d_splat_sums, SplatBackward, kBinThreads) {
  const int64_t number = int64_t(blockIdx.x) * kBinThreads + threadIdx.x;
  const bool drawn = number < args.scene.views * args.scene.splats && args.state.rects[number].wide;
  const Range nothing = {0, 0}, range = drawn ? args.state.slots[number] : nothing;
  float sums[kDepthColumns] = {};
  if (range.end - range.begin <= kAlone)
    for (uint32_t slot = range.begin; slot < range.end; slot++) add_slot(args, slot, sums);
  if (drawn && range.end - range.begin <= kAlone) {
#pragma unroll
    for (int k = 0; k < kDepthColumns; k++) args.sums[number * kDepthColumns + k] = sums[k];
  }

  const int lane = threadIdx.x & 31, column = column_of<kDepthColumns>();
  for (unsigned large = __ballot_sync(kAllLanes, range.end - range.begin > kAlone); large; large &= large - 1) {
    const int owner = __ffs(large) - 1;
    const uint32_t begin = __shfl_sync(kAllLanes, range.begin, owner), end = __shfl_sync(kAllLanes, range.end, owner);
    float shares[kDepthColumns] = {};
    for (uint32_t slot = begin + lane; slot < end; slot += 32) add_slot(args, slot, shares);
    const float sum = sum_columns(shares);
    const int64_t its_number = number - lane + owner;
    if (column >= 0) args.sums[its_number * kDepthColumns + column] = sum;
  }
}

}  // namespace a3d::gpu
