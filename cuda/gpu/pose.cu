// Splats in the pose of a mesh, forward: a thread for each triangle, then for each splat.
#include "gpu/kernel.h"
#include "gpu/pose.h"
#include "gpu/pose_device.h"

namespace a3d::gpu {

// The frames of all triangles; blockIdx.y is the pose.
A3D_KERNEL(a3d_pose_frames, PoseFrames, kPoseThreads) {
  const int64_t face = int64_t(blockIdx.x) * kPoseThreads + threadIdx.x;
  if (face >= args.f) return;
  Frame<float> frame;
#pragma unroll
  for (int i = 0; i < 3; i++) {
    const float* vertex = args.vertices + 3 * (blockIdx.y * args.v + args.faces[3 * face + i]);
#pragma unroll
    for (int c = 0; c < 3; c++) frame.corner[i][c] = vertex[c];
  }
  make_frame(frame);
  store_frame(args.frames, blockIdx.y * args.f + face, frame);
}

// kPoseGroup poses (number blockIdx.y) of a splat: the blendshapes, which are the memory traffic, are read once for them.
A3D_KERNEL(a3d_pose_forward, PoseArgs, kPoseThreads) {
  const int64_t splat = int64_t(blockIdx.x) * kPoseThreads + threadIdx.x;
  if (splat >= args.n) return;
  const int first = blockIdx.y * kPoseGroup;
  float local[kPoseGroup][kPoseColumns];
  load_local(args, splat, local[0]);
  normalise4(local[0] + 3);
#pragma unroll
  for (int p = 1; p < kPoseGroup; p++)
#pragma unroll
    for (int c = 0; c < kPoseColumns; c++) local[p][c] = local[0][c];
  for (int k = 0; k < args.k; k++) {
    float shape[kPoseColumns];
    load_shape(args, k, splat, shape);
#pragma unroll
    for (int p = 0; p < kPoseGroup; p++) {
      const float weight = first + p < args.b ? args.weights[(first + p) * args.k + k] : 0.f;
#pragma unroll
      for (int c = 0; c < kPoseColumns; c++) local[p][c] += weight * shape[c];
    }
  }
  float bary[3];
#pragma unroll
  for (int c = 0; c < 3; c++) bary[c] = args.bary[3 * splat + c];
#pragma unroll
  for (int p = 0; p < kPoseGroup; p++) {
    if (first + p >= args.b) return;
    const Frame<float> frame = load_frame(args.frames, (first + p) * args.f + args.face[splat]);
    const int64_t to = (first + p) * args.n + splat;
    float sizes[3];
#pragma unroll
    for (int c = 0; c < 3; c++) sizes[c] = args.log_scales[3 * splat + c];
    const float inverse_length = pose_splat(frame, bary, local[p], local[p] + 3, sizes);
#pragma unroll
    for (int c = 0; c < 3; c++) {
      args.world_means[3 * to + c] = local[p][c];
      args.world_log_scales[3 * to + c] = sizes[c];
      args.world_colours[3 * to + c] = local[p][7 + c];
    }
#pragma unroll
    for (int c = 0; c < 4; c++) args.world_quats[4 * to + c] = local[p][3 + c];
    if (args.inverse_length) args.inverse_length[to] = inverse_length;
  }
}

}  // namespace a3d::gpu
