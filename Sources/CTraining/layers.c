#include "layers.h"

#include <string.h>

void ck_gather_rows_f32(const float *source, size_t columns, const int64_t *indices, size_t count, float *destination) {
  for (size_t i = 0; i < count; i++)
    memcpy(destination + i * columns, source + (size_t)indices[i] * columns, columns * sizeof(float));
}

void ck_relu_forward_f32(const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void ck_relu_backward_f32(const float *y, const float *dy, float *dx, size_t count) {
  for (size_t i = 0; i < count; i++) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

void ck_add_column_sums_f32(const float *x, size_t rows, size_t columns, float *sums) {
  for (size_t m = 0; m < rows; m++, x += columns)
    for (size_t n = 0; n < columns; n++) sums[n] += x[n];
}

void ck_scale_f32(float *x, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) x[i] *= factor;
}

// x · 0 is 0 for finite numbers and NaN for others. Blocks let the sum be vectorized and the search stop early.
size_t ck_first_not_finite_f32(const float *x, size_t count) {
  enum { block = 1024 };
  for (size_t start = 0; start < count; start += block) {
    size_t end = start + block < count ? start + block : count;
    int32_t found = 0;
    for (size_t i = start; i < end; i++) found |= x[i] * 0.0f != 0.0f;
    if (found)
      for (size_t i = start; i < end; i++)
        if (x[i] * 0.0f != 0.0f) return i;
  }
  return count;
}

void ck_fill_rows_f32(const float *row, size_t rows, size_t columns, float *destination) {
  for (size_t m = 0; m < rows; m++, destination += columns)
    for (size_t n = 0; n < columns; n++) destination[n] = row[n];
}
