// What the NEON gemm kernels share: from a row of 16 outputs of a panel, in four registers, to what is asked for.
#ifndef CK_NEON_EPILOGUE_H
#define CK_NEON_EPILOGUE_H

#include "../gemm/layout.h"
#include "simd.h"

enum { ck_panel_vectors = ck_panel / 4 };

CK_TARGET_BEGIN(CK_TARGET_NEON)

// clamp(rint(v · inverse) + zero, lowest, highest); a NaN becomes 0 before the clamp. FCVTNS rounds half to even whatever FPCR says; clamping to ±2²⁴
// first keeps the addition in range and changes no result.
CK_INLINE int32x4_t ck_requantize(float32x4_t v, const ck_gemm_output *y, int32_t lowest, int32_t highest) {
  const float32x4_t limit = vdupq_n_f32(16777216.0f);
  v = vmulq_n_f32(v, y->inverse_scale);
  uint32x4_t number = vceqq_f32(v, v);
  int32x4_t q = vcvtnq_s32_f32(vmaxq_f32(vminq_f32(v, limit), vnegq_f32(limit)));
  q = vandq_s32(vaddq_s32(q, vdupq_n_s32(y->zero_point)), vreinterpretq_s32_u32(number));
  return vmaxq_s32(vminq_s32(q, vdupq_n_s32(highest)), vdupq_n_s32(lowest));
}

// Sixteen int8 multipliers in packed order (outputs 0–3, 8–11, 4–7, 12–15) as int32 in the order of the outputs.
CK_INLINE void ck_expand_vectors(const int8_t *packed, int32x4_t m[ck_panel_vectors]) {
  int8x16_t all = vld1q_s8(packed);
  int16x8_t even = vmovl_s8(vget_low_s8(all)), odd = vmovl_high_s8(all);
  m[0] = vmovl_s16(vget_low_s16(even));
  m[1] = vmovl_s16(vget_low_s16(odd));
  m[2] = vmovl_high_s16(even);
  m[3] = vmovl_high_s16(odd);
}

// Four numbers of which the first `count` may be read, zeros behind them.
CK_INLINE float32x4_t ck_load_some(const float *from, size_t count) {
  float all[4] = {0};
  memcpy(all, from, count * sizeof(float));
  return vld1q_f32(all);
}

// 0 where v < 0; NaNs and zeros stay as they are.
CK_INLINE float32x4_t ck_relu(float32x4_t v) { return vbslq_f32(vcltzq_f32(v), vdupq_n_f32(0), v); }

CK_INLINE void ck_store_codes(const ck_gemm_output *y, size_t at, size_t columns, const float32x4_t v[ck_panel_vectors]) {
  int is_signed = y->type == ck_output_s8;
  int32_t lowest = is_signed ? -127 : 0, highest = is_signed ? 127 : 255;
  uint16x8_t half[2];
  CK_UNROLL for (int i = 0; i < 2; i++)
    half[i] = vreinterpretq_u16_s16(vcombine_s16(vmovn_s32(ck_requantize(v[2 * i], y, lowest, highest)),
                                                 vmovn_s32(ck_requantize(v[2 * i + 1], y, lowest, highest))));
  uint8_t all[ck_panel], *to = (uint8_t *)y->data + at;
  vst1q_u8(columns == ck_panel ? to : all, vcombine_u8(vmovn_u16(half[0]), vmovn_u16(half[1])));
  if (columns < ck_panel) memcpy(to, all, columns);
}

// Adds the bias, applies ReLU, and writes `columns` outputs from output n on of row m.
CK_INLINE void ck_finish_row(const ck_gemm_output *y, size_t m, size_t n, size_t columns, float32x4_t v[ck_panel_vectors]) {
  if (y->bias != NULL) {
    float some[ck_panel] = {0};
    const float *bias = y->bias + n;
    if (columns < ck_panel) bias = memcpy(some, bias, columns * sizeof(float));
    CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) v[i] = vaddq_f32(v[i], vld1q_f32(bias + 4 * i));
  }
  if (y->relu) CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) v[i] = ck_relu(v[i]);
  size_t at = m * y->stride + n;
  if (y->type != ck_output_f32) {
    ck_store_codes(y, at, columns, v);
    return;
  }
  float some[ck_panel], *whole = (float *)y->data + at, *to = columns == ck_panel ? whole : some;
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) vst1q_f32(to + 4 * i, v[i]);
  if (columns < ck_panel) memcpy(whole, some, columns * sizeof(float));
}

// Outputs of a panel that exist.
CK_INLINE size_t ck_panel_columns(const ck_gemm_weights *w, size_t panel) {
  size_t left = w->outputs - panel * ck_panel;
  return left < ck_panel ? left : ck_panel;
}

// One row of integer sums of one panel, corrected by the zero point, of the last segment; `total` are those of the segments before, or null.
CK_INLINE void ck_finish_integers(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel,
                                  const int32x4_t s[ck_panel_vectors], const float *total) {
  size_t n = panel * ck_panel, columns = ck_panel_columns(w, panel);
  if (y->type == ck_output_s32) {
    int32_t some[ck_panel], *whole = (int32_t *)y->data + m * y->stride + n, *to = columns == ck_panel ? whole : some;
    CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) vst1q_s32(to + 4 * i, s[i]);
    if (columns < ck_panel) memcpy(whole, some, columns * sizeof(int32_t));
    return;
  }
  float32x4_t v[ck_panel_vectors];
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) {
    v[i] = vcvtq_f32_s32(s[i]);
    if (total != NULL) v[i] = vaddq_f32(vld1q_f32(total + 4 * i), v[i]);
    v[i] = vmulq_f32(v[i], vmulq_n_f32(vld1q_f32(w->scales + n + 4 * i), x->scales[m]));
  }
  ck_finish_row(y, m, n, columns, v);
}

// A row of a panel at the end of a segment of K. `zero` is the zero point of what was multiplied.
typedef struct ck_segment_end {
  size_t m, panel, segment;
  int is_last;
  int32_t zero;
} ck_segment_end;

// Takes zero · Σ weights of the segment off its sums, and either adds them to `total` as floats or, in the last segment, writes the outputs.
CK_INLINE void ck_end_segment(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, ck_segment_end end,
                              int32x4_t s[ck_panel_vectors], float *total) {
  const int32_t *sums = w->sums + end.segment * ck_round_up(w->outputs, ck_panel) + end.panel * ck_panel;
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) s[i] = vmlsq_n_s32(s[i], vld1q_s32(sums + 4 * i), end.zero);
  if (end.is_last) {
    ck_finish_integers(w, x, y, end.m, end.panel, s, end.segment > 0 ? total : NULL);
    return;
  }
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) {
    float32x4_t v = vcvtq_f32_s32(s[i]);
    vst1q_f32(total + 4 * i, end.segment > 0 ? vaddq_f32(vld1q_f32(total + 4 * i), v) : v);
  }
}

CK_TARGET_END

#endif
