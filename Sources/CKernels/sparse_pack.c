// Packed layout of sparse weights: from block-CSR and back. Used by every instruction set.
#include <string.h>

#include "sparse.h"

// Sorts the strips of one slice by their counts: lists the non-empty ones in `order`, ascending by count and strip, writes their
// runs where `runs` is not null, and returns the number of runs. tally: zeros up to the largest count; left as zeros.
static size_t sort_strips(const uint32_t *counts, size_t strips, uint32_t largest, uint32_t *tally, uint32_t *order, ck_sparse_run *runs) {
  for (size_t s = 0; s < strips; s++) tally[counts[s]]++;
  size_t run_count = 0;
  uint32_t place = 0;
  for (uint32_t count = 1; count <= largest; count++) {
    uint32_t number = tally[count];
    if (number > 0) {
      if (runs != NULL) runs[run_count] = (ck_sparse_run){number, count};
      run_count++;
    }
    tally[count] = place;
    place += number;
  }
  if (order != NULL)
    for (size_t s = 0; s < strips; s++)
      if (counts[s] > 0) order[tally[counts[s]]++] = (uint32_t)s;
  memset(tally, 0, (largest + 1) * sizeof *tally);
  return run_count;
}

typedef struct slicer {
  size_t strips, slices, blocks_per_slice;
  uint32_t *cursor, *counts, *order, *tally;
} slicer;

static slicer make_slicer(size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, size_t slice_inputs, uint32_t *scratch) {
  size_t strips = (outputs + block_rows - 1) / block_rows;
  memset(scratch, 0, ck_sparse_pack_scratch(inputs, outputs, block_rows) * sizeof *scratch);
  return (slicer){strips, (inputs + slice_inputs - 1) / slice_inputs, slice_inputs / block_columns, scratch, scratch + strips, scratch + 2 * strips,
                  scratch + 3 * strips};
}

// Counts the blocks of each strip in slice `slice` from the cursors on; returns the largest count.
static uint32_t count_slice(const slicer *s, size_t slice, const uint32_t *offsets, const uint32_t *columns, size_t *listed) {
  uint32_t end = (uint32_t)((slice + 1) * s->blocks_per_slice), largest = 0;
  *listed = 0;
  for (size_t strip = 0; strip < s->strips; strip++) {
    uint32_t first = offsets[strip] + s->cursor[strip], b = first;
    while (b < offsets[strip + 1] && columns[b] < end) b++;
    s->counts[strip] = b - first;
    *listed += b > first;
    largest = s->counts[strip] > largest ? s->counts[strip] : largest;
  }
  return largest;
}

ck_sparse_sizes ck_sparse_f32_sizes(size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, size_t slice_inputs,
                                    const uint32_t *offsets, const uint32_t *columns, uint32_t *scratch) {
  slicer s = make_slicer(inputs, outputs, block_rows, block_columns, slice_inputs, scratch);
  ck_sparse_sizes sizes = {s.slices, 0, 0, offsets[s.strips] - offsets[0], (offsets[s.strips] - offsets[0]) * block_rows * block_columns};
  for (size_t slice = 0; slice < s.slices; slice++) {
    size_t listed;
    uint32_t largest = count_slice(&s, slice, offsets, columns, &listed);
    sizes.runs += sort_strips(s.counts, s.strips, largest, s.tally, NULL, NULL);
    sizes.strips += listed;
    for (size_t strip = 0; strip < s.strips; strip++) s.cursor[strip] += s.counts[strip];
  }
  return sizes;
}

void ck_sparse_f32_pack(size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, size_t slice_inputs, const uint32_t *offsets,
                        const uint32_t *columns, const float *values, uint32_t *scratch, const ck_sparse_arrays *arrays, float *packed) {
  slicer s = make_slicer(inputs, outputs, block_rows, block_columns, slice_inputs, scratch);
  uint16_t *column = arrays->columns;
  uint32_t *strips = arrays->strips;
  ck_sparse_run *runs = arrays->runs;
  size_t block = block_rows * block_columns;
  for (size_t slice = 0; slice < s.slices; slice++) {
    size_t listed;
    uint32_t largest = count_slice(&s, slice, offsets, columns, &listed);
    arrays->run_starts[slice] = (uint32_t)(runs - arrays->runs);
    runs += sort_strips(s.counts, s.strips, largest, s.tally, s.order, runs);
    for (size_t i = 0; i < listed; i++) {
      uint32_t strip = s.order[i], first = offsets[strip] + s.cursor[strip];
      *strips++ = strip;
      for (uint32_t b = first; b < first + s.counts[strip]; b++) {
        *column++ = (uint16_t)(columns[b] - slice * s.blocks_per_slice);
        for (size_t c = 0; c < block_columns; c++)
          for (size_t r = 0; r < block_rows; r++) *packed++ = values[b * block + r * block_columns + c];
      }
    }
    for (size_t strip = 0; strip < s.strips; strip++) s.cursor[strip] += s.counts[strip];
  }
  arrays->run_starts[s.slices] = (uint32_t)(runs - arrays->runs);
}

// ---- int8

// Splits four weights into two sets whose pairs cannot saturate; whether the second has anything in it.
static int split_quad(const int8_t w[4], int8_t safe[4], int8_t rest[4]) {
  int found = 0;
  for (int pair = 0; pair < 4; pair += 2) {
    int sum = w[pair] + w[pair + 1], is_unsafe = sum > 128 || sum < -128;
    for (int i = pair; i < pair + 2; i++) {
      int kept = !is_unsafe ? w[i] : w[i] > 64 ? 64 : w[i] < -64 ? -64 : w[i];
      safe[i] = (int8_t)kept;
      rest[i] = (int8_t)(w[i] - kept);
    }
    found |= is_unsafe;
  }
  return found;
}

// Quad `q` of a strip whose blocks are first ..< end: the four weights of row r. Canonical blocks are [R][C].
static void quad_weights(const int8_t *codes, size_t block_rows, size_t block_columns, uint32_t first, uint32_t end, size_t q, size_t r, int8_t w[4]) {
  for (size_t i = 0; i < 4; i++) {
    if (block_columns == 1) {
      size_t b = first + 4 * q + i;
      w[i] = b < end ? codes[b * block_rows + r] : 0;
    } else {
      size_t per_block = block_columns / 4, b = first + q / per_block;
      w[i] = codes[(b * block_rows + r) * block_columns + q % per_block * 4 + i];
    }
  }
}

static size_t strip_quads(size_t block_columns, uint32_t blocks) {
  return block_columns == 1 ? (blocks + 3) / 4 : blocks * (block_columns / 4);
}

static int quad_is_split(const int8_t *codes, size_t block_rows, size_t block_columns, uint32_t first, uint32_t end, size_t q) {
  int split = 0;
  for (size_t r = 0; r < block_rows; r++) {
    int8_t w[4], safe[4], rest[4];
    quad_weights(codes, block_rows, block_columns, first, end, q, r, w);
    split |= split_quad(w, safe, rest);
  }
  return split;
}

// Quads of each strip, split ones counted twice, into counts; returns the largest.
static uint32_t count_quads(const slicer *s, size_t block_rows, size_t block_columns, const uint32_t *offsets, const int8_t *codes, ck_sparse_sizes *sizes) {
  uint32_t largest = 0;
  for (size_t strip = 0; strip < s->strips; strip++) {
    uint32_t first = offsets[strip], end = offsets[strip + 1];
    size_t quads = strip_quads(block_columns, end - first), all = quads;
    for (size_t q = 0; q < quads; q++) all += (size_t)quad_is_split(codes, block_rows, block_columns, first, end, q);
    s->counts[strip] = (uint32_t)all;
    largest = all > largest ? (uint32_t)all : largest;
    sizes->strips += all > 0;
    sizes->columns += all * (block_columns == 1 ? 4 : 1);
    sizes->values += all * block_rows * 4;
  }
  return largest;
}

ck_sparse_sizes ck_sparse_s8_sizes(size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, const uint32_t *offsets,
                                   const int8_t *codes, uint32_t *scratch) {
  slicer s = make_slicer(inputs, outputs, block_rows, block_columns, inputs, scratch);
  ck_sparse_sizes sizes = {1, 0, 0, 0, 0};
  uint32_t largest = count_quads(&s, block_rows, block_columns, offsets, codes, &sizes);
  sizes.runs = sort_strips(s.counts, s.strips, largest, s.tally, NULL, NULL);
  return sizes;
}

void ck_sparse_s8_pack(size_t inputs, size_t outputs, size_t block_rows, size_t block_columns, const uint32_t *offsets, const uint32_t *columns,
                       const int8_t *codes, uint32_t *scratch, const ck_sparse_arrays *arrays, int8_t *packed, int32_t *sums) {
  slicer s = make_slicer(inputs, outputs, block_rows, block_columns, inputs, scratch);
  ck_sparse_sizes sizes = {1, 0, 0, 0, 0};
  uint32_t largest = count_quads(&s, block_rows, block_columns, offsets, codes, &sizes);
  arrays->run_starts[0] = 0;
  arrays->run_starts[1] = (uint32_t)sort_strips(s.counts, s.strips, largest, s.tally, arrays->strips, arrays->runs);
  memset(sums, 0, outputs * sizeof *sums);
  uint16_t *column = arrays->columns;
  for (size_t i = 0; i < sizes.strips; i++) {
    uint32_t strip = arrays->strips[i], first = offsets[strip], end = offsets[strip + 1];
    for (size_t q = 0; q < strip_quads(block_columns, end - first); q++) {
      int copies = 1 + quad_is_split(codes, block_rows, block_columns, first, end, q);
      for (int copy = 0; copy < copies; copy++) {
        if (block_columns == 1) {
          for (size_t j = 0; j < 4; j++) *column++ = (uint16_t)columns[first + 4 * q + j < end ? first + 4 * q + j : first];
        } else {
          size_t per_block = block_columns / 4;
          *column++ = (uint16_t)(columns[first + q / per_block] * per_block + q % per_block);
        }
        for (size_t r = 0; r < block_rows; r++, packed += 4) {
          int8_t w[4], safe[4], rest[4];
          quad_weights(codes, block_rows, block_columns, first, end, q, r, w);
          split_quad(w, safe, rest);
          memcpy(packed, copy == 0 ? safe : rest, 4);
          size_t n = strip * block_rows + r;
          for (int j = 0; j < 4 && n < outputs; j++) sums[n] += packed[j];
        }
      }
    }
  }
}

// ---- Unpacking

void ck_sparse_f32_unpack(const ck_sparse_f32 *w, float *dense) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *column = t->columns;
  const float *value = w->values;
  for (size_t slice = 0; slice < t->slices; slice++)
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++)
      for (uint32_t i = 0; i < t->runs[run].strips; i++, strip++)
        for (uint32_t b = 0; b < t->runs[run].blocks; b++, column++)
          for (size_t c = 0; c < t->block_columns; c++)
            for (size_t r = 0; r < t->block_rows; r++, value++) {
              size_t n = *strip * t->block_rows + r, k = slice * t->slice_inputs + *column * t->block_columns + c;
              if (n < t->outputs && k < t->inputs) dense[n * t->inputs + k] += *value;
            }
}

void ck_sparse_s8_unpack(const ck_sparse_s8 *w, float *dense) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *column = t->columns;
  const int8_t *value = w->values;
  int is_gathered = t->block_columns == 1;
  for (uint32_t run = 0; run < t->run_starts[1]; run++)
    for (uint32_t i = 0; i < t->runs[run].strips; i++, strip++)
      for (uint32_t q = 0; q < t->runs[run].blocks; q++, column += is_gathered ? 4 : 1)
        for (size_t r = 0; r < t->block_rows; r++)
          for (size_t j = 0; j < 4; j++, value++) {
            size_t n = *strip * t->block_rows + r, k = is_gathered ? column[j] : (size_t)*column * 4 + j;
            if (n < t->outputs && k < t->inputs) dense[n * t->inputs + k] += (float)*value;
          }
  // A split weight is whole again before it is scaled.
  for (size_t n = 0; n < t->outputs; n++)
    for (size_t k = 0; k < t->inputs; k++) dense[n * t->inputs + k] *= w->scales[n];
}

#if defined(__x86_64__)
size_t ck_sparse_f32_workspace_bytes__avx2(const ck_sparse_structure *w);
size_t ck_sparse_s8_workspace_bytes__avx2(const ck_sparse_structure *w);
#endif

size_t ck_sparse_workspace_bytes(const ck_sparse_structure *w, int is_s8) {
#if defined(__x86_64__)
  return 64 + (is_s8 ? ck_sparse_s8_workspace_bytes__avx2(w) : ck_sparse_f32_workspace_bytes__avx2(w));
#else
  (void)w, (void)is_s8;
  return 64;
#endif
}
