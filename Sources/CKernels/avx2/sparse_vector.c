// float32 sparse weights times one row of X: bound by the bytes of values and columns and, for 1×1, by the loads of scattered x.
#if defined(__x86_64__)
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

CK_INLINE float add_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// Eight scattered numbers. Two loads of four columns and eight of x: a gather takes longer on every AVX2 processor by AMD.
CK_INLINE __m256 scattered(const float *x, const uint16_t *columns) {
  uint64_t a, b;
  memcpy(&a, columns, 8);
  memcpy(&b, columns + 4, 8);
  return _mm256_setr_ps(x[a & 0xffff], x[a >> 16 & 0xffff], x[a >> 32 & 0xffff], x[a >> 48], x[b & 0xffff], x[b >> 16 & 0xffff],
                        x[b >> 32 & 0xffff], x[b >> 48]);
}

CK_INLINE float dot_1x1(const float *values, const uint16_t *columns, size_t blocks, const float *x) {
  __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
  size_t b = 0;
  for (; b + 16 <= blocks; b += 16) {
    even = _mm256_fmadd_ps(_mm256_loadu_ps(values + b), scattered(x, columns + b), even);
    odd = _mm256_fmadd_ps(_mm256_loadu_ps(values + b + 8), scattered(x, columns + b + 8), odd);
  }
  float rest = 0;
  for (; b < blocks; b++) rest += values[b] * x[columns[b]];
  return add_lanes(_mm256_add_ps(even, odd)) + rest;
}

// x of `inputs` numbers may end within the last block: nothing beyond it is read.
CK_INLINE __m128 load_quad(const float *x, size_t k, size_t inputs) {
  if (k + 4 <= inputs) return _mm_loadu_ps(x + k);
  float quad[4] = {0};
  memcpy(quad, x + k, (inputs - k) * sizeof(float));
  return _mm_loadu_ps(quad);
}

CK_INLINE float dot_1x4(const float *values, const uint16_t *columns, size_t blocks, const float *x, size_t inputs) {
  __m128 c[4];
  CK_UNROLL for (int i = 0; i < 4; i++) c[i] = _mm_setzero_ps();
  size_t b = 0;
  for (; b + 4 <= blocks; b += 4)
    CK_UNROLL for (size_t i = 0; i < 4; i++)
        c[i] = _mm_fmadd_ps(_mm_loadu_ps(values + 4 * (b + i)), load_quad(x, 4 * (size_t)columns[b + i], inputs), c[i]);
  for (; b < blocks; b++) c[0] = _mm_fmadd_ps(_mm_loadu_ps(values + 4 * b), load_quad(x, 4 * (size_t)columns[b], inputs), c[0]);
  __m128 s = _mm_add_ps(_mm_add_ps(c[0], c[1]), _mm_add_ps(c[2], c[3]));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// R = 4: sums of 4 outputs in 128-bit registers, 4 of them to hide the latency of the multiply-add.
CK_INLINE void strip_of_4(int C, const float *values, const uint16_t *columns, size_t blocks, const float *x, size_t inputs, float out[16]) {
  __m128 c[4];
  CK_UNROLL for (int i = 0; i < 4; i++) c[i] = _mm_setzero_ps();
  if (C == 4) {
    for (size_t b = 0; b < blocks; b++, values += 16) {
      size_t k = 4 * (size_t)columns[b];
      CK_UNROLL for (size_t i = 0; i < 4; i++)
          c[i] = _mm_fmadd_ps(_mm_loadu_ps(values + 4 * i), _mm_set1_ps(k + i < inputs ? x[k + i] : 0.0f), c[i]);
    }
  } else {
    size_t b = 0;
    for (; b + 4 <= blocks; b += 4)
      CK_UNROLL for (size_t i = 0; i < 4; i++) c[i] = _mm_fmadd_ps(_mm_loadu_ps(values + 4 * (b + i)), _mm_set1_ps(x[columns[b + i]]), c[i]);
    for (; b < blocks; b++) c[0] = _mm_fmadd_ps(_mm_loadu_ps(values + 4 * b), _mm_set1_ps(x[columns[b]]), c[0]);
  }
  _mm_storeu_ps(out, _mm_add_ps(_mm_add_ps(c[0], c[1]), _mm_add_ps(c[2], c[3])));
}

// R = 8 or 16: full registers.
CK_INLINE void strip_of_8s(int R, int C, const float *values, const uint16_t *columns, size_t blocks, const float *x, size_t inputs, float out[16]) {
  enum { sets = 4 };
  __m256 c[sets][2];
  CK_UNROLL for (int i = 0; i < sets; i++) c[i][0] = c[i][1] = _mm256_setzero_ps();
  if (C == 1) {
    size_t b = 0;
    for (; b + sets <= blocks; b += sets)
      CK_UNROLL for (size_t i = 0; i < sets; i++)
          c[i][0] = _mm256_fmadd_ps(_mm256_loadu_ps(values + 8 * (b + i)), _mm256_broadcast_ss(x + columns[b + i]), c[i][0]);
    for (; b < blocks; b++) c[0][0] = _mm256_fmadd_ps(_mm256_loadu_ps(values + 8 * b), _mm256_broadcast_ss(x + columns[b]), c[0][0]);
  } else {
    for (size_t b = 0; b < blocks; b++)
      for (size_t k = (size_t)columns[b] * (size_t)C, end = k + (size_t)C; k < end; k += sets)
        CK_UNROLL for (size_t i = 0; i < sets; i++, values += R) {
          __m256 a = _mm256_set1_ps(k + i < inputs ? x[k + i] : 0.0f);
          CK_UNROLL for (int half = 0; half < R / 8; half++) c[i][half] = _mm256_fmadd_ps(_mm256_loadu_ps(values + 8 * half), a, c[i][half]);
        }
  }
  CK_UNROLL for (int half = 0; half < R / 8; half++)
      _mm256_storeu_ps(out + 8 * half, _mm256_add_ps(_mm256_add_ps(c[0][half], c[1][half]), _mm256_add_ps(c[2][half], c[3][half])));
}

// Sums of one strip over its blocks in one slice.
CK_INLINE void strip_sums(int R, int C, const float *values, const uint16_t *columns, size_t blocks, const float *x, size_t inputs, float out[16]) {
  if (R == 1) out[0] = C == 1 ? dot_1x1(values, columns, blocks, x) : dot_1x4(values, columns, blocks, x, inputs);
  if (R == 4) strip_of_4(C, values, columns, blocks, x, inputs, out);
  if (R >= 8) strip_of_8s(R, C, values, columns, blocks, x, inputs, out);
}

CK_INLINE void product(int R, int C, const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const float *values = w->values;
  // Not one loop that asks for the bias each time: compilers make masked loads from null of it, and each costs a hundred cycles.
  if (y->bias != NULL) {
    memcpy(y->data, y->bias, t->outputs * sizeof *y->data);
  } else {
    memset(y->data, 0, t->outputs * sizeof *y->data);
  }
  for (size_t slice = 0; slice < t->slices; slice++) {
    size_t first = slice * t->slice_inputs;
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++) {
      size_t blocks = t->runs[run].blocks;
      for (size_t i = 0; i < t->runs[run].strips; i++) {
        float sums[16];
        size_t n = *strip++ * (size_t)R, rows = t->outputs - n < (size_t)R ? t->outputs - n : (size_t)R;
        strip_sums(R, C, values, columns, blocks, x + first, t->inputs - first, sums);
        for (size_t r = 0; r < rows; r++) y->data[n + r] += sums[r];
        columns += blocks;
        values += blocks * (size_t)(R * C);
      }
    }
  }
  if (y->relu)
    for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->data[n] < 0 ? 0.0f : y->data[n];
}

void ck_sparse_vector_f32__avx2(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
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
