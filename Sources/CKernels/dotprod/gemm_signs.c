// W1A1: bytes of counts are added by UDOT with ones (neon/gemm_signs.h).
//
// Limit: EOR, CNT and UDOT, 3 operations for 128 products, any pipe: 10.7 × float32's FMLA; one row 85 weights a cycle on Neoverse N1, 170
// on V1.
#if defined(__aarch64__)
#include "kernels.h"

#include "../neon/gemm_signs.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

CK_INLINE void panel_of_rows(int R, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel) {
  size_t words = ck_sign_words(w->inputs);
  const uint64_t *codes = (const uint64_t *)(const void *)w->codes + panel * words * ck_panel, *rows = (const uint64_t *)(const void *)x->codes + 2 * row * words;
  const uint8x16_t ones = vdupq_n_u8(1);
  uint32x4_t c[ck_sign_rows][ck_sign_vectors];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++) c[r][i] = vdupq_n_u32(0);
  for (size_t t = 0; t < words; t++, codes += ck_panel)
    CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++)
      CK_UNROLL for (int r = 0; r < R; r++) c[r][i] = vdotq_u32(c[r][i], ck_differences(rows + 2 * ((size_t)r * words + t), codes + 2 * i), ones);
  CK_UNROLL for (int r = 0; r < R; r++) ck_finish_signs(w, x, y, row + (size_t)r, panel, c[r]);
}

CK_DEFINE_SIGNS(ck_gemm_signs__dotprod)

CK_TARGET_END
#endif
