#include "elementwise.h"

void ck_relu_f32(float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = y[i] < 0.0f ? 0.0f : y[i];
}

void ck_add_bias_f32(float *y, size_t rows, size_t columns, const float *bias) {
  for (size_t m = 0; m < rows; m++, y += columns)
    for (size_t n = 0; n < columns; n++) y[n] += bias[n];
}

void ck_add_row_bias_f32(float *y, size_t rows, size_t columns, const float *bias) {
  for (size_t n = 0; n < rows; n++, y += columns)
    for (size_t m = 0; m < columns; m++) y[m] += bias[n];
}
