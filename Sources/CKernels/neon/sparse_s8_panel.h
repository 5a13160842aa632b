// Activations of sparse int8 products: up to 64 rows of X, quantized, x − 128 as signed bytes. `width` is the number of rows rounded up to 8:
//
//   [K / together][width][together]     together = 1, 2 or 4 neighbouring inputs, as many as the instructions add
//
// Row-major X is quantized row by row and its codes are transposed, four to a number of 32 bits. What lies behind K is multiplied by weights of 0, and
// rows behind M are not stored. Codes are ck_code's: clamp(rint(x · inverse) + zero, 0, 255), NaN gives 0.
#ifndef CK_NEON_SPARSE_S8_PANEL_H
#define CK_NEON_SPARSE_S8_PANEL_H

#include "dispatch.h"
#include "kernels.h"
#include "scalar.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { ck_sparse_s8_most_rows = 64 };

// Scales and zero points of the rows of a tile, the latter for x − 128 too, and where its codes go.
typedef struct tile_codes {
  float scales[ck_sparse_s8_most_rows];
  int32_t zero_points[ck_sparse_s8_most_rows];
  int8_t *panel;
  size_t width;
  int together;
} tile_codes;

// 8 bytes more: 16 rows may be loaded where 8 are left.
static inline size_t panel_bytes(size_t inputs, size_t rows) { return ck_round_up(inputs, 16) * rows + 16; }
// Row-major codes on their way: rows a multiple of 4 KB apart would all lie in one set of L1.
static inline size_t code_stride(size_t inputs) { return ck_round_up(inputs, 64) + 64; }

// 16 codes, each vector of four with factors of its own. A NaN becomes far less than any code, as the larger of it and a number; conversion, addition and
// narrowing saturate. `zero` is the zero point less 128.
CK_INLINE int8x16_t codes_of(const float *x, const float32x4_t inverse[4], const int32x4_t zero[4]) {
  const float32x4_t least = vdupq_n_f32(-0x1p30f);
  int16x8_t half[2];
  CK_UNROLL for (int i = 0; i < 2; i++) {
    int32x4_t q[2];
    CK_UNROLL for (int j = 0; j < 2; j++) {
      float32x4_t product = vmaxnmq_f32(vmulq_f32(vld1q_f32(x + 8 * i + 4 * j), inverse[2 * i + j]), least);
      q[j] = vqaddq_s32(vcvtnq_s32_f32(product), zero[2 * i + j]);
    }
    half[i] = vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1]));
  }
  return vcombine_s8(vqmovn_s16(half[0]), vqmovn_s16(half[1]));
}

// The smaller and the larger of what was found and x, which is passed over where it is a NaN. vminq and vminnmq would not pass over every NaN.
CK_INLINE void widen_range(float32x4_t x, float32x4_t *lowest, float32x4_t *highest) {
  *lowest = vbslq_f32(vcltq_f32(x, *lowest), x, *lowest);
  *highest = vbslq_f32(vcgtq_f32(x, *highest), x, *highest);
}

// Four inputs of 16 rows to vectors whose 32-bit lanes hold the four inputs of a row; only the first 8 rows where `rows` is 8.
CK_INLINE void interleave_inputs(const int8x16_t a[4], int rows, int8x16_t q[4]) {
  int16x8_t first[2], second[2];
  first[0] = vreinterpretq_s16_s8(vzip1q_s8(a[0], a[1]));
  second[0] = vreinterpretq_s16_s8(vzip1q_s8(a[2], a[3]));
  if (rows > 8) {
    first[1] = vreinterpretq_s16_s8(vzip2q_s8(a[0], a[1]));
    second[1] = vreinterpretq_s16_s8(vzip2q_s8(a[2], a[3]));
  }
  CK_UNROLL for (int i = 0; i < rows / 8; i++) {
    q[2 * i] = vreinterpretq_s8_s16(vzip1q_s16(first[i], second[i]));
    q[2 * i + 1] = vreinterpretq_s8_s16(vzip2q_s16(first[i], second[i]));
  }
}

static inline ck_affine affine_of(const ck_sparse_input *x, float lowest, float highest) {
  if (x->fixed_scale > 0) return (ck_affine){x->fixed_scale, 1.0f / x->fixed_scale, x->fixed_zero_point};
  return ck_affine_of_range(lowest, highest, 255);
}

static inline void note_affine(const ck_affine *affine, size_t row, tile_codes *to) {
  to->scales[row] = affine->scale;
  to->zero_points[row] = affine->zero_point - 128;
}

// ---- Row-major X

// 16 numbers from `from` on of which `count` are there, zeros behind them.
CK_INLINE const float *sixteen(const float *from, size_t count, float some[16]) {
  if (count >= 16) return from;
  memset(some, 0, 16 * sizeof *some);
  return memcpy(some, from, count * sizeof *some);
}

static inline ck_affine affine_of_row(const ck_sparse_input *x, const float *row, size_t inputs) {
  float32x4_t lowest[4], highest[4];
  CK_UNROLL for (int i = 0; i < 4; i++) lowest[i] = highest[i] = vdupq_n_f32(0);
  for (size_t k = 0; k < inputs && x->fixed_scale == 0; k += 16) {
    float some[16];
    const float *from = sixteen(row + k, inputs - k, some);
    CK_UNROLL for (int i = 0; i < 4; i++) widen_range(vld1q_f32(from + 4 * i), &lowest[i], &highest[i]);
  }
  float32x4_t low = vminq_f32(vminq_f32(lowest[0], lowest[1]), vminq_f32(lowest[2], lowest[3]));
  float32x4_t high = vmaxq_f32(vmaxq_f32(highest[0], highest[1]), vmaxq_f32(highest[2], highest[3]));
  return affine_of(x, vminvq_f32(low), vmaxvq_f32(high));
}

// Codes of a row, up to a multiple of 16.
static inline void quantize_row(const ck_affine *affine, const float *row, size_t inputs, int8_t *codes) {
  float32x4_t inverse[4];
  int32x4_t zero[4];
  CK_UNROLL for (int i = 0; i < 4; i++) {
    inverse[i] = vdupq_n_f32(affine->inverse_scale);
    zero[i] = vdupq_n_s32(affine->zero_point - 128);
  }
  for (size_t k = 0; k < inputs; k += 16) {
    float some[16];
    vst1q_s8(codes + k, codes_of(sixteen(row + k, inputs - k, some), inverse, zero));
  }
}

// A quad of inputs of all rows of a tile: from [width][4] to [4][width] or [2][width][2].
static inline void separate_inputs(int8_t *quad, size_t width, int together) {
  int8_t all[4 * ck_sparse_s8_most_rows];
  for (size_t i = 0; i < 4 * width; i += 16) vst1q_s8(all + i, vld1q_s8(quad + i));  // a call of memcpy would take longer
  for (size_t r = 0; r < width; r += 8) {
    if (together == 2) {
      int8x16_t a = vld1q_s8(all + 4 * r), b = vld1q_s8(all + 4 * r + 16);
      vst1q_s8(quad + 2 * r, vreinterpretq_s8_s16(vuzp1q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b))));
      vst1q_s8(quad + 2 * (width + r), vreinterpretq_s8_s16(vuzp2q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b))));
      continue;
    }
    int8x8x4_t inputs = vld4_s8(all + 4 * r);
    CK_UNROLL for (size_t i = 0; i < 4; i++) vst1_s8(quad + i * width + r, inputs.val[i]);
  }
}

// Codes [count][code_stride] to the panel, 16 inputs at a time.
static inline void interleave_codes(const int8_t *codes, size_t inputs, size_t count, const tile_codes *to) {
  size_t stride = code_stride(inputs), width = to->width;
  for (size_t k = 0; k < inputs; k += 16) {
    int8_t *part = to->panel + k * width;
    for (size_t r = 0; r < width; r += 4) {
      float32x4_t rows[4];
      CK_UNROLL for (size_t i = 0; i < 4; i++)
          rows[i] = r + i < count ? vreinterpretq_f32_s8(vld1q_s8(codes + (r + i) * stride + k)) : vdupq_n_f32(0);
      ck_transpose4(rows);
      CK_UNROLL for (size_t i = 0; i < 4; i++) vst1q_s8(part + 4 * (i * width + r), vreinterpretq_s8_f32(rows[i]));
    }
    if (to->together < 4)
      for (size_t i = 0; i < 4; i++) separate_inputs(part + 4 * i * width, width, to->together);
  }
}

static inline void quantize_row_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, int8_t *codes, tile_codes *to) {
  for (size_t r = 0; r < count; r++) {
    const float *row = x->data + (first + r) * x->stride;
    ck_affine affine = affine_of_row(x, row, inputs);
    note_affine(&affine, r, to);
    quantize_row(&affine, row, inputs, codes + r * code_stride(inputs));
  }
  interleave_codes(codes, inputs, count, to);
}

// ---- Feature-major X: 16 rows lie side by side already.

// Factors of `count` rows from row r of the tile on.
static inline void affines_of_features(const ck_sparse_input *x, size_t inputs, const float *from, size_t count, size_t r, float32x4_t inverse[4],
                                       int32x4_t zero[4], tile_codes *to) {
  float32x4_t lowest[4], highest[4];
  CK_UNROLL for (int i = 0; i < 4; i++) lowest[i] = highest[i] = vdupq_n_f32(0);
  for (size_t k = 0; k < inputs && x->fixed_scale == 0; k++) {
    float some[16];
    const float *row = sixteen(from + k * x->stride, count, some);
    CK_UNROLL for (int i = 0; i < 4; i++) widen_range(vld1q_f32(row + 4 * i), &lowest[i], &highest[i]);
  }
  float low[16], high[16], inverses[16];
  int32_t zeros[16];
  CK_UNROLL for (int i = 0; i < 4; i++) {
    vst1q_f32(low + 4 * i, lowest[i]);
    vst1q_f32(high + 4 * i, highest[i]);
  }
  for (size_t i = 0; i < 16; i++) {
    ck_affine affine = affine_of(x, low[i], high[i]);
    if (i < count) note_affine(&affine, r + i, to);
    inverses[i] = affine.inverse_scale;
    zeros[i] = affine.zero_point - 128;
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {
    inverse[i] = vld1q_f32(inverses + 4 * i);
    zero[i] = vld1q_s32(zeros + 4 * i);
  }
}

// Four inputs of 16 rows, or of 8, at their place in the panel.
CK_INLINE void store_inputs(const int8x16_t a[4], int rows, int8_t *quad, size_t r, const tile_codes *to) {
  if (to->together == 4) {
    int8x16_t q[4];
    interleave_inputs(a, rows, q);
    CK_UNROLL for (int i = 0; i < rows / 4; i++) vst1q_s8(quad + 4 * r + 16 * (size_t)i, q[i]);
    return;
  }
  if (to->together == 2) {
    CK_UNROLL for (size_t i = 0; i < 2; i++) {
      vst1q_s8(quad + 2 * (i * to->width + r), vzip1q_s8(a[2 * i], a[2 * i + 1]));
      if (rows > 8) vst1q_s8(quad + 2 * (i * to->width + r) + 16, vzip2q_s8(a[2 * i], a[2 * i + 1]));
    }
    return;
  }
  CK_UNROLL for (size_t i = 0; i < 4; i++) {
    if (rows == 16) vst1q_s8(quad + i * to->width + r, a[i]);
    else vst1_s8(quad + i * to->width + r, vget_low_s8(a[i]));
  }
}

static inline void quantize_feature_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, tile_codes *to) {
  for (size_t r = 0; r < count; r += 16) {
    float32x4_t inverse[4];
    int32x4_t zero[4];
    const float *from = x->data + first + r;
    affines_of_features(x, inputs, from, count - r < 16 ? count - r : 16, r, inverse, zero, to);
    for (size_t k = 0; k < inputs; k += 4) {
      int8x16_t a[4];
      CK_UNROLL for (size_t i = 0; i < 4; i++) {
        float some[16];
        a[i] = k + i < inputs ? codes_of(sixteen(from + (k + i) * x->stride, count - r, some), inverse, zero) : vdupq_n_s8(0);
      }
      if (to->width - r >= 16) store_inputs(a, 16, to->panel + k * to->width, r, to);
      else store_inputs(a, 8, to->panel + k * to->width, r, to);
    }
  }
}

// Rows first ..< first + count of X into the panel; `scratch` holds as many rows of codes, code_stride apart.
static inline void quantize_tile(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, int8_t *scratch, tile_codes *to) {
  memset(to->scales, 0, sizeof to->scales);
  memset(to->zero_points, 0, sizeof to->zero_points);
  if (x->layout == ck_row_major) quantize_row_major(x, inputs, first, count, scratch, to);
  else quantize_feature_major(x, inputs, first, count, to);
}

CK_TARGET_END

#endif
