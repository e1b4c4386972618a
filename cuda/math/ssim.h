// Structural similarity of a window and its derivatives (Wang et al. 2004), written once for CPU vectors and CUDA threads.
#pragma once
#include "math/config.h"

namespace A3D_MATH {

constexpr int kLossTaps = 6;                              // of half a window of 11, the middle one first
constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;  // data range 1

// exp(-t^2 / (2 1.5^2)) for t = 0 to 5, divided by the sum over the window.
A3D_TABLE float kWindow[kLossTaps] = {0.266011725f,  0.213005538f,   0.109360690f,
                                      0.0360007721f, 0.00759875814f, 0.00102838013f};

// The index, and its derivatives by the blurred x, x^2 and x y.
template <class T>
struct Similarity {
  T ssim, by_mean, by_squares, by_product;
};

// Given the blurred x, y, x^2 + y^2 and x y.
template <class T>
A3D_HD Similarity<T> similarity(T mx, T my, T blurred_squares, T blurred_product) {
  const T mean_squares = mx * mx + my * my, mean_product = mx * my;
  const T squares = blurred_squares - mean_squares;   // sx^2 + sy^2
  const T product = blurred_product - mean_product;  // sxy
  const T n1 = 2.f * mean_product + kC1, n2 = 2.f * product + kC2, d1 = mean_squares + kC1, d2 = squares + kC2;
  const T inverse = 1.f / (d1 * d2);
  Similarity<T> s;
  s.ssim = n1 * n2 * inverse;
  s.by_squares = -s.ssim * d1 * inverse, s.by_product = 2.f * n1 * inverse;
  s.by_mean = 2.f * (my * n2 - mx * s.ssim * d2) * inverse - 2.f * mx * s.by_squares - my * s.by_product;
  return s;
}

}  // namespace A3D_MATH
