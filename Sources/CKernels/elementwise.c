#include "elementwise.h"

#include "scalar.h"

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

// The exponents of infinities and NaNs are all ones. Asked for a line of numbers at a time, without a branch for each, and fetched 8 KiB ahead: of
// memory, with loads of 128 bits alone, one core reads at half of its bandwidth (64 MiB on an Emerald Rapids: 8.3 → 4.4 ms).
enum { line_floats = 16, lines_at_once = 16, floats_ahead = 2048 };

static int are_finite(const float *x, size_t lines) {
  uint32_t wrong = 0;
  for (size_t i = 0; i < lines; i++, x += line_floats) {
    __builtin_prefetch(x + floats_ahead);
    for (size_t j = 0; j < line_floats; j++) wrong |= (uint32_t)((ck_bits_of_f32(x[j]) & 0x7F800000u) == 0x7F800000u);
  }
  return wrong == 0;
}

size_t ck_first_not_finite_f32(const float *x, size_t count) {
  const size_t step = line_floats * lines_at_once;
  size_t first = 0;
  while (count - first >= step && are_finite(x + first, lines_at_once)) first += step;
  while (first < count && (ck_bits_of_f32(x[first]) & 0x7F800000u) != 0x7F800000u) first++;
  return first;
}
