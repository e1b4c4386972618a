// One vector of floats at the instruction set's native width, by GCC/Clang vector extensions.
//
// Arithmetic and comparisons are the language's own (a * b + 1.f works); below are the few operations it lacks. Native
// width only: GCC lowers wider vectors through memory (measured 5 to 6 times slower). For kernel files (isa.h) alone.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define A3D_INLINE static inline __attribute__((always_inline))

namespace a3d::A3D_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float F __attribute__((vector_size(kLanes * 4)));      // lanes of a vector
typedef int32_t I __attribute__((vector_size(kLanes * 4)));    // what comparing two F gives: -1 true, 0 false
typedef uint32_t U __attribute__((vector_size(kLanes * 4)));   // the same bits, for indices and hashes
typedef float FU __attribute__((vector_size(kLanes * 4), aligned(4)));  // F at any address
typedef int32_t IU __attribute__((vector_size(kLanes * 4), aligned(4)));

A3D_INLINE F splat(float x) { return F{} + x; }
A3D_INLINE F load(const float* p) { return *(const FU*)p; }
A3D_INLINE void store(float* p, F v) { *(FU*)p = v; }
A3D_INLINE void store(uint32_t* p, U v) { *(IU*)p = (I)v; }
A3D_INLINE F as_float(I v) { return (F)v; }
A3D_INLINE I as_int(F v) { return (I)v; }
// The first `lanes` of them; the others are 0, or not written.
A3D_INLINE F load(const float* p, int lanes) {
  if (__builtin_expect(lanes == kLanes, 1)) return load(p);
  F v = {};
  for (int i = 0; i < lanes; i++) v[i] = p[i];
  return v;
}
A3D_INLINE void store(float* p, F v, int lanes) {
  if (__builtin_expect(lanes == kLanes, 1)) return store(p, v);
  for (int i = 0; i < lanes; i++) p[i] = v[i];
}
// v where the mask is true, else 0.
A3D_INLINE F keep(I mask, F v) { return (F)(mask & (I)v); }
A3D_INLINE F select(I mask, F a, F b) { return mask ? a : b; }

// min and max return b when a is NaN, as the x86 instructions do; the language's own a < b ? a : b costs a compare and
// a blend with GCC 12.
#if defined(__AVX512F__)
A3D_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
A3D_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
A3D_INLINE F sqrt(F a) { return _mm512_sqrt_ps(a); }
A3D_INLINE unsigned bits(I mask) { return _mm512_movepi32_mask((__m512i)mask); }
A3D_INLINE F to_float(I v) { return _mm512_cvtepi32_ps((__m512i)v); }
A3D_INLINE F reciprocal_estimate(F a) { return _mm512_rcp14_ps(a); }
A3D_INLINE float sum(F v) { return _mm512_reduce_add_ps(v); }
A3D_INLINE F gather(const float* base, I index) { return _mm512_i32gather_ps((__m512i)index, base, 4); }
#elif defined(__AVX2__)
A3D_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
A3D_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
A3D_INLINE F sqrt(F a) { return _mm256_sqrt_ps(a); }
A3D_INLINE unsigned bits(I mask) { return _mm256_movemask_ps((__m256)mask); }
A3D_INLINE F to_float(I v) { return _mm256_cvtepi32_ps((__m256i)v); }
A3D_INLINE F reciprocal_estimate(F a) { return 1.f / a; }
A3D_INLINE float sum(F v) {
  __m128 t = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  t = _mm_add_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}
A3D_INLINE F gather(const float* base, I index) { return _mm256_i32gather_ps(base, (__m256i)index, 4); }
#elif defined(__SSE4_1__)
A3D_INLINE F min(F a, F b) { return _mm_min_ps(a, b); }
A3D_INLINE F max(F a, F b) { return _mm_max_ps(a, b); }
A3D_INLINE F sqrt(F a) { return _mm_sqrt_ps(a); }
A3D_INLINE unsigned bits(I mask) { return _mm_movemask_ps((__m128)mask); }
A3D_INLINE F to_float(I v) { return _mm_cvtepi32_ps((__m128i)v); }
A3D_INLINE F reciprocal_estimate(F a) { return 1.f / a; }
A3D_INLINE float sum(F v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
#elif defined(__aarch64__)
A3D_INLINE F min(F a, F b) { return (F)vminq_f32((float32x4_t)a, (float32x4_t)b); }
A3D_INLINE F max(F a, F b) { return (F)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
A3D_INLINE F sqrt(F a) { return (F)vsqrtq_f32((float32x4_t)a); }
A3D_INLINE unsigned bits(I mask) {
  const I place = {1, 2, 4, 8};
  return vaddvq_u32((uint32x4_t)(mask & place));
}
A3D_INLINE F to_float(I v) { return (F)vcvtq_f32_s32((int32x4_t)v); }
A3D_INLINE F reciprocal_estimate(F a) { return 1.f / a; }
A3D_INLINE float sum(F v) { return vaddvq_f32((float32x4_t)v); }
#else
A3D_INLINE F min(F a, F b) { return a < b ? a : b; }
A3D_INLINE F max(F a, F b) { return a > b ? a : b; }
A3D_INLINE F sqrt(F a) {
  for (int i = 0; i < kLanes; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
A3D_INLINE unsigned bits(I mask) {
  unsigned r = 0;
  for (int i = 0; i < kLanes; i++) r |= unsigned(mask[i] & 1) << i;
  return r;
}
A3D_INLINE F to_float(I v) { return __builtin_convertvector(v, F); }
A3D_INLINE F reciprocal_estimate(F a) { return 1.f / a; }
A3D_INLINE float sum(F v) { return (v[0] + v[2]) + (v[1] + v[3]); }
#endif
#if !defined(__AVX2__)
A3D_INLINE F gather(const float* base, I index) {
  return F{base[index[0]], base[index[1]], base[index[2]], base[index[3]]};
}
#endif

// Of numbers in [0, 2^31).
A3D_INLINE U truncate(F a) { return (U)__builtin_convertvector(a, I); }
A3D_INLINE F to_float(U v) { return to_float((I)v); }
// row - size where row >= size; both less than 2^31.
A3D_INLINE U wrap(U row, uint32_t size) {
  const I beyond = (I)row - int32_t(size);
  return (U)(beyond < 0 ? (I)row : beyond);
}

A3D_INLINE F abs(F a) { return (F)((I)a & 0x7fffffff); }
A3D_INLINE bool any(I mask) { return bits(mask) != 0; }
// Bits of a <= b and a > b; with AVX-512 they come from the compare itself, not from a vector of -1 and 0.
#if defined(__AVX512F__)
A3D_INLINE unsigned bits_le(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
A3D_INLINE unsigned bits_gt(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
#else
A3D_INLINE unsigned bits_le(F a, F b) { return bits(a <= b); }
A3D_INLINE unsigned bits_gt(F a, F b) { return bits(a > b); }
#endif
// c - a * b in one rounding where there is an instruction for it, though a * b be wanted elsewhere, too.
A3D_INLINE F minus_product(F c, F a, F b) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(a, b, c);
#else
  return c - a * b;
#endif
}
// Bits of the lanes that have `flag`, a power of 2.
A3D_INLINE unsigned bits_with(I v, int flag) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)v, _mm512_set1_epi32(flag));
#else
  return bits((v & flag) != 0);
#endif
}
// min(v, high) where e >= low, else 0.
A3D_INLINE F min_where_ge(F v, F high, F e, F low) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(_mm512_cmp_ps_mask(e, low, _CMP_GE_OQ), v, high);
#else
  return keep(e >= low, min(v, high));
#endif
}
A3D_INLINE bool all(I mask) { return bits(mask) == (1u << kLanes) - 1; }

// Sums of the lanes of n vectors, out[i] of v[i]; out has room for 16 floats. Vectors are transposed and added
// together: a third of the instructions of n separate sums.
#if defined(__AVX512F__)
// Halves, then quarters, then pairs of two vectors at a time are put side by side and added: n + n / 2 + ... steps
// instead of four for each vector.
template <int n>
A3D_INLINE void add_lanes(const F* v, float* out) {
  static_assert(n <= 16, "one vector of sums");
  const auto at = [v](int i) { return v[i < n ? i : n - 1]; };
  F quarters[4];
  for (int i = 0; i < n; i += 4) {
    F halves[2];
    for (int j = 0; j < 2; j++) {
      const F a = at(i + 2 * j), b = at(i + 2 * j + 1);
      halves[j] = _mm512_shuffle_f32x4(a, b, 0x44) + _mm512_shuffle_f32x4(a, b, 0xee);
    }
    // Four floats each of v[i], v[i + 1], v[i + 2], v[i + 3].
    quarters[i / 4] =
        _mm512_shuffle_f32x4(halves[0], halves[1], 0x88) + _mm512_shuffle_f32x4(halves[0], halves[1], 0xdd);
  }
  F pairs[2];
  for (int i = 0; i < (n + 7) / 8; i++) {
    const F a = quarters[2 * i], b = 8 * i + 4 < n ? quarters[2 * i + 1] : a;
    pairs[i] = _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b);
  }
  const F a = pairs[0], b = n > 8 ? pairs[1] : a;
  const F sums = (F)_mm512_unpacklo_pd((__m512d)a, (__m512d)b) + (F)_mm512_unpackhi_pd((__m512d)a, (__m512d)b);
  // Element 4 i + j is the sum of v[4 j + i].
  const I order = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  store(out, _mm512_permutexvar_ps((__m512i)order, sums));
}
#elif defined(__SSE4_1__)
A3D_INLINE __m128 fold(F v) {
#if defined(__AVX2__)
  return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
#else
  return v;
#endif
}
template <int n>
A3D_INLINE void add_lanes(const F* v, float* out) {
  for (int i = 0; i < n; i += 4) {
    const int last = n - 1;
    const __m128 a = fold(v[i]), b = fold(v[i + 1 < n ? i + 1 : last]), c = fold(v[i + 2 < n ? i + 2 : last]),
                 d = fold(v[i + 3 < n ? i + 3 : last]);
    _mm_storeu_ps(out + i, _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d)));
  }
}
#else
template <int n>
A3D_INLINE void add_lanes(const F* v, float* out) {
  for (int i = 0; i < n; i++) out[i] = sum(v[i]);
}
#endif

// Rows of `width` (3 or 4) floats, one for each lane, to columns and back; in memory the rows follow each other.
#if defined(__AVX512F__)
A3D_INLINE __m512i row_index(int first, int stride, int of) {  // first, first + stride, ... modulo `of`
  I v;
  for (int i = 0; i < kLanes; i++) v[i] = (first + i * stride) % of;
  return (__m512i)v;
}
#endif
template <int width>
A3D_INLINE void load_rows(const float* rows, F* columns) {
#if defined(__AVX512F__)
  static_assert(width == 3 || width == 4, "");
  const F a = load(rows), b = load(rows + 16), c = load(rows + 32);
  if (width == 3) {
#pragma GCC unroll 4
    for (int k = 0; k < 3; k++) {
      // Element 3 i + k lies in c from lane (32 - k + 2) / 3 on.
      const __m512i index = row_index(k, 3, 32);
      const __m512i late = row_index(k + 96 - 32, 3, 16);
      const __mmask16 in_c = __mmask16(0xffffu << ((34 - k) / 3));
      columns[k] = _mm512_mask_permutexvar_ps(_mm512_permutex2var_ps(a, index, b), in_c, late, c);
    }
  } else {
    const F d = load(rows + 48);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      const __m512i index = row_index(k, 4, 32);
      columns[k] = _mm512_shuffle_f32x4(_mm512_permutex2var_ps(a, index, b), _mm512_permutex2var_ps(c, index, d), 0x44);
    }
  }
#else
  I lane;
  for (int i = 0; i < kLanes; i++) lane[i] = i * width;
  for (int k = 0; k < width; k++) columns[k] = gather(rows + k, lane);
#endif
}
template <int width>
A3D_INLINE void store_rows(float* rows, const F* columns) {
#if defined(__AVX512F__)
  static_assert(width == 3 || width == 4, "");
#pragma GCC unroll 4  // so that the indices are constants
  for (int v = 0; v < width; v++) {  // element j of vector v: of column (16 v + j) % width, lane (16 v + j) / width
    I first, second;
    __mmask16 odd = 0;
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) {
      const int column = (16 * v + j) % width, lane = (16 * v + j) / width;
      first[j] = lane + (column == 1 ? 16 : 0), second[j] = lane + (column == 3 ? 16 : 0);
      odd |= __mmask16(column >= 2) << j;
    }
    const F low = _mm512_permutex2var_ps(columns[0], (__m512i)first, columns[1]);
    const F high = _mm512_permutex2var_ps(columns[2], (__m512i)second, columns[width - 1]);
    store(rows + 16 * v, _mm512_mask_blend_ps(odd, low, high));
  }
#else
  for (int k = 0; k < width; k++)
    for (int i = 0; i < kLanes; i++) rows[i * width + k] = columns[k][i];
#endif
}
// The same for the first `lanes` rows; columns of the others are 0.
template <int width>
A3D_INLINE void load_rows(const float* rows, F* columns, int lanes) {
  if (__builtin_expect(lanes == kLanes, 1)) return load_rows<width>(rows, columns);
  alignas(64) float whole[width * kLanes] = {};
  for (int i = 0; i < lanes * width; i++) whole[i] = rows[i];
  load_rows<width>(whole, columns);
}
template <int width>
A3D_INLINE void store_rows(float* rows, const F* columns, int lanes) {
  if (__builtin_expect(lanes == kLanes, 1)) return store_rows<width>(rows, columns);
  alignas(64) float whole[width * kLanes];
  store_rows<width>(whole, columns);
  for (int i = 0; i < lanes * width; i++) rows[i] = whole[i];
}

// 1 / a within about 2 units in the last place.
A3D_INLINE F reciprocal(F a) {
  F r = reciprocal_estimate(a);
#if defined(__AVX512F__)
  r = r * (2.f - a * r);  // one Newton step from 14 bits
#endif
  return r;
}

// 2^x for x in about [-126, 127].
#if defined(__AVX512F__)
// Two instructions split off and put back the integer part; a minimax polynomial of degree 5 on [0, 1], relative error
// 1.5e-7.
A3D_INLINE F exp2(F x) {
  const F f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  F p = splat(1.86714276e-3f);
  p = p * f + 9.01701818e-3f;
  p = p * f + 5.57999016e-2f;
  p = p * f + 2.40164464e-1f;
  p = p * f + 6.93151309e-1f;
  p = p * f + 1.f;
  return _mm512_scalef_ps(p, x);
}
#else
// Rounding by the magic number 1.5 * 2^23, whose low bits then hold the exponent, and a polynomial of degree 5 on
// [-1/2, 1/2], relative error 5e-7.
A3D_INLINE F exp2(F x) {
  const F magic = splat(12582912.f);
  const F rounded = x + magic;
  const F f = x - (rounded - magic);
  // In pairs (Estrin), not as one chain: the blend loops wait for latency more than for arithmetic units.
  const F f2 = f * f;
  const F low = 1.0f + 6.9314718e-1f * f, middle = 2.4022120e-1f + 5.5503324e-2f * f;
  const F high = 9.6728386e-3f + 1.3390863e-3f * f;
  const F p = low + f2 * (middle + f2 * high);
  return (F)((I)p + ((I)rounded << 23));
}
#endif
A3D_INLINE F exp(F x) { return exp2(max(min(x * 1.44269504f, splat(126.f)), splat(-126.f))); }

// log2 of positive normal numbers, absolute error about 1e-7: the atanh series on a mantissa within [1/sqrt 2, sqrt 2].
A3D_INLINE F log2(F x) {
  const I shifted = (I)x - 0x3f3504f3;  // bits of 1/sqrt 2
  const I exponent = shifted >> 23;
  const F m = (F)((shifted & 0x7fffff) + 0x3f3504f3);
  const F s = (m - 1.f) / (m + 1.f), q = s * s;
  F p = splat(0.11111111f);
  p = p * q + 0.14285715f;
  p = p * q + 0.2f;
  p = p * q + 0.33333334f;
  p = p * q + 1.f;
  return to_float(exponent) + 2.88539008f * s * p;
}

}  // namespace a3d::A3D_ISA
