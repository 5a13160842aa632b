#include "quantize.h"

#include <math.h>
#include <string.h>

#include "dispatch.h"
#include "scalar.h"

void ck_row_range_f32__portable(const float *x, size_t rows, size_t columns, size_t stride, float *minimum, float *maximum) {
  for (size_t r = 0; r < rows; r++) {
    float low = INFINITY, high = -INFINITY;
    for (size_t c = 0; c < columns; c++) {  // a comparison with a NaN is false
      float value = x[r * stride + c];
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    minimum[r] = low == 0.0f ? 0.0f : low;
    maximum[r] = high == 0.0f ? 0.0f : high;
  }
}

void ck_row_absmax_f32__portable(const float *x, size_t rows, size_t columns, size_t stride, float *absmax) {
  for (size_t r = 0; r < rows; r++) {
    float high = 0.0f;
    for (size_t c = 0; c < columns; c++) {
      float magnitude = fabsf(x[r * stride + c]);
      high = magnitude > high ? magnitude : high;
    }
    absmax[r] = high;
  }
}

#define QUANTIZE_KERNEL(integer, code)                                                                                    \
  void ck_quantize_##integer##_f32__portable(const float *x, size_t count, float inverse_scale, int32_t zero_point,       \
                                             int32_t lowest, int32_t highest, code *codes) {                              \
    for (size_t i = 0; i < count; i++) codes[i] = (code)ck_code(x[i], inverse_scale, zero_point, lowest, highest);        \
  }

QUANTIZE_KERNEL(s8, int8_t)
QUANTIZE_KERNEL(u8, uint8_t)

void ck_dequantize_f32_s8__portable(const int8_t *codes, size_t count, float scale, int32_t zero_point, float *x) {
  for (size_t i = 0; i < count; i++) x[i] = scale * (float)(codes[i] - zero_point);
}

void ck_quantize_rows_u8_f32__portable(const float *x, size_t rows, size_t columns, size_t stride, int32_t highest, uint8_t *codes,
                                       size_t code_stride, float *scale, int32_t *zero_point) {
  for (size_t r = 0; r < rows; r++) {
    const float *row = x + r * stride;
    uint8_t *row_codes = codes + r * code_stride;
    float minimum, maximum;
    ck_row_range_f32__portable(row, 1, columns, columns, &minimum, &maximum);
    ck_affine map = ck_affine_of_range(minimum, maximum, highest);
    ck_quantize_u8_f32__portable(row, columns, map.inverse_scale, map.zero_point, 0, highest, row_codes);
    memset(row_codes + columns, 0, code_stride - columns);
    scale[r] = map.scale;
    zero_point[r] = map.zero_point;
  }
}
