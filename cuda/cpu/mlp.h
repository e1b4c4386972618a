// A small network of dense layers with ReLU between them: what the entry points (mlp_api.cpp) and the loops (mlp.cpp)
// share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

namespace a3d {

constexpr int kMlpWidth = 128;        // inputs, hidden units or outputs at most
constexpr int kMlpLayers = 8;         // weight matrices at most
constexpr int kMlpPad = 16;           // widths are padded to this: whole vectors on every instruction set
constexpr int kMlpBlock = 48;         // samples whose activations lie in the first-level cache
constexpr int64_t kMlpChunk = 64 * kMlpBlock;  // samples a task

inline int64_t mlp_padded(int64_t width) { return (width + kMlpPad - 1) / kMlpPad * kMlpPad; }

// One layer, padded with zeros.
struct MlpLayer {
  int64_t inputs, outputs, wide_in, wide_out;  // the last two padded
  const float* across;   // inputs wide_out: the matrix transposed
  const float* along;    // outputs wide_in: the matrix
  const float* bias;     // wide_out
  float* g_matrix;       // of a task: outputs wide_in
  float* g_bias;         // of a task: wide_out
};

struct MlpJob {
  const float* x;        // m inputs
  int64_t m;
  int layers;
  MlpLayer layer[kMlpLayers];
  float* out;            // m outputs
  const float* g_out;
  float* g_x;            // m inputs, or null
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Outputs of samples [begin, end).
    void mlp_forward(const MlpJob& job, int64_t begin, int64_t end);
    // Adds the gradients of samples [begin, end) to those of the layers, and sets those of the inputs.
    void mlp_backward(const MlpJob& job, int64_t begin, int64_t end);
)
