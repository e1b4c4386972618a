// Reads splats and cameras into vectors; shared by the projection and its backward pass.
#pragma once
#include "cpu/splat.h"
#include "math/splat.h"

namespace a3d::A3D_ISA {

A3D_INLINE View view_of(const SplatInputs& in, int64_t index) {
  const int64_t camera = in.many_cameras ? index : 0;
  return camera_view(in.w2c + 16 * camera, in.intrinsics + 9 * camera, float(in.width), float(in.height));
}

// Lane i reads splat begin + i; lanes past `end` repeat the last splat.
A3D_INLINE I lane_index(int64_t begin, int64_t end) {
  I lane;
  for (int i = 0; i < kLanes; i++) lane[i] = begin + i < end ? i : int32_t(end - begin - 1);
  return lane;
}

struct LoadedSplat {
  F mean[3], quat[4], scale[3], logit, inverse_norm;
};

A3D_INLINE LoadedSplat load_splat(const SplatInputs& in, int64_t pose, int64_t begin, int lanes) {
  const int64_t row = pose * in.splats + begin;
  LoadedSplat s;
  load_rows<3>(in.means + 3 * row, s.mean, lanes), load_rows<3>(in.log_scales + 3 * row, s.scale, lanes);
  for (int j = 0; j < 3; j++) s.scale[j] = exp(s.scale[j]);
  load_rows<4>(in.quats + 4 * row, s.quat, lanes);
  s.logit = load(in.logits + row, lanes);
  s.inverse_norm = normalise(s.quat);
  return s;
}

}  // namespace a3d::A3D_ISA
