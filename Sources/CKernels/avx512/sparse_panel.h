// What the AVX512 sparse kernels share: packing rows of X into a panel [K][tile], and writing a tile of sums [N][tile]. Tiles are multiples of 16 rows.
// Rows of X and Y often lie a multiple of 4 KB apart, all in one set of L1: 16×16 transposes read and write whole cache lines, each once.
#ifndef CK_AVX512_SPARSE_PANEL_H
#define CK_AVX512_SPARSE_PANEL_H

#include "simd.h"
#include "sparse.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

CK_INLINE __m512 ck_relu16(__m512 v) { return _mm512_max_ps(_mm512_setzero_ps(), v); }  // max(0, NaN) is NaN in this operand order

// Transposes 16×16 floats.
CK_INLINE void ck_transpose16(__m512 v[16]) {
  __m512 a[16], b[16];
  CK_UNROLL for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
    a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
  }
  CK_UNROLL for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a[i]), _mm512_castps_pd(a[i + 2])));
    b[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a[i]), _mm512_castps_pd(a[i + 2])));
    b[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a[i + 1]), _mm512_castps_pd(a[i + 3])));
    b[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a[i + 1]), _mm512_castps_pd(a[i + 3])));
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {  // 128-bit quarters: even ones, odd ones, then halves
    a[i] = _mm512_shuffle_f32x4(b[i], b[4 + i], 0x88);
    a[4 + i] = _mm512_shuffle_f32x4(b[i], b[4 + i], 0xdd);
    a[8 + i] = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0x88);
    a[12 + i] = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0xdd);
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {
    v[i] = _mm512_shuffle_f32x4(a[i], a[8 + i], 0x88);
    v[8 + i] = _mm512_shuffle_f32x4(a[i], a[8 + i], 0xdd);
    v[4 + i] = _mm512_shuffle_f32x4(a[4 + i], a[12 + i], 0x88);
    v[12 + i] = _mm512_shuffle_f32x4(a[4 + i], a[12 + i], 0xdd);
  }
}

// to[r · to_stride + c] = from[c · from_stride + r] for r < rows and c < columns, both at most 16; the rest of each row of 16 becomes zero.
CK_INLINE void ck_transpose_part16(const float *from, size_t from_stride, float *to, size_t to_stride, size_t rows, size_t columns) {
  __mmask16 lanes = ck_first_lanes(rows);
  __m512 v[16];
  CK_UNROLL for (size_t i = 0; i < 16; i++)
    v[i] = i < columns ? _mm512_maskz_loadu_ps(lanes, from + i * from_stride) : _mm512_setzero_ps();
  ck_transpose16(v);
  CK_UNROLL for (size_t i = 0; i < 16; i++)
    if (i < rows) _mm512_storeu_ps(to + i * to_stride, v[i]);
}

// The same for 16 × 16.
CK_INLINE void ck_transpose_full16(const float *from, size_t from_stride, float *to, size_t to_stride) {
  __m512 v[16];
  CK_UNROLL for (size_t i = 0; i < 16; i++) v[i] = _mm512_loadu_ps(from + i * from_stride);
  ck_transpose16(v);
  CK_UNROLL for (size_t i = 0; i < 16; i++) _mm512_storeu_ps(to + i * to_stride, v[i]);
}

// panel[k][0 ..< tile] = rows first ..< first + count of X, zero behind them; count > tile − 16.
static inline void ck_pack_panel16(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, size_t tile, float *panel) {
  if (x->layout == ck_feature_major) {
    __mmask16 rest = ck_first_lanes(count - (tile - 16));
    for (size_t k = 0; k < inputs; k++) {
      const float *from = x->data + k * x->stride + first;
      float *to = panel + k * tile;
      for (size_t i = 0; i + 16 < tile; i += 16) _mm512_store_ps(to + i, _mm512_loadu_ps(from + i));
      _mm512_store_ps(to + tile - 16, _mm512_maskz_loadu_ps(rest, from + tile - 16));
    }
    return;
  }
  // Inputs outside, rows inside: what is written lies together.
  for (size_t k = 0; k < inputs; k += 16)
    for (size_t m = 0; m < tile; m += 16) {
      const float *from = x->data + (first + m) * x->stride + k;
      float *to = panel + k * tile + m;
      if (k + 16 <= inputs && m + 16 <= count) {
        ck_transpose_full16(from, x->stride, to, tile);
      } else {
        ck_transpose_part16(from, x->stride, to, tile, inputs - k < 16 ? inputs - k : 16, count - m < 16 ? count - m : 16);
      }
    }
}

// Sets the sums of all outputs to their bias, after ReLU where asked for; the tile may be 8, too.
static inline void ck_start_tile16(const ck_sparse_output *y, size_t outputs, size_t padded_outputs, int relu, float *sums, size_t stride,
                                   size_t tile) {
  __mmask16 lanes = ck_first_lanes(tile);
  for (size_t n = 0; n < padded_outputs; n++) {
    __m512 bias = _mm512_set1_ps(y->bias != NULL && n < outputs ? y->bias[n] : 0.0f);
    if (relu) bias = ck_relu16(bias);
    for (size_t i = 0; i < tile; i += 16) _mm512_mask_storeu_ps(sums + n * stride + i, lanes, bias);
  }
}

// Brings the sums [N][tile] to Y [N, M] as its rows first ..< first + count, ReLU applied on the way.
static inline void ck_finish_features16(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, const float *sums, size_t tile) {
  __mmask16 rest = ck_first_lanes(count - (tile - 16));
  for (size_t n = 0; n < outputs; n++) {
    const float *from = sums + n * tile;
    float *to = y->data + n * y->stride + first;
    for (size_t i = 0; i < tile; i += 16) {
      __m512 v = _mm512_load_ps(from + i);
      if (y->relu) v = ck_relu16(v);
      if (i + 16 < tile) {
        _mm512_storeu_ps(to + i, v);
      } else {
        _mm512_mask_storeu_ps(to + i, rest, v);
      }
    }
  }
}

// Brings 16 rows of Y, 16 outputs of each, from the sums.
CK_INLINE void ck_finish_square16(const float *sums, size_t tile, float *to, size_t to_stride, int relu, size_t outputs, size_t rows) {
  __mmask16 lanes = ck_first_lanes(outputs);
  __m512 v[16];
  CK_UNROLL for (size_t i = 0; i < 16; i++) v[i] = i < outputs ? _mm512_load_ps(sums + i * tile) : _mm512_setzero_ps();
  if (relu) CK_UNROLL for (size_t i = 0; i < 16; i++) v[i] = ck_relu16(v[i]);
  ck_transpose16(v);
  CK_UNROLL for (size_t i = 0; i < 16; i++)
    if (i < rows) _mm512_mask_storeu_ps(to + i * to_stride, lanes, v[i]);
}

// Applies ReLU and brings the sums [N][tile] to rows first ..< first + count of Y; count > tile − 16.
static inline void ck_finish_tile16(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, const float *sums, size_t tile) {
  if (y->layout == ck_feature_major) {
    ck_finish_features16(y, outputs, first, count, sums, tile);
    return;
  }
  for (size_t m = 0; m < tile; m += 16) {
    float *to = y->data + (first + m) * y->stride;
    size_t n = 0;
    if (m + 16 <= count)
      for (; n + 16 <= outputs; n += 16) ck_finish_square16(sums + n * tile + m, tile, to + n, y->stride, y->relu, 16, 16);
    for (; n < outputs; n += 16)
      ck_finish_square16(sums + n * tile + m, tile, to + n, y->stride, y->relu, outputs - n < 16 ? outputs - n : 16, count - m < 16 ? count - m : 16);
  }
}

CK_TARGET_END

#endif
