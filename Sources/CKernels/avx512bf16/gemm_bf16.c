// BF16 × BF16 by vdpbf16ps, which is the definition of gemm.h: two fused multiply-adds for 16 outputs, the odd product first, subnormals flushed whatever
// MXCSR says. Weights are panel16x2, activations BF16 patterns [M][K2], a pair of which is broadcast.
//
//   many rows  8 rows × 32 outputs: 16 sums; 2 loads and 8 broadcasts serve 16 products. Limit: the instruction, 64 operations, 2 a cycle on Zen 5, 1 on
//              Zen 4, half of one on Intel's (where gemm_bf16.c of avx512 is twice as fast).
//   few        R rows × P panels, 64 bytes for R products: bytes are the limit.
#if defined(__x86_64__)
#include "../avx512/epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512BF16)

enum { tile_rows = 8 };

// sum + odd product, + even product.
CK_INLINE __m512 add_pairs(__m512 sum, __m512i x, __m512i w) {
  CK_DPBF16(sum, x, w);
  return sum;
}

// R rows × P panels from `panel` on, of which `panels` exist: the others repeat the last.
CK_INLINE void tile(int R, int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel,
                    size_t panels) {
  size_t bytes = ck_round_up(w->inputs, 2) * sizeof(uint16_t);
  const uint8_t *rows = x->codes + row * bytes, *at[8];
  __m512 c[tile_rows][8];
  CK_UNROLL for (int p = 0; p < P; p++) at[p] = w->codes + (panel + ((size_t)p < panels ? (size_t)p : panels - 1)) * bytes * ck_panel;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) c[r][p] = _mm512_setzero_ps();
  for (size_t k = 0; k < bytes; k += 4) {
    __m512i pairs[8];
    CK_UNROLL for (int p = 0; p < P; p++) {
      _mm_prefetch((const char *)at[p] + k * ck_panel + 1024, _MM_HINT_T0);
      pairs[p] = ck_load64(at[p] + k * ck_panel);
    }
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i a = ck_broadcast4x16(rows + (size_t)r * bytes + k);
      CK_UNROLL for (int p = 0; p < P; p++) c[r][p] = add_pairs(c[r][p], a, pairs[p]);
    }
  }
  CK_UNROLL for (int p = 0; p < P; p++) {
    if ((size_t)p >= panels) break;
    __mmask16 lanes = ck_panel_lanes(w, panel + (size_t)p);
    CK_UNROLL for (int r = 0; r < R; r++) ck_finish16(y, row + (size_t)r, (panel + (size_t)p) * ck_panel, lanes, c[r][p]);
  }
}

static void tile_of(size_t rows, int is_wide, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel,
                    size_t panels) {
  switch (rows * 2 + (size_t)is_wide) {
    case 2: tile(1, 2, w, x, y, row, panel, panels); break;
    case 3: tile(1, 8, w, x, y, row, panel, panels); break;
    case 4: tile(2, 2, w, x, y, row, panel, panels); break;
    case 5: tile(2, 4, w, x, y, row, panel, panels); break;
    case 6: tile(3, 2, w, x, y, row, panel, panels); break;
    case 7: tile(3, 4, w, x, y, row, panel, panels); break;
    case 8: tile(4, 2, w, x, y, row, panel, panels); break;
    case 9: tile(4, 4, w, x, y, row, panel, panels); break;
    case 10: case 11: tile(5, 2, w, x, y, row, panel, panels); break;
    case 12: case 13: tile(6, 2, w, x, y, row, panel, panels); break;
    case 14: case 15: tile(7, 2, w, x, y, row, panel, panels); break;
    default: tile(8, 2, w, x, y, row, panel, panels); break;
  }
}

void ck_gemm_bf16_bf16_dot__avx512bf16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                       size_t panel_begin, size_t panel_end, void *space) {
  (void)space;
  size_t wide = row_end - row_begin == 1 ? 8 : row_end - row_begin <= 4 ? 4 : 2;
  for (size_t panel = panel_begin, panels; panel < panel_end; panel += panels) {
    size_t left = panel_end - panel, width = left >= wide ? wide : 2;
    panels = left < width ? left : width;
    for (size_t row = row_begin; row < row_end; row += tile_rows)
      tile_of(row_end - row < tile_rows ? row_end - row : tile_rows, width > 2, w, x, y, row, panel, panels);
  }
}

CK_TARGET_END
#endif
