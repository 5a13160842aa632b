// Choosing the blocks of a dense matrix to keep, and collecting them as block-CSR.
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "elementwise.h"
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

// ---- Marks: bytes that are zero or not

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

// 64 marks as bits. A sum carries into the upper bit of a byte that is not zero; a product brings the upper bits of eight bytes together.
static uint64_t bits_of_marks(const uint8_t *marks) {
  const uint64_t lower = 0x7F7F7F7F7F7F7F7Full;
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++) {
    uint64_t eight;
    memcpy(&eight, marks + 8 * i, 8);
    eight = (((eight & lower) + lower) | eight) & ~lower;
    bits |= (eight >> 7) * 0x0102040810204080ull >> 56 << (8 * i);
  }
  return bits;
}

// Lists the places of the marks that are not zero, `listed` of them. As long as that stays within the list, 8 places are written at a time, of which
// the last may be no marks: branches that depend on single marks would be guessed wrong.
static void list_marks(const uint8_t *marks, size_t count, size_t listed, uint32_t *places) {
  size_t at = 0, first = 0;
  for (; first + 64 <= count; first += 64) {
    uint64_t bits = bits_of_marks(marks + first);
    size_t ones = (size_t)__builtin_popcountll(bits);
    if (at + ones + 7 > listed) break;
    for (size_t i = 0; i < ones; i += 8)
      for (size_t j = 0; j < 8; j++, bits &= bits - 1) places[at + i + j] = (uint32_t)(first + (size_t)__builtin_ctzll(bits | 1ull << 63));
    at += ones;
  }
  for (uint32_t place = (uint32_t)first; at < listed; place++) {
    places[at] = place;
    at += marks[place] != 0;
  }
}

// ---- Choosing

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

enum { sample_pieces = 4096, sample_piece = 8, sample_count = sample_pieces * sample_piece, sample_margin = sample_count / 80 };

// Bounds between which the smallest kept magnitude almost surely lies: those of a sample, more than 1 % of the numbers above and below its place.
static void guess_bounds(const float *norms, size_t count, size_t kept, uint32_t *tally, float *sample, uint32_t *low, uint32_t *high) {
  for (size_t piece = 0; piece < sample_pieces; piece++)
    memcpy(sample + piece * sample_piece, norms + piece * (count / sample_pieces), sample_piece * sizeof *sample);
  size_t rank = (size_t)((double)kept / (double)count * (double)sample_count), surplus;
  *high = rank > sample_margin ? kept_threshold(sample, sample_count, rank - sample_margin, tally, &surplus) : 0x7FFFFFFFu;
  *low = rank + sample_margin < sample_count ? kept_threshold(sample, sample_count, rank + sample_margin, tally, &surplus) : 0;
}

// Where the smallest kept magnitude almost surely lies, and what is found there: places and numbers, at most `capacity`.
typedef struct doubtful {
  uint32_t low, high;
  uint32_t *places;
  float *numbers;
  size_t capacity, count;
} doubtful;

enum { chunk = 4096, line_floats = 16, floats_ahead = 2048, largest_finite = 0x7F7FFFFF };

// Marks up to `chunk` numbers: 1 above the bounds, 2 between them, else 0; returns how many are above. With signs they compare in vectors on every
// processor. Numbers are fetched 8 KiB ahead: with loads of 128 bits a core reads at half of the memory's bandwidth otherwise.
static int mark_line(const float *line, int32_t least, int32_t most, uint8_t *restrict marks) {
  int32_t found[line_floats], wrong = 0;
  for (size_t i = 0; i < line_floats; i++) {
    int32_t bits = (int32_t)magnitude_bits(line[i]);
    found[i] = (bits >= least ? 2 : 0) - (bits > most ? 1 : 0);
    wrong |= bits > largest_finite ? 1 : 0;
  }
  for (size_t i = 0; i < line_floats; i++) marks[i] = (uint8_t)found[i];
  return wrong;
}

static size_t mark_by_bounds(const float *norms, size_t count, const doubtful *d, uint8_t *marks, int *wrong) {
  size_t first = 0;
  int32_t low = (int32_t)d->low, high = (int32_t)d->high;
  for (; first + line_floats <= count; first += line_floats) {
    __builtin_prefetch(norms + first + floats_ahead);
    *wrong |= mark_line(norms + first, low, high, marks + first);
  }
  if (first < count) {
    float line[line_floats] = {0};
    uint8_t found[line_floats];
    memcpy(line, norms + first, (count - first) * sizeof *line);
    *wrong |= mark_line(line, low, high, found);
    memcpy(marks + first, found, count - first);
  }
  uint16_t above = 0;
  for (size_t i = 0; i < count; i++) above = (uint16_t)(above + (marks[i] & 1));
  return above;
}

// Which of 64 marks are 2, as bits. A product brings the lowest bits of eight bytes together.
static uint64_t bits_of_twos(const uint8_t *marks) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++) {
    uint64_t eight;
    memcpy(&eight, marks + 8 * i, 8);
    bits |= (eight >> 1 & 0x0101010101010101ull) * 0x0102040810204080ull >> 56 << (8 * i);
  }
  return bits;
}

// Lists what the marks between `first` and `end` leave open. Four at a time of 64: seldom there are more. False if there is no room.
static int list_doubtful(const float *norms, size_t first, size_t end, const uint8_t *marks, doubtful *d) {
  size_t found = d->count;
  for (size_t start = first; start < end; start += 64) {
    uint8_t padded[64] = {0};
    const uint8_t *these = marks + start;
    if (end - start < 64) these = memcpy(padded, these, end - start);
    if (found + 68 > d->capacity) return 0;
    uint64_t bits = bits_of_twos(these);
    size_t ones = (size_t)__builtin_popcountll(bits);
    for (size_t i = 0; i < ones; i += 4)
      for (size_t j = 0; j < 4; j++, bits &= bits - 1) d->places[found + i + j] = (uint32_t)(start + (size_t)__builtin_ctzll(bits | 1ull << 63));
    found += ones;
  }
  for (size_t i = d->count; i < found; i++) d->numbers[i] = norms[d->places[i]];
  d->count = found;
  return 1;
}

// One pass over the numbers: marks all but those between the bounds, which it lists, and finds whether all are finite. False where they are too many or
// the bounds were guessed wrong.
static int mark_certain(const float *norms, size_t count, size_t kept, uint8_t *keep, doubtful *d, size_t *above, int *are_finite) {
  int wrong = 0;
  *above = 0;
  for (size_t first = 0; first < count; first += chunk) {
    size_t here = count - first < chunk ? count - first : chunk;
    *above += mark_by_bounds(norms + first, here, d, keep + first, &wrong);
    if (!list_doubtful(norms, first, first + here, keep, d)) return 0;
  }
  *are_finite = !wrong;
  return *above < kept && kept <= *above + d->count;
}

static void mark_doubtful(const doubtful *d, size_t kept, uint32_t *tally, uint8_t *keep) {
  size_t surplus;
  uint32_t threshold = kept_threshold(d->numbers, d->count, kept, tally, &surplus);
  for (size_t i = d->count; i-- > 0;) {
    uint32_t bits = magnitude_bits(d->numbers[i]);
    int is_surplus = bits == threshold && surplus > 0;
    keep[d->places[i]] = bits >= threshold && !is_surplus;
    surplus -= (size_t)is_surplus;
  }
}

static void mark_all(const float *norms, size_t count, size_t kept, uint32_t *tally, uint8_t *keep) {
  size_t surplus;
  uint32_t threshold = kept_threshold(norms, count, kept, tally, &surplus);
  for (size_t i = 0; i < count; i++) keep[i] = (int32_t)magnitude_bits(norms[i]) >= (int32_t)threshold;
  for (size_t i = count; surplus > 0;) {
    if (magnitude_bits(norms[--i]) != threshold) continue;
    keep[i] = 0;
    surplus--;
  }
}

size_t ck_sparse_keep_scratch(size_t count) { return 2 * half_digits + (count < 8 * sample_count ? 0 : count / 8); }

int ck_sparse_keep_largest(const float *norms, size_t count, size_t kept, uint32_t *scratch, uint8_t *keep) {
  if (kept == 0) {
    memset(keep, 0, count);
    return ck_first_not_finite_f32(norms, count) == count;
  }
  if (count >= 8 * sample_count) {
    int are_finite;
    size_t above, capacity = count / 16;
    doubtful d = {0, 0, scratch + 2 * half_digits, (float *)(void *)(scratch + 2 * half_digits + capacity), capacity, 0};
    guess_bounds(norms, count, kept, scratch, (float *)(void *)d.places, &d.low, &d.high);  // a sample needs no more room than both lists
    if (mark_certain(norms, count, kept, keep, &d, &above, &are_finite)) {
      mark_doubtful(&d, kept - above, scratch, keep);
      return are_finite;
    }
  }
  mark_all(norms, count, kept, scratch, keep);
  return ck_first_not_finite_f32(norms, count) == count;
}

void ck_sparse_keep_masked(const uint8_t *mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, uint8_t *keep) {
  size_t across = (inputs + block_columns - 1) / block_columns, strips = (outputs + block_rows - 1) / block_rows;
  memset(keep, 0, strips * across);
  for (size_t n = 0; n < outputs; n++)
    for (size_t k = 0; k < inputs; k++) keep[n / block_rows * across + k / block_columns] |= mask[n * inputs + k] != 0;
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
    const float *row = v->dense + strip * v->inputs;
    for (size_t b = 0; b < blocks; b++) {
      __builtin_prefetch(row + columns[b + 64 < blocks ? b + 64 : blocks - 1]);
      values[b] = row[columns[b]];
    }
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
    list_marks(keep + strip * across, across, count, columns + blocks);
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
