// W1A1 from words of 64 inputs (panel16x64): what kernels that count differently share.
#ifndef CK_AVX512_SIGNS_H
#define CK_AVX512_SIGNS_H

#include "epilogue.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// Bits of activations and weights that differ, in eight outputs.
CK_INLINE __m512i ck_different(const uint64_t *x, __m512i w) { return _mm512_xor_si512(_mm512_set1_epi64((int64_t)*x), w); }

// Writes row m of a panel from how many bits differ: K − 2 · count, in int32. Even outputs are the low halves of 64 bits, odd ones the high halves.
CK_INLINE void ck_finish_signs(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel, __m512i even,
                               __m512i odd) {
  __m512i counts = _mm512_or_si512(even, _mm512_slli_epi64(odd, 32));
  __m512i sum = _mm512_sub_epi32(_mm512_set1_epi32((int32_t)w->inputs), _mm512_slli_epi32(counts, 1));
  __mmask16 lanes = ck_panel_lanes(w, panel);
  if (y->type == ck_output_s32) {
    _mm512_mask_storeu_epi32((int32_t *)y->data + m * y->stride + panel * ck_panel, lanes, sum);
    return;
  }
  __m512 scale = _mm512_mul_ps(_mm512_set1_ps(x->scales[m]), _mm512_loadu_ps(w->scales + panel * ck_panel));
  ck_finish16(y, m, panel * ck_panel, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
}

CK_TARGET_END
#endif
