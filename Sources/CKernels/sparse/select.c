// Choosing the blocks of a dense matrix to keep, and collecting them as block-CSR.
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "int8_weights.h"
#include "scalar.h"
#include "sparse.h"

CK_APART void block_norms(const float *dense, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, float *norms) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows;
  memset(norms, 0, strips * across * sizeof *norms);
  for (size_t n = 0; n < outputs; n++) {
    float *row = norms + n / block_rows * across;
    if (block_rows * block_columns == 1) {
      for (size_t k = 0; k < inputs; k++) row[k] = fabsf(dense[n * inputs + k]);
    } else {
      for (size_t k = 0; k < inputs; k++) row[k / block_columns] += dense[n * inputs + k] * dense[n * inputs + k];
    }
  }
}

void ck_sparse_block_norms(const float *dense, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, float *norms) {
  uint64_t control = ck_begin_default_floats();
  block_norms(dense, inputs, outputs, block_rows, block_columns, norms);
  ck_end_default_floats(control);
}

// Numbers that are not negative are ordered as their bits: two passes of counting find the bits of the smallest one kept.
static uint32_t kept_threshold(const float *norms, size_t count, size_t kept, uint32_t tally[65536], size_t *equal_kept) {
  uint32_t high = 0;
  for (int pass = 0; pass < 2; pass++) {
    memset(tally, 0, 65536 * sizeof *tally);
    for (size_t i = 0; i < count; i++) {
      uint32_t bits = ck_bits_of_f32(norms[i]) & 0x7FFFFFFFu;
      if (pass == 0) tally[bits >> 16]++;
      if (pass == 1 && bits >> 16 == high) tally[bits & 0xFFFFu]++;
    }
    uint32_t digit = 65535;
    while (tally[digit] < kept) kept -= tally[digit--];
    if (pass == 1) {
      *equal_kept = kept;
      return high << 16 | digit;
    }
    high = digit;
  }
  return 0;
}

void ck_sparse_keep_largest(const float *norms, size_t count, size_t kept, uint32_t *tally, uint8_t *keep) {
  memset(keep, 0, count);
  if (kept == 0) return;
  size_t equal_kept = 0;
  uint32_t threshold = kept_threshold(norms, count, kept, tally, &equal_kept);
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = ck_bits_of_f32(norms[i]) & 0x7FFFFFFFu;
    if (bits > threshold) keep[i] = 1;
    if (bits == threshold && equal_kept > 0) {
      keep[i] = 1;
      equal_kept--;
    }
  }
}

void ck_sparse_keep_masked(const uint8_t *mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, uint8_t *keep) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows;
  memset(keep, 0, strips * across);
  for (size_t n = 0; n < outputs; n++)
    for (size_t k = 0; k < inputs; k++) keep[n / block_rows * across + k / block_columns] |= mask[n * inputs + k] != 0;
}

size_t ck_sparse_collect(const float *dense, const uint8_t *mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns,
                         const uint8_t *keep, uint32_t *offsets, uint32_t *columns, float *values) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows, blocks = 0;
  for (size_t strip = 0; strip < strips; strip++) {
    if (offsets != NULL) offsets[strip] = (uint32_t)blocks;
    for (size_t column = 0; column < across; column++) {
      if (!keep[strip * across + column]) continue;
      if (offsets != NULL) {
        columns[blocks] = (uint32_t)column;
        for (size_t r = 0; r < block_rows; r++)
          for (size_t c = 0; c < block_columns; c++) {
            size_t n = strip * block_rows + r, k = column * block_columns + c;
            int is_inside = n < outputs && k < inputs && (mask == NULL || mask[n * inputs + k]);
            *values++ = is_inside ? dense[n * inputs + k] : 0.0f;
          }
      }
      blocks++;
    }
  }
  if (offsets != NULL) offsets[strips] = (uint32_t)blocks;
  return blocks;
}

CK_APART void quantize(size_t outputs, size_t block_rows, size_t block_columns, const uint32_t *offsets, const float *values,
                       float shared_largest, float *scales, int8_t *codes) {
  size_t block = block_rows * block_columns;
  for (size_t n = 0; n < outputs; n++) {
    size_t strip = n / block_rows, row = n % block_rows * block_columns;
    float largest = shared_largest;
    for (size_t b = offsets[strip]; b < offsets[strip + 1] && shared_largest == 0; b++)
      for (size_t c = 0; c < block_columns; c++) largest = fmaxf(largest, fabsf(values[b * block + row + c]));
    ck_int8_scale scale = ck_int8_scale_of(largest);
    scales[n] = scale.scale;
    for (size_t b = offsets[strip]; b < offsets[strip + 1]; b++)
      for (size_t c = 0; c < block_columns; c++) codes[b * block + row + c] = ck_int8_code(values[b * block + row + c], scale);
  }
  // Rows of the last strip beyond N.
  for (size_t n = outputs; n % block_rows != 0; n++)
    for (size_t b = offsets[n / block_rows]; b < offsets[n / block_rows + 1]; b++)
      memset(codes + b * block + n % block_rows * block_columns, 0, block_columns);
}

void ck_sparse_quantize(size_t outputs, size_t block_rows, size_t block_columns, const uint32_t *offsets, const float *values,
                        float shared_largest, float *scales, int8_t *codes) {
  uint64_t control = ck_begin_default_floats();
  quantize(outputs, block_rows, block_columns, offsets, values, shared_largest, scales, codes);
  ck_end_default_floats(control);
}
