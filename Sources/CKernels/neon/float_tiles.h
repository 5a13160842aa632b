// Products of float32 activations and 16-bit weights by FMLA, shared by gemm_half.c and gemm_bf16.c.
//
// Every output is one sum in ascending order of k, begun at 0, each step one fused multiply-add: the same bits for any number of rows, however the product
// is cut. What hides the latency of FMLA (4 cycles, 2 a cycle on N1, 4 on V1) are the outputs.
//
//   direct  up to 4 rows: weights are widened in registers and used once by all rows. R rows × P panels of 16 outputs, 12 or 16 registers of sums.
//   panels  more rows: 16 outputs × 256 inputs are widened once into L1 (16 KB) and used by all rows in tiles of 4 × 16: 16 sums, 4 registers of activations
//           (4 inputs of a row, multiplied by lane), 4 of weights; 20 loads for 64 FMLA.
#ifndef CK_NEON_FLOAT_TILES_H
#define CK_NEON_FLOAT_TILES_H

#include "epilogue.h"
#include "kernels.h"
#include "../float_environment.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { ck_float_block = 256, ck_float_chunk = 256, ck_tile_rows = 4 };

typedef struct ck_float_workspace {
  float panel[ck_float_block][ck_panel];
  float sums[ck_float_chunk][ck_panel];
} ck_float_workspace;

// How weights are stored.
typedef enum ck_widening {
  ck_widen_f16,         // panel16: rows of 16 outputs
  ck_widen_f16_scaled,  // the same, none infinite or a NaN, times 2⁻¹¹²
  ck_widen_bf16,        // panel16
  ck_widen_bf16_pairs,  // panel16x2: pairs of inputs, the odd one first; activations have the inputs of a pair exchanged
} ck_widening;

// Weights of 4 outputs, FP16, by their bits alone: exponent and significand where float32 has them, with FP16's bias: w · 2⁻¹¹², subnormals too (as long
// as FPCR keeps those of float32).
CK_INLINE float32x4_t ck_scaled_f16(int32x4_t shifted) { return vreinterpretq_f32_s32(vandq_s32(shifted, vdupq_n_s32((int32_t)0x8FFFFFFFu))); }

// Input i (0 or 1, in the order of the sums) of the two at `p`, 64 bytes, of 16 outputs.
CK_INLINE void ck_widen_input(ck_widening widening, const uint8_t *p, int i, float32x4_t w[ck_panel_vectors]) {
  if (widening == ck_widen_bf16_pairs) {
    CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) {
      uint32x4_t pairs = vreinterpretq_u32_u8(vld1q_u8(p + 16 * q));
      w[q] = vreinterpretq_f32_u32(i == 0 ? vandq_u32(pairs, vdupq_n_u32(0xFFFF0000u)) : vshlq_n_u32(pairs, 16));
    }
    return;
  }
  CK_UNROLL for (int half = 0; half < 2; half++) {
    uint16x8_t v = vreinterpretq_u16_u8(vld1q_u8(p + 32 * i + 16 * half));
    float32x4_t *to = w + 2 * half;
    if (widening == ck_widen_f16) {
      to[0] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(v)));
      to[1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(v));
    } else if (widening == ck_widen_f16_scaled) {
      to[0] = ck_scaled_f16(vshll_n_s16(vreinterpret_s16_u16(vget_low_u16(v)), 13));
      to[1] = ck_scaled_f16(vshll_high_n_s16(vreinterpretq_s16_u16(v), 13));
    } else {
      to[0] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(v), 16));
      to[1] = vreinterpretq_f32_u32(vshll_high_n_u16(v, 16));
    }
  }
}

// 16-bit weights of a panel, padded to pairs.
CK_INLINE size_t ck_panel_bytes(ck_widening widening, size_t inputs) {
  return (widening == ck_widen_bf16_pairs ? ck_round_up(inputs, 2) : inputs) * ck_panel * sizeof(uint16_t);
}

CK_INLINE float32x4_t ck_fma_lane(float32x4_t sum, float32x4_t w, float32x4_t x, int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, w, x, 0);
    case 1: return vfmaq_laneq_f32(sum, w, x, 1);
    case 2: return vfmaq_laneq_f32(sum, w, x, 2);
    default: return vfmaq_laneq_f32(sum, w, x, 3);
  }
}

// A product as the loops here see it: `inputs` are those of x, K, or K padded to pairs.
typedef struct ck_float_product {
  const ck_gemm_weights *w;
  const float *x;
  size_t stride, inputs;
  ck_float_workspace *s;
} ck_float_product;

// ---- Few rows

// R rows × P panels from `panel` on, into sums[r · P + p].
CK_INLINE void ck_direct_tile(ck_widening widening, int R, int P, const ck_float_product *g, size_t panel) {
  size_t size = ck_panel_bytes(widening, g->w->inputs), inputs = g->inputs, stride = g->stride, k = 0;
  const uint8_t *at = g->w->codes + panel * size;
  const float *x = g->x;
  float32x4_t c[4][4][ck_panel_vectors], a[4], b[ck_panel_vectors];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    c[r][p][q] = vdupq_n_f32(0);
  for (; k + 4 <= inputs; k += 4, at += 4 * ck_panel * sizeof(uint16_t)) {
    CK_UNROLL for (int r = 0; r < R; r++) {
      a[r] = vld1q_f32(x + (size_t)r * stride + k);
      if (widening == ck_widen_f16_scaled) a[r] = vmulq_f32(a[r], vdupq_n_f32(0x1p112f));
    }
    CK_UNROLL for (int pair = 0; pair < 2; pair++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int i = 0; i < 2; i++) {
      ck_widen_input(widening, at + (size_t)p * size + 64 * pair, i, b);
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
        c[r][p][q] = ck_fma_lane(c[r][p][q], b[q], a[r], 2 * pair + i);
    }
  }
  for (; k < inputs; k++) {
    CK_UNROLL for (int r = 0; r < R; r++) {
      a[r] = vdupq_n_f32(x[(size_t)r * stride + k]);
      if (widening == ck_widen_f16_scaled) a[r] = vmulq_f32(a[r], vdupq_n_f32(0x1p112f));
    }
    CK_UNROLL for (int p = 0; p < P; p++) {
      const uint8_t *from = at + (size_t)p * size;
      if (widening == ck_widen_bf16_pairs && k % 2 == 1) {
        ck_widen_input(widening, from, 1, b);
      } else {
        ck_widen_input(widening, from, 0, b);
      }
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) c[r][p][q] = vfmaq_f32(c[r][p][q], b[q], a[r]);
    }
    if (widening != ck_widen_bf16_pairs) at += ck_panel * sizeof(uint16_t);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    vst1q_f32(g->s->sums[r * P + p] + 4 * q, c[r][p][q]);
}

// Panels that `rows` rows multiply at once, as long as there are so many; then one.
static inline size_t ck_direct_width(size_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

// The sums of all rows and ck_direct_width panels, or of one where `is_wide` is 0. Each file makes a function of its own of it.
CK_INLINE void ck_direct_sums(ck_widening widening, const ck_float_product *g, size_t rows, int is_wide, size_t panel) {
  switch (rows * 2 + (size_t)is_wide) {
    case 2: ck_direct_tile(widening, 1, 1, g, panel); break;
    case 3: ck_direct_tile(widening, 1, 4, g, panel); break;
    case 4: ck_direct_tile(widening, 2, 1, g, panel); break;
    case 5: ck_direct_tile(widening, 2, 2, g, panel); break;
    case 6: case 7: ck_direct_tile(widening, 3, 1, g, panel); break;
    default: ck_direct_tile(widening, 4, 1, g, panel); break;
  }
}

// ---- Many rows

// Inputs first ..< first + count of a panel; `first` is even.
CK_INLINE void ck_widen_panel(ck_widening widening, const uint8_t *from, size_t count, float (*panel)[ck_panel]) {
  float32x4_t w[ck_panel_vectors];
  size_t k = 0;
  for (; k + 2 <= count; k += 2, from += 64) {
    CK_UNROLL for (int i = 0; i < 2; i++) {
      ck_widen_input(widening, from, i, w);
      CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
        vst1q_f32(panel[k + (size_t)i] + 4 * q, widening == ck_widen_f16_scaled ? vmulq_f32(w[q], vdupq_n_f32(0x1p112f)) : w[q]);
    }
  }
  if (k == count) return;
  ck_widen_input(widening, from, 0, w);
  CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    vst1q_f32(panel[k] + 4 * q, widening == ck_widen_f16_scaled ? vmulq_f32(w[q], vdupq_n_f32(0x1p112f)) : w[q]);
}

// R rows × 16 outputs, added to `sums`.
CK_INLINE void ck_float_tile(int R, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  float32x4_t c[ck_tile_rows][ck_panel_vectors], a[ck_tile_rows];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) c[r][q] = vld1q_f32(sums[r] + 4 * q);
  size_t k = 0;
  for (; k + 4 <= inputs; k += 4) {
    CK_UNROLL for (int r = 0; r < R; r++) a[r] = vld1q_f32(x + (size_t)r * stride + k);
    CK_UNROLL for (int i = 0; i < 4; i++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) {
      float32x4_t b = vld1q_f32(w[k + (size_t)i] + 4 * q);
      CK_UNROLL for (int r = 0; r < R; r++) c[r][q] = ck_fma_lane(c[r][q], b, a[r], i);
    }
  }
  for (; k < inputs; k++) {
    CK_UNROLL for (int r = 0; r < R; r++) a[r] = vdupq_n_f32(x[(size_t)r * stride + k]);
    CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) {
      float32x4_t b = vld1q_f32(w[k] + 4 * q);
      CK_UNROLL for (int r = 0; r < R; r++) c[r][q] = vfmaq_f32(c[r][q], b, a[r]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) vst1q_f32(sums[r] + 4 * q, c[r][q]);
}

CK_APART void ck_run_float_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  switch (rows) {
    case 1: ck_float_tile(1, x, stride, w, inputs, sums); break;
    case 2: ck_float_tile(2, x, stride, w, inputs, sums); break;
    case 3: ck_float_tile(3, x, stride, w, inputs, sums); break;
    default: ck_float_tile(4, x, stride, w, inputs, sums); break;
  }
}

// Tiles of `rows` rows are of about equal size: height of the one of which `left` rows remain.
CK_INLINE size_t ck_tile_height(size_t left) { return left / ((left + ck_tile_rows - 1) / ck_tile_rows); }

CK_INLINE void ck_finish_float_row(const ck_gemm_weights *w, const ck_gemm_output *y, size_t m, size_t panel, const float *sums) {
  float32x4_t v[ck_panel_vectors];
  CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) v[q] = vld1q_f32(sums + 4 * q);
  ck_finish_row(y, m, panel * ck_panel, ck_panel_columns(w, panel), v);
}

CK_TARGET_END
#endif
