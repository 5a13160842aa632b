// What the kernels of AVX512 with BF16, VBMI and VPOPCNTDQ are and how they want their operands.
#if defined(__x86_64__)

#include "../gemm/activations.h"
#include "dispatch.h"
#include "kernels.h"

// ---- BF16 × BF16

static void pack_bf16(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_bf16_rows(x, row_begin, row_end, to, ck_round_bf16_f32__avx512);
}
static size_t no_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return 0;
}

const ck_gemm_config ck_gemm_bf16_bf16__avx512bf16 =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, 4, ck_row_chunk, 0, ck_gemm_bf16_bf16_dot__avx512bf16, ck_panel16x2_sizes,
                   ck_panel16x2_pack, ck_panel16x2_unpack, ck_bf16_activation_bytes, pack_bf16, no_workspace);

// ---- Signs

static void pack_signs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_sign_words(x, row_begin, row_end, to, ck_binarize_rows_u1_f32__avx512);
}

const ck_gemm_config ck_gemm_u1_s1__avx512bf16 =
    CK_GEMM_CONFIG(CK_PANEL16_WORDS, 1, ck_panel, 1, 64, 0, ck_row_chunk, 0, ck_gemm_signs__avx512bf16, ck_panel16x64_sizes, ck_panel16x64_pack,
                   ck_panel16x64_unpack, ck_sign_word_bytes, pack_signs, no_workspace);

#endif
