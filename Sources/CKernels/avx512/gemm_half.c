// Float32 activations times FP16 or BF16 weights, by the tiles of float_tiles.h.
//
// Error: a sum is n fused multiply-adds in order, each rounded once, so |Y − exact| ≤ n · 2⁻²⁴ · Σ |x · w| to first order (the least bound: the
// first step of a sum is exact).
#if defined(__x86_64__)
#include "float_tiles.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

size_t ck_gemm_float_workspace_bytes__avx512(void) { return ck_round_up(sizeof(ck_float_workspace), 64); }

#define GEMM_HALF(name, direct_sums, widening)                                                                                               \
  CK_APART void direct_sums(const ck_float_product *g, size_t rows, int is_wide, size_t panel, size_t panels) {                              \
    ck_direct_sums(widening, g, rows, is_wide, panel, panels);                                                                               \
  }                                                                                                                                          \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,               \
            size_t panel_begin, size_t panel_end, void *space) {                                                                             \
    ck_float_product g = {w, (const float *)(const void *)x->codes, x->stride, w->inputs, y, (ck_float_workspace *)space};                   \
    ck_float_gemm(widening, direct_sums, &g, x->rows, row_begin, row_end, panel_begin, panel_end);                                           \
  }
GEMM_HALF(ck_gemm_half_f16__avx512, direct_f16, ck_widen_f16)
GEMM_HALF(ck_gemm_half_bf16__avx512, direct_bf16, ck_widen_bf16)

CK_TARGET_END
#endif
