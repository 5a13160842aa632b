#if defined(__x86_64__)
#include "quantize.h"

#include "../x86_intrinsics.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "dispatch.h"
#include "scalar.h"

// The product and the addition of the rounding constant are two roundings: they must not fuse.
CK_NO_CONTRACTION

CK_TARGET_BEGIN(CK_TARGET_AVX2)

static inline __m256i round_even(__m256 x) {
  return _mm256_cvtps_epi32(_mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// All ones in the first `count` ≤ 8 lanes: a masked load does not touch the memory of the others.
static inline __m256i lanes_below(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline float smallest_of(__m256 x) {
  __m128 four = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}

static inline float largest_of(__m256 x) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Least and greatest of x[0..<count] and of the given ones. VMINPS and VMAXPS return their second operand where either is a
// NaN, so with the accumulator second a NaN is skipped. Four accumulators of each cover the latency.
static inline void extend_range(const float *x, size_t count, float *minimum, float *maximum) {
  __m256 low[4], high[4];
  for (int k = 0; k < 4; k++) low[k] = _mm256_set1_ps(*minimum), high[k] = _mm256_set1_ps(*maximum);
  size_t i = 0;
  for (; count - i >= 32; i += 32) {
    for (int k = 0; k < 4; k++) {
      __m256 v = _mm256_loadu_ps(x + i + 8 * k);
      low[k] = _mm256_min_ps(v, low[k]);
      high[k] = _mm256_max_ps(v, high[k]);
    }
  }
  for (; i < count; i += 8) {
    __m256i mask = lanes_below(count - i < 8 ? count - i : 8);
    __m256 v = _mm256_maskload_ps(x + i, mask), first = _mm256_castsi256_ps(mask);
    low[0] = _mm256_min_ps(_mm256_blendv_ps(low[0], v, first), low[0]);
    high[0] = _mm256_max_ps(_mm256_blendv_ps(high[0], v, first), high[0]);
  }
  *minimum = smallest_of(_mm256_min_ps(_mm256_min_ps(low[0], low[1]), _mm256_min_ps(low[2], low[3])));
  *maximum = largest_of(_mm256_max_ps(_mm256_max_ps(high[0], high[1]), _mm256_max_ps(high[2], high[3])));
}

void ck_row_range_f32__avx2(const float *x, size_t rows, size_t columns, size_t stride, float *minimum, float *maximum) {
  for (size_t r = 0; r < rows; r++) {
    float low = INFINITY, high = -INFINITY;
    extend_range(x + r * stride, columns, &low, &high);
    minimum[r] = low == 0.0f ? 0.0f : low;
    maximum[r] = high == 0.0f ? 0.0f : high;
  }
}

void ck_row_absmax_f32__avx2(const float *x, size_t rows, size_t columns, size_t stride, float *absmax) {
  for (size_t r = 0; r < rows; r++) {
    float low = 0.0f, high = 0.0f;
    extend_range(x + r * stride, columns, &low, &high);
    absmax[r] = -low > high ? -low : high;
  }
}

typedef struct rule {
  __m256 inverse_scale, low, high, nan_code;  // bounds, and what a NaN becomes, before the zero point is added
  __m256i zero_point;
  __m256i highest;  // bytes
} rule;

static inline rule rule_of(float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  int32_t zero = lowest > 0 ? lowest : highest < 0 ? highest : 0;
  return (rule){_mm256_set1_ps(inverse_scale), _mm256_set1_ps((float)(lowest - zero_point)),
                _mm256_set1_ps((float)(highest - zero_point)), _mm256_set1_ps((float)(zero - zero_point)),
                _mm256_set1_epi32(zero_point), _mm256_set1_epi8((char)highest)};
}

// Eight codes in lanes of 32 bits. Clamped before rounding: the bounds are exact integers (|lowest − zero_point| < 2²⁴).
static inline __m256i codes_of(const float *x, const rule *by) {
  __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x), by->inverse_scale);
  __m256 number = _mm256_blendv_ps(product, by->nan_code, _mm256_cmp_ps(product, product, _CMP_UNORD_Q));
  __m256 clamped = _mm256_min_ps(_mm256_max_ps(number, by->low), by->high);
  return _mm256_add_epi32(round_even(clamped), by->zero_point);
}

// Both packs work within halves of 128 bits: they leave groups of four codes in the order 0 2 4 6 1 3 5 7.
static inline __m256i in_order(__m256i packed) {
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline void s8_block(const float *x, const rule *by, int8_t *codes) {
  __m256i first = _mm256_packs_epi32(codes_of(x, by), codes_of(x + 8, by));
  __m256i second = _mm256_packs_epi32(codes_of(x + 16, by), codes_of(x + 24, by));
  _mm256_storeu_si256((__m256i *)codes, in_order(_mm256_packs_epi16(first, second)));
}

static inline void u8_block(const float *x, const rule *by, uint8_t *codes) {
  __m256i first = _mm256_packs_epi32(codes_of(x, by), codes_of(x + 8, by));
  __m256i second = _mm256_packs_epi32(codes_of(x + 16, by), codes_of(x + 24, by));
  _mm256_storeu_si256((__m256i *)codes, in_order(_mm256_packus_epi16(first, second)));
}

// The same for lowest = 0, 0 ≤ zero_point ≤ 255, and only while MXCSR rounds to nearest: adding 1.5 · 2²³ then rounds half to
// even and leaves the integer in the low bits, so the rounding and conversion instructions, which share one port on Zen, are
// not needed. VMAXPS gives its second operand, code 0, for a NaN. Above 2²² the difference of the bits stays positive (at most
// 0x7F800000 − 0x4B400000) and the saturating packs clamp it.
static inline __m256i activation_codes_of(const float *x, const rule *by) {
  __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x), by->inverse_scale);
  __m256 shifted = _mm256_add_ps(_mm256_max_ps(product, by->low), _mm256_set1_ps(0x1.8p23f));
  __m256i offset = _mm256_sub_epi32(_mm256_set1_epi32(0x4B400000), by->zero_point);
  return _mm256_sub_epi32(_mm256_castps_si256(shifted), offset);
}

static inline void activation_block(const float *x, const rule *by, uint8_t *codes) {
  __m256i first = _mm256_packs_epi32(activation_codes_of(x, by), activation_codes_of(x + 8, by));
  __m256i second = _mm256_packs_epi32(activation_codes_of(x + 16, by), activation_codes_of(x + 24, by));
  __m256i packed = _mm256_min_epu8(_mm256_packus_epi16(first, second), by->highest);
  _mm256_storeu_si256((__m256i *)codes, in_order(packed));
}

// codes[0..<count] in blocks of 32. The last block overlaps the one before it; fewer than 32 go through a copy, so that
// nothing outside the buffers is touched.
#define IN_BLOCKS(block, x, count, by, codes)                         \
  do {                                                                \
    size_t i = 0;                                                     \
    for (; count - i >= 32; i += 32) block(x + i, by, codes + i);     \
    if (i < count && count >= 32) {                                   \
      block(x + count - 32, by, codes + count - 32);                  \
    } else if (i < count) {                                           \
      float few[32] = {0};                                            \
      uint8_t few_codes[32];                                          \
      memcpy(few, x, count * sizeof few[0]);                          \
      block(few, by, (void *)few_codes);                              \
      memcpy(codes, few_codes, count);                                \
    }                                                                 \
  } while (0)

void ck_quantize_s8_f32__avx2(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest,
                              int8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  IN_BLOCKS(s8_block, x, count, &by, codes);
}

static inline bool rounds_to_nearest(void) { return (_mm_getcsr() & _MM_ROUND_MASK) == _MM_ROUND_NEAREST; }

void ck_quantize_u8_f32__avx2(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest,
                              uint8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  if (rounds_to_nearest() && lowest == 0 && zero_point >= 0 && zero_point <= 255) {
    IN_BLOCKS(activation_block, x, count, &by, codes);
  } else {
    IN_BLOCKS(u8_block, x, count, &by, codes);
  }
}

// Rows whose ranges are looked for before the first is quantized: the reductions and divisions of short rows, each a chain of a hundred
// cycles, then overlap.
enum { range_rows = 8 };

void ck_quantize_rows_u8_f32__avx2(const float *x, size_t rows, size_t columns, size_t stride, int32_t highest, uint8_t *codes,
                                   size_t code_stride, float *scale, int32_t *zero_point) {
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
      if (to_nearest) IN_BLOCKS(activation_block, x + r * stride, columns, &by, row_codes);
      else IN_BLOCKS(u8_block, x + r * stride, columns, &by, row_codes);
      if (code_stride > columns) memset(row_codes + columns, 0, code_stride - columns);
    }
  }
}

void ck_dequantize_f32_s8__avx2(const int8_t *codes, size_t count, float scale, int32_t zero_point, float *x) {
  size_t i = 0;
  for (; count - i >= 8; i += 8) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(codes + i)));
    __m256 steps = _mm256_cvtepi32_ps(_mm256_sub_epi32(wide, _mm256_set1_epi32(zero_point)));
    _mm256_storeu_ps(x + i, _mm256_mul_ps(steps, _mm256_set1_ps(scale)));
  }
  for (; i < count; i++) x[i] = scale * (float)(codes[i] - zero_point);
}

CK_TARGET_END
#endif
