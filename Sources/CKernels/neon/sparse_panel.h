// What the NEON sparse kernels share: packing rows of X into a panel [K][tile], and writing a tile of outputs [N][tile].
#ifndef CK_NEON_SPARSE_PANEL_H
#define CK_NEON_SPARSE_PANEL_H

#include "../sparse/layout.h"
#include "epilogue.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// sum + x · w[lane]; lane is a constant where this is inlined.
CK_INLINE float32x4_t ck_add_product(float32x4_t sum, float32x4_t x, float32x4_t w, int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, x, w, 0);
    case 1: return vfmaq_laneq_f32(sum, x, w, 1);
    case 2: return vfmaq_laneq_f32(sum, x, w, 2);
    default: return vfmaq_laneq_f32(sum, x, w, 3);
  }
}

// Transposes 4×4 numbers of 32 bits.
CK_INLINE void ck_transpose4(float32x4_t v[4]) {
  float32x4_t a[4];
  CK_UNROLL for (int i = 0; i < 2; i++) {
    a[2 * i] = vzip1q_f32(v[i], v[i + 2]);
    a[2 * i + 1] = vzip2q_f32(v[i], v[i + 2]);
  }
  CK_UNROLL for (int i = 0; i < 2; i++) {
    v[2 * i] = vzip1q_f32(a[i], a[i + 2]);
    v[2 * i + 1] = vzip2q_f32(a[i], a[i + 2]);
  }
}

// to[r · to_stride + c] = from[c · from_stride + r] for 4 · sets values of r and 4 of c, zeros for c ≥ columns.
CK_INLINE void ck_transpose_rows(const float *from, size_t from_stride, float *to, size_t to_stride, int sets, size_t columns) {
  float32x4_t v[4][4];
  CK_UNROLL for (size_t i = 0; i < 4; i++)
      CK_UNROLL for (int set = 0; set < sets; set++)
          v[set][i] = i < columns ? vld1q_f32(from + i * from_stride + 4 * (size_t)set) : vdupq_n_f32(0);
  CK_UNROLL for (int set = 0; set < sets; set++) {
    ck_transpose4(v[set]);
    CK_UNROLL for (size_t i = 0; i < 4; i++) vst1q_f32(to + (4 * (size_t)set + i) * to_stride, v[set][i]);
  }
}

// Rows of X often lie a multiple of 4 KB apart, all in one set of L1: a cache line (16 numbers) of each is used up at once, 16 rows at a time, so that
// lines of the panel are filled at once too.
enum { ck_transposed_lines = 16 };

// to[r · to_stride + c] = from[c · from_stride + r], r < rows, c < columns ≤ 16; behind them zeros up to a multiple of 4, `padded`.
CK_INLINE void ck_transpose_lines(const float *from, size_t from_stride, float *to, size_t to_stride, size_t rows, size_t columns, size_t padded) {
  size_t r = 0;
  for (; r + 16 <= rows; r += 16)
    for (size_t c = 0; c < padded; c += 4)
      ck_transpose_rows(from + c * from_stride + r, from_stride, to + r * to_stride + c, to_stride, 4, c < columns ? columns - c : 0);
  for (; r + 4 <= rows; r += 4)
    for (size_t c = 0; c < padded; c += 4)
      ck_transpose_rows(from + c * from_stride + r, from_stride, to + r * to_stride + c, to_stride, 1, c < columns ? columns - c : 0);
  for (; r < rows; r++)
    for (size_t c = 0; c < padded; c++) to[r * to_stride + c] = c < columns ? from[c * from_stride + r] : 0.0f;
}

// to[0 ..< tile] = from[0 ..< count], zero behind them; nothing beyond `count` is read. A call of memcpy would cost more than the copy.
CK_INLINE void ck_copy_row(const float *from, size_t count, size_t tile, float *to) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) vst1q_f32(to + i, vld1q_f32(from + i));
  for (; i < count; i++) to[i] = from[i];
  for (; i < tile; i++) to[i] = 0;
}

// panel[k][0 ..< tile] = rows first ..< first + count of X, zero behind them; tile is a multiple of 4.
static inline void ck_pack_panel(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, size_t tile, float *panel) {
  if (x->layout == ck_feature_major) {
    for (size_t k = 0; k < inputs; k++) ck_copy_row(x->data + k * x->stride + first, count, tile, panel + k * tile);
    return;
  }
  for (size_t c = 0; c < tile; c += ck_transposed_lines) {
    size_t columns = count - c < ck_transposed_lines ? count - c : ck_transposed_lines;
    size_t padded = tile - c < ck_transposed_lines ? tile - c : ck_transposed_lines;
    ck_transpose_lines(x->data + (first + c) * x->stride, x->stride, panel + c, tile, inputs, c < count ? columns : 0, padded);
  }
}

// Sets the sums of all outputs to their bias.
static inline void ck_start_tile(const ck_sparse_output *y, size_t outputs, size_t padded_outputs, float *sums, size_t stride, size_t tile) {
  for (size_t n = 0; n < padded_outputs; n++) {
    float32x4_t bias = vdupq_n_f32(y->bias != NULL && n < outputs ? y->bias[n] : 0.0f);
    for (size_t i = 0; i < tile; i += 4) vst1q_f32(sums + n * stride + i, bias);
  }
}

// Brings the sums [N][tile] to Y [N, M] as its rows first ..< first + count, ReLU applied on the way.
static inline void ck_finish_features(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, const float *sums, size_t stride) {
  if (sums == y->data + first && !y->relu) return;
  for (size_t n = 0; n < outputs; n++) {
    const float *from = sums + n * stride;
    float *to = y->data + n * y->stride + first;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      float32x4_t v = vld1q_f32(from + i);
      vst1q_f32(to + i, y->relu ? ck_relu(v) : v);
    }
    for (; i < count; i++) to[i] = y->relu && from[i] < 0 ? 0.0f : from[i];
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
      for (size_t i = 0; i < tile; i += 4) vst1q_f32(sums + n * stride + i, ck_relu(vld1q_f32(sums + n * stride + i)));
  size_t n = 0;
  for (; n + 16 <= outputs; n += 16) {  // a cache line of each row of Y
    size_t m = 0;
    float *to = y->data + first * y->stride + n;
    for (; m + 4 <= count; m += 4)
      CK_UNROLL for (size_t part = 0; part < 16; part += 4)
          ck_transpose_rows(sums + (n + part) * stride + m, stride, to + m * y->stride + part, y->stride, 1, 4);
    for (; m < count; m++)
      for (size_t i = 0; i < 16; i++) to[m * y->stride + i] = sums[(n + i) * stride + m];
  }
  for (; n < outputs; n++)
    for (size_t m = 0; m < count; m++) y->data[(first + m) * y->stride + n] = sums[n * stride + m];
}

CK_TARGET_END

#endif
