// What sort_api.cpp offers to the host code of other kernels.
#pragma once
#include <stdint.h>

namespace a3d::gpu {

struct SortBuffers {
  uint32_t *keys[2], *values[2];  // the first are the input
  uint32_t* histogram;            // sort_histogram(room) numbers
  uint32_t* sums;                 // scan_sums(sort_histogram(room))
};

// Numbers of scratch.
int64_t scan_sums(int64_t n);
int64_t sort_histogram(int64_t room);

// Turns n numbers into the sums of those before each.
int scan(uint32_t* values, uint32_t* sums, int64_t n, void* stream);

// Sorts *count keys (on the device; null: `room`) by their lowest `bits` bits, stably, with their values. *result says
// which pair of buffers holds the answer.
int sort(const SortBuffers& buffers, const int64_t* count, int64_t room, int bits, int* result, void* stream);

}  // namespace a3d::gpu
