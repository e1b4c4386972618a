// Prefix sums in three launches (blocks, sums of blocks, blocks again) and a least-significant-digit radix sort in
// three launches and a scan per digit. Both have a fixed order of operations; the sort is stable.
#include "gpu/kernel.h"
#include "gpu/sort.h"

namespace a3d::gpu {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kWarps = kScanThreads / 32;

// Sum of `value` over the lanes up to and with this one.
__device__ __forceinline__ uint32_t sum_to_here(uint32_t value) {
  for (uint32_t by = 1; by < 32; by *= 2) {
    const uint32_t before = __shfl_up_sync(kAll, value, by);
    if ((threadIdx.x & 31) >= by) value += before;
  }
  return value;
}

// Sum of `value` over the threads before this one; all of the block must call it. `total` receives the block's sum.
template <class Sums>
__device__ __forceinline__ uint32_t sum_before(uint32_t value, Sums& warp_sums, uint32_t& total) {
  const uint32_t lane = threadIdx.x & 31, warp = threadIdx.x >> 5, to_here = sum_to_here(value);
  __syncthreads();  // the sums of an earlier call have been read
  if (lane == 31) warp_sums[warp] = to_here;
  __syncthreads();
  uint32_t before = 0;
  total = 0;
  for (uint32_t w = 0; w < kWarps; w++) {
    const uint32_t sum = warp_sums[w];
    if (w < warp) before += sum;
    total += sum;
  }
  return before + to_here - value;
}

__device__ __forceinline__ int64_t keys_of(const SortPass& args) {
  const int64_t n = args.count ? *args.count : args.room;
  return n <= args.room ? n : 0;
}
}  // namespace

// Sum of each tile of kScanTile numbers. A block per tile, 64 bytes of shared memory.
A3D_KERNEL(a3d_scan_sums, Scan, kScanThreads) {
  A3D_SHARED(uint32_t, warp_sums, kWarps);
  uint32_t sum = 0, total;
  for (int i = 0; i < kScanItems; i++) {
    const int64_t at = int64_t(blockIdx.x) * kScanTile + threadIdx.x * kScanItems + i;
    if (at < args.n) sum += args.values[at];
  }
  sum_before(sum, warp_sums, total);
  if (threadIdx.x == 0) args.sums[blockIdx.x] = total;
}

// Turns the tiles' sums into the sums of what comes before each: one block, tile after tile.
A3D_KERNEL(a3d_scan_top, Scan, kScanThreads) {
  A3D_SHARED(uint32_t, warp_sums, kWarps);
  const int64_t tiles = (args.n + kScanTile - 1) / kScanTile;
  uint32_t carry = 0;
  for (int64_t first = 0; first < tiles; first += kScanThreads) {
    const int64_t at = first + threadIdx.x;
    uint32_t total;
    const uint32_t before = sum_before(at < tiles ? args.sums[at] : 0, warp_sums, total);
    if (at < tiles) args.sums[at] = carry + before;
    carry += total;
  }
}

// Turns each number into the sum of those before it.
A3D_KERNEL(a3d_scan_apply, Scan, kScanThreads) {
  A3D_SHARED(uint32_t, warp_sums, kWarps);
  const int64_t first = int64_t(blockIdx.x) * kScanTile + threadIdx.x * kScanItems;
  uint32_t values[kScanItems], sum = 0, total;
#pragma unroll
  for (int i = 0; i < kScanItems; i++) values[i] = first + i < args.n ? args.values[first + i] : 0, sum += values[i];
  uint32_t before = args.sums[blockIdx.x] + sum_before(sum, warp_sums, total);
#pragma unroll
  for (int i = 0; i < kScanItems; i++) {
    if (first + i < args.n) args.values[first + i] = before;
    before += values[i];
  }
}

// The whole scan by one block, tile after tile: for few numbers, where two more launches would cost more.
A3D_KERNEL(a3d_scan_small, Scan, kScanThreads) {
  A3D_SHARED(uint32_t, warp_sums, kWarps);
  uint32_t carry = 0;
  for (int64_t tile = 0; tile < args.n; tile += kScanTile) {
    const int64_t first = tile + threadIdx.x * kScanItems;
    uint32_t values[kScanItems], sum = 0, total;
#pragma unroll
    for (int i = 0; i < kScanItems; i++) values[i] = first + i < args.n ? args.values[first + i] : 0, sum += values[i];
    uint32_t before = carry + sum_before(sum, warp_sums, total);
#pragma unroll
    for (int i = 0; i < kScanItems; i++) {
      if (first + i < args.n) args.values[first + i] = before;
      before += values[i];
    }
    carry += total;
  }
}

// Counts the digits of each block's keys. 1 kB of shared memory; the counters' atomics are of integers, whose order
// does not show.
A3D_KERNEL(a3d_sort_count, SortPass, kSortThreads) {
  A3D_SHARED(uint32_t, counts, kDigits);
  const int64_t n = keys_of(args), first = int64_t(blockIdx.x) * kSortTile;
  counts[threadIdx.x] = 0;
  __syncthreads();
  for (int i = 0; i < kSortItems; i++) {
    const int64_t at = first + i * kSortThreads + threadIdx.x;
    if (at < n) atomicAdd(&counts[args.keys_in[at] >> args.shift & args.mask], 1u);
  }
  __syncthreads();
  args.histogram[int64_t(threadIdx.x) * args.blocks + blockIdx.x] = counts[threadIdx.x];
}

// Moves the keys to their places: those of the scanned histogram, then in the order they came. A round handles 256 keys:
// lanes with equal digits find each other by one match, warps add up by 8 x 256 counters (8 kB of shared memory, and
// 1 kB for where the next key of a digit goes).
A3D_KERNEL(a3d_sort_move, SortPass, kSortThreads) {
  A3D_SHARED(uint32_t, next, kDigits);
  A3D_SHARED(uint32_t, counts, kWarps * kDigits);
  const int64_t n = keys_of(args), first = int64_t(blockIdx.x) * kSortTile;
  const uint32_t lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  next[threadIdx.x] = args.histogram[int64_t(threadIdx.x) * args.blocks + blockIdx.x];
  for (int i = 0; i < kSortItems && first + i * kSortThreads < n; i++) {
    const int64_t at = first + i * kSortThreads + threadIdx.x;
    const bool mine = at < n;
    const uint32_t key = mine ? args.keys_in[at] : 0, value = mine ? args.values_in[at] : 0;
    const uint32_t digit = key >> args.shift & args.mask;
    for (int w = 0; w < kWarps; w++) counts[w * kDigits + threadIdx.x] = 0;
    __syncthreads();
    const uint32_t same = __match_any_sync(kAll, mine ? digit : kDigits), before = same & ((1u << lane) - 1);
    if (mine && !before) counts[warp * kDigits + digit] = __popc(same);
    __syncthreads();
    {  // a thread per digit: where each warp's keys of it begin
      uint32_t place = next[threadIdx.x];
      for (int w = 0; w < kWarps; w++) {
        const uint32_t count = counts[w * kDigits + threadIdx.x];
        counts[w * kDigits + threadIdx.x] = place;
        place += count;
      }
      next[threadIdx.x] = place;
    }
    __syncthreads();
    if (mine) {
      const uint32_t to = counts[warp * kDigits + digit] + __popc(before);
      args.keys_out[to] = key, args.values_out[to] = value;
    }
    __syncthreads();  // before the counters are cleared
  }
}

}  // namespace a3d::gpu
