// The small network on the device: data that its kernels share.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kMlpThreads = 128;
constexpr int kMlpTile = 64;      // samples of a block at a time
constexpr int kMlpWidth = 64;     // inputs, hidden units or outputs at most
constexpr int kMlpLayers = 8;     // weight matrices at most
constexpr int kMlpStep = 16;      // terms of a product whose weights are in shared memory at a time
constexpr int kMlpRow = kMlpTile + 1;  // odd, so that columns lie in different banks
constexpr int kMlpBlocks = 256;   // of the gradient; fixed, so that sums have the same order on every device

struct MlpArgs {
  const float *x, *parameters;  // m widths[0]; of each layer the matrix (outputs inputs), then the bias
  int64_t m;
  int32_t layers;
  int32_t widths[kMlpLayers + 1], begins[kMlpLayers + 1];  // of each layer's parameters; the last: how many there are
  float* out;          // m widths[layers]
  const float* g_out;
  float* held;         // blocks (layers - 1) kMlpWidth kMlpTile: what hidden layers gave
  float* parts;        // blocks parameters
  float *g_x, *g_parameters;  // the first may be null
  int32_t blocks;
};

}  // namespace a3d::gpu
