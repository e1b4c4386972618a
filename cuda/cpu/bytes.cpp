// Pictures as bytes. Compiled without contraction (CMakeLists.txt): the twin rounds x * 255 before it adds 0.5.
#include "cpu/bytes.h"

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

A3D_INLINE I quantised(F x) {
  const F v = min(max(x, F{}), splat(1.f)) * 255.f + 0.5f;
  return __builtin_convertvector(v, I);  // towards zero
}

A3D_INLINE void write(I v, uint8_t* out) {
#if defined(__AVX512F__)
  _mm_storeu_si128((__m128i*)out, _mm512_cvtepi32_epi8((__m512i)v));
#else
  for (int i = 0; i < kLanes; i++) out[i] = uint8_t(v[i]);
#endif
}

// Four bytes of a pixel in one lane, the first the lowest.
A3D_INLINE void write_rgba(const F* rgb, F alpha, uint8_t* out) {
  I pixel = quantised(alpha) << 24;
  for (int c = 0; c < 3; c++) pixel |= quantised(rgb[c] / max(alpha, splat(1e-4f))) << (8 * c);
  *(IU*)out = pixel;
}
}  // namespace

void to_bytes(const float* rgb, const float* alpha, int64_t n, uint8_t* out) {
  int64_t i = 0;
  if (!alpha) {
    for (; i + kLanes <= 3 * n; i += kLanes) write(quantised(load(rgb + i)), out + i);
    alignas(64) uint8_t rest[kLanes];
    write(quantised(load(rgb + i, int(3 * n - i))), rest);
    for (int64_t j = i; j < 3 * n; j++) out[j] = rest[j - i];
    return;
  }
  F colours[3];
  for (; i + kLanes <= n; i += kLanes) {
    load_rows<3>(rgb + 3 * i, colours);
    write_rgba(colours, load(alpha + i), out + 4 * i);
  }
  const int left = int(n - i);
  if (left == 0) return;
  alignas(64) uint8_t rest[4 * kLanes];
  load_rows<3>(rgb + 3 * i, colours, left);
  write_rgba(colours, load(alpha + i, left), rest);
  for (int j = 0; j < 4 * left; j++) out[4 * i + j] = rest[j];
}

}  // namespace a3d::A3D_ISA
