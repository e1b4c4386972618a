// How the poser's kernels read and write their arrays.
#pragma once
#include "gpu/kernel.h"
#include "gpu/pose.h"
#include "math/pose.h"

namespace a3d::gpu {

// Frames are rows of six float4.
__device__ __forceinline__ Frame<float> load_frame(const float* frames, int64_t row) {
  float flat[kFrameFloats];
  const float4* from = reinterpret_cast<const float4*>(frames) + row * (kFrameFloats / 4);
#pragma unroll
  for (int i = 0; i < kFrameFloats / 4; i++) {
    const float4 part = from[i];
    flat[4 * i] = part.x, flat[4 * i + 1] = part.y, flat[4 * i + 2] = part.z, flat[4 * i + 3] = part.w;
  }
  Frame<float> frame;
#pragma unroll
  for (int j = 0; j < 3; j++)
#pragma unroll
    for (int c = 0; c < 3; c++) frame.axis[j][c] = flat[3 * j + c], frame.corner[j][c] = flat[15 + 3 * j + c];
#pragma unroll
  for (int c = 0; c < 4; c++) frame.quat[c] = flat[9 + c];
  frame.size = flat[13], frame.log_size = flat[14];
  return frame;
}

__device__ __forceinline__ void store_frame(float* frames, int64_t row, const Frame<float>& frame) {
  float flat[kFrameFloats];
#pragma unroll
  for (int j = 0; j < 3; j++)
#pragma unroll
    for (int c = 0; c < 3; c++) flat[3 * j + c] = frame.axis[j][c], flat[15 + 3 * j + c] = frame.corner[j][c];
#pragma unroll
  for (int c = 0; c < 4; c++) flat[9 + c] = frame.quat[c];
  flat[13] = frame.size, flat[14] = frame.log_size;
  float4* to = reinterpret_cast<float4*>(frames) + row * (kFrameFloats / 4);
#pragma unroll
  for (int i = 0; i < kFrameFloats / 4; i++)
    to[i] = make_float4(flat[4 * i], flat[4 * i + 1], flat[4 * i + 2], flat[4 * i + 3]);
}

// Mean, quaternion and colour of a splat, or of one of its blendshapes.
__device__ __forceinline__ void load_columns(const float* means, const float* quats, const float* colours, int64_t row,
                                             float* out) {
#pragma unroll
  for (int c = 0; c < 3; c++) out[c] = means[3 * row + c], out[7 + c] = colours[3 * row + c];
#pragma unroll
  for (int c = 0; c < 4; c++) out[3 + c] = quats[4 * row + c];
}

__device__ __forceinline__ void load_local(const PoseArgs& args, int64_t splat, float* out) {
  load_columns(args.means, args.quats, args.colours, splat, out);
}

__device__ __forceinline__ void load_shape(const PoseArgs& args, int k, int64_t splat, float* out) {
  load_columns(args.basis_means, args.basis_quats, args.basis_colours, k * args.n + splat, out);
}

__device__ __forceinline__ float normalise4(float* q) {
  const float inverse = 1.f / sqrt(dot4(q, q));
#pragma unroll
  for (int c = 0; c < 4; c++) q[c] *= inverse;
  return inverse;
}

}  // namespace a3d::gpu
