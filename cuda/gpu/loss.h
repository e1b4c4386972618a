// The picture loss on the device: data that its kernels share. The formulas are in math/ssim.h.
//
// Two passes over tiles of 16 x 16 pixels: statistics of windows, the loss and its slopes (loss.cu: a3d_loss_compare),
// then the slopes blurred back into the gradient (a3d_loss_gradient). The slopes go through memory, 36 bytes a pixel:
// computing them again from inputs in shared memory would take 2.6 times the blurs.
#pragma once
#include "math/integers.h"

namespace a3d::gpu {

constexpr int kLossTile = 16, kLossReach = 5;             // pixels
constexpr int kLossThreads = kLossTile * kLossTile;       // one pixel each
constexpr int kLossSide = kLossTile + 2 * kLossReach;     // of what a tile reads
constexpr int kLossChunk = 4096;                          // numbers a block adds up

struct LossArgs {
  const float *render, *target, *weight;  // b h w 3 twice; b h w, or null for 1
  float* slopes;    // 9 b h w: of channel c and kind s plane 3 c + s of a picture
  float* parts;     // of the loss, a block each
  const float* whole;  // the sum of all weights, on the device; null: b h w
  float* gradient;  // b h w 3, or null
  int32_t b, h, w;
  float ssim_share;
};

// Sums of n numbers: by blocks of kLossChunk (loss.cu: a3d_loss_parts), then of up to any number by one block.
struct LossSum {
  const float* values;
  float* sums;
  int64_t n;
};

}  // namespace a3d::gpu
