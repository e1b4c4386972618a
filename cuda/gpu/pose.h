// The GPU splat poser: data that its kernels share. The formulas are in math/pose.h, the interface is that of the CPU.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kPoseThreads = 256;  // one splat each; also the splats of a part of the weights' gradient
constexpr int kPoseGroup = 4;      // poses that share one pass over the blendshapes in registers
constexpr int kPoseColumns = 10;   // of a splat's blendshape: mean, quaternion, colour
constexpr int kPoseShapes = 16;    // blendshapes whose weights' gradients are in shared memory at a time, 2 kB
constexpr int kFrameFloats = 24;   // Frame<float> in memory

struct PoseFrames {
  const float* vertices;  // b v 3
  const int32_t* faces;   // f 3
  float* frames;          // b f 24
  int64_t v, f;
};

// Arrays as in a3d_gpu_pose_forward and a3d_gpu_pose_backward.
struct PoseArgs {
  const float *means, *quats, *log_scales, *colours;
  const int32_t* face;
  const float* bary;
  const float *basis_means, *basis_quats, *basis_colours, *weights;
  const float* frames;
  int64_t n, f;
  int32_t k, b;
  float *world_means, *world_quats, *world_log_scales, *world_colours, *inverse_length;
};

struct PoseBackward {
  PoseArgs in;
  const float *g_world_means, *g_world_quats, *g_world_log_scales, *g_world_colours;
  float *g_means, *g_quats, *g_log_scales, *g_colours;
  float *g_basis_means, *g_basis_quats, *g_basis_colours;  // null when not wanted
  float *parts, *g_weights;                                // blocks b k; b k
  float* g_corners;                                        // b n 9, or null
  int32_t blocks;
};

struct PoseScatter {
  const float* g_corners;
  const int32_t *face, *faces;
  int64_t n, v;
  float* g_vertices;  // b v 3
};

}  // namespace a3d::gpu
