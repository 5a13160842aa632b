// float32 sparse weights times one row of X. A vector holds 16 weights as they lie in memory: 16 single ones, 4 blocks 4×1 or 1×4, 2 blocks 8×1, one
// block 4×4 or one column of 16×16; each is multiplied by its own x, and the lanes of an output are added at the end of the strip. The bias is copied
// first, so that nothing asks for it in a loop: compilers make masked loads from null of that, and each costs a hundred cycles.
//
// Limits, on a Sapphire Rapids of 2.9 GHz whose L3 gives 29 GB/s: the bytes of values and columns, 6 for a single weight, 4.25 for one of 8×1, so for
// 4096×4096 at 90 % zeros 350 µs and 245 µs; measured 400 and 238. Below the size of L2 it is the operations: a gather of 16 takes 10 to 11 cycles (16
// loads and inserts 14; 4 permutations in a table of 128 inputs 7, but strips have too few weights in 128 inputs to fill them).
#if defined(__x86_64__)

#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// Where a row of X begins for a slice and how much of it is left: nothing beyond is read.
typedef struct row_view {
  const float *x;
  size_t inputs;
} row_view;

// Four inputs of a block that may end beyond the row, zeros there.
CK_INLINE __m128 load_quad(const row_view *row, size_t k) {
  if (k + 4 <= row->inputs) return _mm_loadu_ps(row->x + k);
  return _mm_maskz_loadu_ps((__mmask8)ck_first_lanes(row->inputs - k), row->x + k);
}

// The x that 16 weights of `count` blocks R×C meet, zeros behind the last block.
CK_INLINE __m512 inputs_of_blocks(int R, int C, size_t count, const uint16_t *columns, const row_view *row) {
  const float *x = row->x;
  if (R == 4 && C == 4) {
    const __m512i quarters = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_ps(quarters, _mm512_castps128_ps512(load_quad(row, 4 * (size_t)columns[0])));
  }
  if (C == 4) {
    __m512 v = _mm512_zextps128_ps512(load_quad(row, 4 * (size_t)columns[0]));
    if (count > 1) v = _mm512_insertf32x4(v, load_quad(row, 4 * (size_t)columns[1]), 1);
    if (count > 2) v = _mm512_insertf32x4(v, load_quad(row, 4 * (size_t)columns[2]), 2);
    if (count > 3) v = _mm512_insertf32x4(v, load_quad(row, 4 * (size_t)columns[3]), 3);
    return v;
  }
  const int lanes = (1 << R) - 1;
  __m512 v = _mm512_maskz_broadcastss_ps((__mmask16)lanes, _mm_load_ss(x + columns[0]));
  CK_UNROLL for (int i = 1; i < 16 / R; i++)
    if ((size_t)i < count) v = _mm512_mask_broadcastss_ps(v, (__mmask16)(lanes << (i * R)), _mm_load_ss(x + columns[i]));
  return v;
}

// Sixteen single x.
CK_INLINE __m512 inputs_of_singles(__mmask16 lanes, const uint16_t *columns, const float *x) {
  __m512i at = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, columns));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, at, x, 4);
}

// Adds `count` ≤ 16 / (R · C) blocks.
CK_INLINE __m512 add_vector(int R, int C, __m512 sum, size_t count, const float *values, const uint16_t *columns, const row_view *row) {
  __mmask16 lanes = ck_first_lanes(count * (size_t)(R * C));
  __m512 x = R * C == 1 ? inputs_of_singles(lanes, columns, row->x) : inputs_of_blocks(R, C, count, columns, row);
  return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, values), x, sum);
}

enum { chains = 4 };  // sums at a time: a multiply-add takes 4 cycles

CK_INLINE __m512 sum_chains(const __m512 c[chains]) { return _mm512_add_ps(_mm512_add_ps(c[0], c[1]), _mm512_add_ps(c[2], c[3])); }

// The sum of the blocks of a strip, lane by lane.
CK_INLINE __m512 sum_small(int R, int C, const float *values, const uint16_t *columns, size_t blocks, const row_view *row) {
  const size_t each = (size_t)(16 / (R * C));
  __m512 c[chains];
  CK_UNROLL for (int i = 0; i < chains; i++) c[i] = _mm512_setzero_ps();
  size_t b = 0;
  for (; b + chains * each <= blocks; b += chains * each)
    CK_UNROLL for (size_t i = 0; i < chains; i++)
      c[i] = add_vector(R, C, c[i], each, values + (b + i * each) * (size_t)(R * C), columns + b + i * each, row);
  for (; b + each <= blocks; b += each) c[0] = add_vector(R, C, c[0], each, values + b * (size_t)(R * C), columns + b, row);
  if (b < blocks) c[1] = add_vector(R, C, c[1], blocks - b, values + b * (size_t)(R * C), columns + b, row);
  return sum_chains(c);
}

CK_INLINE __m512 sum_16x16(const float *values, const uint16_t *columns, size_t blocks, const row_view *row) {
  __m512 c[chains];
  CK_UNROLL for (int i = 0; i < chains; i++) c[i] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++, values += 256) {
    size_t k = 16 * (size_t)columns[b];
    float end[16];
    const float *x = row->x + k;
    if (k + 16 > row->inputs) {
      _mm512_storeu_ps(end, _mm512_maskz_loadu_ps(ck_first_lanes(row->inputs - k), x));
      x = end;
    }
    CK_UNROLL for (int i = 0; i < 16; i++) c[i % chains] = _mm512_fmadd_ps(_mm512_loadu_ps(values + 16 * i), _mm512_set1_ps(x[i]), c[i % chains]);
  }
  return sum_chains(c);
}

CK_INLINE __m128 add_quarters(__m512 v) {
  __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// Adds the lanes of each output of a strip to y, which has room for `rows` of them.
CK_INLINE void add_to_outputs(int R, __m512 sum, float *y, size_t rows) {
  if (R == 1) {
    *y += _mm512_reduce_add_ps(sum);
    return;
  }
  __m512 outputs = R == 4   ? _mm512_zextps128_ps512(add_quarters(sum))
                   : R == 8 ? _mm512_zextps256_ps512(_mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1)))
                            : sum;
  __mmask16 lanes = ck_first_lanes(rows);
  _mm512_mask_storeu_ps(y, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), outputs));
}

// ---- Single weights: strips of equal number several at a time, which shares the work of adding lanes. Measured on that Sapphire Rapids: strips of up to
// `few` weights (of 4 outputs: inputs) are too short for vectors, from `some` on several streams at a time are slower than one.
enum { few = 8, some = 64 };

CK_INLINE void add_short_strip(const float *values, const uint16_t *columns, size_t blocks, const float *x, float *y) {
  float sum = 0;
  for (size_t b = 0; b < blocks; b++) sum += values[b] * x[columns[b]];
  *y += sum;
}

// Strips of 4 outputs and few inputs: a quarter of a vector each, so that no lanes need to be added.
CK_INLINE void add_short_rows(int C, const float *values, const uint16_t *columns, size_t blocks, const row_view *row, float *y, size_t rows) {
  __m128 sum = _mm_setzero_ps();
  for (size_t b = 0; b < blocks; b++)
    CK_UNROLL for (int c = 0; c < C; c++, values += 4) {
      size_t k = columns[b] * (size_t)C + (size_t)c;
      sum = _mm_fmadd_ps(_mm_loadu_ps(values), _mm_set1_ps(k < row->inputs ? row->x[k] : 0.0f), sum);
    }
  __mmask8 lanes = (__mmask8)(ck_first_lanes(rows) & 15);
  _mm_mask_storeu_ps(y, lanes, _mm_add_ps(_mm_maskz_loadu_ps(lanes, y), sum));
}

// The sums of four vectors.
CK_INLINE __m128 add_lanes(const __m512 c[4]) {
  __m128 q[4];
  CK_UNROLL for (int s = 0; s < 4; s++) q[s] = add_quarters(c[s]);
  __m128 low = _mm_add_ps(_mm_unpacklo_ps(q[0], q[1]), _mm_unpackhi_ps(q[0], q[1]));
  __m128 high = _mm_add_ps(_mm_unpacklo_ps(q[2], q[3]), _mm_unpackhi_ps(q[2], q[3]));
  return _mm_add_ps(_mm_movelh_ps(low, high), _mm_movehl_ps(high, low));
}

CK_INLINE void add_four_strips(const float *values, const uint16_t *columns, size_t blocks, const row_view *row, const uint32_t *strip,
                               float *y) {
  __m512 c[4];
  CK_UNROLL for (int s = 0; s < 4; s++) c[s] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b += 16)
    CK_UNROLL for (size_t s = 0; s < 4; s++)
      c[s] = add_vector(1, 1, c[s], blocks - b, values + s * blocks + b, columns + s * blocks + b, row);
  float sums[4];
  _mm_storeu_ps(sums, add_lanes(c));
  CK_UNROLL for (int s = 0; s < 4; s++) y[strip[s]] += sums[s];
}

// ---- All strips

// One run of a slice; the pointers go on behind it.
CK_INLINE void add_run(int R, int C, size_t strips, size_t blocks, const uint32_t **strip, const uint16_t **columns, const float **values,
                       const row_view *row, float *y, size_t outputs) {
  const uint32_t *n = *strip, *end = n + strips;
  const uint16_t *k = *columns;
  const float *v = *values;
  const size_t block = (size_t)(R * C);
  if (block == 1 && blocks <= few)
    for (; n < end; n++, k += blocks, v += blocks) add_short_strip(v, k, blocks, row->x, y + *n);
  if (block == 1 && blocks <= some)
    for (; n + 4 <= end; n += 4, k += 4 * blocks, v += 4 * blocks) add_four_strips(v, k, blocks, row, n, y);
  if (R == 4 && blocks * (size_t)C <= few)
    for (; n < end; n++, k += blocks, v += blocks * block) add_short_rows(C, v, k, blocks, row, y + *n * 4, outputs - *n * 4);
  for (; n < end; n++, k += blocks, v += blocks * block) {
    size_t first = *n * (size_t)R;
    add_to_outputs(R, R == 16 ? sum_16x16(v, k, blocks, row) : sum_small(R, C, v, k, blocks, row), y + first, outputs - first);
  }
  *strip = n;
  *columns = k;
  *values = v;
}

CK_INLINE void product(int R, int C, const ck_sparse_f32 *w, const float *x, const ck_sparse_output *output) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const float *values = w->values;
  float *y = output->data;
  if (output->bias != NULL) {
    memcpy(y, output->bias, t->outputs * sizeof *y);
  } else {
    memset(y, 0, t->outputs * sizeof *y);
  }
  for (size_t slice = 0; slice < t->slices; slice++) {
    row_view row = {x + slice * t->slice_inputs, t->inputs - slice * t->slice_inputs};
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++)
      add_run(R, C, t->runs[run].strips, t->runs[run].blocks, &strip, &columns, &values, &row, y, t->outputs);
  }
  if (output->relu)
    for (size_t n = 0; n < t->outputs; n++) y[n] = y[n] < 0 ? 0.0f : y[n];
}

void ck_sparse_vector_f32__avx512(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  switch (w->structure.block_rows * 100 + w->structure.block_columns) {
    case 101: product(1, 1, w, x, y); break;
    case 104: product(1, 4, w, x, y); break;
    case 401: product(4, 1, w, x, y); break;
    case 404: product(4, 4, w, x, y); break;
    case 801: product(8, 1, w, x, y); break;
    case 1616: product(16, 16, w, x, y); break;
  }
}

CK_TARGET_END

#endif
