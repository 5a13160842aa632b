// What the AVX2 gemm kernels share: the epilogue that turns a tile into outputs.
#ifndef CK_AVX2_EPILOGUE_H
#define CK_AVX2_EPILOGUE_H

#include "../gemm/layout.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

// Sixteen int8 multipliers in packed order to pairs of int16 for outputs 0–7 and 8–15.
CK_INLINE void ck_expand_multipliers(const int8_t *packed, __m256i pairs[2]) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)packed));
  pairs[0] = _mm256_unpacklo_epi16(wide, wide);
  pairs[1] = _mm256_unpackhi_epi16(wide, wide);
}

// clamp(rint(v · inverse) + zero, lowest, highest) as int32; a NaN becomes 0 before the clamp. Rounding is half to even
// whatever MXCSR says; clamping to ±2²⁴ first keeps the conversion in range and changes no result.
CK_INLINE __m256i ck_requantize(__m256 v, const ck_gemm_output *y, int32_t lowest, int32_t highest) {
  const __m256 limit = _mm256_set1_ps(16777216.0f);
  v = _mm256_mul_ps(v, _mm256_set1_ps(y->inverse_scale));
  __m256i number = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q));
  v = _mm256_max_ps(_mm256_min_ps(v, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
  __m256i q = _mm256_cvttps_epi32(_mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  q = _mm256_and_si256(_mm256_add_epi32(q, _mm256_set1_epi32(y->zero_point)), number);
  return _mm256_max_epi32(_mm256_min_epi32(q, _mm256_set1_epi32(highest)), _mm256_set1_epi32(lowest));
}

CK_INLINE void ck_store_floats(float *to, size_t columns, __m256 v0, __m256 v1) {
  if (columns == ck_panel) {
    _mm256_storeu_ps(to, v0);
    _mm256_storeu_ps(to + 8, v1);
    return;
  }
  float all[ck_panel];
  _mm256_storeu_ps(all, v0);
  _mm256_storeu_ps(all + 8, v1);
  memcpy(to, all, columns * sizeof(float));
}

// Adds the bias, applies ReLU, and writes `columns` outputs from output n on of row m.
CK_INLINE void ck_finish_row(const ck_gemm_output *y, size_t m, size_t n, size_t columns, __m256 v0, __m256 v1) {
  if (y->bias != NULL) {
    if (columns == ck_panel) {
      v0 = _mm256_add_ps(v0, _mm256_loadu_ps(y->bias + n));
      v1 = _mm256_add_ps(v1, _mm256_loadu_ps(y->bias + n + 8));
    } else {
      float bias[ck_panel] = {0};
      memcpy(bias, y->bias + n, columns * sizeof(float));
      v0 = _mm256_add_ps(v0, _mm256_loadu_ps(bias));
      v1 = _mm256_add_ps(v1, _mm256_loadu_ps(bias + 8));
    }
  }
  if (y->relu) {  // max(0, NaN) is NaN in this operand order, as in float32 layers
    v0 = _mm256_max_ps(_mm256_setzero_ps(), v0);
    v1 = _mm256_max_ps(_mm256_setzero_ps(), v1);
  }
  size_t at = m * y->stride + n;
  if (y->type == ck_output_f32) {
    ck_store_floats((float *)y->data + at, columns, v0, v1);
    return;
  }
  int is_signed = y->type == ck_output_s8;
  int32_t lowest = is_signed ? -127 : 0, highest = is_signed ? 127 : 255;
  int32_t all[ck_panel];
  _mm256_storeu_si256((__m256i *)all, ck_requantize(v0, y, lowest, highest));
  _mm256_storeu_si256((__m256i *)(all + 8), ck_requantize(v1, y, lowest, highest));
  uint8_t *to = (uint8_t *)y->data + at;
  for (size_t c = 0; c < columns; c++) to[c] = (uint8_t)all[c];
}

// One row of sums of one panel: sums over the current segment, already corrected by the zero point.
CK_INLINE void ck_finish_integers(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m,
                                  size_t panel, __m256i s0, __m256i s1, const float *earlier_segments) {
  size_t n = panel * ck_panel, left = w->outputs - n, columns = left < ck_panel ? left : ck_panel;
  if (y->type == ck_output_s32) {
    ck_store_floats((float *)y->data + m * y->stride + n, columns, _mm256_castsi256_ps(s0), _mm256_castsi256_ps(s1));
    return;
  }
  __m256 v0 = _mm256_cvtepi32_ps(s0), v1 = _mm256_cvtepi32_ps(s1);
  if (earlier_segments != NULL) {
    v0 = _mm256_add_ps(_mm256_load_ps(earlier_segments), v0);
    v1 = _mm256_add_ps(_mm256_load_ps(earlier_segments + 8), v1);
  }
  __m256 scale = _mm256_set1_ps(x->scales[m]);
  v0 = _mm256_mul_ps(v0, _mm256_mul_ps(scale, _mm256_load_ps(w->scales + n)));
  v1 = _mm256_mul_ps(v1, _mm256_mul_ps(scale, _mm256_load_ps(w->scales + n + 8)));
  ck_finish_row(y, m, n, columns, v0, v1);
}

// sum − zero_point · Σ weights over segment `segment`.
CK_INLINE __m256i ck_subtract_zero(const ck_gemm_weights *w, const ck_gemm_activations *x, size_t m, size_t n, size_t segment, __m256i sum) {
  const int32_t *sums = w->sums + segment * ck_round_up(w->outputs, ck_panel) + n;
  return _mm256_sub_epi32(sum, _mm256_mullo_epi32(_mm256_set1_epi32(x->zero_points[m]), ck_load(sums)));
}

// Ends a segment for row m: corrects its sums, and either keeps them as floats in `total` or writes the outputs.
CK_INLINE void ck_end_segment(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel,
                              size_t segment, int is_last, __m256i s0, __m256i s1, float *total) {
  s0 = ck_subtract_zero(w, x, m, panel * ck_panel, segment, s0);
  s1 = ck_subtract_zero(w, x, m, panel * ck_panel + 8, segment, s1);
  if (is_last) {
    ck_finish_integers(w, x, y, m, panel, s0, s1, segment > 0 ? total : NULL);
    return;
  }
  __m256 v0 = _mm256_cvtepi32_ps(s0), v1 = _mm256_cvtepi32_ps(s1);
  if (segment > 0) {
    v0 = _mm256_add_ps(_mm256_load_ps(total), v0);
    v1 = _mm256_add_ps(_mm256_load_ps(total + 8), v1);
  }
  _mm256_store_ps(total, v0);
  _mm256_store_ps(total + 8, v1);
}

CK_INLINE void ck_scaled_rows(int has_bias, int has_relu, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                              size_t first, size_t last, size_t n, int32_t (*sums)[ck_panel]) {
  __m256i weights[2];
  __m256 scales[2], bias[2];
  CK_UNROLL for (size_t half = 0; half < 2; half++) {
    weights[half] = ck_load(w->sums + n + 8 * half);
    scales[half] = _mm256_load_ps(w->scales + n + 8 * half);
    if (has_bias) bias[half] = _mm256_loadu_ps(y->bias + n + 8 * half);
  }
  for (size_t m = first; m < last; m++, sums++) {
    __m256i zero = _mm256_set1_epi32(x->zero_points[m]);
    __m256 scale = _mm256_set1_ps(x->scales[m]);
    CK_UNROLL for (size_t half = 0; half < 2; half++) {
      __m256i sum = _mm256_sub_epi32(ck_load(*sums + 8 * half), _mm256_mullo_epi32(zero, weights[half]));
      __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, scales[half]));
      if (has_bias) v = _mm256_add_ps(v, bias[half]);
      if (has_relu) v = _mm256_max_ps(_mm256_setzero_ps(), v);
      _mm256_storeu_ps((float *)y->data + m * y->stride + n + 8 * half, v);
    }
  }
}

// Ends the only segment for rows first ..< last of a whole panel, float32 outputs: what ck_end_segment does, with all that a panel's rows share
// read once. With few inputs this is a good part of the time. Returns 0, having done nothing, where the case is another.
static inline int ck_end_only_segment(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t first, size_t last,
                                      size_t panel, int32_t (*sums)[ck_panel]) {
  size_t n = panel * ck_panel;
  if (y->type != ck_output_f32 || w->outputs - n < ck_panel) return 0;
  if (y->bias != NULL) {
    if (y->relu) ck_scaled_rows(1, 1, w, x, y, first, last, n, sums);
    else ck_scaled_rows(1, 0, w, x, y, first, last, n, sums);
  } else {
    if (y->relu) ck_scaled_rows(0, 1, w, x, y, first, last, n, sums);
    else ck_scaled_rows(0, 0, w, x, y, first, last, n, sums);
  }
  return 1;
}

CK_TARGET_END

#endif
