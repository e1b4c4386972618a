// Loops of the splat poser. The nonlinear part of a splat is scalar code: loads and stores of its rows bound it, not
// arithmetic. The blendshapes are the memory traffic (40 MB at n = 50,000, k = 20): one pass over them for all poses.
#include "cpu/pose.h"

#include <math.h>

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

constexpr float kTiny = 1e-9f;  // shorter than any edge of a head in metres: keeps frames of collapsed triangles finite

A3D_INLINE void cross(const float* a, const float* b, float* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}
A3D_INLINE float dot3(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
A3D_INLINE float dot4(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]; }

// out = a * b, or conj(a) * b, or a * conj(b), wxyz.
template <int kA = 1, int kB = 1>
A3D_INLINE void product(const float* a, const float* b, float* out) {
  const float aw = a[0], ax = kA * a[1], ay = kA * a[2], az = kA * a[3];
  const float bw = b[0], bx = kB * b[1], by = kB * b[2], bz = kB * b[3];
  out[0] = aw * bw - ax * bx - ay * by - az * bz;
  out[1] = aw * bx + ax * bw + ay * bz - az * by;
  out[2] = aw * by - ax * bz + ay * bw + az * bx;
  out[3] = aw * bz + ax * by - ay * bx + az * bw;
}

// The quaternion of a rotation with columns `axis`, by its largest component (the choice and sign that roma makes).
A3D_INLINE void quaternion(const float axis[3][3], float* out) {
  const float trace = axis[0][0] + axis[1][1] + axis[2][2];
  int i = axis[1][1] > axis[0][0] ? 1 : 0;
  if (axis[2][2] > axis[i][i]) i = 2;
  if (trace > axis[i][i]) {
    out[0] = 1 + trace;
    out[1] = axis[1][2] - axis[2][1];
    out[2] = axis[2][0] - axis[0][2];
    out[3] = axis[0][1] - axis[1][0];
  } else {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    out[0] = axis[j][k] - axis[k][j];
    out[1 + i] = 1 - trace + 2 * axis[i][i];
    out[1 + j] = axis[i][j] + axis[j][i];
    out[1 + k] = axis[i][k] + axis[k][i];
  }
  const float scale = 1 / sqrtf(dot4(out, out));
  for (int c = 0; c < 4; c++) out[c] *= scale;
}

// out[p][i] += sum over k of weights[p][k] basis[k][i], for the poses of a group.
void blend(const float* basis, int64_t stride, int64_t k_count, const float* weights, int64_t poses, int64_t count,
           float* out, int64_t out_stride) {
  for (int64_t p = 0; p < poses; p++) {
    const float* w = weights + p * k_count;
    float* o = out + p * out_stride;
    int64_t k = 0;
    for (; k + 4 <= k_count; k += 4) {
      const float *b0 = basis + k * stride, *b1 = b0 + stride, *b2 = b1 + stride, *b3 = b2 + stride;
      const float w0 = w[k], w1 = w[k + 1], w2 = w[k + 2], w3 = w[k + 3];
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes)
        store(o + i, load(o + i) + w0 * load(b0 + i) + w1 * load(b1 + i) + w2 * load(b2 + i) + w3 * load(b3 + i));
      for (; i < count; i++) o[i] = o[i] + w0 * b0[i] + w1 * b1[i] + w2 * b2[i] + w3 * b3[i];
    }
    for (; k < k_count; k++) {
      const float* b0 = basis + k * stride;
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes) store(o + i, load(o + i) + w[k] * load(b0 + i));
      for (; i < count; i++) o[i] = o[i] + w[k] * b0[i];
    }
  }
}

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

// The gradient of a triangle's corners, given that of its frame's axes (destroyed) and size.
A3D_INLINE void frame_backward(const PoseFrame& frame, float axes[3][3], float size_gradient, float corners[3][3]) {
  float edge[3], side[3], turn[3], across[3], of_edge[3], of_side[3];
  for (int c = 0; c < 3; c++) {
    edge[c] = frame.corner[1][c] - frame.corner[0][c];
    side[c] = frame.corner[2][c] - frame.corner[0][c];
  }
  const float length = sqrtf(dot3(edge, edge));
  cross(frame.axis[0], side, across);
  const float height = sqrtf(dot3(across, across));
  if (!(length > kTiny) || !(height > kTiny)) return;  // a collapsed triangle has no direction to improve
  cross(frame.axis[1], axes[2], turn);                 // axis 2 = axis 0 x axis 1
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(axes[2], frame.axis[0], turn);
  for (int c = 0; c < 3; c++) axes[1][c] += turn[c];
  // axis 1 = across / height, size = (length + height) / 2
  const float along1 = dot3(frame.axis[1], axes[1]);
  for (int c = 0; c < 3; c++)
    across[c] = (axes[1][c] - frame.axis[1][c] * along1) / height + 0.5f * size_gradient * frame.axis[1][c];
  cross(side, across, turn);  // across = axis 0 x side
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(across, frame.axis[0], of_side);
  const float along0 = dot3(frame.axis[0], axes[0]);
  for (int c = 0; c < 3; c++) {
    of_edge[c] = (axes[0][c] - frame.axis[0][c] * along0) / length + 0.5f * size_gradient * frame.axis[0][c];
    corners[0][c] -= of_edge[c] + of_side[c];
    corners[1][c] += of_edge[c];
    corners[2][c] += of_side[c];
  }
}

}  // namespace

void pose_frames(const float* vertices, const int32_t* faces, int64_t begin, int64_t end, PoseFrame* frames) {
  for (int64_t f = begin; f < end; f++) {
    PoseFrame& frame = frames[f];
    float edge[3], side[3], across[3];
    for (int i = 0; i < 3; i++)
      for (int c = 0; c < 3; c++) frame.corner[i][c] = vertices[3 * int64_t(faces[3 * f + i]) + c];
    for (int c = 0; c < 3; c++) {
      edge[c] = frame.corner[1][c] - frame.corner[0][c];
      side[c] = frame.corner[2][c] - frame.corner[0][c];
    }
    const float length = sqrtf(dot3(edge, edge)), inverse_length = 1 / (length > kTiny ? length : kTiny);
    for (int c = 0; c < 3; c++) frame.axis[0][c] = edge[c] * inverse_length;
    cross(frame.axis[0], side, across);
    const float height = sqrtf(dot3(across, across)), inverse_height = 1 / (height > kTiny ? height : kTiny);
    for (int c = 0; c < 3; c++) frame.axis[1][c] = across[c] * inverse_height;
    cross(frame.axis[0], frame.axis[1], frame.axis[2]);
    quaternion(frame.axis, frame.quat);
    frame.size = 0.5f * (length + height);  // |axis 2 . side| is the height
    if (!(frame.size > kTiny)) frame.size = kTiny;
    frame.log_size = logf(frame.size);
  }
}

void pose_forward(const PoseSplats& s, const PoseWorld& world, int64_t chunk) {
  const int64_t begin = chunk * kPoseChunk;
  const int64_t count = s.n - begin < kPoseChunk ? s.n - begin : kPoseChunk;
  constexpr int64_t kRow = 10 * kPoseChunk;
  alignas(64) float offsets[kPoseGroup * kRow];
  for (int64_t first = 0; first < s.b; first += kPoseGroup) {
    const int64_t poses = s.b - first < kPoseGroup ? s.b - first : kPoseGroup;
    for (int64_t i = 0; i < poses * kRow; i++) offsets[i] = 0;
    if (s.k > 0) {
      const float* w = s.weights + first * s.k;
      blend(s.basis_means + 3 * begin, 3 * s.n, s.k, w, poses, 3 * count, offsets, kRow);
      blend(s.basis_quats + 4 * begin, 4 * s.n, s.k, w, poses, 4 * count, offsets + 3 * kPoseChunk, kRow);
      blend(s.basis_colours + 3 * begin, 3 * s.n, s.k, w, poses, 3 * count, offsets + 7 * kPoseChunk, kRow);
    }
    for (int64_t p = 0; p < poses; p++) {
      const float *dm = offsets + p * kRow, *dq = dm + 3 * kPoseChunk, *dc = dm + 7 * kPoseChunk;
      const PoseFrame* frames = s.frames + (first + p) * s.f;
      for (int64_t i = 0; i < count; i++) {
        const int64_t row = begin + i, to = (first + p) * s.n + row;
        const PoseFrame& frame = frames[s.face[row]];
        const float *m = s.means + 3 * row, *q = s.quats + 4 * row, *bary = s.bary + 3 * row;
        float local[3];
        for (int c = 0; c < 3; c++) local[c] = frame.size * (m[c] + dm[3 * i + c]);
        for (int c = 0; c < 3; c++) {
          const float point =
              bary[0] * frame.corner[0][c] + bary[1] * frame.corner[1][c] + bary[2] * frame.corner[2][c];
          world.means[3 * to + c] =
              frame.axis[0][c] * local[0] + frame.axis[1][c] * local[1] + frame.axis[2][c] * local[2] + point;
          world.log_scales[3 * to + c] = s.log_scales[3 * row + c] + frame.log_size;
          world.colours[3 * to + c] = s.colours[3 * row + c] + dc[3 * i + c];
        }
        const float own = 1 / sqrtf(dot4(q, q));
        float turned[4];
        for (int c = 0; c < 4; c++) turned[c] = q[c] * own + dq[4 * i + c];
        const float inverse_length = 1 / sqrtf(dot4(turned, turned));
        for (int c = 0; c < 4; c++) turned[c] *= inverse_length;
        product(frame.quat, turned, world.quats + 4 * to);
        world.inverse_length[to] = inverse_length;
      }
    }
  }
}

void pose_backward(const PoseSplats& s, const PoseWorld& world, const PoseGradients& g, int64_t chunk) {
  const int64_t begin = chunk * kPoseChunk;
  const int64_t count = s.n - begin < kPoseChunk ? s.n - begin : kPoseChunk;
  constexpr int64_t kRow = 10 * kPoseChunk;
  alignas(64) float offsets[kPoseGroup * kRow];  // gradients of the offsets: means, quats, colours
  float* const weights = g.weights + chunk * s.b * s.k;
  for (int64_t i = 0; i < s.b * s.k; i++) weights[i] = 0;
  for (int64_t i = 3 * begin; i < 3 * (begin + count); i++) g.means[i] = g.log_scales[i] = g.colours[i] = 0;
  for (int64_t i = 4 * begin; i < 4 * (begin + count); i++) g.quats[i] = 0;

  for (int64_t first = 0; first < s.b; first += kPoseGroup) {
    const int64_t poses = s.b - first < kPoseGroup ? s.b - first : kPoseGroup;
    for (int64_t p = 0; p < poses; p++) {
      float *dm = offsets + p * kRow, *dq = dm + 3 * kPoseChunk, *dc = dm + 7 * kPoseChunk;
      const PoseFrame* frames = s.frames + (first + p) * s.f;
      for (int64_t i = 0; i < count; i++) {
        const int64_t row = begin + i, from = (first + p) * s.n + row;
        const PoseFrame& frame = frames[s.face[row]];
        const float *gm = g.world_means + 3 * from, *gq = g.world_quats + 4 * from;
        const float *gs = g.world_log_scales + 3 * from, *quat = world.quats + 4 * from;
        for (int c = 0; c < 3; c++) {
          dm[3 * i + c] = frame.size * dot3(frame.axis[c], gm);
          dc[3 * i + c] = g.world_colours[3 * from + c];
          g.means[3 * row + c] += dm[3 * i + c];
          g.colours[3 * row + c] += dc[3 * i + c];
          g.log_scales[3 * row + c] += gs[c];
        }
        float turned[4], of_turned[4];  // the unit quaternion in the triangle's frame, and its gradient
        product<-1, 1>(frame.quat, quat, turned);
        product<-1, 1>(frame.quat, gq, of_turned);
        const float along = dot4(turned, of_turned);
        for (int c = 0; c < 4; c++) {
          dq[4 * i + c] = (of_turned[c] - turned[c] * along) * world.inverse_length[from];
          g.quats[4 * row + c] += dq[4 * i + c];
        }
        if (!g.corners) continue;

        float axes[3][3], of_rotation[4], point[3], corners[3][3], offset[3];
        const float* bary = s.bary + 3 * row;
        for (int c = 0; c < 3; c++) {
          point[c] = bary[0] * frame.corner[0][c] + bary[1] * frame.corner[1][c] + bary[2] * frame.corner[2][c];
          offset[c] = world.means[3 * from + c] - point[c];
          for (int j = 0; j < 3; j++) corners[j][c] = bary[j] * gm[c];
        }
        // A rotation by w of the frame turns the quaternion by w / 2, so that w has this gradient; spread over the axes
        // it gives the same for every movement of a rotation matrix.
        product<1, -1>(gq, quat, of_rotation);
        const float spin[3] = {0.5f * of_rotation[1], 0.5f * of_rotation[2], 0.5f * of_rotation[3]};
        for (int j = 0; j < 3; j++) {
          const float local = dot3(frame.axis[j], offset);  // k (m + dm)
          cross(spin, frame.axis[j], axes[j]);
          for (int c = 0; c < 3; c++) axes[j][c] = 0.5f * axes[j][c] + local * gm[c];
        }
        const float of_size = (dot3(offset, gm) + gs[0] + gs[1] + gs[2]) / frame.size;
        frame_backward(frame, axes, of_size, corners);
        for (int j = 0; j < 3; j++)
          for (int c = 0; c < 3; c++) g.corners[9 * from + 3 * j + c] = corners[j][c];
      }
    }
    if (s.k > 0) {
      const float* w = s.weights + first * s.k;
      float* out = weights + first * s.k;
      const bool add = first > 0;
      const int64_t m = 3 * begin, q = 4 * begin;
      blend_backward(s.basis_means + m, 3 * s.n, s.k, w, poses, 3 * count, offsets, kRow, out,
                     g.basis_means ? g.basis_means + m : nullptr, add);
      blend_backward(s.basis_quats + q, 4 * s.n, s.k, w, poses, 4 * count, offsets + 3 * kPoseChunk, kRow, out,
                     g.basis_quats ? g.basis_quats + q : nullptr, add);
      blend_backward(s.basis_colours + m, 3 * s.n, s.k, w, poses, 3 * count, offsets + 7 * kPoseChunk, kRow, out,
                     g.basis_colours ? g.basis_colours + m : nullptr, add);
    }
  }
  for (int64_t row = begin; row < begin + count; row++) {  // through n(q)
    const float* q = s.quats + 4 * row;
    float* out = g.quats + 4 * row;
    const float own = 1 / sqrtf(dot4(q, q)), along = dot4(q, out) * own * own;
    for (int c = 0; c < 4; c++) out[c] = (out[c] - q[c] * along) * own;
  }
}

}  // namespace a3d::A3D_ISA
