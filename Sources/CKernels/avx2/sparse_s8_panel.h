// Activations of sparse int8 products in 256 bits: a tile of 32 rows of X, quantized and laid out for one of two ways to load four inputs of 8 rows.
//
//   neighbours   [K / 4][32 rows][4 inputs], as they are multiplied
//   gathered     [K][32]: inputs by themselves, the bytes of four of them are interleaved in registers
#ifndef CK_AVX2_SPARSE_S8_PANEL_H
#define CK_AVX2_SPARSE_S8_PANEL_H

#include "kernels.h"
#include "scalar.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { tile = ck_sparse_s8_tile_avx2, vectors = tile / 8 };

// Copies the panel to floats[k][32] and finds the range of each row of X on the way, in one pass. NaNs are skipped. Fixed scales need no ranges.
static void row_affines(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, float *floats, ck_affine affines[tile]) {
  __m256 lowest[vectors], highest[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) lowest[v] = highest[v] = _mm256_setzero_ps();
  const float *row = x->data + first;
  size_t stride = x->stride;
  if (x->layout == ck_row_major || count < tile) {
    ck_pack_panel(x, inputs, first, count, tile, floats);
    row = floats;
    stride = tile;
  }
  for (size_t k = 0; k < inputs; k++, row += stride) {
    CK_UNROLL for (int v = 0; v < vectors; v++) {
      __m256 value = _mm256_loadu_ps(row + 8 * v);  // a NaN as the first operand is passed over
      lowest[v] = _mm256_min_ps(value, lowest[v]);
      highest[v] = _mm256_max_ps(value, highest[v]);
      _mm256_storeu_ps(floats + k * tile + 8 * (size_t)v, value);
    }
  }
  for (int v = 0; v < vectors; v++) {
    float low[8], high[8];
    _mm256_storeu_ps(low, lowest[v]);
    _mm256_storeu_ps(high, highest[v]);
    for (int i = 0; i < 8; i++) affines[8 * v + i] = ck_affine_of_range(low[i], high[i], 255);
    for (int i = 0; i < 8 && x->fixed_scale > 0; i++) affines[8 * v + i] = (ck_affine){x->fixed_scale, 1.0f / x->fixed_scale, x->fixed_zero_point};
  }
}

// One input of 32 rows to bytes: clamp(rint(x · inverse) + zero, 0, 255), NaN gives 0, the rule of quantize.h. A NaN and what is far
// below convert to INT32_MIN, which the packs clamp to 0; what is far above must be cut to a convertible number first (min passes
// a NaN on as its second operand). Groups of 4 rows come out in the order 0 2 4 6 1 3 5 7, which interleaving undoes.
CK_INLINE __m256i quantize_input(const float *floats, const __m256 inverse[vectors], const __m256i zero[vectors]) {
  const __m256 limit = _mm256_set1_ps(1024.0f);  // beyond every code, whatever the zero point
  __m256i q[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    __m256 x = _mm256_min_ps(limit, _mm256_mul_ps(_mm256_loadu_ps(floats + 8 * v), inverse[v]));
    x = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    q[v] = _mm256_add_epi32(_mm256_cvttps_epi32(x), zero[v]);
  }
  return _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
}

// Four inputs of 32 rows to vectors whose 32-bit lanes hold the four inputs of one row; vectors F ..< F + V, with rows 8·F …, to q[0 ..< V].
CK_INLINE void interleave(const __m256i a[4], int F, int V, __m256i q[vectors]) {
  if (F < 2) {
    __m256i low = _mm256_unpacklo_epi8(a[0], a[1]), high = _mm256_unpacklo_epi8(a[2], a[3]);
    if (F == 0) q[0] = _mm256_unpacklo_epi16(low, high);
    if (F + V > 1) q[1 - F] = _mm256_unpackhi_epi16(low, high);
  }
  if (F + V > 2) {
    __m256i low = _mm256_unpackhi_epi8(a[0], a[1]), high = _mm256_unpackhi_epi8(a[2], a[3]);
    if (F < 3) q[2 - F] = _mm256_unpacklo_epi16(low, high);
    if (F + V > 3) q[3 - F] = _mm256_unpackhi_epi16(low, high);
  }
}

// The panel of bytes: [k][32] for gathered inputs, [k / 4][32][4] where weights come in fours. Inputs up to a multiple of 4 are zero.
static void quantize_panel(const float *floats, size_t inputs, const ck_affine affines[tile], int is_gathered, uint8_t *panel) {
  __m256 inverse[vectors];
  __m256i zero[vectors];
  for (int v = 0; v < vectors; v++) {
    float inverses[8];
    int32_t zeros[8];
    for (int i = 0; i < 8; i++) {
      inverses[i] = affines[8 * v + i].inverse_scale;
      zeros[i] = affines[8 * v + i].zero_point;
    }
    inverse[v] = _mm256_loadu_ps(inverses);
    zero[v] = _mm256_loadu_si256((const __m256i *)zeros);
  }
  size_t k = 0;
  for (; k + 4 <= inputs; k += 4) {
    __m256i a[4], q[vectors];
    CK_UNROLL for (size_t i = 0; i < 4; i++) a[i] = quantize_input(floats + (k + i) * tile, inverse, zero);
    if (!is_gathered) interleave(a, 0, vectors, q);
    CK_UNROLL for (size_t i = 0; i < 4; i++) ck_store(panel + (k + i) * tile, is_gathered ? a[i] : q[i]);
  }
  if (k < inputs) {
    __m256i a[4], q[vectors];
    for (size_t i = 0; i < 4; i++) a[i] = k + i < inputs ? quantize_input(floats + (k + i) * tile, inverse, zero) : _mm256_setzero_si256();
    interleave(a, 0, vectors, q);
    for (size_t i = 0; i < 4; i++) ck_store(panel + (k + i) * tile, is_gathered ? a[i] : q[i]);
  }
}

CK_TARGET_END

#endif
