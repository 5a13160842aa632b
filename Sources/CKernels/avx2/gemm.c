// The AVX2 integer gemm kernels: few rows stream the codes, more rows decode each panel once. With 8 bits that pays from 9 rows on, since
// decoding has to find the pairs that could saturate.
#if defined(__x86_64__)

#include "gemm.h"

#define DECLARE(format)                                                                                                              \
  void ck_gemm_rows_u8_##format##__avx2(const ck_gemm_weights *, const ck_gemm_activations *, const ck_gemm_output *, size_t, size_t, void *); \
  ck_fn_gemm_u8_##format ck_gemm_blocks_u8_##format##__avx2;
DECLARE(s8)
DECLARE(s4)
DECLARE(s2)
ck_fn_gemm_u7_s8 ck_gemm_blocks_u7_s8__avx2;
ck_fn_gemm_u8_s8 ck_gemm_short_u8_s8__avx2;

static void gemm_many_rows_u8_s8(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                 size_t panel_begin, size_t panel_end, void *workspace) {
  if (w->inputs <= ck_gemm_short_inputs) ck_gemm_short_u8_s8__avx2(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
  else ck_gemm_blocks_u8_s8__avx2(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
}

#define GEMM(name, few, rows_kernel, blocks_kernel)                                                                                   \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,  \
            size_t panel_begin, size_t panel_end, void *workspace) {                                                             \
    if (x->rows <= few)                                                                                                  \
      rows_kernel(w, x, y, panel_begin, panel_end, workspace);                                                                   \
    else                                                                                                                         \
      blocks_kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                             \
  }
GEMM(ck_gemm_u8_s8__avx2, ck_row_block, ck_gemm_rows_u8_s8__avx2, gemm_many_rows_u8_s8)
GEMM(ck_gemm_u7_s8__avx2, ck_few_rows, ck_gemm_rows_u8_s8__avx2, ck_gemm_blocks_u7_s8__avx2)
GEMM(ck_gemm_u8_s4__avx2, ck_few_rows, ck_gemm_rows_u8_s4__avx2, ck_gemm_blocks_u8_s4__avx2)
GEMM(ck_gemm_u8_s2__avx2, ck_few_rows, ck_gemm_rows_u8_s2__avx2, ck_gemm_blocks_u8_s2__avx2)

#endif
