// The gradients of posing: a thread for each splat, all poses one after the other, so that each gradient is written once
// by its owner and nothing is summed by atomics.
#include "gpu/kernel.h"
#include "gpu/pose.h"
#include "gpu/pose_device.h"
#include "gpu/reduce.h"

namespace a3d::gpu {
namespace {

// The gradient of a splat's mean, quaternion and colour before its frame moves them, in pose `p`; writes its corners'.
__device__ __forceinline__ void local_gradient(const PoseBackward& args, int p, int64_t splat, float* out,
                                               float* g_log_scales) {
  const PoseArgs& in = args.in;
  const int64_t from = p * in.n + splat;
  const Frame<float> frame = load_frame(in.frames, p * in.f + in.face[splat]);
  float g[kPoseColumns], quat[4], g_sizes[3];
  load_columns(args.g_world_means, args.g_world_quats, args.g_world_colours, from, g);
#pragma unroll
  for (int c = 0; c < 4; c++) quat[c] = in.world_quats[4 * from + c];
#pragma unroll
  for (int c = 0; c < 3; c++) g_sizes[c] = args.g_world_log_scales[3 * from + c], g_log_scales[c] += g_sizes[c];
  pose_splat_backward(frame, quat, in.inverse_length[from], g, g + 3, out, out + 3);
#pragma unroll
  for (int c = 0; c < 3; c++) out[7 + c] = g[7 + c];
  if (!args.g_corners) return;
  float bary[3], mean[3], corners[3][3];
#pragma unroll
  for (int c = 0; c < 3; c++) bary[c] = in.bary[3 * splat + c], mean[c] = in.world_means[3 * from + c];
  corners_backward(frame, bary, mean, quat, g, g + 3, g_sizes, corners);
#pragma unroll
  for (int j = 0; j < 3; j++)
#pragma unroll
    for (int c = 0; c < 3; c++) args.g_corners[9 * from + 3 * j + c] = corners[j][c];
}

// Adds to (or sets) three or four columns of a row.
template <int width>
__device__ __forceinline__ void put(float* to, int64_t row, const float* v, bool add) {
  if (!to) return;
#pragma unroll
  for (int c = 0; c < width; c++) to[width * row + c] = (add ? to[width * row + c] : 0.f) + v[c];
}
}  // namespace

// All gradients of a splat, and a block's part of those of the weights: sums of a warp by shuffles, then of 8 warps
// through 2 kB of shared memory.
A3D_KERNEL(a3d_pose_backward, PoseBackward, kPoseThreads) {
  constexpr int kWarps = kPoseThreads / 32, kSums = kPoseShapes * kPoseGroup;
  A3D_SHARED(float, sums, kWarps * kSums);
  const PoseArgs& in = args.in;
  const int64_t splat = int64_t(blockIdx.x) * kPoseThreads + threadIdx.x;
  const bool mine = splat < in.n;
  const int warp = threadIdx.x / 32;
  float total[kPoseColumns] = {}, g_log_scales[3] = {};
  for (int first = 0; first < in.b; first += kPoseGroup) {
    float g[kPoseGroup][kPoseColumns];
#pragma unroll
    for (int p = 0; p < kPoseGroup; p++) {
#pragma unroll
      for (int c = 0; c < kPoseColumns; c++) g[p][c] = 0.f;
      if (mine && first + p < in.b) local_gradient(args, first + p, splat, g[p], g_log_scales);
#pragma unroll
      for (int c = 0; c < kPoseColumns; c++) total[c] += g[p][c];
    }
    for (int shape = 0; shape < in.k; shape += kPoseShapes) {
      const int shapes = in.k - shape < kPoseShapes ? in.k - shape : kPoseShapes;
      for (int k = 0; k < shapes; k++) {
        float basis[kPoseColumns] = {}, of_basis[kPoseColumns] = {}, of_weight[kPoseGroup];
        if (mine) load_shape(in, shape + k, splat, basis);
#pragma unroll
        for (int p = 0; p < kPoseGroup; p++) {
          const float weight = first + p < in.b ? in.weights[(first + p) * in.k + shape + k] : 0.f;
          of_weight[p] = 0.f;
#pragma unroll
          for (int c = 0; c < kPoseColumns; c++) of_weight[p] += basis[c] * g[p][c], of_basis[c] += weight * g[p][c];
        }
        if (mine) {
          const int64_t row = (shape + k) * in.n + splat;
          put<3>(args.g_basis_means, row, of_basis, first > 0);
          put<4>(args.g_basis_quats, row, of_basis + 3, first > 0);
          put<3>(args.g_basis_colours, row, of_basis + 7, first > 0);
        }
        const float sum = sum_columns(of_weight);
        const int pose = column_of<kPoseGroup>();
        if (pose >= 0) sums[(warp * kPoseShapes + k) * kPoseGroup + pose] = sum;
      }
      __syncthreads();
      if (int(threadIdx.x) < shapes * kPoseGroup) {
        const int pose = first + threadIdx.x % kPoseGroup, k = shape + threadIdx.x / kPoseGroup;
        float sum = 0.f;
        for (int w = 0; w < kWarps; w++) sum += sums[w * kSums + threadIdx.x];
        if (pose < in.b) args.parts[(int64_t(blockIdx.x) * in.b + pose) * in.k + k] = sum;
      }
      __syncthreads();  // before the sums are overwritten
    }
  }
  if (!mine) return;
  float quat[4];  // through n(q)
#pragma unroll
  for (int c = 0; c < 4; c++) quat[c] = in.quats[4 * splat + c];
  const float own = normalise4(quat), along = dot4(quat, total + 3);
#pragma unroll
  for (int c = 0; c < 4; c++) total[3 + c] = (total[3 + c] - quat[c] * along) * own;
  put<3>(args.g_means, splat, total, false);
  put<4>(args.g_quats, splat, total + 3, false);
  put<3>(args.g_log_scales, splat, g_log_scales, false);
  put<3>(args.g_colours, splat, total + 7, false);
}

// Adds up the blocks' parts in order: a thread for each weight.
A3D_KERNEL(a3d_pose_weights, PoseBackward, kPoseThreads) {
  const int at = blockIdx.x * kPoseThreads + threadIdx.x, count = args.in.b * args.in.k;
  if (at >= count) return;
  float sum = 0.f, lost = 0.f;  // compensated (Kahan): there may be hundreds of blocks
  for (int block = 0; block < args.blocks; block++) {
    const float part = args.parts[int64_t(block) * count + at] - lost, next = sum + part;
    lost = (next - sum) - part;
    sum = next;
  }
  args.g_weights[at] = sum;
}

// Adds the gradients of the splats' corners to their vertices; blockIdx.y is the pose. By atomics: the last bits vary.
A3D_KERNEL(a3d_pose_scatter, PoseScatter, kPoseThreads) {
  const int64_t splat = int64_t(blockIdx.x) * kPoseThreads + threadIdx.x;
  if (splat >= args.n) return;
  const float* from = args.g_corners + 9 * (blockIdx.y * args.n + splat);
  const int32_t* corners = args.faces + 3 * int64_t(args.face[splat]);
#pragma unroll
  for (int j = 0; j < 3; j++) {
    float* to = args.g_vertices + 3 * (blockIdx.y * args.v + corners[j]);
#pragma unroll
    for (int c = 0; c < 3; c++) atomicAdd(to + c, from[3 * j + c]);
  }
}

}  // namespace a3d::gpu
