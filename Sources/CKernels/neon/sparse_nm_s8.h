// What the int8 N:M kernels of arm64 share: how activations are read, rows are cut, and sums become outputs.
//
// NEON and dotprod multiply activations as x − 128, the same byte with its first bit turned over, so that both factors are signed:
// Σ (x − zero) · w = Σ (x − 128) · w − (zero − 128) · Σ w. Sums are exact: 128 · 127 · 32,768 stored weights < 2³⁰.
#ifndef CK_NEON_SPARSE_NM_S8_H
#define CK_NEON_SPARSE_NM_S8_H

#include "../sparse/nm_layout.h"
#include "epilogue.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum {
  ck_nm_s8_rows = 4,                // of a tile
  ck_nm_s8_l2_bytes = 256 << 10,    // of activations, rows at a time while all weights pass
};

// The part of K that a call passes, in groups of 8 inputs; `all` of them.
typedef struct ck_nm_range {
  size_t begin, end, all;
} ck_nm_range;

// What a call works on.
typedef struct ck_nm_product {
  const ck_nm_s8 *w;
  const ck_nm_activations *x;
  const ck_sparse_output *y;
  int32_t taken;  // off the activations: 128, or 0 where they are unsigned
} ck_nm_product;

// Activations less 128: the 16 of two groups, or the 8 of one, zeros behind them.
CK_INLINE int8x16_t ck_nm_codes16(const uint8_t *p) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80))); }
CK_INLINE int8x16_t ck_nm_codes8(const uint8_t *p) { return vreinterpretq_s8_u8(veorq_u8(vcombine_u8(vld1_u8(p), vdup_n_u8(0)), vdupq_n_u8(0x80))); }

// Where the sums of a tile begin: at 0, or at those of the K before, which wait in Y's memory: outputs n … of row m, `vectors` of 4.
CK_INLINE void ck_nm_begin(const ck_nm_product *p, ck_nm_range k, size_t m, size_t n, int vectors, int32x4_t *sums) {
  const float *from = p->y->data + m * p->y->stride + n;
  size_t count = (size_t)vectors * 4, left = p->w->outputs - n;
  if (k.begin == 0) {
    CK_UNROLL for (int v = 0; v < vectors; v++) sums[v] = vdupq_n_s32(0);
  } else {
    float some[ck_nm_panel16] = {0};
    if (left < count) from = memcpy(some, from, left * sizeof(float));
    CK_UNROLL for (int v = 0; v < vectors; v++) sums[v] = vreinterpretq_s32_f32(vld1q_f32(from + 4 * v));
  }
}

// The arrays of 16 or 8 outputs from output n on, zeros behind N.
typedef struct ck_nm_ends {
  float scales[ck_nm_panel16], bias[ck_nm_panel16];
  int32_t sums[ck_nm_panel16];
} ck_nm_ends;

// Brings the sums of `rows` rows and `count` outputs, [rows][count], from row m and output n on, to Y, or keeps them there.
static void ck_nm_finish(const ck_nm_product *p, ck_nm_range k, size_t m, size_t rows, size_t n, size_t count, const int32_t *sums) {
  const ck_nm_s8 *w = p->w;
  const ck_sparse_output *y = p->y;
  size_t left = w->outputs - n < count ? w->outputs - n : count;
  ck_nm_ends ends = {{0}, {0}, {0}};
  if (k.end == k.all) {
    memcpy(ends.scales, w->scales + n, left * sizeof(float));
    memcpy(ends.sums, w->sums + n, left * sizeof(int32_t));
    if (y->bias != NULL) memcpy(ends.bias, y->bias + n, left * sizeof(float));
  }
  for (size_t r = 0; r < rows; r++, sums += count) {
    float some[ck_nm_panel16], *whole = y->data + (m + r) * y->stride + n, *to = left == count ? whole : some;
    for (size_t i = 0; i < count; i += 4) {
      int32x4_t sum = vld1q_s32(sums + i);
      float32x4_t v = vreinterpretq_f32_s32(sum);
      if (k.end == k.all) {
        sum = vmlsq_n_s32(sum, vld1q_s32(ends.sums + i), p->x->zero_points[m + r] - p->taken);
        v = vmulq_f32(vcvtq_f32_s32(sum), vmulq_n_f32(vld1q_f32(ends.scales + i), p->x->scales[m + r]));
        if (y->bias != NULL) v = vaddq_f32(v, vld1q_f32(ends.bias + i));
        if (y->relu) v = ck_relu(v);
      }
      vst1q_f32(to + i, v);
    }
    if (left < count) memcpy(whole, some, left * sizeof(float));
  }
}

// Rows of X that the L2 cache holds while all weights pass.
CK_INLINE size_t ck_nm_rows_at_once(size_t inputs) {
  size_t rows = ck_nm_s8_l2_bytes / inputs / ck_nm_s8_rows * ck_nm_s8_rows;
  return rows < 8 * ck_nm_s8_rows ? 8 * ck_nm_s8_rows : rows;
}

// A tile of some rows × a panel over k; `picks`: places decoded before, or null. And one panel of many rows.
typedef void ck_nm_tile(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks);
typedef void ck_nm_many_rows(const ck_nm_product *p, size_t groups, size_t row_begin, size_t row_end, size_t panel);

// A product: up to few_rows rows by the tile of so many, more by chunks whose codes stay in the cache.
CK_INLINE void ck_nm_run(const ck_nm_product *p, const size_t rows[2], const size_t panels[2], size_t few_rows, ck_nm_tile *const few_tiles[],
                         ck_nm_many_rows *many_rows) {
  size_t groups = ck_nm_round_up(p->w->inputs, ck_nm_group) / ck_nm_group, count = rows[1] - rows[0];
  if (count <= few_rows) {
    for (size_t panel = panels[0]; panel < panels[1]; panel++) few_tiles[count](p, (ck_nm_range){0, groups, groups}, rows[0], panel, NULL);
    return;
  }
  size_t chunk = ck_nm_rows_at_once(p->w->inputs);
  for (size_t m = rows[0]; m < rows[1]; m += chunk)
    for (size_t panel = panels[0]; panel < panels[1]; panel++) many_rows(p, groups, m, rows[1] - m < chunk ? rows[1] : m + chunk, panel);
}

CK_TARGET_END

#endif
