// Real spherical harmonics of degree 0 to 3 in the order and with the signs of 3D Gaussian splatting, and their
// derivatives. Constants: sqrt((2l+1)/4pi (l-m)!/(l+m)!) times the usual factors (Sloan, "Efficient Spherical Harmonic
// Evaluation", 2013).
#pragma once
#include "math/config.h"

namespace A3D_MATH {

constexpr float kY0 = 0.28209479177387814f;
constexpr float kY1 = 0.4886025119029199f;
A3D_TABLE float kY2[5] = {1.0925484305920792f, -1.0925484305920792f, 0.31539156525252005f, -1.0925484305920792f,
                          0.5462742152960396f};
A3D_TABLE float kY3[7] = {-0.5900435899266435f, 2.890611442640554f, -0.4570457994644658f, 0.3731763325901154f,
                          -0.4570457994644658f, 1.445305721320277f, -0.5900435899266435f};

// Values of the first `bases` (1, 4, 9 or 16) harmonics at the unit vector (x, y, z).
template <int bases, class T>
A3D_HD void sh_values(T x, T y, T z, T Y[bases]) {
  Y[0] = T{} + kY0;
  if constexpr (bases > 1) Y[1] = -kY1 * y, Y[2] = kY1 * z, Y[3] = -kY1 * x;
  if constexpr (bases > 4) {
    Y[4] = kY2[0] * x * y, Y[5] = kY2[1] * y * z, Y[6] = kY2[2] * (2.f * z * z - x * x - y * y);
    Y[7] = kY2[3] * x * z, Y[8] = kY2[4] * (x * x - y * y);
  }
  if constexpr (bases > 9) {
    Y[9] = kY3[0] * y * (3.f * x * x - y * y), Y[10] = kY3[1] * x * y * z;
    Y[11] = kY3[2] * y * (4.f * z * z - x * x - y * y);
    Y[12] = kY3[3] * z * (2.f * z * z - 3.f * x * x - 3.f * y * y);
    Y[13] = kY3[4] * x * (4.f * z * z - x * x - y * y), Y[14] = kY3[5] * z * (x * x - y * y);
    Y[15] = kY3[6] * x * (x * x - 3.f * y * y);
  }
}

// VJP with respect to the direction: returns in g the sum over k of h[k] dY_k/d(x, y, z).
template <int bases, class T>
A3D_HD void sh_direction_vjp(T x, T y, T z, const T h[bases], T g[3]) {
  T gx = T{}, gy = T{}, gz = T{};
  if constexpr (bases > 1) gy -= kY1 * h[1], gz += kY1 * h[2], gx -= kY1 * h[3];
  if constexpr (bases > 4) {
    gx += kY2[0] * y * h[4] - 2.f * kY2[2] * x * h[6] + kY2[3] * z * h[7] + 2.f * kY2[4] * x * h[8];
    gy += kY2[0] * x * h[4] + kY2[1] * z * h[5] - 2.f * kY2[2] * y * h[6] - 2.f * kY2[4] * y * h[8];
    gz += kY2[1] * y * h[5] + 4.f * kY2[2] * z * h[6] + kY2[3] * x * h[7];
  }
  if constexpr (bases > 9) {
    const T xx = x * x, yy = y * y, zz = z * z;
    gx += 6.f * kY3[0] * x * y * h[9] + kY3[1] * y * z * h[10] - 2.f * kY3[2] * x * y * h[11] -
          6.f * kY3[3] * x * z * h[12] + kY3[4] * (4.f * zz - 3.f * xx - yy) * h[13] + 2.f * kY3[5] * x * z * h[14] +
          3.f * kY3[6] * (xx - yy) * h[15];
    gy += 3.f * kY3[0] * (xx - yy) * h[9] + kY3[1] * x * z * h[10] + kY3[2] * (4.f * zz - xx - 3.f * yy) * h[11] -
          6.f * kY3[3] * y * z * h[12] - 2.f * kY3[4] * x * y * h[13] - 2.f * kY3[5] * y * z * h[14] -
          6.f * kY3[6] * x * y * h[15];
    gz += kY3[1] * x * y * h[10] + 8.f * kY3[2] * y * z * h[11] + kY3[3] * (6.f * zz - 3.f * xx - 3.f * yy) * h[12] +
          8.f * kY3[4] * x * z * h[13] + kY3[5] * (xx - yy) * h[14];
  }
  g[0] = gx, g[1] = gy, g[2] = gz;
}

}  // namespace A3D_MATH
