// Splats in the pose of a mesh: what the entry points (pose_api.cpp) and the loops (pose.cpp) share.
//
// With R, k, a the rotation, size and quaternion of a splat's triangle, P its barycentric point, and the blendshapes'
// offsets (dm, dq, dc): mean = k R (m + dm) + P, quat = a * n(n(q) + dq), log scale = s + log k, colour = c + dc.
// avatar3d/ops/reference_fit.py is the same in PyTorch.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

namespace a3d {

// The moving frame of a triangle (GaussianAvatars): columns of R, quaternion wxyz, size, its logarithm, the corners.
struct PoseFrame {
  float axis[3][3];
  float quat[4];
  float size, log_size;
  float corner[3][3];
};
static_assert(sizeof(PoseFrame) == 24 * sizeof(float), "the caller allocates the frames as floats");

constexpr int64_t kPoseChunk = 256;  // splats a task: the basis of a chunk stays in the second-level cache
constexpr int64_t kPoseGroup = 4;    // poses that share one pass over the basis in registers

// Splats as optimised, and the reduced blendshapes (null without).
struct PoseSplats {
  const float *means, *quats, *log_scales, *colours;       // n 3, n 4, n 3, n 3
  const int32_t* face;                                     // n
  const float* bary;                                       // n 3
  const float *basis_means, *basis_quats, *basis_colours;  // k n 3, k n 4, k n 3
  const float* weights;                                    // b k
  const PoseFrame* frames;                                 // b f
  int64_t n, k, b, f;
};

// Splats in the world, b of each.
struct PoseWorld {
  float *means, *quats, *log_scales, *colours;
  float* inverse_length;  // b n: 1 / |n(q) + dq|, kept for the gradient
};

// Gradients; null where not wanted.
struct PoseGradients {
  const float *world_means, *world_quats, *world_log_scales, *world_colours;  // given
  float *means, *quats, *log_scales, *colours;
  float *basis_means, *basis_quats, *basis_colours;
  float* weights;  // chunks b k: parts, to be added in order
  float* corners;  // b n 9: of the corners of each splat's triangle
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Frames of faces [begin, end) of one mesh.
    void pose_frames(const float* vertices, const int32_t* faces, int64_t begin, int64_t end, PoseFrame* frames);
    void pose_forward(const PoseSplats& splats, const PoseWorld& world, int64_t chunk);
    void pose_backward(const PoseSplats& splats, const PoseWorld& world, const PoseGradients& gradients, int64_t chunk);
)
