// What the AVX512 gemm kernels share: the epilogue that turns sums of 16 outputs into what is asked for. The operations of the portable kernel in its
// order, so its bits. Masked loads and stores touch no output beyond N.
#ifndef CK_AVX512_EPILOGUE_H
#define CK_AVX512_EPILOGUE_H

#include "../gemm/layout.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// clamp(rint(v · inverse) + zero, lowest, highest) as int32; a NaN becomes 0 before the clamp. Rounding is half to even
// whatever MXCSR says; clamping to ±2²⁴ first keeps the conversion in range and changes no result.
CK_INLINE __m512i ck_requantize16(__m512 v, const ck_gemm_output *y, int32_t lowest, int32_t highest) {
  const __m512 limit = _mm512_set1_ps(16777216.0f), negative_limit = _mm512_set1_ps(-16777216.0f);
  v = _mm512_mul_ps(v, _mm512_set1_ps(y->inverse_scale));
  __mmask16 is_number = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
  v = _mm512_max_ps(_mm512_min_ps(v, limit), negative_limit);
  __m512i q = _mm512_maskz_cvt_roundps_epi32(is_number, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  q = _mm512_maskz_add_epi32(is_number, q, _mm512_set1_epi32(y->zero_point));
  return _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(highest)), _mm512_set1_epi32(lowest));
}

// Adds the bias, applies ReLU, and writes the outputs of `lanes` from output n on of row m.
CK_INLINE void ck_finish16(const ck_gemm_output *y, size_t m, size_t n, __mmask16 lanes, __m512 v) {
  if (y->bias != NULL) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, y->bias + n));
  if (y->relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);  // max(0, NaN) is NaN in this operand order, as in float32 layers
  size_t at = m * y->stride + n;
  if (y->type == ck_output_f32) {
    _mm512_mask_storeu_ps((float *)y->data + at, lanes, v);
    return;
  }
  int is_signed = y->type == ck_output_s8;
  __m512i q = ck_requantize16(v, y, is_signed ? -127 : 0, is_signed ? 127 : 255);
  _mm512_mask_cvtepi32_storeu_epi8((uint8_t *)y->data + at, lanes, q);
}

// Outputs of panel `panel` that exist.
CK_INLINE __mmask16 ck_panel_lanes(const ck_gemm_weights *w, size_t panel) { return ck_first_lanes(w->outputs - panel * ck_panel); }

// sum − (zero_point − offset) · Σ weights over segment `segment`, where the sum was made with activations less `offset`.
CK_INLINE __m512i ck_subtract_zero16(const ck_gemm_weights *w, const ck_gemm_activations *x, size_t m, size_t panel, size_t segment, int32_t offset,
                                     __m512i sum) {
  const int32_t *sums = w->sums + segment * ck_round_up(w->outputs, ck_panel) + panel * ck_panel;
  return _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_set1_epi32(x->zero_points[m] - offset), _mm512_loadu_si512(sums)));
}

// Scales the float sum of row m and writes the outputs of a panel.
CK_INLINE void ck_end_total16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel, __m512 total) {
  __m512 scale = _mm512_mul_ps(_mm512_set1_ps(x->scales[m]), _mm512_loadu_ps(w->scales + panel * ck_panel));
  ck_finish16(y, m, panel * ck_panel, ck_panel_lanes(w, panel), _mm512_mul_ps(total, scale));
}

// Ends a segment of row m, whose sums are corrected by the zero point: either keeps the sums of a panel as floats in `total` [16] or writes the
// outputs. With one segment `total` is not touched.
CK_INLINE void ck_end_sums16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel, int is_first,
                             int is_last, __m512i sum, float *total) {
  if (y->type == ck_output_s32 && is_last) {
    _mm512_mask_storeu_epi32((int32_t *)y->data + m * y->stride + panel * ck_panel, ck_panel_lanes(w, panel), sum);
    return;
  }
  __m512 v = _mm512_cvtepi32_ps(sum);
  if (!is_first) v = _mm512_add_ps(_mm512_loadu_ps(total), v);
  if (is_last) ck_end_total16(w, x, y, m, panel, v);
  else _mm512_storeu_ps(total, v);
}

// The same for sums that are not corrected yet.
CK_INLINE void ck_end_segment16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel,
                                size_t segment, int is_last, int32_t offset, __m512i sum, float *total) {
  ck_end_sums16(w, x, y, m, panel, segment == 0, is_last, ck_subtract_zero16(w, x, m, panel, segment, offset, sum), total);
}

// Sums of some rows of one or two panels, corrected: int32, or float totals. Row first + i lies stride · i behind the first.
typedef struct ck_row_sums16 {
  const int32_t *sums;  // null: totals
  const float *totals;
  size_t stride, first, last, panel, panels;
} ck_row_sums16;

// The rows of ck_end_rows16 with what they share in registers.
CK_INLINE void ck_scale_rows16(int P, int has_totals, int has_bias, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                               const ck_row_sums16 *from) {
  size_t n = from->panel * ck_panel;
  __mmask16 lanes = ck_panel_lanes(w, from->panel + (size_t)P - 1);
  __m512 scales[2], bias[2];
  CK_UNROLL for (int p = 0; p < P; p++) {
    scales[p] = _mm512_loadu_ps(w->scales + n + p * ck_panel);
    bias[p] = has_bias ? _mm512_maskz_loadu_ps(p + 1 < P ? 0xFFFF : lanes, y->bias + n + p * ck_panel) : _mm512_setzero_ps();
  }
  float *to = (float *)y->data + from->first * y->stride + n;
  for (size_t m = from->first, at = 0; m < from->last; m++, at += from->stride, to += y->stride) {
    __m512 scale = _mm512_set1_ps(x->scales[m]);
    CK_UNROLL for (int p = 0; p < P; p++) {
      __m512 v = has_totals ? _mm512_loadu_ps(from->totals + at + p * ck_panel)
                            : _mm512_cvtepi32_ps(_mm512_loadu_si512(from->sums + at + p * ck_panel));
      v = _mm512_mul_ps(v, _mm512_mul_ps(scale, scales[p]));
      if (has_bias) v = _mm512_add_ps(v, bias[p]);
      if (y->relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);
      if (p + 1 < P) _mm512_storeu_ps(to + p * ck_panel, v);
      else _mm512_mask_storeu_ps(to + p * ck_panel, lanes, v);
    }
  }
}

// Ends the only segment, or the last, of some rows, float32 outputs: what ck_end_sums16 and ck_end_total16 do, at half their cost. Returns 0, having
// done nothing, where outputs are others.
CK_INLINE int ck_end_rows16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, const ck_row_sums16 *from) {
  if (y->type != ck_output_f32) return 0;
  int has_totals = from->sums == NULL, has_bias = y->bias != NULL;
#define CK_SCALE_ROWS(P, totals, bias) \
  if (from->panels == P && has_totals == totals && has_bias == bias) ck_scale_rows16(P, totals, bias, w, x, y, from);
  CK_SCALE_ROWS(1, 0, 0) CK_SCALE_ROWS(1, 0, 1) CK_SCALE_ROWS(1, 1, 0) CK_SCALE_ROWS(1, 1, 1)
  CK_SCALE_ROWS(2, 0, 0) CK_SCALE_ROWS(2, 0, 1) CK_SCALE_ROWS(2, 1, 0) CK_SCALE_ROWS(2, 1, 1)
#undef CK_SCALE_ROWS
  return 1;
}

CK_TARGET_END

#endif
