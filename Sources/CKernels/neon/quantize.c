// Codes, ranges and back. Limits: the vector operations that each function names, beside 4 loads for 16 numbers. Modelled, numbers a cycle on Neoverse N1,
// V1 and V2, Apple M1, Cortex-A72: uint8 codes 1.2, 2.4, 2.3, 0.8; int8 codes with zero point 0 1.4, 3.0, 2.9, 1.1, any 0.9, 1.8, 1.5, 0.5 (conversions and
// narrowing have one port each on N1); ranges 2.7, 5.3, 4.0, 1.1; magnitudes 4.0, 7.8, 5.3, 1.4; dequantizing 1.4, 3.0, 3.2, 1.1.
#if defined(__aarch64__)
#include "quantize.h"

#include <math.h>
#include <stdbool.h>

#include "codes.h"
#include "dispatch.h"
#include "scalar.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// FMINNM and FMAXNM skip a quiet NaN, but a signalling one makes the result a NaN, and the number before it is lost. So NaNs become quiet first, by an
// operation that gives back all else (under FPCR.FZ a zero for a subnormal, which comparisons take for 0 then anyway). As assembly, since compilers
// take both for nothing.
static inline float32x4_t quiet(float32x4_t v) {
  float32x4_t same;
  __asm__("fminnm %0.4s, %1.4s, %1.4s" : "=w"(same) : "w"(v));
  return same;
}

static inline float32x4_t quiet_magnitude(float32x4_t v, float32x4_t zero) {
  float32x4_t magnitude;
  __asm__("fabd %0.4s, %1.4s, %2.4s" : "=w"(magnitude) : "w"(v), "w"(zero));
  return magnitude;
}

static inline float smallest_of(const float32x4_t x[4]) {
  return vminnmvq_f32(vminnmq_f32(vminnmq_f32(x[0], x[1]), vminnmq_f32(x[2], x[3])));
}

static inline float largest_of(const float32x4_t x[4]) {
  return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(x[0], x[1]), vmaxnmq_f32(x[2], x[3])));
}

// Calls TAKE(vector, k) for x[0..<count]: 16 numbers at a time for k = 0 … 3, then four; the last four may be some that were taken before, and fewer than
// four come one by one.
#define IN_VECTORS(x, count, TAKE)                                                                       \
  do {                                                                                                   \
    size_t i = 0;                                                                                        \
    for (; count - i >= 16; i += 16) CK_UNROLL for (size_t k = 0; k < 4; k++) TAKE(vld1q_f32(x + i + 4 * k), k); \
    for (; count - i >= 4; i += 4) TAKE(vld1q_f32(x + i), 0);                                            \
    if (i < count && count >= 4) TAKE(vld1q_f32(x + count - 4), 1);                                      \
    for (; i < count && count < 4; i++) TAKE(vld1q_dup_f32(x + i), 0);                                   \
  } while (0)

// Least and greatest of x[0..<count] and of the given ones, NaNs skipped. Four accumulators of each cover the latency. Three operations for four numbers.
static inline void extend_range(const float *x, size_t count, float *minimum, float *maximum) {
  float32x4_t low[4], high[4];
  CK_UNROLL for (int k = 0; k < 4; k++) low[k] = vdupq_n_f32(*minimum), high[k] = vdupq_n_f32(*maximum);
#define EXTEND(vector, k)                                                          \
  do {                                                                             \
    float32x4_t v = quiet(vector);                                                 \
    low[k] = vminnmq_f32(low[k], v), high[k] = vmaxnmq_f32(high[k], v);            \
  } while (0)
  IN_VECTORS(x, count, EXTEND);
#undef EXTEND
  *minimum = smallest_of(low);
  *maximum = largest_of(high);
}

void ck_row_range_f32__neon(const float *x, size_t rows, size_t columns, size_t stride, float *minimum, float *maximum) {
  for (size_t r = 0; r < rows; r++) {
    float low = INFINITY, high = -INFINITY;
    extend_range(x + r * stride, columns, &low, &high);
    minimum[r] = low == 0.0f ? 0.0f : low;
    maximum[r] = high == 0.0f ? 0.0f : high;
  }
}

// |x − 0| is the magnitude, and a quiet NaN: two operations for four numbers.
void ck_row_absmax_f32__neon(const float *x, size_t rows, size_t columns, size_t stride, float *absmax) {
  const float32x4_t zero = vdupq_n_f32(0);
  for (size_t r = 0; r < rows; r++, x += stride) {
    float32x4_t high[4] = {zero, zero, zero, zero};
#define EXTEND(vector, k) high[k] = vmaxnmq_f32(high[k], quiet_magnitude(vector, zero))
    IN_VECTORS(x, columns, EXTEND);
#undef EXTEND
    absmax[r] = largest_of(high);
  }
}

typedef struct rule {
  float32x4_t inverse_scale, low, high, nan_code;  // bounds, and what a NaN becomes, before the zero point is added
  int32x4_t zero_point;
  int8x16_t lowest, highest;  // of int8 codes
  int16x8_t offset;           // of uint8 codes: the zero point, and the highest
  uint8x16_t top;
} rule;

static inline rule rule_of(float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  int32_t zero = lowest > 0 ? lowest : highest < 0 ? highest : 0;
  return (rule){vdupq_n_f32(inverse_scale), vdupq_n_f32((float)(lowest - zero_point)), vdupq_n_f32((float)(highest - zero_point)),
                vdupq_n_f32((float)(zero - zero_point)), vdupq_n_s32(zero_point), vdupq_n_s8((int8_t)lowest), vdupq_n_s8((int8_t)highest),
                vdupq_n_s16((int16_t)zero_point), vdupq_n_u8((uint8_t)highest)};
}

// Each block turns 16 numbers into 16 codes.

// Any range and zero point: 31 operations. Clamped before rounding: the bounds are exact integers (|lowest − zero_point| < 2²⁴).
static inline int32x4_t codes_of(const float *x, const rule *by) {
  float32x4_t product = vmulq_f32(vld1q_f32(x), by->inverse_scale);
  float32x4_t number = vbslq_f32(vceqq_f32(product, product), product, by->nan_code);
  float32x4_t clamped = vminq_f32(vmaxq_f32(number, by->low), by->high);
  return vaddq_s32(vcvtnq_s32_f32(clamped), by->zero_point);
}

static inline void any_block(const float *x, const rule *by, uint8_t *codes) {
  int16x8_t c[4];
  CK_UNROLL for (int i = 0; i < 4; i++) c[i] = vreinterpretq_s16_s32(codes_of(x + 4 * i, by));
  uint8x16_t low = vreinterpretq_u8_s16(vuzp1q_s16(c[0], c[1])), high = vreinterpretq_u8_s16(vuzp1q_s16(c[2], c[3]));
  vst1q_u8(codes, vuzp1q_u8(low, high));
}

// int8 with zero point 0, as weights have it: 16 operations, since a NaN becomes 0 by itself.
static inline void symmetric_block(const float *x, const rule *by, uint8_t *codes) {
  int8x16_t clamped = vmaxq_s8(vminq_s8(ck_nearest_codes(x, by->inverse_scale), by->highest), by->lowest);
  vst1q_u8(codes, vreinterpretq_u8_s8(clamped));
}

// uint8 with lowest = 0, 0 ≤ zero_point ≤ 255: 21 operations. FMAXNM makes a NaN, quiet after the product, a number so low that its code is 0; all
// narrowing saturates. Adding 1.5 · 2²³ instead of converting takes 20, but obeys FPCR and is slower on Cortex-A72 (modelled; a fifth faster on Neoverse).
static inline void activation_block(const float *x, const rule *by, uint8_t *codes) {
  const float32x4_t lowest = vdupq_n_f32(-0x1p31f);
  int32x4_t c[4];
  CK_UNROLL for (int i = 0; i < 4; i++) c[i] = vcvtnq_s32_f32(vmaxnmq_f32(vmulq_f32(vld1q_f32(x + 4 * i), by->inverse_scale), lowest));
  int16x8_t low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c[0]), c[1]), by->offset);
  int16x8_t high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c[2]), c[3]), by->offset);
  vst1q_u8(codes, vminq_u8(vqmovun_high_s16(vqmovun_s16(low), high), by->top));
}

// codes[0..<count] in blocks of 16. The last block overlaps the one before it; fewer than 16 go through a copy, so that nothing outside the buffers is
// touched.
#define IN_BLOCKS(block, x, count, by, codes)                         \
  do {                                                                \
    size_t i = 0;                                                     \
    for (; count - i >= 16; i += 16) block(x + i, by, codes + i);     \
    if (i < count && count >= 16) {                                   \
      block(x + count - 16, by, codes + count - 16);                  \
    } else if (i < count) {                                           \
      float few[16] = {0};                                            \
      uint8_t few_codes[16];                                          \
      memcpy(few, x, count * sizeof few[0]);                          \
      block(few, by, few_codes);                                      \
      memcpy(codes, few_codes, count);                                \
    }                                                                 \
  } while (0)

void ck_quantize_s8_f32__neon(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest,
                              int8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  uint8_t *bytes = (uint8_t *)codes;
  if (zero_point == 0) IN_BLOCKS(symmetric_block, x, count, &by, bytes);
  else IN_BLOCKS(any_block, x, count, &by, bytes);
}

void ck_quantize_u8_f32__neon(const float *x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest,
                              uint8_t *codes) {
  const rule by = rule_of(inverse_scale, zero_point, lowest, highest);
  if (lowest == 0 && zero_point >= 0 && zero_point <= 255) IN_BLOCKS(activation_block, x, count, &by, codes);
  else IN_BLOCKS(any_block, x, count, &by, codes);
}

// Rows whose ranges are looked for before the first is quantized: the reductions and divisions of short rows, each a long chain, then overlap.
enum { range_rows = 8 };

void ck_quantize_rows_u8_f32__neon(const float *x, size_t rows, size_t columns, size_t stride, int32_t highest, uint8_t *codes,
                                   size_t code_stride, float *scale, int32_t *zero_point) {
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
      const float *row = x + r * stride;
      uint8_t *row_codes = codes + r * code_stride;
      IN_BLOCKS(activation_block, row, columns, &by, row_codes);
      if (code_stride > columns) memset(row_codes + columns, 0, code_stride - columns);
    }
  }
}

// 16 codes: two sign extensions, four subtractions that widen, four conversions, four products.
void ck_dequantize_f32_s8__neon(const int8_t *codes, size_t count, float scale, int32_t zero_point, float *x) {
  const int32x4_t offset = vdupq_n_s32(-zero_point);
  size_t i = 0;
  for (; count - i >= 16; i += 16) {
    int8x16_t c = vld1q_s8(codes + i);
    int16x8_t half[2] = {vmovl_s8(vget_low_s8(c)), vmovl_high_s8(c)};
    CK_UNROLL for (int h = 0; h < 2; h++) {
      vst1q_f32(x + i + 8 * h, vmulq_n_f32(vcvtq_f32_s32(vaddw_s16(offset, vget_low_s16(half[h]))), scale));
      vst1q_f32(x + i + 8 * h + 4, vmulq_n_f32(vcvtq_f32_s32(vaddw_high_s16(offset, half[h])), scale));
    }
  }
  for (; i < count; i++) x[i] = scale * (float)(codes[i] - zero_point);
}

CK_TARGET_END
#endif
