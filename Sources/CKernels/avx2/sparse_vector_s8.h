// int8 sparse weights times one row of codes, in 256 bits. One row is bound by the loads of scattered codes, as in float32, but takes a quarter of the
// bytes of values:
//
//   1×1          codes are widened to 32 bits first, so that eight scattered ones make a vector as in float32; its upper halves are zero,
//                and one multiply-add of 16-bit pairs is an exact product
//   1×4          a quad is one load of 32 bits; eight of them meet 32 weights
//   taller ones  four codes, gathered or neighbours, are broadcast and meet the quads of R outputs
//
// The file that includes this opens a target and brings: add_singles (sum + products of 16-bit pairs), add_quads and add_quads_of_4 (sum + the four
// products of each lane, exact), of 256 and 128 bits.
#ifndef CK_AVX2_SPARSE_VECTOR_S8_H
#define CK_AVX2_SPARSE_VECTOR_S8_H

enum { sets = 4 };  // sums side by side: one would wait for the latency of three instructions

CK_INLINE int32_t sum_of_lanes(__m128i v) {
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
}

CK_INLINE __m128i both_lanes(__m256i v) { return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)); }

// Eight scattered numbers: for one row, loads beat a gather (see sparse_vector.c).
CK_INLINE __m256i scattered(const int32_t *x, const uint16_t *columns) {
  uint64_t a, b;
  memcpy(&a, columns, 8);
  memcpy(&b, columns + 4, 8);
  return _mm256_setr_epi32(x[a & 0xffff], x[a >> 16 & 0xffff], x[a >> 32 & 0xffff], x[a >> 48], x[b & 0xffff], x[b >> 16 & 0xffff],
                           x[b >> 32 & 0xffff], x[b >> 48]);
}

// Single weights or quads q … q + 7.
CK_INLINE __m256i add_eight(int is_quads, __m256i sum, const int8_t *values, const uint16_t *columns, size_t q, const int32_t *x) {
  __m256i codes = scattered(x, columns + q);
  if (is_quads) return add_quads(sum, codes, _mm256_loadu_si256((const __m256i *)(values + 4 * q)));
  return add_singles(sum, codes, _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(values + q))));
}

// `count` single weights or quads of one output; x: the codes in 32 bits, or those of four inputs in one number.
CK_INLINE int32_t dot(int is_quads, const int8_t *values, const uint16_t *columns, size_t count, const int32_t *x) {
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  size_t q = 0;
  for (; q + 16 <= count; q += 16) {
    even = add_eight(is_quads, even, values, columns, q, x);
    odd = add_eight(is_quads, odd, values, columns, q + 8, x);
  }
  if (q + 8 <= count) {
    even = add_eight(is_quads, even, values, columns, q, x);
    q += 8;
  }
  __m128i sum = both_lanes(_mm256_add_epi32(even, odd));
  int32_t rest = 0;
  for (; q < count; q++) {
    if (!is_quads) {
      rest += values[q] * x[columns[q]];
      continue;
    }
    int32_t w;
    memcpy(&w, values + 4 * q, 4);
    sum = add_quads_of_4(sum, _mm_cvtsi32_si128(x[columns[q]]), _mm_cvtsi32_si128(w));
  }
  return sum_of_lanes(sum) + rest;
}

// The codes of quad q as one number.
CK_INLINE int32_t quad_of(int is_gathered, const uint8_t *codes, const uint16_t *columns, size_t q) {
  if (is_gathered) {
    const uint16_t *four = columns + 4 * q;
    return (int32_t)(codes[four[0]] | (uint32_t)codes[four[1]] << 8 | (uint32_t)codes[four[2]] << 16 | (uint32_t)codes[four[3]] << 24);
  }
  int32_t quad;
  memcpy(&quad, codes + 4 * (size_t)columns[q], 4);
  return quad;
}

CK_INLINE void strip_of_4(int is_gathered, const int8_t *values, const uint16_t *columns, size_t quads, const uint8_t *codes, int32_t *out) {
  __m128i c[sets];
  CK_UNROLL for (int i = 0; i < sets; i++) c[i] = _mm_setzero_si128();
  size_t q = 0;
  for (; q + sets <= quads; q += sets)
    CK_UNROLL for (size_t i = 0; i < sets; i++) {
      __m128i x = _mm_set1_epi32(quad_of(is_gathered, codes, columns, q + i)), w = _mm_loadu_si128((const __m128i *)(values + 16 * (q + i)));
      c[i] = add_quads_of_4(c[i], x, w);
    }
  for (; q < quads; q++)
    c[0] = add_quads_of_4(c[0], _mm_set1_epi32(quad_of(is_gathered, codes, columns, q)), _mm_loadu_si128((const __m128i *)(values + 16 * q)));
  _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm_add_epi32(c[0], c[1]), _mm_add_epi32(c[2], c[3])));
}

// R = 8 or 16.
CK_INLINE void strip_of_8s(int R, int is_gathered, const int8_t *values, const uint16_t *columns, size_t quads, const uint8_t *codes, int32_t *out) {
  for (int half = 0; half < R / 8; half++) {
    const int8_t *w = values + 32 * half;
    __m256i c[sets];
    CK_UNROLL for (int i = 0; i < sets; i++) c[i] = _mm256_setzero_si256();
    size_t q = 0;
    for (; q + sets <= quads; q += sets)
      CK_UNROLL for (size_t i = 0; i < sets; i++) {
        __m256i x = _mm256_set1_epi32(quad_of(is_gathered, codes, columns, q + i));
        c[i] = add_quads(c[i], x, _mm256_loadu_si256((const __m256i *)(w + (size_t)(4 * R) * (q + i))));
      }
    for (; q < quads; q++) {
      __m256i x = _mm256_set1_epi32(quad_of(is_gathered, codes, columns, q));
      c[0] = add_quads(c[0], x, _mm256_loadu_si256((const __m256i *)(w + (size_t)(4 * R) * q)));
    }
    _mm256_storeu_si256((__m256i *)(out + 8 * half), _mm256_add_epi32(_mm256_add_epi32(c[0], c[1]), _mm256_add_epi32(c[2], c[3])));
  }
}

static void widen(const uint8_t *codes, size_t count, int32_t *wide) {
  for (size_t i = 0; i < count; i += 8)
    _mm256_storeu_si256((__m256i *)(wide + i), _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(codes + i))));
}

CK_INLINE void product(int R, int C, const ck_sparse_s8 *w, const uint8_t *codes, float x_scale, int32_t zero_point, const ck_sparse_output *y,
                       int32_t *wide) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const int8_t *values = w->values;
  size_t padded = ck_round_up(t->inputs, ck_fold);
  if (R == 1 && C == 1) widen(codes, padded, wide);
  if (R == 1 && C == 4) memcpy(wide, codes, padded);
  for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->bias != NULL ? 0.0f + y->bias[n] : 0.0f;
  for (uint32_t run = t->run_starts[0]; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      int32_t sums[16];
      size_t first = *strip++ * (size_t)R, rows = t->outputs - first < (size_t)R ? t->outputs - first : (size_t)R;
      if (R == 1) sums[0] = dot(C == 4, values, columns, C == 4 ? quads : 4 * quads, wide);
      if (R == 4) strip_of_4(C == 1, values, columns, quads, codes, sums);
      if (R >= 8) strip_of_8s(R, C == 1, values, columns, quads, codes, sums);
      for (size_t r = 0; r < rows; r++) {  // the bias is there: asked for here, compilers would load it by masks from null
        size_t n = first + r;
        y->data[n] = (float)(sums[r] - zero_point * w->sums[n]) * (x_scale * w->scales[n]) + y->data[n];
      }
      columns += quads * (C == 1 ? 4 : 1);
      values += quads * (size_t)(4 * R);
    }
  }
  if (y->relu)
    for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->data[n] < 0 ? 0.0f : y->data[n];
}

static inline void vector_product(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                  void *workspace) {
  switch (w->structure.block_rows * 100 + w->structure.block_columns) {
    case 101: product(1, 1, w, codes, scale, zero_point, y, workspace); break;
    case 104: product(1, 4, w, codes, scale, zero_point, y, workspace); break;
    case 401: product(4, 1, w, codes, scale, zero_point, y, workspace); break;
    case 404: product(4, 4, w, codes, scale, zero_point, y, workspace); break;
    case 801: product(8, 1, w, codes, scale, zero_point, y, workspace); break;
    case 1616: product(16, 16, w, codes, scale, zero_point, y, workspace); break;
  }
}

#endif
