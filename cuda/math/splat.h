// Projection of a Gaussian to the image and its vector-Jacobian products, written once for CPU vectors and CUDA
// threads.
//
// EWA splatting (Zwicker et al. 2001) as 3D Gaussian splatting uses it: covariance J W R S S R' W' J' + 0.3 I in
// pixels. The covariance is kept in factors (two rows of J W R S), which halves the work and cannot become indefinite.
#pragma once
#include "math/config.h"

namespace A3D_MATH {

constexpr float kNear = 0.01f;      // metres; splats nearer than this are not drawn
constexpr float kDilation = 0.3f;   // px^2, a pixel's own footprint (3DGS)
constexpr float kAlphaMax = 0.999f; // keeps 1 / (1 - alpha) finite in the backward pass

// One camera. Ratios x/z beyond `low`/`high` are clamped in the Jacobian only, 30 % outside the image as gsplat does:
// there the linearisation would blow splats up.
struct View {
  float rotation[9], translation[3], position[3];
  float fx, fy, cx, cy;
  float low_x, high_x, low_y, high_y;
};

// From w2c (4 4) and intrinsics (3 3, skew ignored).
A3D_HD View camera_view(const float* m, const float* k, float width, float height) {
  View v;
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) v.rotation[3 * i + j] = m[4 * i + j];
    v.translation[i] = m[4 * i + 3];
  }
  for (int j = 0; j < 3; j++) v.position[j] = -(m[j] * m[3] + m[4 + j] * m[7] + m[8 + j] * m[11]);
  v.fx = k[0], v.fy = k[4], v.cx = k[2], v.cy = k[5];
  const float margin_x = 0.15f * width / v.fx, margin_y = 0.15f * height / v.fy;
  v.low_x = -v.cx / v.fx - margin_x, v.high_x = (width - v.cx) / v.fx + margin_x;
  v.low_y = -v.cy / v.fy - margin_y, v.high_y = (height - v.cy) / v.fy + margin_y;
  return v;
}

// Sets d to the unit vector from the camera to a splat; returns the inverse of their distance.
template <class T>
A3D_HD T view_direction(const View& v, const T mean[3], T d[3]) {
  for (int j = 0; j < 3; j++) d[j] = mean[j] - v.position[j];
  const T inverse = 1.f / sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  for (int j = 0; j < 3; j++) d[j] = d[j] * inverse;
  return inverse;
}

// A splat in the image, and what the backward pass wants to see again.
template <class T>
struct Projected {
  T x, y, z;            // pixels, pixels, metres
  T xx, xy, yy;         // covariance, px^2
};

template <class T>
A3D_HD void rotation_of(const T q[4], T R[9]) {  // unit quaternion, wxyz
  const T w = q[0], x = q[1], y = q[2], z = q[3];
  R[0] = 1.f - 2.f * (y * y + z * z), R[1] = 2.f * (x * y - w * z), R[2] = 2.f * (x * z + w * y);
  R[3] = 2.f * (x * y + w * z), R[4] = 1.f - 2.f * (x * x + z * z), R[5] = 2.f * (y * z - w * x);
  R[6] = 2.f * (x * z - w * y), R[7] = 2.f * (y * z + w * x), R[8] = 1.f - 2.f * (x * x + y * y);
}

// Returns 1 / |q| and normalises q in place.
template <class T>
A3D_HD T normalise(T q[4]) {
  const T inverse = 1.f / sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  for (int i = 0; i < 4; i++) q[i] = q[i] * inverse;
  return inverse;
}

// Everything between the parameters and the 2D covariance; the backward pass recomputes it instead of storing it.
template <class T>
struct Footprint {
  T R[9];          // rotation of the splat
  T M[9];          // R diag(scale), world
  T C[9];          // the same in camera axes
  T p[3];          // centre in camera space
  T iz, rx, ry;    // 1/z, x/z, y/z
  T tx, ty;        // clamped ratios
  T j0, j02, j1, j12;  // non-zero entries of J
  T a[3], b[3];    // rows of J C: the covariance is [aa ab; ab bb]
};

template <class T>
A3D_HD Footprint<T> footprint(const View& v, const T mean[3], const T unit_quat[4], const T scale[3]) {
  Footprint<T> f;
  rotation_of(unit_quat, f.R);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) f.M[3 * i + j] = f.R[3 * i + j] * scale[j];
  const float* W = v.rotation;
  for (int i = 0; i < 3; i++) {
    f.p[i] = W[3 * i] * mean[0] + W[3 * i + 1] * mean[1] + W[3 * i + 2] * mean[2] + v.translation[i];
    for (int j = 0; j < 3; j++)
      f.C[3 * i + j] = W[3 * i] * f.M[j] + W[3 * i + 1] * f.M[3 + j] + W[3 * i + 2] * f.M[6 + j];
  }
  f.iz = 1.f / f.p[2];
  f.rx = f.p[0] * f.iz, f.ry = f.p[1] * f.iz;
  f.tx = min(max(f.rx, T{} + v.low_x), T{} + v.high_x), f.ty = min(max(f.ry, T{} + v.low_y), T{} + v.high_y);
  f.j0 = v.fx * f.iz, f.j02 = -f.j0 * f.tx;
  f.j1 = v.fy * f.iz, f.j12 = -f.j1 * f.ty;
  for (int j = 0; j < 3; j++) {
    f.a[j] = f.j0 * f.C[j] + f.j02 * f.C[6 + j];
    f.b[j] = f.j1 * f.C[3 + j] + f.j12 * f.C[6 + j];
  }
  return f;
}

template <class T>
A3D_HD Projected<T> projected(const View& v, const Footprint<T>& f) {
  Projected<T> o;
  o.x = v.fx * f.rx + v.cx, o.y = v.fy * f.ry + v.cy, o.z = f.p[2];
  o.xx = f.a[0] * f.a[0] + f.a[1] * f.a[1] + f.a[2] * f.a[2] + kDilation;
  o.xy = f.a[0] * f.b[0] + f.a[1] * f.b[1] + f.a[2] * f.b[2];
  o.yy = f.b[0] * f.b[0] + f.b[1] * f.b[1] + f.b[2] * f.b[2] + kDilation;
  return o;
}

// Gradients of a splat's parameters, in the caller's order.
template <class T>
struct SplatGradient {
  T mean[3], quat[4], scale[3];
};

// Gradients of a camera.
template <class T>
struct ViewGradient {
  T rotation[9], translation[3], position[3], focal[2], centre[2];
};

// VJP of projected(footprint(...)). `g` holds the cotangents of Projected (xy: of the one scalar that stands for both
// off-diagonals). Adds to `camera` only when with_camera.
template <bool with_camera, class T>
A3D_HD SplatGradient<T> projection_vjp(const View& v, const Footprint<T>& f, const T mean[3], const T unit_quat[4],
                                       T inverse_norm, const T scale[3], const Projected<T>& g,
                                       ViewGradient<T>& camera) {
  const float* W = v.rotation;
  T ga[3], gb[3];
  for (int j = 0; j < 3; j++) {
    ga[j] = 2.f * g.xx * f.a[j] + g.xy * f.b[j];
    gb[j] = g.xy * f.a[j] + 2.f * g.yy * f.b[j];
  }
  T gj0 = T{}, gj02 = T{}, gj1 = T{}, gj12 = T{}, gC[9];
  for (int j = 0; j < 3; j++) {
    gj0 += ga[j] * f.C[j], gj02 += ga[j] * f.C[6 + j];
    gj1 += gb[j] * f.C[3 + j], gj12 += gb[j] * f.C[6 + j];
    gC[j] = f.j0 * ga[j], gC[3 + j] = f.j1 * gb[j], gC[6 + j] = f.j02 * ga[j] + f.j12 * gb[j];
  }
  // J: j0 = fx / z, j02 = -j0 tx, and likewise in y.
  const T gfx = gj0 - gj02 * f.tx, gfy = gj1 - gj12 * f.ty;  // of fx / z and fy / z
  const T gtx = keep(f.tx == f.rx, -gj02 * f.j0), gty = keep(f.ty == f.ry, -gj12 * f.j1);
  const T grx = g.x * v.fx + gtx, gry = g.y * v.fy + gty;  // of x/z and y/z
  const T gp[3] = {grx * f.iz, gry * f.iz, g.z - f.iz * (grx * f.rx + gry * f.ry + gfx * f.j0 + gfy * f.j1)};

  SplatGradient<T> o;
  T gR[9];
  for (int j = 0; j < 3; j++) {
    o.mean[j] = W[j] * gp[0] + W[3 + j] * gp[1] + W[6 + j] * gp[2];
    o.scale[j] = T{};
    for (int i = 0; i < 3; i++) {
      const T gM = W[i] * gC[j] + W[3 + i] * gC[3 + j] + W[6 + i] * gC[6 + j];
      o.scale[j] += gM * f.R[3 * i + j];
      gR[3 * i + j] = gM * scale[j];
    }
  }
  const T w = unit_quat[0], x = unit_quat[1], y = unit_quat[2], z = unit_quat[3];
  T gq[4];
  gq[0] = 2.f * (x * (gR[7] - gR[5]) + y * (gR[2] - gR[6]) + z * (gR[3] - gR[1]));
  gq[1] = 2.f * (-2.f * x * (gR[4] + gR[8]) + y * (gR[3] + gR[1]) + z * (gR[6] + gR[2]) + w * (gR[7] - gR[5]));
  gq[2] = 2.f * (x * (gR[3] + gR[1]) - 2.f * y * (gR[0] + gR[8]) + z * (gR[7] + gR[5]) + w * (gR[2] - gR[6]));
  gq[3] = 2.f * (x * (gR[6] + gR[2]) + y * (gR[7] + gR[5]) - 2.f * z * (gR[0] + gR[4]) + w * (gR[3] - gR[1]));
  const T radial = gq[0] * w + gq[1] * x + gq[2] * y + gq[3] * z;  // length does not matter: remove its direction
  for (int i = 0; i < 4; i++) o.quat[i] = (gq[i] - radial * unit_quat[i]) * inverse_norm;

  if (with_camera) {
    for (int i = 0; i < 3; i++) {
      camera.translation[i] += gp[i];
      for (int j = 0; j < 3; j++)
        camera.rotation[3 * i + j] += gp[i] * mean[j] + gC[3 * i] * f.M[3 * j] + gC[3 * i + 1] * f.M[3 * j + 1] +
                                      gC[3 * i + 2] * f.M[3 * j + 2];
    }
    camera.focal[0] += g.x * f.rx + gfx * f.iz, camera.focal[1] += g.y * f.ry + gfy * f.iz;
    camera.centre[0] += g.x, camera.centre[1] += g.y;
  }
  return o;
}

// Inverse of [xx xy; xy yy]: exponent = -(a dx^2 + 2 b dx dy + c dy^2) / 2.
template <class T>
struct Conic {
  T a, b, c;
};

template <class T>
A3D_HD Conic<T> conic(const Projected<T>& p) {
  const T inverse = 1.f / (p.xx * p.yy - p.xy * p.xy);
  return {p.yy * inverse, -p.xy * inverse, p.xx * inverse};
}

// Given g, the cotangents of a, b and c (b: of the scalar that occurs twice), sets those of the covariance:
// d(inverse) = -inverse d inverse.
template <class T>
A3D_HD void conic_vjp(const Conic<T>& k, const Conic<T>& g, Projected<T>& o) {
  const T gb = 0.5f * g.b;
  const T t00 = k.a * g.a + k.b * gb, t01 = k.a * gb + k.b * g.c, t10 = k.b * g.a + k.c * gb,
          t11 = k.b * gb + k.c * g.c;
  o.xx = -(t00 * k.a + t01 * k.b);
  o.xy = -2.f * (t00 * k.b + t01 * k.c);
  o.yy = -(t10 * k.b + t11 * k.c);
}

}  // namespace A3D_MATH
