// What describes one level of a hash grid; the same on both sides of the C interface.
#pragma once
#include "math/integers.h"

namespace a3d {

constexpr int kGridLevels = 32;  // at most

// `size` rows of the table begin at row `offset`; a hashed level has a power of two of them.
struct GridLevel {
  float scale;          // cells across the unit cube
  uint32_t resolution;  // vertices along an axis
  uint32_t offset, size;
  uint32_t hashed;
};

}  // namespace a3d
