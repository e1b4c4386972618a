// Entry point of compositing: pictures in bytes over solid colours, at a reduced resolution. Integer sums: exact, and
// bound by memory, so that one build serves every instruction set.
#include <algorithm>
#include <cstring>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"

namespace {

constexpr int64_t kColumns = 128;  // pixels of a row that are summed at a time, in the first cache

struct Sums {
  uint32_t colour[3 * kColumns], matte[kColumns];
};

// Adds a row of `columns` blocks, each of `by` pixels.
void add_row(const uint8_t* image, const uint8_t* mask, int64_t columns, int64_t by, Sums& sums) {
  for (int64_t x = 0; x < columns; x++)
    for (int64_t i = 0; i < by; i++, image += 3, mask++) {
      const uint32_t m = *mask;
      for (int c = 0; c < 3; c++) sums.colour[3 * x + c] += image[c] * m;
      sums.matte[x] += m;
    }
}
}  // namespace

extern "C" int32_t a3d_composite(const uint8_t* images, const uint8_t* masks, const int64_t* rows,
                                 const float* background, int64_t m, int64_t h, int64_t w, int64_t b, int64_t shrink,
                                 float* target, float* mask, int32_t threads) {
  using namespace a3d;
  if (shrink < 1 || shrink > 256 || h / shrink < 1 || w / shrink < 1)
    return fail("pictures of %lld x %lld cannot shrink by %lld", (long long)w, (long long)h, (long long)shrink);
  for (int64_t i = 0; i < b; i++)
    if (rows[i] < 0 || rows[i] >= m)
      return fail("picture %lld of %lld is asked for", (long long)rows[i], (long long)m);
  const int64_t lines = h / shrink, columns = w / shrink;
  const float of_mask = 1.f / (255.f * float(shrink * shrink)), of_colour = of_mask / 255.f;
  Pool::run(b * lines, threads, [&](int64_t task) {
    const int64_t i = task / lines, y = task % lines, from = (rows[i] * h + y * shrink) * w;
    const float* behind = background + 3 * i;
    float *out = target + 3 * task * columns, *matte = mask + task * columns;
    for (int64_t x = 0; x < columns; x += kColumns) {
      const int64_t count = std::min(kColumns, columns - x);
      Sums sums;
      std::memset(&sums, 0, sizeof(sums));
      for (int64_t line = 0; line < shrink; line++) {
        const int64_t pixel = from + line * w + x * shrink;
        add_row(images + 3 * pixel, masks + pixel, count, shrink, sums);
      }
      for (int64_t j = 0; j < count; j++) {
        const float opaque = float(sums.matte[j]) * of_mask;
        matte[x + j] = opaque;
        for (int c = 0; c < 3; c++)
          out[3 * (x + j) + c] = float(sums.colour[3 * j + c]) * of_colour + behind[c] * (1.f - opaque);
      }
    }
  });
  return 0;
}
