// Weighted L1 and structural dissimilarity of pictures, and the gradient.
#include "gpu/kernel.h"
#include "gpu/loss.h"
#include "math/ssim.h"

namespace a3d::gpu {
namespace {

constexpr int kLossWarps = kLossThreads / 32;
constexpr int kLossPixels = kLossSide * kLossSide, kLossRows = kLossSide * kLossTile;

// The sum of a block's values, for thread 0. All threads must call it, once for an array.
template <class Sums>
__device__ __forceinline__ float sum_of_block(float value, Sums& sums) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffffu, value, by);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0.f;
  if (threadIdx.x == 0)
    for (int i = 0; i < kLossWarps; i++) total += sums[i];
  return total;
}

// One unit of weight in the loss.
__device__ __forceinline__ float unit(const LossArgs& args) {
  const float whole = args.whole ? *args.whole : float(int64_t(args.b) * args.h * args.w);
  return whole > 0.f ? 1.f / (3.f * whole) : 0.f;
}

// The pixel `i` of the side x side that a tile reads; -1 outside the picture.
__device__ __forceinline__ int64_t read_pixel(const LossArgs& args, int i) {
  const int x = int(blockIdx.x) * kLossTile - kLossReach + i % kLossSide;
  const int y = int(blockIdx.y) * kLossTile - kLossReach + i / kLossSide;
  if (x < 0 || y < 0 || x >= args.w || y >= args.h) return -1;
  return (int64_t(blockIdx.z) * args.h + y) * args.w + x;
}

// Pixel i of kLossSide x kLossTile, from `in` with kLossSide columns, blurred along its row.
template <class In>
__device__ __forceinline__ float along(In& in, int i) {
  const int at = i / kLossTile * kLossSide + i % kLossTile + kLossReach;
  float sum = kWindow[0] * in[at];
#pragma unroll
  for (int t = 1; t <= kLossReach; t++) sum += kWindow[t] * (in[at - t] + in[at + t]);
  return sum;
}

// The thread's own pixel, from `in` with kLossTile columns, blurred down.
template <class In>
__device__ __forceinline__ float down(In& in) {
  const int at = threadIdx.x + kLossReach * kLossTile;
  float sum = kWindow[0] * in[at];
#pragma unroll
  for (int t = 1; t <= kLossReach; t++) sum += kWindow[t] * (in[at - t * kLossTile] + in[at + t * kLossTile]);
  return sum;
}
}  // namespace

// Sums of kLossChunk numbers each.
A3D_KERNEL(a3d_loss_parts, LossSum, kLossThreads) {
  A3D_SHARED(float, sums, kLossWarps);
  const int64_t first = int64_t(blockIdx.x) * kLossChunk, last = first + kLossChunk < args.n ? first + kLossChunk : args.n;
  float sum = 0.f;
  for (int64_t i = first + threadIdx.x; i < last; i += kLossThreads) sum += args.values[i];
  sum = sum_of_block(sum, sums);
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

// The sum of all, by one block.
A3D_KERNEL(a3d_loss_total, LossSum, kLossThreads) {
  A3D_SHARED(float, sums, kLossWarps);
  float sum = 0.f;
  for (int64_t i = threadIdx.x; i < args.n; i += kLossThreads) sum += args.values[i];
  sum = sum_of_block(sum, sums);
  if (threadIdx.x == 0) args.sums[0] = sum;
}

// A tile's part of the loss, and the slopes of its pixels. Shared memory: 5.4 kB of pixels, 6.7 kB of their products
// blurred along rows.
A3D_KERNEL(a3d_loss_compare, LossArgs, kLossThreads) {
  A3D_SHARED(float, xs, kLossPixels);
  A3D_SHARED(float, ys, kLossPixels);
  A3D_SHARED(float, x_rows, kLossRows);
  A3D_SHARED(float, y_rows, kLossRows);
  A3D_SHARED(float, square_rows, kLossRows);
  A3D_SHARED(float, product_rows, kLossRows);
  A3D_SHARED(float, sums, kLossWarps);
  const int x = blockIdx.x * kLossTile + threadIdx.x % kLossTile, y = blockIdx.y * kLossTile + threadIdx.x / kLossTile;
  const bool inside = x < args.w && y < args.h;
  const int64_t pixel = (int64_t(blockIdx.z) * args.h + y) * args.w + x, plane = int64_t(args.h) * args.w;
  const float weight = (inside ? args.weight ? args.weight[pixel] : 1.f : 0.f) * unit(args);
  float loss = 0.f;
  for (int c = 0; c < 3; c++) {
    for (int i = threadIdx.x; i < kLossPixels; i += kLossThreads) {
      const int64_t from = read_pixel(args, i);
      xs[i] = from < 0 ? 0.f : args.render[3 * from + c];
      ys[i] = from < 0 ? 0.f : args.target[3 * from + c];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < kLossRows; i += kLossThreads) {
      const int at = i / kLossTile * kLossSide + i % kLossTile;
      float mx = 0.f, my = 0.f, squares = 0.f, product = 0.f;
#pragma unroll
      for (int t = -kLossReach; t <= kLossReach; t++) {
        const float tap = kWindow[t < 0 ? -t : t], u = xs[at + kLossReach + t], v = ys[at + kLossReach + t];
        mx += tap * u, my += tap * v, squares += tap * (u * u + v * v), product += tap * (u * v);
      }
      x_rows[i] = mx, y_rows[i] = my, square_rows[i] = squares, product_rows[i] = product;
    }
    __syncthreads();
    const Similarity<float> s = similarity(down(x_rows), down(y_rows), down(square_rows), down(product_rows));
    const int own = (threadIdx.x / kLossTile + kLossReach) * kLossSide + threadIdx.x % kLossTile + kLossReach;
    const float difference = xs[own] - ys[own];
    loss += weight * ((1.f - args.ssim_share) * fabsf(difference) + args.ssim_share * (1.f - s.ssim));
    if (inside && args.gradient) {
      const float scale = -args.ssim_share * weight;
      float* to = args.slopes + (9 * int64_t(blockIdx.z) + 3 * c) * plane + int64_t(y) * args.w + x;
      to[0] = scale * s.by_mean, to[plane] = scale * s.by_squares, to[2 * plane] = scale * s.by_product;
    }
    __syncthreads();  // before the next channel is read
  }
  loss = sum_of_block(loss, sums);
  if (threadIdx.x == 0) args.parts[(int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = loss;
}

// The gradient of a tile. Shared memory: 2.7 kB of slopes, 1.7 kB blurred along rows.
A3D_KERNEL(a3d_loss_gradient, LossArgs, kLossThreads) {
  A3D_SHARED(float, slope, kLossPixels);
  A3D_SHARED(float, slope_rows, kLossRows);
  const int x = blockIdx.x * kLossTile + threadIdx.x % kLossTile, y = blockIdx.y * kLossTile + threadIdx.x / kLossTile;
  const bool inside = x < args.w && y < args.h;
  const int64_t pixel = (int64_t(blockIdx.z) * args.h + y) * args.w + x, plane = int64_t(args.h) * args.w;
  const float weight = (inside ? args.weight ? args.weight[pixel] : 1.f : 0.f) * unit(args);
  for (int c = 0; c < 3; c++) {
    const float u = inside ? args.render[3 * pixel + c] : 0.f, v = inside ? args.target[3 * pixel + c] : 0.f;
    const float sign = u > v ? 1.f : u < v ? -1.f : 0.f;
    float gradient = (1.f - args.ssim_share) * weight * sign;
    for (int s = 0; s < 3; s++) {
      const float* from = args.slopes + (8 * int64_t(blockIdx.z) + 3 * c + s) * plane;  // and one picture in `read`
      for (int i = threadIdx.x; i < kLossPixels; i += kLossThreads) {
        const int64_t read = read_pixel(args, i);
        slope[i] = read < 0 ? 0.f : from[read];
      }
      __syncthreads();
      for (int i = threadIdx.x; i < kLossRows; i += kLossThreads) slope_rows[i] = along(slope, i);
      __syncthreads();
      const float blurred = down(slope_rows);
      gradient += s == 0 ? blurred : s == 1 ? 2.f * u * blurred : v * blurred;
    }
    if (inside) args.gradient[3 * pixel + c] = gradient;
  }
}

}  // namespace a3d::gpu
