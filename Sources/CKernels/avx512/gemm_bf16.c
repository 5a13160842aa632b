// BF16 × BF16 by FMA, with the definition of gemm.h: the tiles of float_tiles.h, MXCSR set to flush subnormals around the sums. Activations are
// rounded to BF16 and kept as float32, the inputs of a pair exchanged, [M][K2]: so the order of the sums, odd before even, is ascending.
//
// Limit: 32 multiply-adds a cycle where the core has two multipliers of 512 bits. Intel's (Cascade Lake to Emerald Rapids) have, and since their vdpbf16ps,
// 32 products, takes two cycles, this is twice as fast there as that instruction; on Zen 4 and 5 it is half as fast.
#if defined(__x86_64__)
#include "float_tiles.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

CK_APART void direct_sums(const ck_float_product *g, size_t rows, int is_wide, size_t panel, size_t panels) {
  ck_direct_sums(ck_widen_bf16_odd, g, rows, is_wide, panel, panels);
}

void ck_gemm_bf16_bf16_fma__avx512(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                   size_t panel_begin, size_t panel_end, void *space) {
  size_t padded = ck_round_up(w->inputs, 2);
  ck_float_product g = {w, (const float *)(const void *)x->codes, padded, padded, y, (ck_float_workspace *)space};
  ck_float_gemm(ck_widen_bf16_odd, direct_sums, &g, x->rows, row_begin, row_end, panel_begin, panel_end);
}

CK_TARGET_END
#endif
