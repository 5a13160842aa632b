// Signs by signs, W1A1: popcount(bits xor bits) by EOR and CNT over words of 64 inputs (panel16x64), as text for sets that add bytes of counts in different ways.
// A register holds words of two outputs; a word of a row is stored twice, since LD1R would take a vector pipe. Counts of 16 outputs are two lanes each.
#ifndef CK_NEON_GEMM_SIGNS_H
#define CK_NEON_GEMM_SIGNS_H

#include "epilogue.h"

enum { ck_sign_vectors = 8, ck_sign_rows = 2 };  // of a panel: even outputs, then odd ones

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE uint8x16_t ck_differences(const uint64_t *x, const uint64_t *w) {
  return vcntq_u8(veorq_u8(vreinterpretq_u8_u64(vld1q_u64(x)), vreinterpretq_u8_u64(vld1q_u64(w))));
}

// Ends a row: K − 2 · differences of 16 outputs.
CK_INLINE void ck_finish_signs(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel,
                               const uint32x4_t c[ck_sign_vectors]) {
  const int32x4_t inputs = vdupq_n_s32((int32_t)w->inputs);
  int32x4_t sums[ck_panel_vectors];
  CK_UNROLL for (int i = 0; i < 2; i++) {
    uint32x4_t even = vpaddq_u32(c[2 * i], c[2 * i + 1]), odd = vpaddq_u32(c[4 + 2 * i], c[4 + 2 * i + 1]);
    sums[2 * i] = vmlsq_n_s32(inputs, vreinterpretq_s32_u32(vzip1q_u32(even, odd)), 2);
    sums[2 * i + 1] = vmlsq_n_s32(inputs, vreinterpretq_s32_u32(vzip2q_u32(even, odd)), 2);
  }
  ck_finish_integers(w, x, y, m, panel, sums, NULL);
}

// A kernel made of panel_of_rows(R, w, x, y, row, panel), what a set defines.
#define CK_DEFINE_SIGNS(name)                                                                                                                    \
  __attribute__((noinline)) static void panel_of_rows_1(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,         \
                                                        size_t row, size_t panel) {                                                              \
    panel_of_rows(1, w, x, y, row, panel);                                                                                                       \
  }                                                                                                                                              \
  __attribute__((noinline)) static void panel_of_rows_2(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,         \
                                                        size_t row, size_t panel) {                                                              \
    panel_of_rows(2, w, x, y, row, panel);                                                                                                       \
  }                                                                                                                                              \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,                   \
            size_t panel_begin, size_t panel_end, void *workspace) {                                                                            \
    (void)workspace;                                                                                                                            \
    for (size_t panel = panel_begin; panel < panel_end; panel++) {                                                                              \
      size_t m = row_begin;                                                                                                                     \
      for (; m + 2 <= row_end; m += 2) panel_of_rows_2(w, x, y, m, panel);                                                                      \
      if (m < row_end) panel_of_rows_1(w, x, y, m, panel);                                                                                      \
    }                                                                                                                                           \
  }

CK_TARGET_END

#endif
