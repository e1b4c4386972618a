// What the forward and the backward loops of the splat poser share, for each instruction set.
#pragma once
#include "cpu/pose.h"
#include "math/pose.h"

namespace a3d::A3D_ISA {
static_assert(sizeof(Frame<float>) == sizeof(PoseFrame), "the two are the same 24 floats");

constexpr int64_t kRow = 10 * kPoseChunk;  // of a chunk's means, quats and colours, one after the other
constexpr int64_t kQuats = 3 * kPoseChunk, kColours = 7 * kPoseChunk;

// The frames of kLanes splats.
A3D_INLINE Frame<F> frames_of(const PoseFrame* frames, const int32_t* face, int lanes) {
  I index;
  for (int i = 0; i < kLanes; i++) index[i] = (i < lanes ? face[i] : face[0]) * int(sizeof(PoseFrame) / sizeof(float));
  Frame<F> f;
  const float* from = &frames->axis[0][0];
  F* to = &f.axis[0][0];
  for (unsigned i = 0; i < sizeof(PoseFrame) / sizeof(float); i++) to[i] = gather(from + i, index);
  return f;
}

}  // namespace a3d::A3D_ISA
