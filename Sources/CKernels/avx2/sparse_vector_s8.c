// int8 sparse weights times one row of codes. One row is bound by the loads of scattered codes, as in float32, but takes a quarter of the
// bytes of values:
//
//   1×1          codes are widened to 32 bits first, so that eight scattered ones make a vector as in float32; its upper halves are zero,
//                and one multiply-add of 16-bit pairs is an exact product
//   1×4          a quad is one load of 32 bits; eight of them meet 32 weights
//   taller ones  four codes, gathered or neighbours, are broadcast and meet the quads of R outputs. Quads never saturate (sparse.h)
#if defined(__x86_64__)
#include "../gemm/layout.h"
#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

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

CK_INLINE int32_t dot_1x1(const int8_t *values, const uint16_t *columns, size_t quads, const int32_t *x) {
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  size_t i = 0, count = 4 * quads;
  for (; i + 16 <= count; i += 16) {
    __m256i w0 = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(values + i)));
    __m256i w1 = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(values + i + 8)));
    even = _mm256_add_epi32(even, _mm256_madd_epi16(scattered(x, columns + i), w0));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(scattered(x, columns + i + 8), w1));
  }
  int32_t rest = 0;
  for (; i < count; i++) rest += values[i] * x[columns[i]];
  return sum_of_lanes(both_lanes(_mm256_add_epi32(even, odd))) + rest;
}

CK_INLINE __m256i quad_sums(__m256i x, __m256i w) { return _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)); }
CK_INLINE __m128i quad_sums_of_4(__m128i x, __m128i w) { return _mm_madd_epi16(_mm_maddubs_epi16(x, w), _mm_set1_epi16(1)); }

// `quad_codes` are the codes as one number for each four.
CK_INLINE int32_t dot_1x4(const int8_t *values, const uint16_t *columns, size_t quads, const int32_t *quad_codes) {
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
  __m128i rest = _mm_setzero_si128();
  size_t q = 0;
  for (; q + 16 <= quads; q += 16) {
    even = _mm256_add_epi32(even, quad_sums(scattered(quad_codes, columns + q), _mm256_loadu_si256((const __m256i *)(values + 4 * q))));
    odd = _mm256_add_epi32(odd, quad_sums(scattered(quad_codes, columns + q + 8), _mm256_loadu_si256((const __m256i *)(values + 4 * q + 32))));
  }
  for (; q < quads; q++) {
    int32_t w;
    memcpy(&w, values + 4 * q, 4);
    rest = _mm_add_epi32(rest, quad_sums_of_4(_mm_cvtsi32_si128(quad_codes[columns[q]]), _mm_cvtsi32_si128(w)));
  }
  return sum_of_lanes(_mm_add_epi32(both_lanes(_mm256_add_epi32(even, odd)), rest));
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
      c[i] = _mm_add_epi32(c[i], quad_sums_of_4(x, w));
    }
  for (; q < quads; q++)
    c[0] = _mm_add_epi32(
        c[0], quad_sums_of_4(_mm_set1_epi32(quad_of(is_gathered, codes, columns, q)), _mm_loadu_si128((const __m128i *)(values + 16 * q))));
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
        c[i] = _mm256_add_epi32(c[i], quad_sums(x, _mm256_loadu_si256((const __m256i *)(w + (size_t)(4 * R) * (q + i)))));
      }
    for (; q < quads; q++) {
      __m256i x = _mm256_set1_epi32(quad_of(is_gathered, codes, columns, q));
      c[0] = _mm256_add_epi32(c[0], quad_sums(x, _mm256_loadu_si256((const __m256i *)(w + (size_t)(4 * R) * q))));
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
      if (R == 1) sums[0] = C == 1 ? dot_1x1(values, columns, quads, wide) : dot_1x4(values, columns, quads, wide);
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

void ck_sparse_vector_s8__avx2(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
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

CK_TARGET_END
#endif
