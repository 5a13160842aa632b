// What the int8 N:M kernels of NEON and of dotprod share: how activations are read, rows are cut, and sums become outputs.
//
// Activations are multiplied as x − 128, the same byte with its first bit turned over, so that both factors are signed:
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
} ck_nm_product;

// Activations less 128: the 16 of two groups, or the 8 of one, zeros behind them.
CK_INLINE int8x16_t ck_nm_codes16(const uint8_t *p) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80))); }
CK_INLINE int8x16_t ck_nm_codes8(const uint8_t *p) { return vreinterpretq_s8_u8(veorq_u8(vcombine_u8(vld1_u8(p), vdup_n_u8(0)), vdupq_n_u8(0x80))); }

// The sums of outputs n … n + 3 of row m, which wait in Y's memory while K goes on.
CK_INLINE int32x4_t ck_nm_sums(const ck_nm_product *p, ck_nm_range k, size_t m, size_t n) {
  if (k.begin == 0 || n >= p->w->outputs) return vdupq_n_s32(0);
  const float *from = p->y->data + m * p->y->stride + n;
  size_t left = p->w->outputs - n;
  return vreinterpretq_s32_f32(left >= 4 ? vld1q_f32(from) : ck_load_some(from, left));
}

CK_INLINE void ck_nm_store(float *to, size_t count, float32x4_t v) {
  if (count >= 4) {
    vst1q_f32(to, v);
  } else {
    float all[4];
    vst1q_f32(all, v);
    memcpy(to, all, count * sizeof(float));
  }
}

// Brings the sums of outputs n … n + 3 of row m to Y, or keeps them there.
CK_INLINE void ck_nm_write(const ck_nm_product *p, ck_nm_range k, size_t m, size_t n, int32x4_t sum) {
  const ck_nm_s8 *w = p->w;
  const ck_sparse_output *y = p->y;
  if (n >= w->outputs) return;
  size_t left = w->outputs - n;
  float *to = y->data + m * y->stride + n;
  if (k.end < k.all) {
    ck_nm_store(to, left, vreinterpretq_f32_s32(sum));
    return;
  }
  int is_whole = left >= 4;
  int32x4_t sums = is_whole ? vld1q_s32(w->sums + n) : vreinterpretq_s32_f32(ck_load_some((const float *)(const void *)(w->sums + n), left));
  float32x4_t scale = vmulq_n_f32(is_whole ? vld1q_f32(w->scales + n) : ck_load_some(w->scales + n, left), p->x->scales[m]);
  float32x4_t v = vmulq_f32(vcvtq_f32_s32(vmlsq_n_s32(sum, sums, p->x->zero_points[m] - 128)), scale);
  if (y->bias != NULL) v = vaddq_f32(v, is_whole ? vld1q_f32(y->bias + n) : ck_load_some(y->bias + n, left));
  if (y->relu) v = ck_relu(v);
  ck_nm_store(to, left, v);
}

// Rows of X that the L2 cache holds while all weights pass.
CK_INLINE size_t ck_nm_rows_at_once(size_t inputs) {
  size_t rows = ck_nm_s8_l2_bytes / inputs / ck_nm_s8_rows * ck_nm_s8_rows;
  return rows < 8 * ck_nm_s8_rows ? 8 * ck_nm_s8_rows : rows;
}

CK_TARGET_END

#endif
