// Choosing the blocks of a dense matrix to keep, and collecting them as block-CSR.
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "int8_weights.h"
#include "scalar.h"
#include "sparse.h"

// Adds the squares of one output to the norms of its strip, those of a block in the order of its inputs.
static void add_squares(const float *weights, size_t inputs, size_t block_columns, float *norms) {
  if (block_columns == 1) {
    for (size_t k = 0; k < inputs; k++) norms[k] += weights[k] * weights[k];
    return;
  }
  for (size_t first = 0; first < inputs; first += block_columns, norms++) {
    size_t end = inputs - first < block_columns ? inputs : first + block_columns;
    float sum = *norms;
    for (size_t k = first; k < end; k++) sum += weights[k] * weights[k];
    *norms = sum;
  }
}

CK_APART void block_norms(const float *dense, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, float *norms) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows;
  if (block_rows * block_columns == 1) {
    for (size_t i = 0; i < outputs * inputs; i++) norms[i] = fabsf(dense[i]);
    return;
  }
  memset(norms, 0, strips * across * sizeof *norms);
  for (size_t n = 0; n < outputs; n++) add_squares(dense + n * inputs, inputs, block_columns, norms + n / block_rows * across);
}

void ck_sparse_block_norms(const float *dense, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, float *norms) {
  uint64_t control = ck_begin_default_floats();
  block_norms(dense, inputs, outputs, block_rows, block_columns, norms);
  ck_end_default_floats(control);
}

static uint32_t magnitude_bits(float x) { return ck_bits_of_f32(x) & 0x7FFFFFFFu; }

enum { half_digits = 32768 };  // values of the upper 16 bits of a magnitude, half as many as of the lower ones

// Counts the upper 16 bits. Neighbours take two tallies in turn: equal ones would wait for each other.
static void tally_upper(const float *norms, size_t count, uint32_t *tally) {
  memset(tally, 0, 2 * half_digits * sizeof *tally);
  size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    tally[magnitude_bits(norms[i]) >> 16]++;
    tally[half_digits + (magnitude_bits(norms[i + 1]) >> 16)]++;
  }
  if (i < count) tally[magnitude_bits(norms[i]) >> 16]++;
  for (size_t digit = 0; digit < half_digits; digit++) tally[digit] += tally[half_digits + digit];
}

// Counts the lower 16 bits of the few numbers whose upper ones are `upper`: 16 at a time are asked for, which needs no branch each.
static void tally_lower(const float *norms, size_t count, uint32_t upper, uint32_t *tally) {
  memset(tally, 0, 2 * half_digits * sizeof *tally);
  for (size_t i = 0; i < count; i += 16) {
    size_t here = count - i < 16 ? count - i : 16;
    uint32_t any = here < 16;
    if (!any)
      for (size_t j = 0; j < 16; j++) any |= magnitude_bits(norms[i + j]) >> 16 == upper;
    if (!any) continue;
    for (size_t j = 0; j < here; j++) {
      uint32_t bits = magnitude_bits(norms[i + j]);
      if (bits >> 16 == upper) tally[bits & 0xFFFFu]++;
    }
  }
}

// The largest digit down to which `kept` numbers are counted, less the ones above it.
static uint32_t find_digit(const uint32_t *tally, uint32_t digit, size_t *kept) {
  while (tally[digit] < *kept) *kept -= tally[digit--];
  return digit;
}

// Magnitudes are ordered as their bits: two passes of counting find the bits of the smallest one kept. surplus: how many equal ones are not kept.
static uint32_t kept_threshold(const float *norms, size_t count, size_t kept, uint32_t *tally, size_t *surplus) {
  tally_upper(norms, count, tally);
  uint32_t upper = find_digit(tally, half_digits - 1, &kept);
  tally_lower(norms, count, upper, tally);
  uint32_t lower = find_digit(tally, 2 * half_digits - 1, &kept);
  *surplus = tally[lower] - kept;
  return upper << 16 | lower;
}

void ck_sparse_keep_largest(const float *norms, size_t count, size_t kept, uint32_t *tally, uint8_t *keep) {
  if (kept == 0) {
    memset(keep, 0, count);
    return;
  }
  size_t surplus;
  uint32_t threshold = kept_threshold(norms, count, kept, tally, &surplus);
  for (size_t i = 0; i < count; i++) keep[i] = magnitude_bits(norms[i]) >= threshold;
  for (size_t i = count; surplus > 0;) {
    if (magnitude_bits(norms[--i]) != threshold) continue;
    keep[i] = 0;
    surplus--;
  }
}

void ck_sparse_keep_masked(const uint8_t *mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, uint8_t *keep) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows;
  memset(keep, 0, strips * across);
  for (size_t n = 0; n < outputs; n++)
    for (size_t k = 0; k < inputs; k++) keep[n / block_rows * across + k / block_columns] |= mask[n * inputs + k] != 0;
}

// How many of these are not zero. In pieces that 16 bits can count.
static size_t count_marks(const uint8_t *marks, size_t count) {
  size_t all = 0;
  for (size_t first = 0; first < count; first += 32768) {
    size_t here = count - first < 32768 ? count - first : 32768;
    uint16_t sum = 0;
    for (size_t i = 0; i < here; i++) sum = (uint16_t)(sum + (marks[first + i] != 0));
    all += sum;
  }
  return all;
}

// Lists the marked ones of a strip, `count` of them. Each place is written until its mark has come: no branch that depends on the marks.
static void list_marks(const uint8_t *marks, size_t count, uint32_t *columns) {
  size_t at = 0;
  for (uint32_t column = 0; at < count; column++) {
    columns[at] = column;
    at += marks[column] != 0;
  }
}

// A dense matrix and its mask or null.
typedef struct dense_view {
  const float *dense;
  const uint8_t *mask;
  size_t inputs, outputs, block_rows, block_columns;
} dense_view;

// One block, zeros where it sticks out of the matrix or the mask is zero.
static void collect_block(const dense_view *v, size_t strip, size_t column, float *values) {
  size_t first_output = strip * v->block_rows, first_input = column * v->block_columns;
  int is_whole = first_output + v->block_rows <= v->outputs && first_input + v->block_columns <= v->inputs && v->mask == NULL;
  for (size_t r = 0; r < v->block_rows; r++)
    for (size_t c = 0; c < v->block_columns; c++) {
      size_t n = first_output + r, k = first_input + c;
      int is_inside = is_whole || (n < v->outputs && k < v->inputs && (v->mask == NULL || v->mask[n * v->inputs + k]));
      *values++ = is_inside ? v->dense[n * v->inputs + k] : 0.0f;
    }
}

// The blocks of one strip in `columns`.
static void collect_strip(const dense_view *v, size_t strip, const uint32_t *columns, size_t blocks, float *values) {
  size_t block = v->block_rows * v->block_columns;
  if (block == 1 && v->mask == NULL) {
    for (size_t b = 0; b < blocks; b++) values[b] = v->dense[strip * v->inputs + columns[b]];
    return;
  }
  for (size_t b = 0; b < blocks; b++) collect_block(v, strip, columns[b], values + b * block);
}

size_t ck_sparse_collect(const float *dense, const uint8_t *mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns,
                         const uint8_t *keep, uint32_t *offsets, uint32_t *columns, float *values) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows, blocks = 0;
  if (offsets == NULL) return count_marks(keep, strips * across);
  dense_view view = {dense, mask, inputs, outputs, block_rows, block_columns};
  for (size_t strip = 0; strip < strips; strip++) {
    size_t count = count_marks(keep + strip * across, across);
    offsets[strip] = (uint32_t)blocks;
    list_marks(keep + strip * across, count, columns + blocks);
    collect_strip(&view, strip, columns + blocks, count, values + blocks * block_rows * block_columns);
    blocks += count;
  }
  offsets[strips] = (uint32_t)blocks;
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
