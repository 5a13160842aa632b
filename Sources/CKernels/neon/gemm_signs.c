// W1A1 without dot products: bytes of counts are added up over 31 words (31 · 8 < 256), then widened (gemm_signs.h).
//
// Limit: EOR, CNT and ADD, 3 operations for 128 products on two pipes of a Cortex-A72, of which one counts.
#if defined(__aarch64__)
#include "gemm_signs.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { words_at_once = 31 };

CK_INLINE void panel_of_rows(int R, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel) {
  size_t words = ck_sign_words(w->inputs);
  const uint64_t *codes = (const uint64_t *)(const void *)w->codes + panel * words * ck_panel, *rows = (const uint64_t *)(const void *)x->codes + 2 * row * words;
  uint32x4_t all[ck_sign_rows][ck_sign_vectors];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++) all[r][i] = vdupq_n_u32(0);
  for (size_t first = 0; first < words; first += words_at_once) {
    size_t end = words - first < words_at_once ? words : first + words_at_once;
    uint8x16_t c[ck_sign_rows][ck_sign_vectors];
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++) c[r][i] = vdupq_n_u8(0);
    for (size_t t = first; t < end; t++)
      CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++)
        CK_UNROLL for (int r = 0; r < R; r++) c[r][i] = vaddq_u8(c[r][i], ck_differences(rows + 2 * ((size_t)r * words + t), codes + t * ck_panel + 2 * i));
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < ck_sign_vectors; i++) all[r][i] = vpadalq_u16(all[r][i], vpaddlq_u8(c[r][i]));
  }
  CK_UNROLL for (int r = 0; r < R; r++) ck_finish_signs(w, x, y, row + (size_t)r, panel, all[r]);
}

CK_DEFINE_SIGNS(ck_gemm_signs__neon)

CK_TARGET_END
#endif
