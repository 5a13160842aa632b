// W1A1 by vpopcntq: K − 2 · popcount(a xor w), 64 inputs of 8 outputs at a time.
//
// Exact: a lane counts at most K ≤ 65,536 bits. Limit: three operations of 512 bits, xor, count and add, for 1,024 operations of the product; two of three
// may go to either vector port, the count to port 5 on Intel's (both on Zen 4 and 5), so 683 operations a cycle. For one row bytes: 128 for 3 cycles.
// Adding carries by vpternlog before counting (Harley-Seal) takes as many operations, since two ternary ones replace a count and an add.
#if defined(__x86_64__)
#include "../avx512/signs.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512BF16)

enum { tile_rows = 4 };

// R rows × P panels of 16 outputs.
CK_INLINE void tile(int R, int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel) {
  size_t words = ck_sign_words(w->inputs);
  const uint64_t *bits = (const uint64_t *)(const void *)x->codes + row * words, *at = (const uint64_t *)(const void *)w->codes + panel * words * ck_panel;
  __m512i counts[tile_rows][2][2];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) counts[r][p][0] = counts[r][p][1] = _mm512_setzero_si512();
  for (size_t t = 0; t < words; t++) {
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int half = 0; half < 2; half++) {
      const uint64_t *from = at + ((size_t)p * words + t) * ck_panel + 8 * half;
      if (R == 1) _mm_prefetch((const char *)from + 1024, _MM_HINT_T0);
      __m512i codes = ck_load64(from);
      CK_UNROLL for (int r = 0; r < R; r++)
        counts[r][p][half] = _mm512_add_epi64(counts[r][p][half], _mm512_popcnt_epi64(ck_different(bits + (size_t)r * words + t, codes)));
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++)
    ck_finish_signs(w, x, y, row + (size_t)r, panel + (size_t)p, counts[r][p][0], counts[r][p][1]);
}

CK_INLINE void rows_of(int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                       size_t panel) {
  size_t row = row_begin;
  for (; row + tile_rows <= row_end; row += tile_rows) tile(tile_rows, P, w, x, y, row, panel);
  switch (row_end - row) {
    case 1: tile(1, P, w, x, y, row, panel); break;
    case 2: tile(2, P, w, x, y, row, panel); break;
    case 3: tile(3, P, w, x, y, row, panel); break;
  }
}

void ck_gemm_signs__avx512bf16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                               size_t panel_begin, size_t panel_end, void *space) {
  (void)space;
  size_t panel = panel_begin;
  for (; panel + 2 <= panel_end; panel += 2) rows_of(2, w, x, y, row_begin, row_end, panel);
  if (panel < panel_end) rows_of(1, w, x, y, row_begin, row_end, panel);
}

CK_TARGET_END
#endif
