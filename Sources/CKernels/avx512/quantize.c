// Quantizing, 64 numbers at a time. Limit: a code takes a multiplication, a maximum, an addition and a subtraction of 16 lanes and its share of three packs,
// a permutation and a minimum, 21 operations for 64 codes; a range 8. Two ports do 29 in 14.5 cycles: 20 µs for 256 rows of 1,024 at 3 GHz, where 256 bits
// on three ports need 18.3 cycles. Measured on a Sapphire Rapids: see ARCHITECTURE.md. interleave_u8 stays AVX2's: no kernel of AVX512 calls it.
#if defined(__x86_64__)
#include "quantize.h"

#include <math.h>
#include <stdbool.h>

#include "dispatch.h"
#include "scalar.h"
#include "simd.h"

CK_NO_CONTRACTION  // the product and the addition of the rounding constant are two roundings

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// Least and greatest of x[0..<count] and of the given ones. VMINPS and VMAXPS return their second operand where either is a NaN, so with the accumulator
// second a NaN is skipped. Four accumulators of each cover the latency.
CK_INLINE void extend_range(const float *x, size_t count, float *minimum, float *maximum) {
  __m512 low[4], high[4];
  CK_UNROLL for (int k = 0; k < 4; k++) low[k] = _mm512_set1_ps(*minimum), high[k] = _mm512_set1_ps(*maximum);
  size_t i = 0;
  for (; count - i >= 64; i += 64) {
    CK_UNROLL for (int k = 0; k < 4; k++) {
      __m512 v = _mm512_loadu_ps(x + i + 16 * k);
      low[k] = _mm512_min_ps(v, low[k]);
      high[k] = _mm512_max_ps(v, high[k]);
    }
  }
  for (; i < count; i += 16) {
    __mmask16 lanes = ck_first_lanes(count - i);
    __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
    low[0] = _mm512_mask_min_ps(low[0], lanes, v, low[0]);
    high[0] = _mm512_mask_max_ps(high[0], lanes, v, high[0]);
  }
  *minimum = _mm512_reduce_min_ps(_mm512_min_ps(_mm512_min_ps(low[0], low[1]), _mm512_min_ps(low[2], low[3])));
  *maximum = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(high[0], high[1]), _mm512_max_ps(high[2], high[3])));
}

void ck_row_range_f32__avx512(const float *x, size_t rows, size_t columns, size_t stride, float *minimum, float *maximum) {
  for (size_t r = 0; r < rows; r++) {
    float low = INFINITY, high = -INFINITY;
    extend_range(x + r * stride, columns, &low, &high);
    minimum[r] = low == 0.0f ? 0.0f : low;
    maximum[r] = high == 0.0f ? 0.0f : high;
  }
}

void ck_row_absmax_f32__avx512(const float *x, size_t rows, size_t columns, size_t stride, float *absmax) {
  for (size_t r = 0; r < rows; r++) {
    float low = 0.0f, high = 0.0f;
    extend_range(x + r * stride, columns, &low, &high);
    absmax[r] = -low > high ? -low : high;
  }
}

typedef struct rule {
  __m512 inverse_scale, low, high, nan_code;  // bounds, and what a NaN becomes, before the zero point is added
  __m512i zero_point;
  __m512i highest;  // bytes
} rule;

CK_INLINE rule rule_of(float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  int32_t zero = lowest > 0 ? lowest : highest < 0 ? highest : 0;
  return (rule){_mm512_set1_ps(inverse_scale), _mm512_set1_ps((float)(lowest - zero_point)), _mm512_set1_ps((float)(highest - zero_point)),
                _mm512_set1_ps((float)(zero - zero_point)), _mm512_set1_epi32(zero_point), _mm512_set1_epi8((char)highest)};
}

// 16 codes in lanes of 32 bits. Clamped before rounding: the bounds are exact integers (|lowest − zero_point| < 2²⁴).
CK_INLINE __m512i codes_of(__m512 x, const rule *by) {
  __m512 product = _mm512_mul_ps(x, by->inverse_scale);
  __m512 number = _mm512_mask_mov_ps(product, _mm512_cmp_ps_mask(product, product, _CMP_UNORD_Q), by->nan_code);
  __m512 clamped = _mm512_min_ps(_mm512_max_ps(number, by->low), by->high);
  __m512i rounded = _mm512_cvt_roundps_epi32(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_add_epi32(rounded, by->zero_point);
}

// The same for lowest = 0, 0 ≤ zero_point ≤ 255, and only while MXCSR rounds to nearest: adding 1.5 · 2²³ then rounds half to even and leaves the integer
// in the low bits. VMAXPS gives its second operand, code 0, for a NaN. Above 2²² the difference of the bits stays positive (at most 0x7F800000 −
// 0x4B400000) and the saturating packs clamp it.
CK_INLINE __m512i activation_codes_of(__m512 x, const rule *by) {
  __m512 product = _mm512_mul_ps(x, by->inverse_scale);
  __m512 shifted = _mm512_add_ps(_mm512_max_ps(product, by->low), _mm512_set1_ps(0x1.8p23f));
  __m512i offset = _mm512_sub_epi32(_mm512_set1_epi32(0x4B400000), by->zero_point);
  return _mm512_sub_epi32(_mm512_castps_si512(shifted), offset);
}

typedef enum code_kind { signed_codes, unsigned_codes, activation_codes } code_kind;

// Packs work within 128 bits: they leave groups of four codes in the order 0 4 8 12 1 5 …
CK_INLINE __m512i packed_codes(code_kind kind, const __m512 x[4], const rule *by) {
  __m512i c[4];
  CK_UNROLL for (int k = 0; k < 4; k++) c[k] = kind == activation_codes ? activation_codes_of(x[k], by) : codes_of(x[k], by);
  __m512i first = _mm512_packs_epi32(c[0], c[1]), second = _mm512_packs_epi32(c[2], c[3]);
  __m512i bytes = kind == signed_codes ? _mm512_packs_epi16(first, second) : _mm512_packus_epi16(first, second);
  if (kind == activation_codes) bytes = _mm512_min_epu8(bytes, by->highest);
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
}

CK_INLINE void quantize(code_kind kind, const float *x, size_t count, const rule *by, uint8_t *codes) {
  __m512 v[4];
  size_t i = 0;
  for (; count - i >= 64; i += 64) {
    CK_UNROLL for (int k = 0; k < 4; k++) v[k] = _mm512_loadu_ps(x + i + 16 * k);
    ck_store64(codes + i, packed_codes(kind, v, by));
  }
  if (i == count) return;
  size_t rest = count - i;  // a masked load or store does not touch the memory of other lanes
  CK_UNROLL for (size_t k = 0; k < 4; k++) v[k] = _mm512_maskz_loadu_ps(ck_first_lanes(rest > 16 * k ? rest - 16 * k : 0), x + i + 16 * k);
  _mm512_mask_storeu_epi8(codes + i, ((__mmask64)1 << rest) - 1, packed_codes(kind, v, by));
}

void ck_quantize_s8_f32__avx512(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest, int8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  quantize(signed_codes, x, count, &by, (uint8_t *)codes);
}

CK_INLINE bool rounds_to_nearest(void) { return (_mm_getcsr() & _MM_ROUND_MASK) == _MM_ROUND_NEAREST; }

void ck_quantize_u8_f32__avx512(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest,
                                uint8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  if (rounds_to_nearest() && lowest == 0 && zero_point >= 0 && zero_point <= 255) quantize(activation_codes, x, count, &by, codes);
  else quantize(unsigned_codes, x, count, &by, codes);
}

// Rows whose ranges are looked for before the first is quantized: the reductions and divisions of short rows, each a chain of a hundred cycles, then
// overlap.
enum { range_rows = 8 };

void ck_quantize_rows_u8_f32__avx512(const float *x, size_t rows, size_t columns, size_t stride, int32_t highest, uint8_t *codes, size_t code_stride,
                                     float *scale, int32_t *zero_point) {
  bool to_nearest = rounds_to_nearest();
  for (size_t first = 0; first < rows; first += range_rows) {
    size_t count = rows - first < range_rows ? rows - first : range_rows;
    float inverse_scales[range_rows];
    for (size_t r = 0; r < count; r++) {
      float minimum = 0.0f, maximum = 0.0f;
      extend_range(x + (first + r) * stride, columns, &minimum, &maximum);
      ck_affine map = ck_affine_of_range(minimum, maximum, highest);
      scale[first + r] = map.scale;
      zero_point[first + r] = map.zero_point;
      inverse_scales[r] = map.inverse_scale;
    }
    for (size_t r = first; r < first + count; r++) {
      const rule by = rule_of(inverse_scales[r - first], zero_point[r], 0, highest);
      uint8_t *row_codes = codes + r * code_stride;
      if (to_nearest) quantize(activation_codes, x + r * stride, columns, &by, row_codes);
      else quantize(unsigned_codes, x + r * stride, columns, &by, row_codes);
      if (code_stride > columns) memset(row_codes + columns, 0, code_stride - columns);
    }
  }
}

CK_INLINE __m512 numbers_of(__m128i codes, __m512i zero_point, __m512 scale) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepi8_epi32(codes), zero_point)), scale);
}

void ck_dequantize_f32_s8__avx512(const int8_t *codes, size_t count, float scale, int32_t zero_point, float *x) {
  const __m512i zero = _mm512_set1_epi32(zero_point);
  const __m512 step = _mm512_set1_ps(scale);
  size_t i = 0;
  for (; count - i >= 16; i += 16) _mm512_storeu_ps(x + i, numbers_of(_mm_loadu_si128((const __m128i *)(codes + i)), zero, step));
  if (i == count) return;
  __mmask16 lanes = ck_first_lanes(count - i);
  _mm512_mask_storeu_ps(x + i, lanes, numbers_of(_mm_maskz_loadu_epi8(lanes, codes + i), zero, step));
}

CK_TARGET_END
#endif
