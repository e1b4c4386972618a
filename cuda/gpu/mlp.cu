// A network of dense layers with ReLU between them, fused: the activations of 64 samples pass through all layers in shared
// memory. A thread holds 4 samples x 8 units of a product in registers, a warp 16 x 64; weights come 16 terms at a time.
// 16.6 kB for activations and as much for gradients, 4.2 kB for weights.
#include "gpu/kernel.h"
#include "gpu/mlp.h"

namespace a3d::gpu {
namespace {

constexpr int kSamples = 4, kUnits = 8;  // of a thread
constexpr int kAcross = kMlpWidth / kUnits;
static_assert(kAcross * (kMlpTile / kSamples) == kMlpThreads, "the threads cover a tile");

// Unit number j and sample number i of this thread. Neighbouring threads take neighbouring units: no bank conflicts.
__device__ __forceinline__ int unit(int j) { return threadIdx.x % kAcross + kAcross * j; }
__device__ __forceinline__ int sample(int i) { return threadIdx.x / kAcross * kSamples + i; }

// Copies rows of `width` floats, samples from `first` on, to columns; zeros after the last sample.
template <class Array>
__device__ __forceinline__ void load_tile(const float* from, int64_t first, int64_t m, int width, Array& to) {
  for (int i = threadIdx.x; i < kMlpTile * width; i += kMlpThreads) {
    const int row = i / width, column = i % width;
    to[column * kMlpRow + row] = first + row < m ? from[(first + row) * width + column] : 0.f;
  }
}

// sums[i][j] += the sum over terms k of in[k][sample(i)] times the weight of (unit(j), k). The weight is element
// unit * by_unit + k * by_term of `weights`. Ends with a barrier: `in` may be written then.
template <class In, class Stage>
__device__ __forceinline__ void multiply(In& in, const float* weights, int terms, int units, int by_unit, int by_term,
                                         Stage& stage, float (&sums)[kSamples][kUnits]) {
  for (int first = 0; first < terms; first += kMlpStep) {
    const int count = terms - first < kMlpStep ? terms - first : kMlpStep;
    __syncthreads();  // `in` is written, and the weights before these are used
    for (int i = threadIdx.x; i < kMlpStep * kMlpWidth; i += kMlpThreads) {
      // Along whichever axis is contiguous in memory.
      const int k = by_term == 1 ? i % kMlpStep : i / kMlpWidth, u = by_term == 1 ? i / kMlpStep : i % kMlpWidth;
      stage[k * kMlpRow + u] = k < count && u < units ? weights[u * by_unit + (first + k) * by_term] : 0.f;
    }
    __syncthreads();
    for (int k = 0; k < count; k++) {
      float a[kSamples], w[kUnits];
#pragma unroll
      for (int i = 0; i < kSamples; i++) a[i] = in[(first + k) * kMlpRow + sample(i)];
#pragma unroll
      for (int j = 0; j < kUnits; j++) w[j] = stage[k * kMlpRow + unit(j)];
#pragma unroll
      for (int i = 0; i < kSamples; i++)
#pragma unroll
        for (int j = 0; j < kUnits; j++) sums[i][j] += a[i] * w[j];
    }
  }
  __syncthreads();
}

// One layer of a tile, in place; `hidden`: with ReLU. What is beyond the layer's outputs is not touched.
template <class Array, class Stage>
__device__ __forceinline__ void apply(const MlpArgs& args, int layer, bool hidden, Array& acts, Stage& stage) {
  const int inputs = args.widths[layer], outputs = args.widths[layer + 1];
  const float* matrix = args.parameters + args.begins[layer];
  float sums[kSamples][kUnits];
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    const float bias = unit(j) < outputs ? matrix[outputs * inputs + unit(j)] : 0.f;
#pragma unroll
    for (int i = 0; i < kSamples; i++) sums[i][j] = bias;
  }
  multiply(acts, matrix, inputs, outputs, inputs, 1, stage, sums);
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    if (unit(j) >= outputs) continue;
#pragma unroll
    for (int i = 0; i < kSamples; i++)
      acts[unit(j) * kMlpRow + sample(i)] = hidden ? max(sums[i][j], 0.f) : sums[i][j];
  }
}

// Adds (or, for a block's first tile, sets) the gradient of one layer's parameters: 4 outputs x 8 inputs a thread.
template <class Array, class Other>
__device__ __forceinline__ void add_parameters(const MlpArgs& args, int layer, bool add, Array& acts, Other& slopes) {
  const int inputs = args.widths[layer], outputs = args.widths[layer + 1];
  float* part = args.parts + int64_t(blockIdx.x) * args.begins[args.layers] + args.begins[layer];
  float sums[kSamples][kUnits] = {}, of_bias = 0.f;
  for (int s = 0; s < kMlpTile; s++) {
    float a[kUnits], g[kSamples];
#pragma unroll
    for (int j = 0; j < kUnits; j++) a[j] = unit(j) < inputs ? float(acts[unit(j) * kMlpRow + s]) : 0.f;
#pragma unroll
    for (int i = 0; i < kSamples; i++) g[i] = sample(i) < outputs ? float(slopes[sample(i) * kMlpRow + s]) : 0.f;
#pragma unroll
    for (int i = 0; i < kSamples; i++)
#pragma unroll
      for (int j = 0; j < kUnits; j++) sums[i][j] += g[i] * a[j];
    if (int(threadIdx.x) < outputs) of_bias += slopes[threadIdx.x * kMlpRow + s];
  }
#pragma unroll
  for (int i = 0; i < kSamples; i++)
#pragma unroll
    for (int j = 0; j < kUnits; j++)
      if (sample(i) < outputs && unit(j) < inputs) {
        float* to = part + sample(i) * inputs + unit(j);
        *to = (add ? *to : 0.f) + sums[i][j];
      }
  if (int(threadIdx.x) < outputs) {
    float* to = part + outputs * inputs + threadIdx.x;
    *to = (add ? *to : 0.f) + of_bias;
  }
}
}  // namespace

// A block for each tile.
A3D_KERNEL(a3d_mlp_forward, MlpArgs, kMlpThreads) {
  A3D_SHARED(float, acts, kMlpWidth * kMlpRow);
  A3D_SHARED(float, stage, kMlpStep * kMlpRow);
  const int64_t first = int64_t(blockIdx.x) * kMlpTile;
  load_tile(args.x, first, args.m, args.widths[0], acts);
  for (int layer = 0; layer < args.layers; layer++) apply(args, layer, layer + 1 < args.layers, acts, stage);
  __syncthreads();
  const int width = args.widths[args.layers];
  for (int i = threadIdx.x; i < kMlpTile * width; i += kMlpThreads)
    if (first + i / width < args.m) args.out[first * width + i] = acts[i % width * kMlpRow + i / width];
}

// A block for every kMlpBlocks-th tile, with a part of the parameters' gradient of its own. Hidden activations are
// computed again and held in the block's own piece of memory, which stays in the second-level cache.
A3D_KERNEL(a3d_mlp_backward, MlpArgs, kMlpThreads) {
  A3D_SHARED(float, acts, kMlpWidth * kMlpRow);
  A3D_SHARED(float, slopes, kMlpWidth * kMlpRow);
  A3D_SHARED(float, stage, kMlpStep * kMlpRow);
  float* held = args.held + int64_t(blockIdx.x) * (args.layers - 1) * kMlpWidth * kMlpTile;
  for (int64_t first = int64_t(blockIdx.x) * kMlpTile; first < args.m; first += int64_t(args.blocks) * kMlpTile) {
    const bool add = first >= int64_t(args.blocks) * kMlpTile;
    load_tile(args.x, first, args.m, args.widths[0], acts);
    for (int layer = 0; layer + 1 < args.layers; layer++) {
      apply(args, layer, true, acts, stage);
      __syncthreads();
      for (int i = threadIdx.x; i < kMlpTile * args.widths[layer + 1]; i += kMlpThreads)
        held[layer * kMlpWidth * kMlpTile + i] = acts[i / kMlpTile * kMlpRow + i % kMlpTile];
    }
    load_tile(args.g_out, first, args.m, args.widths[args.layers], slopes);
    for (int layer = args.layers - 1; layer >= 0; layer--) {
      const int inputs = args.widths[layer], outputs = args.widths[layer + 1];
      __syncthreads();
      if (layer == 0) {  // the last hidden layer's output is in place already
        if (args.layers > 1) load_tile(args.x, first, args.m, inputs, acts);
      } else if (layer + 1 < args.layers) {
        for (int i = threadIdx.x; i < kMlpTile * inputs; i += kMlpThreads)
          acts[i / kMlpTile * kMlpRow + i % kMlpTile] = held[(layer - 1) * kMlpWidth * kMlpTile + i];
      }
      __syncthreads();
      add_parameters(args, layer, add, acts, slopes);
      if (layer == 0 && !args.g_x) break;
      float sums[kSamples][kUnits] = {};
      multiply(slopes, args.parameters + args.begins[layer], outputs, inputs, 1, inputs, stage, sums);
#pragma unroll
      for (int j = 0; j < kUnits; j++)
#pragma unroll
        for (int i = 0; i < kSamples; i++)
          if (unit(j) < inputs) {
            const int at = unit(j) * kMlpRow + sample(i);
            slopes[at] = layer == 0 || acts[at] > 0.f ? sums[i][j] : 0.f;
          }
    }
    __syncthreads();
    if (args.g_x) {
      const int width = args.widths[0];
      for (int i = threadIdx.x; i < kMlpTile * width; i += kMlpThreads)
        if (first + i / width < args.m) args.g_x[first * width + i] = slopes[i % width * kMlpRow + i / width];
      __syncthreads();
    }
  }
}

// Adds up the blocks' parts in order: a thread for each parameter.
A3D_KERNEL(a3d_mlp_parameters, MlpArgs, kMlpThreads) {
  const int at = blockIdx.x * kMlpThreads + threadIdx.x, count = args.begins[args.layers];
  if (at >= count) return;
  float sum = 0.f;
  for (int block = 0; block < args.blocks; block++) sum += args.parts[int64_t(block) * count + at];
  args.g_parameters[at] = sum;
}

}  // namespace a3d::gpu
