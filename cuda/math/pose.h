// Splats in the pose of a mesh, and the vector-Jacobian products, written once for CPU vectors and CUDA threads.
#pragma once
#include "math/config.h"

namespace A3D_MATH {

constexpr float kTiny = 1e-9f;  // shorter than any edge of a head in metres: keeps frames of collapsed triangles finite
constexpr float kLn2 = 0.69314718056f;

template <class T>
A3D_HD void cross(const T* a, const T* b, T* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}
template <class T>
A3D_HD T dot3(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
template <class T>
A3D_HD T dot4(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
}

// out = a * b, or conj(a) * b, or a * conj(b), wxyz.
template <int kA = 1, int kB = 1, class T>
A3D_HD void product(const T* a, const T* b, T* out) {
  const T aw = a[0], ax = float(kA) * a[1], ay = float(kA) * a[2], az = float(kA) * a[3];
  const T bw = b[0], bx = float(kB) * b[1], by = float(kB) * b[2], bz = float(kB) * b[3];
  out[0] = aw * bw - ax * bx - ay * by - az * bz;
  out[1] = aw * bx + ax * bw + ay * bz - az * by;
  out[2] = aw * by - ax * bz + ay * bw + az * bx;
  out[3] = aw * bz + ax * by - ay * bx + az * bw;
}

// The quaternion of a rotation with columns `axis`, by its largest component (the choice and sign that roma makes).
template <class T>
A3D_HD void quaternion(const T axis[3][3], T* out) {
  const T trace = axis[0][0] + axis[1][1] + axis[2][2];
  const auto second = axis[1][1] > axis[0][0];
  const T larger = select(second, axis[1][1], axis[0][0]);
  const auto third = axis[2][2] > larger, real = trace > select(third, axis[2][2], larger);
  const T difference[3] = {axis[1][2] - axis[2][1], axis[2][0] - axis[0][2], axis[0][1] - axis[1][0]};
  const T sum01 = axis[0][1] + axis[1][0], sum02 = axis[0][2] + axis[2][0], sum12 = axis[1][2] + axis[2][1];
  const T whole[4][4] = {{1.f + trace, difference[0], difference[1], difference[2]},
                         {difference[0], 1.f - trace + 2.f * axis[0][0], sum01, sum02},
                         {difference[1], sum01, 1.f - trace + 2.f * axis[1][1], sum12},
                         {difference[2], sum02, sum12, 1.f - trace + 2.f * axis[2][2]}};
  for (int c = 0; c < 4; c++)
    out[c] = select(real, whole[0][c], select(third, whole[3][c], select(second, whole[2][c], whole[1][c])));
  const T scale = 1.f / sqrt(dot4(out, out));
  for (int c = 0; c < 4; c++) out[c] *= scale;
}

// The moving frame of a triangle (GaussianAvatars, Qian et al., CVPR 2024): columns of the rotation, its quaternion
// wxyz, size, logarithm of the size, corners. In memory: 24 floats in this order.
template <class T>
struct Frame {
  T axis[3][3], quat[4], size, log_size, corner[3][3];
};

// Sets all of a frame from its corners.
template <class T>
A3D_HD void make_frame(Frame<T>& frame) {
  T edge[3], side[3], across[3];
  for (int c = 0; c < 3; c++) {
    edge[c] = frame.corner[1][c] - frame.corner[0][c];
    side[c] = frame.corner[2][c] - frame.corner[0][c];
  }
  const T tiny = T{} + kTiny, length = sqrt(dot3(edge, edge)), inverse_length = 1.f / max(length, tiny);
  for (int c = 0; c < 3; c++) frame.axis[0][c] = edge[c] * inverse_length;
  cross(frame.axis[0], side, across);
  const T height = sqrt(dot3(across, across)), inverse_height = 1.f / max(height, tiny);
  for (int c = 0; c < 3; c++) frame.axis[1][c] = across[c] * inverse_height;
  cross(frame.axis[0], frame.axis[1], frame.axis[2]);
  quaternion(frame.axis, frame.quat);
  frame.size = max(0.5f * (length + height), tiny);  // |axis 2 . side| is the height
  frame.log_size = log2(frame.size) * kLn2;
}

// The points on the triangles that carry the splats.
template <class T>
A3D_HD void anchor(const Frame<T>& f, const T* bary, T* point) {
  for (int c = 0; c < 3; c++)
    point[c] = bary[0] * f.corner[0][c] + bary[1] * f.corner[1][c] + bary[2] * f.corner[2][c];
}

// Puts a splat into the pose of its frame: in the triangle's space come mean, quaternion (any length) and log scales, in
// the world's they leave, the quaternion of unit length. Returns 1 / the length that it had.
template <class T>
A3D_HD T pose_splat(const Frame<T>& frame, const T* bary, T* mean, T* quat, T* log_scales) {
  T point[3], turned[4];
  anchor(frame, bary, point);
  for (int c = 0; c < 3; c++) mean[c] *= frame.size, log_scales[c] += frame.log_size;
  for (int c = 0; c < 3; c++)
    point[c] += frame.axis[0][c] * mean[0] + frame.axis[1][c] * mean[1] + frame.axis[2][c] * mean[2];
  const T inverse_length = 1.f / sqrt(dot4(quat, quat));
  for (int c = 0; c < 4; c++) quat[c] *= inverse_length;
  product(frame.quat, quat, turned);
  for (int c = 0; c < 3; c++) mean[c] = point[c];
  for (int c = 0; c < 4; c++) quat[c] = turned[c];
  return inverse_length;
}

// The gradients of pose_splat's mean and quaternion in the triangle's space, given those in the world, `gm` and `gq`;
// `quat` is the world's.
template <class T>
A3D_HD void pose_splat_backward(const Frame<T>& frame, const T* quat, T inverse_length, const T* gm, const T* gq,
                                T* of_mean, T* of_quat) {
  for (int c = 0; c < 3; c++) of_mean[c] = frame.size * dot3(frame.axis[c], gm);
  T turned[4];  // the unit quaternion in the triangle's frame
  product<-1, 1>(frame.quat, quat, turned);
  product<-1, 1>(frame.quat, gq, of_quat);
  const T along = dot4(turned, of_quat);
  for (int c = 0; c < 4; c++) of_quat[c] = (of_quat[c] - turned[c] * along) * inverse_length;
}

// The gradients of triangles' corners (added to), given those of their frames' axes (destroyed) and sizes.
template <class T>
A3D_HD void frame_backward(const Frame<T>& frame, T axes[3][3], T size_gradient, T corners[3][3]) {
  T edge[3], side[3], turn[3], across[3], of_edge[3], of_side[3];
  for (int c = 0; c < 3; c++) {
    edge[c] = frame.corner[1][c] - frame.corner[0][c];
    side[c] = frame.corner[2][c] - frame.corner[0][c];
  }
  const T length = sqrt(dot3(edge, edge));
  cross(frame.axis[0], side, across);
  const T height = sqrt(dot3(across, across));
  const auto sound = (length > kTiny) & (height > kTiny);  // a collapsed triangle has no direction to improve
  const T inverse_length = 1.f / length, inverse_height = 1.f / height;
  cross(frame.axis[1], axes[2], turn);  // axis 2 = axis 0 x axis 1
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(axes[2], frame.axis[0], turn);
  for (int c = 0; c < 3; c++) axes[1][c] += turn[c];
  // axis 1 = across / height, size = (length + height) / 2
  const T along1 = dot3(frame.axis[1], axes[1]);
  for (int c = 0; c < 3; c++)
    across[c] =
        (axes[1][c] - frame.axis[1][c] * along1) * inverse_height + 0.5f * size_gradient * frame.axis[1][c];
  cross(side, across, turn);  // across = axis 0 x side
  for (int c = 0; c < 3; c++) axes[0][c] += turn[c];
  cross(across, frame.axis[0], of_side);
  const T along0 = dot3(frame.axis[0], axes[0]);
  for (int c = 0; c < 3; c++) {
    of_edge[c] =
        (axes[0][c] - frame.axis[0][c] * along0) * inverse_length + 0.5f * size_gradient * frame.axis[0][c];
    of_edge[c] = keep(sound, of_edge[c]), of_side[c] = keep(sound, of_side[c]);
    corners[0][c] -= of_edge[c] + of_side[c];
    corners[1][c] += of_edge[c];
    corners[2][c] += of_side[c];
  }
}

// The gradients of a splat's corners: `gm`, `gq`, `gs` are those of mean, quaternion and log scales in the world.
template <class T>
A3D_HD void corners_backward(const Frame<T>& frame, const T* bary, const T* mean, const T* quat, const T* gm,
                             const T* gq, const T* gs, T corners[3][3]) {
  T axes[3][3], of_rotation[4], point[3], offset[3];
  anchor(frame, bary, point);
  for (int c = 0; c < 3; c++) {
    offset[c] = mean[c] - point[c];
    for (int j = 0; j < 3; j++) corners[j][c] = bary[j] * gm[c];
  }
  // A rotation by w of the frame turns the quaternion by w / 2, so that w has this gradient; spread over the axes it
  // gives the same for every movement of a rotation matrix.
  product<1, -1>(gq, quat, of_rotation);
  const T spin[3] = {0.5f * of_rotation[1], 0.5f * of_rotation[2], 0.5f * of_rotation[3]};
  for (int j = 0; j < 3; j++) {
    const T local = dot3(frame.axis[j], offset);  // k (m + dm)
    cross(spin, frame.axis[j], axes[j]);
    for (int c = 0; c < 3; c++) axes[j][c] = 0.5f * axes[j][c] + local * gm[c];
  }
  const T of_size = (dot3(offset, gm) + gs[0] + gs[1] + gs[2]) / frame.size;
  frame_backward(frame, axes, of_size, corners);
}

}  // namespace A3D_MATH
