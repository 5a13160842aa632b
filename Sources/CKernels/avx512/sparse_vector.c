// float32 sparse weights times one row of X: bound by the bytes of values and columns and, for 1×1, by the loads of scattered x.
#if defined(__x86_64__)

#include "../avx2/kernels.h"
#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// Sixteen products with x at `columns`, those of `lanes`.
CK_INLINE __m512 add_16(__m512 sum, __mmask16 lanes, const float *values, const uint16_t *columns, const float *x) {
  __m512i at = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, columns));
  __m512 gathered = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, at, x, 4);
  return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, values), gathered, sum);
}

CK_INLINE float dot_1x1(const float *values, const uint16_t *columns, size_t blocks, const float *x) {
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
  size_t b = 0;
  for (; b + 32 <= blocks; b += 32) {
    even = add_16(even, 0xFFFF, values + b, columns + b, x);
    odd = add_16(odd, 0xFFFF, values + b + 16, columns + b + 16, x);
  }
  if (b + 16 <= blocks) {
    even = add_16(even, 0xFFFF, values + b, columns + b, x);
    b += 16;
  }
  if (b < blocks) odd = add_16(odd, ck_first_lanes(blocks - b), values + b, columns + b, x);
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

static void product_1x1(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const float *values = w->values;
  for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->bias != NULL ? y->bias[n] : 0.0f;
  for (size_t slice = 0; slice < t->slices; slice++) {
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++) {
      size_t blocks = t->runs[run].blocks;
      for (size_t i = 0; i < t->runs[run].strips; i++, columns += blocks, values += blocks)
        y->data[*strip++] += dot_1x1(values, columns, blocks, x + slice * t->slice_inputs);
    }
  }
  if (y->relu)
    for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->data[n] < 0 ? 0.0f : y->data[n];
}

void ck_sparse_vector_f32__avx512(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  if (w->structure.block_rows == 1 && w->structure.block_columns == 1) {
    product_1x1(w, x, y);
  } else {
    ck_sparse_vector_f32__avx2(w, x, y);
  }
}

CK_TARGET_END

#endif
