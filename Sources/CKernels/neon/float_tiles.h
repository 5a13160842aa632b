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

// How weights are stored, and which of two neighbouring inputs is added first.
typedef enum ck_widening {
  ck_widen_f16,         // panel16: rows of 16 outputs
  ck_widen_f16_scaled,  // the same, none infinite or a NaN, times 2⁻¹¹²
  ck_widen_bf16,        // panel16x2: pairs of inputs, the even one first
  ck_widen_bf16_odd,    // panel16x2: the odd one first; activations have the inputs of a pair exchanged
} ck_widening;
CK_INLINE int ck_is_f16(ck_widening widening) { return widening == ck_widen_f16 || widening == ck_widen_f16_scaled; }

// Weights of 4 outputs, FP16, by their bits alone: exponent and significand where float32 has them, with FP16's bias: w · 2⁻¹¹², subnormals too (as long
// as FPCR keeps those of float32).
CK_INLINE float32x4_t ck_scaled_f16(int32x4_t shifted) { return vreinterpretq_f32_s32(vandq_s32(shifted, vdupq_n_s32((int32_t)0x8FFFFFFFu))); }

// Two inputs of 16 outputs as they are stored, 64 bytes.
typedef struct ck_stored_pair {
  uint8x16_t v[ck_panel_vectors];
} ck_stored_pair;
CK_INLINE ck_stored_pair ck_load_pair(const uint8_t *p) {
  return (ck_stored_pair){{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
}

// The same where the second input may not exist: then an odd K is padded, or nothing is read of it.
CK_INLINE ck_stored_pair ck_load_last(ck_widening widening, const uint8_t *p, int is_pair) {
  if (is_pair || !ck_is_f16(widening)) return ck_load_pair(p);
  return (ck_stored_pair){{vld1q_u8(p), vld1q_u8(p + 16), vdupq_n_u8(0), vdupq_n_u8(0)}};
}

// Outputs 4·q ..< 4·q + 4 of input i, 0 or 1 in the order of the sums.
CK_INLINE float32x4_t ck_widen4(ck_widening widening, const ck_stored_pair *pair, int i, int q) {
  if (!ck_is_f16(widening)) {
    uint32x4_t both = vreinterpretq_u32_u8(pair->v[q]);
    int is_odd = widening == ck_widen_bf16 ? i == 1 : i == 0;
    return vreinterpretq_f32_u32(is_odd ? vandq_u32(both, vdupq_n_u32(0xFFFF0000u)) : vshlq_n_u32(both, 16));
  }
  int16x8_t v = vreinterpretq_s16_u8(pair->v[2 * i + q / 2]);
  if (widening == ck_widen_f16_scaled) return ck_scaled_f16(q % 2 == 0 ? vshll_n_s16(vget_low_s16(v), 13) : vshll_high_n_s16(v, 13));
  float16x8_t numbers = vreinterpretq_f16_s16(v);
  return q % 2 == 0 ? vcvt_f32_f16(vget_low_f16(numbers)) : vcvt_high_f32_f16(numbers);
}

// Bytes of a panel.
CK_INLINE size_t ck_panel_bytes(ck_widening widening, size_t inputs) {
  return (ck_is_f16(widening) ? inputs : ck_round_up(inputs, 2)) * ck_panel * sizeof(uint16_t);
}

CK_INLINE float32x4_t ck_fma_lane(float32x4_t sum, float32x4_t w, float32x4_t x, int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, w, x, 0);
    case 1: return vfmaq_laneq_f32(sum, w, x, 1);
    case 2: return vfmaq_laneq_f32(sum, w, x, 2);
    default: return vfmaq_laneq_f32(sum, w, x, 3);
  }
}

// gcc would fetch weights so early that it needs more registers than there are.
#if defined(__clang__)
#define CK_LOAD_LATE() (void)0
#else
#define CK_LOAD_LATE() CK_KEEP_IN_MEMORY()
#endif

// A product as the loops here see it: `inputs` are those of x, K, or K padded to pairs.
typedef struct ck_float_product {
  const ck_gemm_weights *w;
  const float *x;
  size_t stride, inputs;
  ck_float_workspace *s;
} ck_float_product;

// ---- Few rows

// Activations of up to 4 rows, 4 inputs each, and sums of R rows × P panels.
typedef struct ck_direct {
  float32x4_t a[4], c[4][4][ck_panel_vectors];
} ck_direct;

// What the widened weights are multiplied by.
CK_INLINE float32x4_t ck_factors(ck_widening widening, float32x4_t x) { return widening == ck_widen_f16_scaled ? vmulq_n_f32(x, 0x1p112f) : x; }

// c += x · w for input i of a pair, which is in `lane` of the activations. The orders of instructions are what clang's scheduling makes the best of: 5.2
// weights a cycle of FP16 on V1 and 8.0 of BF16, the other way round 5.0 and 7.8.
CK_INLINE void ck_direct_step(ck_widening widening, int R, const ck_stored_pair *pair, int i, int lane, int p, ck_direct *d) {
  float32x4_t b[ck_panel_vectors];
  if (R == 1 && ck_is_f16(widening)) {
    CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) d->c[0][p][q] = ck_fma_lane(d->c[0][p][q], ck_widen4(widening, pair, i, q), d->a[0], lane);
    return;
  }
  CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) b[q] = ck_widen4(widening, pair, i, q);
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    d->c[r][p][q] = ck_fma_lane(d->c[r][p][q], b[q], d->a[r], lane);
}

// One or two inputs, the first of them in `lane`, 0 or 2, where `left` are left.
CK_INLINE void ck_direct_rest(ck_widening widening, int R, int P, const uint8_t *at, size_t size, size_t left, int lane,
                              ck_direct *d) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    ck_stored_pair pair = ck_load_last(widening, at + (size_t)p * size, left > 1);
    ck_direct_step(widening, R, &pair, 0, lane, p, d);
    if (left > 1) ck_direct_step(widening, R, &pair, 1, lane + 1, p, d);
  }
}

// R rows × P panels from `panel` on, into sums[r · P + p].
CK_INLINE void ck_direct_tile(ck_widening widening, int R, int P, const ck_float_product *g, size_t panel) {
  size_t size = ck_panel_bytes(widening, g->w->inputs), inputs = g->inputs, k = 0;
  const uint8_t *at = g->w->codes + panel * size;
  ck_direct d;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    d.c[r][p][q] = vdupq_n_f32(0);
  for (; k + 4 <= inputs; k += 4, at += 128) {
    CK_UNROLL for (int r = 0; r < R; r++) d.a[r] = ck_factors(widening, vld1q_f32(g->x + (size_t)r * g->stride + k));
    CK_UNROLL for (int i = 0; i < 4; i += 2) CK_UNROLL for (int j = 0; j < 2 * P; j++) {
      int p = ck_is_f16(widening) ? j % P : j / 2, second = ck_is_f16(widening) ? j / P : j % 2;
      CK_LOAD_LATE();
      ck_stored_pair pair = ck_load_pair(at + (size_t)p * size + 32 * i);
      ck_direct_step(widening, R, &pair, second, i + second, p, &d);
    }
  }
  size_t left = inputs - k;
  if (left > 0) {
    CK_UNROLL for (int r = 0; r < R; r++) d.a[r] = ck_factors(widening, ck_load_some(g->x + (size_t)r * g->stride + k, left));
    ck_direct_rest(widening, R, P, at, size, left, 0, &d);
  }
  if (left > 2) ck_direct_rest(widening, R, P, at + 64, size, left - 2, 2, &d);
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++)
    vst1q_f32(g->s->sums[r * P + p] + 4 * q, d.c[r][p][q]);
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

// Input i of a pair, as float32.
CK_INLINE void ck_widen_input(ck_widening widening, const ck_stored_pair *pair, int i, float *to) {
  CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) vst1q_f32(to + 4 * q, ck_widen4(widening, pair, i, q));
}

// `count` inputs of a panel, from an even one on.
CK_INLINE void ck_widen_panel(ck_widening widening, const uint8_t *from, size_t count, float (*panel)[ck_panel]) {
  size_t k = 0;
  for (; k + 2 <= count; k += 2, from += 64) {
    ck_stored_pair pair = ck_load_pair(from);
    ck_widen_input(widening, &pair, 0, panel[k]);
    ck_widen_input(widening, &pair, 1, panel[k + 1]);
  }
  if (k == count) return;
  ck_stored_pair last = ck_load_last(widening, from, 0);
  ck_widen_input(widening, &last, 0, panel[k]);
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
