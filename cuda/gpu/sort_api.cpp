// Runs the launches of a scan and of a sort.
#include "gpu/sort.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"
#include "gpu/sort_run.h"

namespace a3d::gpu {

int scan(uint32_t* values, uint32_t* sums, int64_t n, void* stream) {
  const Scan args = {values, sums, n};
  const uint32_t blocks = blocks_of(n, kScanTile);
  if (n <= kScanSmall) return launch("a3d_scan_small", {blocks ? 1u : 0u}, kScanThreads, stream, args);
  if (const int code = launch("a3d_scan_sums", {blocks}, kScanThreads, stream, args)) return code;
  if (const int code = launch("a3d_scan_top", {blocks ? 1u : 0u}, kScanThreads, stream, args)) return code;
  return launch("a3d_scan_apply", {blocks}, kScanThreads, stream, args);
}

int64_t scan_sums(int64_t n) { return (n + kScanTile - 1) / kScanTile; }

int64_t sort_histogram(int64_t room) { return int64_t(kDigits) * blocks_of(room, kSortTile); }

int sort(const SortBuffers& b, const int64_t* count, int64_t room, int bits, int* result, void* stream) {
  *result = 0;
  for (int shift = 0; shift < bits; shift += kDigitBits, *result ^= 1) {
    const int from = *result, to = from ^ 1;
    const SortPass args = {b.keys[from], b.values[from], b.keys[to], b.values[to], b.histogram, count, room,
                           blocks_of(room, kSortTile), shift,
                           bits - shift < kDigitBits ? (1u << (bits - shift)) - 1 : uint32_t(kDigits) - 1};
    if (const int code = launch("a3d_sort_count", {args.blocks}, kSortThreads, stream, args)) return code;
    if (const int code = scan(b.histogram, b.sums, sort_histogram(room), stream)) return code;
    if (const int code = launch("a3d_sort_move", {args.blocks}, kSortThreads, stream, args)) return code;
  }
  return 0;
}

}  // namespace a3d::gpu

using namespace a3d;
using namespace a3d::gpu;

extern "C" int32_t a3d_gpu_sort_workspace(int64_t n, int64_t* words) {
  *words = sort_histogram(n) + scan_sums(sort_histogram(n));
  return 0;
}

extern "C" int32_t a3d_gpu_sort(int64_t n, int32_t bits, int32_t* keys, int32_t* values, int32_t* workspace,
                                int32_t* result, void* stream) {
  if (n < 0 || n > INT32_MAX || bits < 1 || bits > 32)
    return fail("a sort of %lld keys by %d bits is out of range", (long long)n, bits);
  uint32_t *k = reinterpret_cast<uint32_t*>(keys), *v = reinterpret_cast<uint32_t*>(values);
  uint32_t* histogram = reinterpret_cast<uint32_t*>(workspace);
  const SortBuffers buffers = {{k, k + n}, {v, v + n}, histogram, histogram + sort_histogram(n)};
  int which = 0;
  const int code = sort(buffers, nullptr, n, bits, &which, stream);
  *result = which;
  return code;
}
