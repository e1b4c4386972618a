// Prefix sums and a stable radix sort on the device; splat_api.cpp runs them. Written here and not taken from CUB, so
// that NVRTC (which has no headers) and the emulator run the same code.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kScanThreads = 256;
constexpr int kScanItems = 4;                             // a thread's neighbours: one 16 byte load
constexpr int kScanTile = kScanThreads * kScanItems;      // numbers a block adds up
constexpr int64_t kScanSmall = 32 * kScanTile;            // at most this many are scanned by one block, in one launch
constexpr int kSortThreads = 256;
constexpr int kSortItems = 8;                             // rounds of 256 keys: amortises the 256 counters
constexpr int kSortTile = kSortThreads * kSortItems;      // keys a block sorts
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;  // one thread per digit

// In place: each number becomes the sum of those before it.
struct Scan {
  uint32_t* values;
  uint32_t* sums;  // ceil(n / kScanTile): of the blocks
  int64_t n;
};

// One pass over the digit at `shift`: from keys_in, values_in to keys_out, values_out.
struct SortPass {
  const uint32_t *keys_in, *values_in;
  uint32_t *keys_out, *values_out;
  uint32_t* histogram;   // kDigits x blocks, digit by digit
  const int64_t* count;  // of the keys, on the device: known there before the host could know it; null: room
  int64_t room;          // keys there is space for; none are sorted when there are more
  uint32_t blocks;
  int32_t shift;
  uint32_t mask;  // of the digit: the last may have fewer bits
};

}  // namespace a3d::gpu
