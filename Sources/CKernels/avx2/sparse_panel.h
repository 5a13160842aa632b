// What the AVX2 sparse kernels share: packing rows of X into a panel [K][tile], and writing a tile of outputs [N][tile].
#ifndef CK_AVX2_SPARSE_PANEL_H
#define CK_AVX2_SPARSE_PANEL_H

#include "../sparse/layout.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

// Transposes 8×8 floats.
CK_INLINE void ck_transpose8_ps(__m256 v[8]) {
  __m256 a[8], b[8];
  CK_UNROLL for (int i = 0; i < 4; i++) {
    a[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
    a[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
  }
  CK_UNROLL for (int i = 0; i < 2; i++) {
    b[4 * i] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
    b[4 * i + 1] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
    b[4 * i + 2] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
    b[4 * i + 3] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
}

// to[r · to_stride + c] = from[c · from_stride + r] for 8 · sets values of r and 8 of c, each row of `from` read in one go.
CK_INLINE void ck_transpose_rows(const float *from, size_t from_stride, float *to, size_t to_stride, int sets) {
  __m256 v[2][8];
  CK_UNROLL for (size_t i = 0; i < 8; i++)
      CK_UNROLL for (int set = 0; set < sets; set++) v[set][i] = _mm256_loadu_ps(from + i * from_stride + 8 * (size_t)set);
  CK_UNROLL for (int set = 0; set < sets; set++) {
    ck_transpose8_ps(v[set]);
    CK_UNROLL for (size_t i = 0; i < 8; i++) _mm256_storeu_ps(to + (8 * (size_t)set + i) * to_stride, v[set][i]);
  }
}

// to[r · to_stride + c] = from[c · from_stride + r], r < rows, c < columns; columns up to a multiple of 8 become zero. Rows of X often
// lie a multiple of 4 KB apart, all in one set of L1: a cache line (16 numbers) must be used up before it is pushed out.
static inline void ck_transpose_block(const float *from, size_t from_stride, float *to, size_t to_stride, size_t rows, size_t columns) {
  for (size_t c = 0; c < columns; c += 8) {
    size_t r = 0;
    if (c + 8 <= columns) {
      for (; r + 16 <= rows; r += 16) ck_transpose_rows(from + c * from_stride + r, from_stride, to + r * to_stride + c, to_stride, 2);
      for (; r + 8 <= rows; r += 8) ck_transpose_rows(from + c * from_stride + r, from_stride, to + r * to_stride + c, to_stride, 1);
    }
    for (; r < rows; r++)
      for (size_t i = 0; i < 8; i++) to[r * to_stride + c + i] = c + i < columns ? from[(c + i) * from_stride + r] : 0.0f;
  }
}

// to[0 ..< tile] = from[0 ..< count], zero behind them; nothing beyond `count` is read. A call of memcpy would cost more than the copy.
CK_INLINE void ck_copy_row(const float *from, size_t count, size_t tile, float *to) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(to + i, _mm256_loadu_ps(from + i));
  if (i < count) {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i is_there = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count - i)), lanes);
    _mm256_storeu_ps(to + i, _mm256_maskload_ps(from + i, is_there));
    i += 8;
  }
  for (; i < tile; i += 8) _mm256_storeu_ps(to + i, _mm256_setzero_ps());
}

// panel[k][0 ..< tile] = rows first ..< first + count of X, zero behind them; tile is a multiple of 8.
static inline void ck_pack_panel(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, size_t tile, float *panel) {
  if (x->layout == ck_row_major) {
    ck_transpose_block(x->data + first * x->stride, x->stride, panel, tile, inputs, count);
    size_t written = (count + 7) / 8 * 8;
    if (written < tile)
      for (size_t k = 0; k < inputs; k++) memset(panel + k * tile + written, 0, (tile - written) * sizeof(float));
    return;
  }
  for (size_t k = 0; k < inputs; k++) ck_copy_row(x->data + k * x->stride + first, count, tile, panel + k * tile);
}

// Sets the sums of all outputs to their bias.
static inline void ck_start_tile(const ck_sparse_output *y, size_t outputs, size_t padded_outputs, float *sums, size_t stride, size_t tile) {
  for (size_t n = 0; n < padded_outputs; n++) {
    __m256 bias = _mm256_set1_ps(y->bias != NULL && n < outputs ? y->bias[n] : 0.0f);
    for (size_t i = 0; i < tile; i += 8) _mm256_storeu_ps(sums + n * stride + i, bias);
  }
}

CK_INLINE __m256 ck_relu_ps(__m256 v) { return _mm256_max_ps(_mm256_setzero_ps(), v); }

// Brings the sums [N][tile] to Y [N, M] as its rows first ..< first + count, ReLU applied on the way.
static inline void ck_finish_features(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, const float *sums, size_t stride) {
  if (sums == y->data + first && !y->relu) return;
  __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), rest = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count % 8)), lanes);
  for (size_t n = 0; n < outputs; n++) {
    const float *from = sums + n * stride;
    float *to = y->data + n * y->stride + first;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      __m256 v = _mm256_loadu_ps(from + i);
      _mm256_storeu_ps(to + i, y->relu ? ck_relu_ps(v) : v);
    }
    if (i < count) {
      __m256 v = _mm256_loadu_ps(from + i);
      _mm256_maskstore_ps(to + i, rest, y->relu ? ck_relu_ps(v) : v);
    }
  }
}

// Applies ReLU and brings the sums [N][tile] where they belong (they may be there already).
static inline void ck_finish_tile(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, float *sums, size_t stride, size_t tile) {
  if (y->layout == ck_feature_major) {
    ck_finish_features(y, outputs, first, count, sums, stride);
    return;
  }
  if (y->relu)
    for (size_t n = 0; n < outputs; n++)
      for (size_t i = 0; i < tile; i += 8) _mm256_storeu_ps(sums + n * stride + i, ck_relu_ps(_mm256_loadu_ps(sums + n * stride + i)));
  size_t n = 0;
  for (; n + 16 <= outputs; n += 16) {  // a cache line of each row of Y, for the same reason
    size_t m = 0;
    for (; m + 8 <= count; m += 8)
      CK_UNROLL for (size_t half = 0; half < 16; half += 8)
          ck_transpose_rows(sums + (n + half) * stride + m, stride, y->data + (first + m) * y->stride + n + half, y->stride, 1);
    for (; m < count; m++)
      for (size_t i = 0; i < 16; i++) y->data[(first + m) * y->stride + n + i] = sums[(n + i) * stride + m];
  }
  for (; n < outputs; n++)
    for (size_t m = 0; m < count; m++) y->data[(first + m) * y->stride + n] = sums[n * stride + m];
}

CK_TARGET_END

#endif
