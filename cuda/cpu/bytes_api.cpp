// Entry point of pictures as bytes.
#include <algorithm>

#include "avatar3d.h"
#include "cpu/bytes.h"
#include "cpu/pool.h"

extern "C" int32_t a3d_image_bytes(const float* rgb, const float* alpha, int64_t pixels, uint8_t* out,
                                   int32_t threads) {
  using namespace a3d;
  constexpr int64_t kPixels = 16384;  // a task
  const auto loop = A3D_PICK(to_bytes);
  Pool::run((pixels + kPixels - 1) / kPixels, threads, [&](int64_t task) {
    const int64_t begin = task * kPixels, count = std::min(kPixels, pixels - begin);
    loop(rgb + 3 * begin, alpha ? alpha + begin : nullptr, count, out + (alpha ? 4 : 3) * begin);
  });
  return 0;
}
