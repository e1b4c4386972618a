// The backward loop of the splat poser.
#include "cpu/pose_chunk.h"

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

// The gradients of `blend` in one pass: of the weights (added to) and of the basis (set, or added to).
void blend_backward(const float* basis, int64_t stride, int64_t k_count, const float* weights, int64_t poses,
                    int64_t count, const float* g, int64_t g_stride, float* weight_gradient, float* basis_gradient,
                    bool add) {
  for (int64_t k = 0; k < k_count; k++) {
    const float* b = basis + k * stride;
    float* out = basis_gradient ? basis_gradient + k * stride : nullptr;
    F total[kPoseGroup] = {};
    float tail[kPoseGroup] = {};
    float w[kPoseGroup] = {};
    const float* from[kPoseGroup];
    for (int64_t p = 0; p < kPoseGroup; p++) {
      from[p] = g + (p < poses ? p : 0) * g_stride;  // absent poses have weight 0
      w[p] = p < poses ? weights[p * k_count + k] : 0;
    }
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const F value = load(b + i);
      F sum = out && add ? load(out + i) : F{};
      for (int64_t p = 0; p < kPoseGroup; p++) {
        const F gradient = load(from[p] + i);
        total[p] += value * gradient;
        sum += w[p] * gradient;
      }
      if (out) store(out + i, sum);
    }
    for (; i < count; i++) {
      float sum = out && add ? out[i] : 0;
      for (int64_t p = 0; p < kPoseGroup; p++) {
        tail[p] += b[i] * from[p][i];
        sum += w[p] * from[p][i];
      }
      if (out) out[i] = sum;
    }
    for (int64_t p = 0; p < poses; p++) weight_gradient[p * k_count + k] += a3d::A3D_ISA::sum(total[p]) + tail[p];
  }
}

// out[i] (set, or added to) = sum over a group's poses of g[p][i].
A3D_INLINE void add_poses(const float* g, int64_t stride, int64_t poses, int64_t count, bool add, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    F sum = add ? load(out + i) : F{};
    for (int64_t p = 0; p < poses; p++) sum += load(g + p * stride + i);
    store(out + i, sum);
  }
  for (; i < count; i++) {
    float sum = add ? out[i] : 0;
    for (int64_t p = 0; p < poses; p++) sum += g[p * stride + i];
    out[i] = sum;
  }
}

}  // namespace

void pose_backward(const PoseSplats& s, const PoseWorld& world, const PoseGradients& g, int64_t chunk) {
  const int64_t begin = chunk * kPoseChunk;
  const int64_t count = s.n - begin < kPoseChunk ? s.n - begin : kPoseChunk;
  alignas(64) float offsets[kPoseGroup * kRow];  // gradients of the blended means and quats
  float* const weights = g.weights + chunk * s.b * s.k;
  for (int64_t i = 0; i < s.b * s.k; i++) weights[i] = 0;

  for (int64_t first = 0; first < s.b; first += kPoseGroup) {
    const int64_t poses = s.b - first < kPoseGroup ? s.b - first : kPoseGroup;
    for (int64_t p = 0; p < poses; p++) {
      float *dm = offsets + p * kRow, *dq = dm + kQuats;
      const PoseFrame* frames = s.frames + (first + p) * s.f;
      for (int64_t i = 0; i < count; i += kLanes) {
        const int lanes = count - i < kLanes ? int(count - i) : kLanes;
        const int64_t row = begin + i, from = (first + p) * s.n + row;
        const Frame<F> frame = frames_of(frames, s.face + row, lanes);
        F gm[3], gq[4], quat[4], of_mean[3], of_quat[4];
        load_rows<3>(g.world_means + 3 * from, gm, lanes), load_rows<4>(g.world_quats + 4 * from, gq, lanes);
        load_rows<4>(world.quats + 4 * from, quat, lanes);
        const F inverse_length = load(world.inverse_length + from, lanes);
        pose_splat_backward(frame, quat, inverse_length, gm, gq, of_mean, of_quat);
        store_rows<3>(dm + 3 * i, of_mean, lanes), store_rows<4>(dq + 4 * i, of_quat, lanes);
        if (!g.corners) continue;
        F gs[3], bary[3], mean[3], corners[3][3];
        load_rows<3>(g.world_log_scales + 3 * from, gs, lanes), load_rows<3>(s.bary + 3 * row, bary, lanes);
        load_rows<3>(world.means + 3 * from, mean, lanes);
        corners_backward(frame, bary, mean, quat, gm, gq, gs, corners);
        for (int j = 0; j < lanes; j++)
          for (int c = 0; c < 9; c++) g.corners[9 * (from + j) + c] = (&corners[0][0])[c][j];
      }
    }
    const bool add = first > 0;
    const int64_t m = 3 * begin, q = 4 * begin, from = first * s.n + begin;
    add_poses(offsets, kRow, poses, 3 * count, add, g.means + m);
    add_poses(offsets + kQuats, kRow, poses, 4 * count, add, g.quats + q);
    add_poses(g.world_log_scales + 3 * from, 3 * s.n, poses, 3 * count, add, g.log_scales + m);
    add_poses(g.world_colours + 3 * from, 3 * s.n, poses, 3 * count, add, g.colours + m);
    if (s.k > 0) {
      const float* w = s.weights + first * s.k;
      float* out = weights + first * s.k;
      blend_backward(s.basis_means + m, 3 * s.n, s.k, w, poses, 3 * count, offsets, kRow, out,
                     g.basis_means ? g.basis_means + m : nullptr, add);
      blend_backward(s.basis_quats + q, 4 * s.n, s.k, w, poses, 4 * count, offsets + kQuats, kRow, out,
                     g.basis_quats ? g.basis_quats + q : nullptr, add);
      blend_backward(s.basis_colours + m, 3 * s.n, s.k, w, poses, 3 * count, g.world_colours + 3 * from, 3 * s.n, out,
                     g.basis_colours ? g.basis_colours + m : nullptr, add);
    }
  }
  for (int64_t i = 0; i < count; i += kLanes) {  // through n(q)
    const int lanes = count - i < kLanes ? int(count - i) : kLanes;
    F q[4], out[4];
    load_rows<4>(s.quats + 4 * (begin + i), q, lanes), load_rows<4>(g.quats + 4 * (begin + i), out, lanes);
    const F own = 1.f / sqrt(dot4(q, q)), along = dot4(q, out) * own * own;
    for (int c = 0; c < 4; c++) out[c] = (out[c] - q[c] * along) * own;
    store_rows<4>(g.quats + 4 * (begin + i), out, lanes);
  }
}

}  // namespace a3d::A3D_ISA
