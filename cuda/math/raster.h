// Constants of the rasterizer that every backend shares.
#pragma once
#include "math/integers.h"

namespace a3d {

constexpr int kTile = 16;                       // pixels on a side
constexpr float kTransmittanceMin = 1e-4f;      // a pixel is done before the splat that would bring it to this or less
constexpr float kLog2AlphaMin = -7.994353437f;  // log2(1/255): fainter contributions are skipped
constexpr uint32_t kHidden = 0xffffffffu;       // depth key of a splat that is not drawn
constexpr int kCameraGradients = 16;            // 3x4 w2c rows, then fx, fy, cx, cy

}  // namespace a3d
