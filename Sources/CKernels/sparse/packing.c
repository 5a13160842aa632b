// Packed layout of sparse weights: from block-CSR and back. Used by every instruction set.
#include <string.h>

#include "layout.h"

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
  uint32_t *places, *sorted;  // [K] each
} slicer;

static slicer view_slicer(const ck_sparse_blocks *m, uint32_t *scratch) {
  size_t strips = (m->outputs + m->block_rows - 1) / m->block_rows, inputs = m->inputs;
  return (slicer){strips, (inputs + m->slice_inputs - 1) / m->slice_inputs, m->slice_inputs / m->block_columns, scratch, scratch + strips, scratch + 2 * strips,
                  scratch + 3 * strips, scratch + 3 * strips + inputs + 8, scratch + 3 * strips + 2 * inputs + 8};
}

static slicer make_slicer(const ck_sparse_blocks *m, uint32_t *scratch) {
  memset(scratch, 0, ck_sparse_pack_scratch(m->inputs, m->outputs, m->block_rows) * sizeof *scratch);
  return view_slicer(m, scratch);
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

ck_sparse_sizes ck_sparse_f32_sizes_strips(const ck_sparse_blocks *m, uint32_t *scratch) {
  slicer s = make_slicer(m, scratch);
  size_t blocks = m->offsets[s.strips] - m->offsets[0];
  ck_sparse_sizes sizes = {s.slices, 0, 0, blocks, blocks * m->block_rows * m->block_columns};
  for (size_t slice = 0; slice < s.slices; slice++) {
    size_t listed;
    uint32_t largest = count_slice(&s, slice, m->offsets, m->columns, &listed);
    sizes.runs += sort_strips(s.counts, s.strips, largest, s.tally, NULL, NULL);
    sizes.strips += listed;
    for (size_t strip = 0; strip < s.strips; strip++) s.cursor[strip] += s.counts[strip];
  }
  return sizes;
}

// Packs `blocks` blocks of a strip, [R][C] each, as [C][R]. With one row or one column that is the same.
static float *pack_blocks(const float *values, size_t blocks, size_t block_rows, size_t block_columns, float *packed) {
  size_t block = block_rows * block_columns;
  if (block_rows == 1 || block_columns == 1) {
    for (size_t i = 0; i < blocks * block; i++) packed[i] = values[i];
    return packed + blocks * block;
  }
  for (size_t b = 0; b < blocks; b++, values += block)
    for (size_t c = 0; c < block_columns; c++)
      for (size_t r = 0; r < block_rows; r++) *packed++ = values[r * block_columns + c];
  return packed;
}

void ck_sparse_f32_pack_strips(const ck_sparse_blocks *m, const float *values, uint32_t *scratch, const ck_sparse_arrays *arrays, float *packed) {
  slicer s = make_slicer(m, scratch);
  size_t block_rows = m->block_rows, block_columns = m->block_columns;
  const uint32_t *offsets = m->offsets, *columns = m->columns;
  uint16_t *column = arrays->columns;
  uint32_t *strips = arrays->strips;
  ck_sparse_run *runs = arrays->runs;
  size_t block = block_rows * block_columns, written = 0, all = offsets[s.strips] - offsets[0];
  for (size_t slice = 0; slice < s.slices; slice++) {
    size_t listed;
    uint32_t largest = count_slice(&s, slice, m->offsets, m->columns, &listed);
    arrays->run_starts[slice] = (uint32_t)(runs - arrays->runs);
    runs += sort_strips(s.counts, s.strips, largest, s.tally, s.order, runs);
    for (size_t i = 0; i < listed; i++) {
      uint32_t strip = s.order[i], first = offsets[strip] + s.cursor[strip];
      *strips++ = strip;
      uint32_t blocks = s.counts[strip], slice_start = (uint32_t)(slice * s.blocks_per_slice);
      // Whole vectors where both sides have room for what lies behind the last one, and is written over: the number of rounds would be guessed wrong.
      size_t padded = ((size_t)blocks + 15) / 16 * 16;
      if (block == 1 && first + padded <= offsets[s.strips] && written + padded <= all) {
        for (size_t b = 0; b < padded; b += 16)
          for (size_t j = b; j < b + 16; j++) column[j] = (uint16_t)(columns[first + j] - slice_start), packed[j] = values[first + j];
        packed += blocks;
      } else {
        for (uint32_t b = 0; b < blocks; b++) column[b] = (uint16_t)(columns[first + b] - slice_start);
        packed = pack_blocks(values + first * block, blocks, block_rows, block_columns, packed);
      }
      column += blocks;
      written += blocks;
    }
    for (size_t strip = 0; strip < s.strips; strip++) s.cursor[strip] += s.counts[strip];
  }
  arrays->run_starts[s.slices] = (uint32_t)(runs - arrays->runs);
}

// ---- int8

static int pair_is_unsafe(const int8_t w[2]) {
  int sum = w[0] + w[1];
  return sum > 128 || sum < -128;
}

// Splits four weights into two sets whose pairs cannot saturate.
static void split_quad(const int8_t w[4], int8_t safe[4], int8_t rest[4]) {
  for (int i = 0; i < 4; i++) {
    int kept = !pair_is_unsafe(w + i / 2 * 2) ? w[i] : w[i] > 64 ? 64 : w[i] < -64 ? -64 : w[i];
    safe[i] = (int8_t)kept;
    rest[i] = (int8_t)(w[i] - kept);
  }
}

// Where order_singles sorts a weight, multiplied by the more frequent sign, to: the largest first, the other sign last.
enum { other_sign = 129 };
static int bucket_of(int code) { return code < 0 ? other_sign : 128 - code; }

// An order of single weights in which pairs of neighbours are seldom unsafe: weights of one sign meet those of the other, of the more frequent
// sign the largest ones; what is left has one sign, and its largest meet its smallest where that is safe. Magnitude pruning leaves large
// weights: in the order of their inputs every fourth pair would be unsafe.
static void order_singles(const int8_t *codes, size_t count, uint32_t *places, uint32_t *sorted) {
  size_t negatives = 0, at = 0;
  for (size_t i = 0; i < count; i++) negatives += codes[i] < 0;
  int sign = 2 * negatives > count ? -1 : 1;
  uint32_t starts[other_sign + 1] = {0}, next = 0;
  for (size_t i = 0; i < count; i++) starts[bucket_of(codes[i] * sign)]++;
  for (int bucket = 0; bucket <= other_sign; bucket++) {
    uint32_t number = starts[bucket];
    starts[bucket] = next;
    next += number;
  }
  size_t frequent = starts[other_sign], rare = count - frequent;
  for (uint32_t i = 0; i < count; i++) sorted[starts[bucket_of(codes[i] * sign)]++] = i;
  for (size_t i = 0; i < rare; i++) {
    places[at++] = sorted[i];
    places[at++] = sorted[frequent + i];
  }
  size_t large = rare, small = frequent;
  while (small - large >= 2) {
    int sum = codes[sorted[large]] + codes[sorted[small - 1]];
    places[at++] = sorted[large++];
    places[at++] = sum > 128 || sum < -128 ? sorted[large++] : sorted[--small];
  }
  if (small > large) places[at] = sorted[large];
}

// The blocks of one strip as quads take them. Canonical blocks are [R][C].
typedef struct strip_view {
  const int8_t *codes;
  size_t block_rows, block_columns, blocks, quads;
  const uint32_t *places;  // of single weights: their order; else null
} strip_view;

static strip_view view_strip(const slicer *s, const ck_sparse_blocks *m, const int8_t *codes, int is_safe, size_t strip) {
  const uint32_t *offsets = m->offsets;
  size_t block_rows = m->block_rows, block_columns = m->block_columns;
  size_t blocks = offsets[strip + 1] - offsets[strip], is_single = is_safe && block_rows == 1 && block_columns == 1;
  strip_view view = {codes + offsets[strip] * block_rows * block_columns, block_rows, block_columns, blocks,
                     block_columns == 1 ? (blocks + 3) / 4 : blocks * (block_columns / 4), is_single ? s->places : NULL};
  if (is_single) order_singles(view.codes, blocks, s->places, s->sorted);
  return view;
}

// Which block of the strip is number `i` of its quads, C = 1.
static size_t block_of(const strip_view *v, size_t i) { return v->places != NULL ? v->places[i] : i; }

// Quad `q`: the four weights of row r.
static void quad_weights(const strip_view *v, size_t q, size_t r, int8_t w[4]) {
  for (size_t i = 0; i < 4; i++) {
    if (v->block_columns == 1) {
      w[i] = 4 * q + i < v->blocks ? v->codes[block_of(v, 4 * q + i) * v->block_rows + r] : 0;
    } else {
      size_t per_block = v->block_columns / 4, b = q / per_block;
      w[i] = v->codes[(b * v->block_rows + r) * v->block_columns + q % per_block * 4 + i];
    }
  }
}

static int quad_is_split(const strip_view *v, size_t q) {
  for (size_t r = 0; r < v->block_rows; r++) {
    int8_t w[4];
    quad_weights(v, q, r, w);
    if (pair_is_unsafe(w) || pair_is_unsafe(w + 2)) return 1;
  }
  return 0;
}

// Quads of each strip, split ones counted twice, into counts; returns the largest.
static uint32_t count_quads(const slicer *s, const ck_sparse_blocks *m, const int8_t *codes, int is_safe, ck_sparse_sizes *sizes) {
  uint32_t largest = 0;
  for (size_t strip = 0; strip < s->strips; strip++) {
    strip_view view = view_strip(s, m, codes, is_safe, strip);
    size_t all = view.quads;
    for (size_t q = 0; q < view.quads && is_safe; q++) all += (size_t)quad_is_split(&view, q);
    s->counts[strip] = (uint32_t)all;
    largest = all > largest ? (uint32_t)all : largest;
    sizes->strips += all > 0;
    sizes->columns += all * (m->block_columns == 1 ? 4 : 1);
    sizes->values += all * m->block_rows * 4;
  }
  return largest;
}

static ck_sparse_sizes quad_sizes(const ck_sparse_blocks *m, const int8_t *codes, int is_safe, uint32_t *scratch) {
  slicer s = make_slicer(m, scratch);
  ck_sparse_sizes sizes = {1, 0, 0, 0, 0};
  uint32_t largest = count_quads(&s, m, codes, is_safe, &sizes);
  sizes.runs = sort_strips(s.counts, s.strips, largest, s.tally, NULL, NULL);
  return sizes;
}

ck_sparse_sizes ck_sparse_s8_sizes_quads(const ck_sparse_blocks *m, const int8_t *codes, uint32_t *scratch) {
  return quad_sizes(m, codes, 0, scratch);
}

ck_sparse_sizes ck_sparse_s8_sizes_safe_quads(const ck_sparse_blocks *m, const int8_t *codes, uint32_t *scratch) {
  return quad_sizes(m, codes, 1, scratch);
}

// Columns of quad `q`: four, or one for four neighbours. Missing blocks have the column of the first, and weight 0.
static uint16_t *quad_columns(const strip_view *v, const uint32_t *columns, size_t q, uint16_t *to) {
  if (v->block_columns > 1) {
    size_t per_block = v->block_columns / 4;
    *to++ = (uint16_t)(columns[q / per_block] * per_block + q % per_block);
    return to;
  }
  for (size_t i = 4 * q; i < 4 * q + 4; i++) *to++ = (uint16_t)columns[i < v->blocks ? block_of(v, i) : 0];
  return to;
}

// One quad of a strip, once or, where it is split, twice.
static int8_t *pack_quad(const strip_view *view, size_t q, int copies, size_t first_output, size_t outputs, int8_t *packed, int32_t *sums) {
  for (int copy = 0; copy < copies; copy++) {
    for (size_t r = 0; r < view->block_rows; r++, packed += 4) {
      int8_t w[4], safe[4], rest[4];
      quad_weights(view, q, r, w);
      split_quad(w, safe, rest);
      memcpy(packed, copies == 1 ? w : copy == 0 ? safe : rest, 4);
      for (int j = 0; j < 4 && first_output + r < outputs; j++) sums[first_output + r] += packed[j];
    }
  }
  return packed;
}

static void pack_quads(const ck_sparse_blocks *m, const int8_t *codes, int is_safe, uint32_t *scratch, const ck_sparse_arrays *arrays,
                       int8_t *packed, int32_t *sums) {
  slicer s = view_slicer(m, scratch);  // with the counts of quad_sizes
  size_t listed = 0;
  uint32_t largest = 0;
  for (size_t strip = 0; strip < s.strips; strip++) {
    listed += s.counts[strip] > 0;
    largest = s.counts[strip] > largest ? s.counts[strip] : largest;
  }
  arrays->run_starts[0] = 0;
  arrays->run_starts[1] = (uint32_t)sort_strips(s.counts, s.strips, largest, s.tally, arrays->strips, arrays->runs);
  memset(sums, 0, m->outputs * sizeof *sums);
  uint16_t *column = arrays->columns;
  for (size_t i = 0; i < listed; i++) {
    uint32_t strip = arrays->strips[i];
    strip_view view = view_strip(&s, m, codes, is_safe, strip);
    for (size_t q = 0; q < view.quads; q++) {
      int copies = 1 + (is_safe && quad_is_split(&view, q));
      for (int copy = 0; copy < copies; copy++) column = quad_columns(&view, m->columns + m->offsets[strip], q, column);
      packed = pack_quad(&view, q, copies, strip * m->block_rows, m->outputs, packed, sums);
    }
  }
}

void ck_sparse_s8_pack_quads(const ck_sparse_blocks *m, const int8_t *codes, uint32_t *scratch, const ck_sparse_arrays *arrays, int8_t *packed,
                             int32_t *sums) {
  pack_quads(m, codes, 0, scratch, arrays, packed, sums);
}

void ck_sparse_s8_pack_safe_quads(const ck_sparse_blocks *m, const int8_t *codes, uint32_t *scratch, const ck_sparse_arrays *arrays, int8_t *packed,
                                  int32_t *sums) {
  pack_quads(m, codes, 1, scratch, arrays, packed, sums);
}

// ---- Unpacking

void ck_sparse_f32_unpack_strips(const ck_sparse_f32 *w, float *dense) {
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

void ck_sparse_s8_unpack_quads(const ck_sparse_s8 *w, float *dense) {
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
