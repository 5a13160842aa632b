#include "quantization.h"

#include <math.h>
#include <string.h>

#include "loops.h"
#include "scalar.h"

CK_INLINE void ck_fake_codes_f32_body(const float *restrict x, size_t count, float inverse_scale, float lowest, float highest,
                                      float *restrict codes) {
  for (size_t i = 0; i < count; i++) {
    float v = x[i] * inverse_scale;
    v = v > lowest ? v : lowest;
    v = v < highest ? v : highest;
    codes[i] = (float)ck_rint_even(v);
  }
}

CK_INLINE void ck_fake_signs_f32_body(const float *x, size_t count, float *codes) {
  for (size_t i = 0; i < count; i++) codes[i] = x[i] >= 0.0f ? 1.0f : -1.0f;
}

CK_INLINE void ck_widen_codes_f32_u8_body(const uint8_t *u8, size_t count, int32_t zero_point, float *codes) {
  for (size_t i = 0; i < count; i++) codes[i] = (float)(u8[i] - zero_point);
}

CK_INLINE void ck_narrow_codes_s8_f32_body(const float *codes, size_t count, int8_t *s8) {
  for (size_t i = 0; i < count; i++) s8[i] = (int8_t)codes[i];
}

float ck_largest_row_sum_f32(const float *codes, size_t rows, size_t columns) {
  float largest = 0;
  for (size_t r = 0; r < rows; r++, codes += columns) {
    float sum[8] = {0};
    size_t c = 0;
    for (; c + 8 <= columns; c += 8)
      for (size_t i = 0; i < 8; i++) sum[i] += fabsf(codes[c + i]);
    for (; c < columns; c++) sum[0] += fabsf(codes[c]);
    float all = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    largest = all > largest ? all : largest;
  }
  return largest;
}

CK_INLINE void ck_add_sums_s32_body(const float *sums, size_t count, int32_t *totals) {
  for (size_t i = 0; i < count; i++) totals[i] += (int32_t)sums[i];
}

CK_INLINE void ck_scale_sums_f32_body(const int32_t *totals, size_t rows, size_t columns, const float *x_scales, const float *w_scales,
                                      const float *bias, float *y) {
  for (size_t m = 0; m < rows; m++, y += columns) {
    const float scale = x_scales[m];
    // Through an integer, so that a sum of zero has no sign.
    if (totals == NULL)
      for (size_t n = 0; n < columns; n++) y[n] = (float)(int32_t)y[n] * (scale * w_scales[n]);
    else
      for (size_t n = 0; n < columns; n++) y[n] = (float)totals[m * columns + n] * (scale * w_scales[n]);
    if (bias != NULL)
      for (size_t n = 0; n < columns; n++) y[n] += bias[n];
  }
}

CK_INLINE void ck_scale_each_row_f32_body(const float *x, size_t rows, size_t columns, const float *scales, float *y) {
  for (size_t m = 0; m < rows; m++)
    for (size_t n = 0; n < columns; n++) y[m * columns + n] = x[m * columns + n] * scales[m];
}

CK_INLINE double ck_lsq_gradient_f32_body(const float *x, const float *codes, size_t count, float inverse_scale, float lowest, float highest,
                                          const float *gradient, float *x_gradient) {
  double total = 0;
  size_t i = 0;
  // Pieces that are summed in float32, eight lanes wide.
  while (i < count) {
    size_t end = count - i < 512 ? count : i + 512;
    float part[8] = {0};
    for (; i + 8 <= end; i += 8)
      for (size_t j = 0; j < 8; j++) {
        float v = x[i + j] * inverse_scale, g = gradient[i + j];
        int inside = (v > lowest) & (v < highest);
        part[j] += g * (codes[i + j] - (inside ? v : 0.0f));
        x_gradient[i + j] = inside ? g : 0.0f;
      }
    for (; i < end; i++) {
      float v = x[i] * inverse_scale, g = gradient[i];
      int inside = (v > lowest) & (v < highest);
      part[0] += g * (codes[i] - (inside ? v : 0.0f));
      x_gradient[i] = inside ? g : 0.0f;
    }
    for (size_t j = 0; j < 8; j++) total += part[j];
  }
  return total;
}

CK_INLINE void ck_add_column_sums_f64_body(const float *x, size_t rows, size_t columns, double *sums) {
  for (size_t r = 0; r < rows; r++, x += columns)
    for (size_t c = 0; c < columns; c++) sums[c] += x[c];
}

#define CK_LOOPS_OF_QUANTIZATION
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
