// Weighted L1 and structural dissimilarity of pictures, with the gradient in the same pass; see avatar3d/ops/image.py.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

namespace a3d {

constexpr int kLossReach = 5;    // pixels on each side of the 11 x 11 window
constexpr int kLossWidth = 64;   // pixels of a tile: its sliding rows stay near the first-level cache
constexpr int kLossHeight = 128;

// One picture of a batch, pixels interleaved.
struct LossPicture {
  const float* render;  // h w 3
  const float* target;  // h w 3
  const float* weight;  // h w, or null for 1
  float* gradient;      // h w 3 of the loss by the render, or null
  int64_t height, width;
  float l1_scale, ssim_scale;  // what a unit of weight contributes to the loss
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Adds up weight |render - target| and weight (1 - SSIM) of one tile into sums[0] and sums[1].
    void loss_tile(const LossPicture& picture, int64_t x, int64_t y, double* sums);
)
