// int8 sparse weights times one row of codes, in up to 512 bits. Limits, on a Sapphire Rapids whose L3 gives 29 GB/s: 3 bytes for a single weight, 1.5
// for one of 1×4, so for 4096×4096 at 90 % zeros 174 and 87 µs of memory; but a gather of 16 takes 10 to 11 cycles, so that single weights take 390 µs
// and 1×4 blocks 98.
//
//   1×1          codes are widened to 32 bits first, so that a gather brings 16 of them; their upper halves are zero, and the product of pairs is exact
//   1×4          a gather brings 16 quads, which meet 64 weights
//   taller ones  four codes, gathered or neighbours, are broadcast and meet the quads of R outputs
//
// The file that includes this opens a target and brings: add_singles (sum + products of 16-bit pairs) of 512 bits, and add_quads_of_4, 8, 16 (sum + the four
// products of each lane, exact), of 128, 256 and 512 bits.
#ifndef CK_AVX512_SPARSE_VECTOR_S8_H
#define CK_AVX512_SPARSE_VECTOR_S8_H

enum { chains = 4 };  // sums side by side: one would wait for a latency of 5 cycles

CK_INLINE __m512i sum_chains(const __m512i c[chains]) { return _mm512_add_epi32(_mm512_add_epi32(c[0], c[1]), _mm512_add_epi32(c[2], c[3])); }

// What 16 columns choose of `x`; other lanes are 0 and touch nothing.
CK_INLINE __m512i chosen(__mmask16 lanes, const uint16_t *columns, const int32_t *x) {
  __m512i at = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, columns));
  return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), lanes, at, x, 4);
}

// Adds the products of up to 16 single weights, or of up to 16 quads.
CK_INLINE __m512i add_chosen(int is_quads, __m512i sum, __mmask16 lanes, const int8_t *values, const uint16_t *columns, const int32_t *x) {
  __m512i codes = chosen(lanes, columns, x);
  if (is_quads) return add_quads_of_16(sum, codes, _mm512_maskz_loadu_epi32(lanes, values));
  return add_singles(sum, codes, _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, values)));
}

// `count` single weights or quads of one output.
CK_INLINE int32_t dot(int is_quads, const int8_t *values, const uint16_t *columns, size_t count, const int32_t *x) {
  const size_t bytes = is_quads ? 4 : 1;
  __m512i c[chains];
  CK_UNROLL for (int i = 0; i < chains; i++) c[i] = _mm512_setzero_si512();
  size_t q = 0;
  for (; q + 16 * chains <= count; q += 16 * chains)
    CK_UNROLL for (size_t i = 0; i < chains; i++)
      c[i] = add_chosen(is_quads, c[i], 0xFFFF, values + bytes * (q + 16 * i), columns + q + 16 * i, x);
  CK_UNROLL for (size_t i = 0; i < chains; i++)
    if (q + 16 * i < count) {
      __mmask16 lanes = ck_first_lanes(count - q - 16 * i);
      c[i] = add_chosen(is_quads, c[i], lanes, values + bytes * (q + 16 * i), columns + q + 16 * i, x);
    }
  return _mm512_reduce_add_epi32(sum_chains(c));
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

// Strips of 4, 8 and 16 outputs: a register each.
#define STRIP(R, vector, bits, prefix)                                                                                                             \
  CK_INLINE void strip_of_##R(int is_gathered, const int8_t *values, const uint16_t *columns, size_t quads, const uint8_t *codes, int32_t *out) { \
    vector c[chains];                                                                                                                              \
    CK_UNROLL for (int i = 0; i < chains; i++) c[i] = prefix##_setzero_si##bits();                                                                \
    size_t q = 0;                                                                                                                                  \
    for (; q + chains <= quads; q += chains)                                                                                                       \
      CK_UNROLL for (size_t i = 0; i < chains; i++)                                                                                               \
        c[i] = add_quads_of_##R(c[i], prefix##_set1_epi32(quad_of(is_gathered, codes, columns, q + i)),                                       \
                                     prefix##_loadu_si##bits((const void *)(values + (size_t)(4 * R) * (q + i))));                                 \
    for (; q < quads; q++)                                                                                                                         \
      c[0] = add_quads_of_##R(c[0], prefix##_set1_epi32(quad_of(is_gathered, codes, columns, q)),                                             \
                                   prefix##_loadu_si##bits((const void *)(values + (size_t)(4 * R) * q)));                                         \
    prefix##_storeu_si##bits((void *)out, prefix##_add_epi32(prefix##_add_epi32(c[0], c[1]), prefix##_add_epi32(c[2], c[3])));                     \
  }
STRIP(4, __m128i, 128, _mm)
STRIP(8, __m256i, 256, _mm256)
STRIP(16, __m512i, 512, _mm512)

static void widen(const uint8_t *codes, size_t count, int32_t *wide) {
  for (size_t i = 0; i < count; i += 16) ck_store64(wide + i, _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + i))));
}

CK_INLINE void product(int R, int C, const ck_sparse_s8 *w, const uint8_t *codes, float x_scale, int32_t zero_point, const ck_sparse_output *y,
                       int32_t *wide) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const int8_t *values = w->values;
  size_t padded = ck_round_up(t->inputs, 64);
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
      if (R == 8) strip_of_8(C == 1, values, columns, quads, codes, sums);
      if (R == 16) strip_of_16(C == 1, values, columns, quads, codes, sums);
      for (size_t r = 0; r < rows; r++)  // the bias is there
        y->data[first + r] = (float)(sums[r] - zero_point * w->sums[first + r]) * (x_scale * w->scales[first + r]) + y->data[first + r];
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
