// What the kernels of dot products are and how they want their operands: what neon/config.c says, with tiles by SDOT.
#if defined(__aarch64__)

#include "../gemm/activations.h"
#include "../neon/gemm_rows.h"
#include "../sparse/layout.h"
#include "../sparse/nm_layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Codes

#define STEPS(bits, decode, decode_grouped, shift) \
  {bits, 128, ck_fold, ck_panel * sizeof(int32_t), decode, decode_grouped, shift, ck_tile__dotprod, ck_grouped_tile__dotprod, ck_expand__neon}
static const ck_many_steps steps_s8 = STEPS(8, NULL, NULL, 0), steps_s4 = STEPS(4, ck_decode_scaled_s4__neon, ck_decode_s4__neon, 4),
                           steps_s2 = STEPS(2, ck_decode_scaled_s2__neon, ck_decode_s2__neon, 6);
CK_DEFINE_GEMM(gemm_s8, steps_s8, ck_gemm_rows_s8__dotprod, ck_rows_workspace)
CK_DEFINE_GEMM(gemm_s4, steps_s4, ck_gemm_rows_s4__dotprod, ck_rows_workspace)
CK_DEFINE_GEMM(gemm_s2, steps_s2, ck_gemm_rows_s2__dotprod, ck_rows_workspace)

#define CODES(bits, bytes, pack)                                                                                                                       \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, ck_row_block, ck_fold, ck_few_rows, ck_row_chunk, 0, gemm_s##bits, ck_panel16_sizes_s##bits, \
                 ck_panel16_pack_s##bits##__neon, ck_panel16_unpack_s##bits, bytes, pack, gemm_s##bits##_workspace)
#define SIGNED(bits) CODES(bits, ck_panel16_activation_bytes, ck_pack_signed_rows__neon)
const ck_gemm_config ck_gemm_u8_s8__dotprod = SIGNED(8), ck_gemm_u7_s8__dotprod = SIGNED(8), ck_gemm_u8_s4__dotprod = SIGNED(4),
                     ck_gemm_u8_s2__dotprod = SIGNED(2);

// ---- 1 bit

static const ck_many_steps steps_s1 = STEPS(1, ck_decode_set_s1__neon, ck_decode_s1__neon, 0);
CK_DEFINE_GEMM(gemm_s1, steps_s1, ck_gemm_lookup_s1__neon, ck_gemm_lookup_workspace__neon)
const ck_gemm_config ck_gemm_u8_s1__dotprod = CODES(1, ck_summed_signed_rows_bytes__neon, ck_pack_summed_signed_rows__neon);

#define SIGNS(kernel)                                                                                                                              \
  CK_GEMM_CONFIG(CK_PANEL16_WORDS, 1, ck_panel, 1, 64, 0, ck_row_chunk, 0, kernel, ck_panel16x64_sizes, ck_panel16x64_pack, ck_panel16x64_unpack, \
                 ck_sign_word_bytes__neon, ck_pack_sign_words__neon, ck_no_workspace__neon)
const ck_gemm_config ck_gemm_u1_s1__dotprod = SIGNS(ck_gemm_signs__dotprod);

// ---- Sparse

// Costs as neon/config.c says, of a Neoverse N1: 25 cycles for an output, 15 of a strip of several.
const ck_sparse_costs ck_sparse_costs__dotprod[ck_sparse_cost_classes] = {
    {1030, 8000, 390, 340, 8700, 265}, {370, 8000, 170, 340, 8000, 105}, {1030, 5000, 130, 340, 5000, 66}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__dotprod =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, ck_sparse_s8_tile__dotprod, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__dotprod, ck_sparse_vector_s8__dotprod, ck_sparse_costs__dotprod, ck_sparse_s8_workspace_bytes__dotprod,
                        ck_sparse_vector_s8_workspace_bytes__neon);

// ---- N:M

const ck_nm_s8_config ck_spmm_f32_u8_s8nm__dotprod = CK_NM_S8_PANEL16(ck_nm_s8__dotprod);

#endif
