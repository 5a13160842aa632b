// What the AVX2 sparse kernels share: packing rows of X into a panel [K][tile], and writing a tile of outputs [N][tile]. Included
// between the target pragmas of a kernel file.
#ifndef CK_AVX2_SPARSE_PANEL_H
#define CK_AVX2_SPARSE_PANEL_H

#include <immintrin.h>
#include <string.h>

#include "gemm_common.h"
#include "sparse.h"

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

// to[r · to_stride + c] = from[c · from_stride + r], r < rows, c < columns; columns up to a multiple of 8 become zero.
static inline void ck_transpose_block(const float *from, size_t from_stride, float *to, size_t to_stride, size_t rows, size_t columns) {
  for (size_t c = 0; c < columns; c += 8) {
    size_t r = 0;
    if (c + 8 <= columns) {
      for (; r + 8 <= rows; r += 8) {
        __m256 v[8];
        CK_UNROLL for (size_t i = 0; i < 8; i++) v[i] = _mm256_loadu_ps(from + (c + i) * from_stride + r);
        ck_transpose8_ps(v);
        CK_UNROLL for (size_t i = 0; i < 8; i++) _mm256_storeu_ps(to + (r + i) * to_stride + c, v[i]);
      }
    }
    for (; r < rows; r++)
      for (size_t i = 0; i < 8; i++) to[r * to_stride + c + i] = c + i < columns ? from[(c + i) * from_stride + r] : 0.0f;
  }
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
  for (size_t k = 0; k < inputs; k++) {
    memcpy(panel + k * tile, x->data + k * x->stride + first, count * sizeof(float));
    if (count < tile) memset(panel + k * tile + count, 0, (tile - count) * sizeof(float));
  }
}

// Sets the sums of all outputs to their bias.
static inline void ck_start_tile(const ck_sparse_output *y, size_t outputs, size_t padded_outputs, float *sums, size_t stride, size_t tile) {
  for (size_t n = 0; n < padded_outputs; n++) {
    __m256 bias = _mm256_set1_ps(y->bias != NULL && n < outputs ? y->bias[n] : 0.0f);
    for (size_t i = 0; i < tile; i += 8) _mm256_storeu_ps(sums + n * stride + i, bias);
  }
}

// Applies ReLU and brings the sums [N][tile] where they belong (they may be there already).
static inline void ck_finish_tile(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, float *sums, size_t stride, size_t tile) {
  if (y->relu)
    for (size_t n = 0; n < outputs; n++)
      for (size_t i = 0; i < tile; i += 8)
        _mm256_storeu_ps(sums + n * stride + i, _mm256_max_ps(_mm256_setzero_ps(), _mm256_loadu_ps(sums + n * stride + i)));
  if (y->layout == ck_feature_major) {
    if (sums == y->data + first) return;
    for (size_t n = 0; n < outputs; n++) memcpy(y->data + n * y->stride + first, sums + n * stride, count * sizeof(float));
    return;
  }
  size_t n = 0;
  for (; n + 8 <= outputs; n += 8) {
    size_t m = 0;
    for (; m + 8 <= count; m += 8) {
      __m256 v[8];
      CK_UNROLL for (size_t i = 0; i < 8; i++) v[i] = _mm256_loadu_ps(sums + (n + i) * stride + m);
      ck_transpose8_ps(v);
      CK_UNROLL for (size_t i = 0; i < 8; i++) _mm256_storeu_ps(y->data + (first + m + i) * y->stride + n, v[i]);
    }
    for (; m < count; m++)
      for (size_t i = 0; i < 8; i++) y->data[(first + m) * y->stride + n + i] = sums[(n + i) * stride + m];
  }
  for (; n < outputs; n++)
    for (size_t m = 0; m < count; m++) y->data[(first + m) * y->stride + n] = sums[n * stride + m];
}

#endif
