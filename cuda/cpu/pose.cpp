// Loops of the splat poser: kLanes splats at a time, their rows of 3 and 4 floats turned to columns. The blendshapes
// are the memory traffic (40 MB at n = 50,000, k = 20): one pass over them for all poses of a group.
#include "cpu/pose.h"

#include <math.h>
#include <string.h>

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

constexpr float kTiny = 1e-9f;  // shorter than any edge of a head in metres: keeps frames of collapsed triangles finite
constexpr float kLn2 = 0.69314718056f;
constexpr int64_t kRow = 10 * kPoseChunk;  // of a chunk's means, quats and colours, one after the other
constexpr int64_t kQuats = 3 * kPoseChunk, kColours = 7 * kPoseChunk;

// T is float, or a vector of floats.
template <class T>
A3D_INLINE void cross(const T* a, const T* b, T* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}
template <class T>
A3D_INLINE T dot3(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
template <class T>
A3D_INLINE T dot4(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
}

// out = a * b, or conj(a) * b, or a * conj(b), wxyz.
template <int kA = 1, int kB = 1>
A3D_INLINE void product(const F* a, const F* b, F* out) {
  const F aw = a[0], ax = float(kA) * a[1], ay = float(kA) * a[2], az = float(kA) * a[3];
  const F bw = b[0], bx = float(kB) * b[1], by = float(kB) * b[2], bz = float(kB) * b[3];
  out[0] = aw * bw - ax * bx - ay * by - az * bz;
  out[1] = aw * bx + ax * bw + ay * bz - az * by;
  out[2] = aw * by - ax * bz + ay * bw + az * bx;
  out[3] = aw * bz + ax * by - ay * bx + az * bw;
}

// The quaternion of a rotation with columns `axis`, by its largest component (the choice and sign that roma makes).
A3D_INLINE void quaternion(const F axis[3][3], F* out) {
  const F trace = axis[0][0] + axis[1][1] + axis[2][2];
  const I second = axis[1][1] > axis[0][0];
  const F larger = select(second, axis[1][1], axis[0][0]);
  const I third = axis[2][2] > larger, real = trace > select(third, axis[2][2], larger);
  const F difference[3] = {axis[1][2] - axis[2][1], axis[2][0] - axis[0][2], axis[0][1] - axis[1][0]};
  const F sum01 = axis[0][1] + axis[1][0], sum02 = axis[0][2] + axis[2][0], sum12 = axis[1][2] + axis[2][1];
  const F whole[4][4] = {{1.f + trace, difference[0], difference[1], difference[2]},
                         {difference[0], 1.f - trace + 2.f * axis[0][0], sum01, sum02},
                         {difference[1], sum01, 1.f - trace + 2.f * axis[1][1], sum12},
                         {difference[2], sum02, sum12, 1.f - trace + 2.f * axis[2][2]}};
  for (int c = 0; c < 4; c++)
    out[c] = select(real, whole[0][c], select(third, whole[3][c], select(second, whole[2][c], whole[1][c])));
  const F scale = 1.f / sqrt(dot4(out, out));
  for (int c = 0; c < 4; c++) out[c] *= scale;
}

// The frames of kLanes splats.
struct Frames {
  F axis[3][3], quat[4], size, log_size, corner[3][3];
};

A3D_INLINE Frames frames_of(const PoseFrame* frames, const int32_t* face, int lanes) {
  I index;
  for (int i = 0; i < kLanes; i++) index[i] = (i < lanes ? face[i] : face[0]) * int(sizeof(PoseFrame) / sizeof(float));
  Frames f;
  const float* from = &frames->axis[0][0];
  F* to = &f.axis[0][0];
  for (unsigned i = 0; i < sizeof(PoseFrame) / sizeof(float); i++) to[i] = gather(from + i, index);
  return f;
}

// The points on the triangles that carry the splats.
A3D_INLINE void anchor(const Frames& f, const F* bary, F* point) {
  for (int c = 0; c < 3; c++)
    point[c] = bary[0] * f.corner[0][c] + bary[1] * f.corner[1][c] + bary[2] * f.corner[2][c];
}

// out[p][i] = start[i] + sum over k of weights[p][k] basis[k][i], for a group's poses. Two vectors of every pose stay
// in registers over all k.
template <int poses>
void blend(const float* start, const float* basis, int64_t stride, int64_t k_count, const float* weights,
           int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    F sums[poses][2];
    for (int p = 0; p < poses; p++) sums[p][0] = load(start + i), sums[p][1] = load(start + i + kLanes);
    for (int64_t k = 0; k < k_count; k++) {
      const F a = load(basis + k * stride + i), b = load(basis + k * stride + i + kLanes);
      for (int p = 0; p < poses; p++) {
        const F w = splat(weights[p * k_count + k]);
        sums[p][0] += w * a, sums[p][1] += w * b;
      }
    }
    for (int p = 0; p < poses; p++)
      store(out + p * kRow + i, sums[p][0]), store(out + p * kRow + i + kLanes, sums[p][1]);
  }
  for (; i < count; i++)
    for (int p = 0; p < poses; p++) {
      float sum = start[i];
      for (int64_t k = 0; k < k_count; k++) sum += weights[p * k_count + k] * basis[k * stride + i];
      out[p * kRow + i] = sum;
    }
}

// Means, quats and colours of a chunk with their blendshapes.
template <int poses>
void blend_all(const PoseSplats& s, const float* start, int64_t begin, int64_t count, const float* weights,
               float* out) {
  blend<poses>(start, s.basis_means + 3 * begin, 3 * s.n, s.k, weights, 3 * count, out);
  blend<poses>(start + kQuats, s.basis_quats + 4 * begin, 4 * s.n, s.k, weights, 4 * count, out + kQuats);
  blend<poses>(start + kColours, s.basis_colours + 3 * begin, 3 * s.n, s.k, weights, 3 * count, out + kColours);
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

// The gradients of triangles' corners (added to), given those of their frames' axes (destroyed) and sizes.
A3D_INLINE void frame_backward(const Frames& frame, F axes[3][3], F size_gradient, F corners[3][3]) {
  F edge[3], side[3], turn[3], across[3], of_edge[3], of_side[3];
  for (int c = 0; c < 3; c++) {
    edge[c] = frame.corner[1][c] - frame.corner[0][c];
    side[c] = frame.corner[2][c] - frame.corner[0][c];
  }
  const F length = sqrt(dot3(edge, edge));
  cross(frame.axis[0], side, across);
  const F height = sqrt(dot3(across, across));
  const I sound = (length > kTiny) & (height > kTiny);  // a collapsed triangle has no direction to improve
  const F inverse_length = 1.f / length, inverse_height = 1.f / height;
  cross(frame.axis[1], axes[2], turn);  // axis 2 = axis 0 x axis 1
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(axes[2], frame.axis[0], turn);
  for (int c = 0; c < 3; c++) axes[1][c] += turn[c];
  // axis 1 = across / height, size = (length + height) / 2
  const F along1 = dot3(frame.axis[1], axes[1]);
  for (int c = 0; c < 3; c++)
    across[c] =
        (axes[1][c] - frame.axis[1][c] * along1) * inverse_height + 0.5f * size_gradient * frame.axis[1][c];
  cross(side, across, turn);  // across = axis 0 x side
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(across, frame.axis[0], of_side);
  const F along0 = dot3(frame.axis[0], axes[0]);
  for (int c = 0; c < 3; c++) {
    of_edge[c] =
        (axes[0][c] - frame.axis[0][c] * along0) * inverse_length + 0.5f * size_gradient * frame.axis[0][c];
    of_edge[c] = keep(sound, of_edge[c]), of_side[c] = keep(sound, of_side[c]);
    corners[0][c] -= of_edge[c] + of_side[c];
    corners[1][c] += of_edge[c];
    corners[2][c] += of_side[c];
  }
}

// The gradients of kLanes splats' corners: `gm`, `gq`, `gs` are those of mean, quaternion and log scales in the world.
A3D_INLINE void corners_backward(const Frames& frame, const F* bary, const F* mean, const F* quat, const F* gm,
                                 const F* gq, const F* gs, F corners[3][3]) {
  F axes[3][3], of_rotation[4], point[3], offset[3];
  anchor(frame, bary, point);
  for (int c = 0; c < 3; c++) {
    offset[c] = mean[c] - point[c];
    for (int j = 0; j < 3; j++) corners[j][c] = bary[j] * gm[c];
  }
  // A rotation by w of the frame turns the quaternion by w / 2, so that w has this gradient; spread over the axes it
  // gives the same for every movement of a rotation matrix.
  product<1, -1>(gq, quat, of_rotation);
  const F spin[3] = {0.5f * of_rotation[1], 0.5f * of_rotation[2], 0.5f * of_rotation[3]};
  for (int j = 0; j < 3; j++) {
    const F local = dot3(frame.axis[j], offset);  // k (m + dm)
    cross(spin, frame.axis[j], axes[j]);
    for (int c = 0; c < 3; c++) axes[j][c] = 0.5f * axes[j][c] + local * gm[c];
  }
  const F of_size = (dot3(offset, gm) + gs[0] + gs[1] + gs[2]) / frame.size;
  frame_backward(frame, axes, of_size, corners);
}
}  // namespace

void pose_frames(const float* vertices, const int32_t* faces, int64_t begin, int64_t end, PoseFrame* frames) {
  constexpr int kFloats = sizeof(PoseFrame) / sizeof(float);
  for (int64_t first = begin; first < end; first += kLanes) {
    const int lanes = end - first < kLanes ? int(end - first) : kLanes;
    Frames frame;
    F edge[3], side[3], across[3];
    for (int i = 0; i < 3; i++) {
      I index;
      for (int j = 0; j < kLanes; j++) index[j] = 3 * faces[3 * (first + (j < lanes ? j : 0)) + i];
      for (int c = 0; c < 3; c++) frame.corner[i][c] = gather(vertices + c, index);
    }
    for (int c = 0; c < 3; c++) {
      edge[c] = frame.corner[1][c] - frame.corner[0][c];
      side[c] = frame.corner[2][c] - frame.corner[0][c];
    }
    const F tiny = splat(kTiny), length = sqrt(dot3(edge, edge)), inverse_length = 1.f / max(length, tiny);
    for (int c = 0; c < 3; c++) frame.axis[0][c] = edge[c] * inverse_length;
    cross(frame.axis[0], side, across);
    const F height = sqrt(dot3(across, across)), inverse_height = 1.f / max(height, tiny);
    for (int c = 0; c < 3; c++) frame.axis[1][c] = across[c] * inverse_height;
    cross(frame.axis[0], frame.axis[1], frame.axis[2]);
    quaternion(frame.axis, frame.quat);
    frame.size = max(0.5f * (length + height), tiny);  // |axis 2 . side| is the height
    frame.log_size = log2(frame.size) * kLn2;

    alignas(64) float columns[kFloats][kLanes];
    for (int k = 0; k < kFloats; k++) store(columns[k], (&frame.axis[0][0])[k]);
    for (int j = 0; j < lanes; j++) {
      float* out = &frames[first + j].axis[0][0];
      for (int k = 0; k < kFloats; k++) out[k] = columns[k][j];
    }
  }
}

// Splats of a chunk before the blendshapes: means, unit quaternions, colours.
static void start_of(const PoseSplats& s, int64_t begin, int64_t count, float* out) {
  memcpy(out, s.means + 3 * begin, 3 * count * sizeof(float));
  memcpy(out + kColours, s.colours + 3 * begin, 3 * count * sizeof(float));
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = count - i < kLanes ? int(count - i) : kLanes;
    F q[4];
    load_rows<4>(s.quats + 4 * (begin + i), q, lanes);
    const F own = 1.f / sqrt(dot4(q, q));
    for (int c = 0; c < 4; c++) q[c] *= own;
    store_rows<4>(out + kQuats + 4 * i, q, lanes);
  }
}

void pose_forward(const PoseSplats& s, const PoseWorld& world, int64_t chunk) {
  const int64_t begin = chunk * kPoseChunk;
  const int64_t count = s.n - begin < kPoseChunk ? s.n - begin : kPoseChunk;
  alignas(64) float start[kRow], blended[kPoseGroup * kRow];
  start_of(s, begin, count, start);
  for (int64_t first = 0; first < s.b; first += kPoseGroup) {
    const int64_t poses = s.b - first < kPoseGroup ? s.b - first : kPoseGroup;
    if (s.k > 0) {
      constexpr auto none = nullptr;
      void (*const all[])(const PoseSplats&, const float*, int64_t, int64_t, const float*, float*) = {
          none, blend_all<1>, blend_all<2>, blend_all<3>, blend_all<4>};
      static_assert(kPoseGroup == 4, "one function for each number of poses");
      all[poses](s, start, begin, count, s.weights + first * s.k, blended);
    }
    for (int64_t p = 0; p < poses; p++) {
      const float* now = s.k > 0 ? blended + p * kRow : start;
      const PoseFrame* frames = s.frames + (first + p) * s.f;
      const int64_t to = (first + p) * s.n + begin;
      memcpy(world.colours + 3 * to, now + kColours, 3 * count * sizeof(float));
      for (int64_t i = 0; i < count; i += kLanes) {
        const int lanes = count - i < kLanes ? int(count - i) : kLanes;
        const int64_t row = begin + i;
        const Frames frame = frames_of(frames, s.face + row, lanes);
        F m[3], q[4], bary[3], sizes[3], turned[4], point[3];
        load_rows<3>(now + 3 * i, m, lanes), load_rows<4>(now + kQuats + 4 * i, q, lanes);
        load_rows<3>(s.bary + 3 * row, bary, lanes), load_rows<3>(s.log_scales + 3 * row, sizes, lanes);
        anchor(frame, bary, point);
        for (int c = 0; c < 3; c++) m[c] *= frame.size, sizes[c] += frame.log_size;
        for (int c = 0; c < 3; c++)
          point[c] += frame.axis[0][c] * m[0] + frame.axis[1][c] * m[1] + frame.axis[2][c] * m[2];
        const F inverse_length = 1.f / sqrt(dot4(q, q));
        for (int c = 0; c < 4; c++) q[c] *= inverse_length;
        product(frame.quat, q, turned);
        store_rows<3>(world.means + 3 * (to + i), point, lanes);
        store_rows<4>(world.quats + 4 * (to + i), turned, lanes);
        store_rows<3>(world.log_scales + 3 * (to + i), sizes, lanes);
        if (world.inverse_length) store(world.inverse_length + to + i, inverse_length, lanes);
      }
    }
  }
}

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
        const Frames frame = frames_of(frames, s.face + row, lanes);
        F gm[3], gq[4], quat[4], of_mean[3], turned[4], of_turned[4];
        load_rows<3>(g.world_means + 3 * from, gm, lanes), load_rows<4>(g.world_quats + 4 * from, gq, lanes);
        load_rows<4>(world.quats + 4 * from, quat, lanes);
        for (int c = 0; c < 3; c++) of_mean[c] = frame.size * dot3(frame.axis[c], gm);
        store_rows<3>(dm + 3 * i, of_mean, lanes);
        // The unit quaternion in the triangle's frame, and its gradient.
        product<-1, 1>(frame.quat, quat, turned);
        product<-1, 1>(frame.quat, gq, of_turned);
        const F along = dot4(turned, of_turned);
        const F inverse_length = load(world.inverse_length + from, lanes);
        for (int c = 0; c < 4; c++) of_turned[c] = (of_turned[c] - turned[c] * along) * inverse_length;
        store_rows<4>(dq + 4 * i, of_turned, lanes);
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
