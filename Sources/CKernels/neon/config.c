// What the NEON kernels are and how they want their operands. Constants stand here, with the processor and the model that they were found by.
#if defined(__aarch64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "gemm_many.h"
#include "kernels.h"

// ---- Codes

static size_t no_few_workspace(size_t inputs) {
  (void)inputs;
  return 0;
}

#define STEPS(bits, decode, decode_grouped) \
  {bits, 128, ck_fold, ck_panel * sizeof(int32_t), decode, decode_grouped, 0, ck_tile__neon, ck_grouped_tile__neon, ck_expand__neon}
static const ck_many_steps steps_s8 = STEPS(8, NULL, NULL), steps_s4 = STEPS(4, ck_decode_s4__neon, ck_decode_s4__neon), steps_s2 = STEPS(2, ck_decode_s2__neon, ck_decode_s2__neon);
CK_DEFINE_GEMM(gemm_s8, steps_s8, ck_gemm_rows_s8__neon, no_few_workspace)
CK_DEFINE_GEMM(gemm_s4, steps_s4, ck_gemm_rows_s4__neon, no_few_workspace)
CK_DEFINE_GEMM(gemm_s2, steps_s2, ck_gemm_rows_s2__neon, no_few_workspace)

#define CODES(bits, bytes, pack)                                                                                                                       \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, ck_row_block, ck_fold, ck_few_rows, ck_row_chunk, 0, gemm_s##bits, ck_panel16_sizes_s##bits, \
                 ck_panel16_pack_s##bits##__neon, ck_panel16_unpack_s##bits, bytes, pack, gemm_s##bits##_workspace)
#define SIGNED(bits) CODES(bits, ck_panel16_activation_bytes, ck_pack_signed_rows__neon)
const ck_gemm_config ck_gemm_u8_s8__neon = SIGNED(8), ck_gemm_u7_s8__neon = SIGNED(8), ck_gemm_u8_s4__neon = SIGNED(4), ck_gemm_u8_s2__neon = SIGNED(2);

// ---- 1 bit

static const ck_many_steps steps_s1 = STEPS(1, ck_decode_set_s1__neon, ck_decode_s1__neon);
CK_DEFINE_GEMM(gemm_s1, steps_s1, ck_gemm_lookup_s1__neon, ck_gemm_lookup_workspace__neon)
const ck_gemm_config ck_gemm_u8_s1__neon = CODES(1, ck_summed_signed_rows_bytes__neon, ck_pack_summed_signed_rows__neon);

size_t ck_no_workspace__neon(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return 0;
}

#define SIGNS(kernel)                                                                                                                              \
  CK_GEMM_CONFIG(CK_PANEL16_WORDS, 1, ck_panel, 1, 64, 0, ck_row_chunk, 0, kernel, ck_panel16x64_sizes, ck_panel16x64_pack, ck_panel16x64_unpack, \
                 ck_sign_word_bytes__neon, ck_pack_sign_words__neon, ck_no_workspace__neon)
const ck_gemm_config ck_gemm_u1_s1__neon = SIGNS(ck_gemm_signs__neon);

// ---- 16-bit floats

#define HALF(layout, kernel, sizes, pack, unpack)                                                                                      \
  CK_GEMM_CONFIG(layout, 16, ck_panel, 1, 1, ck_few_rows, ck_row_chunk, ck_gemm_reads_floats, kernel, sizes, pack, unpack,              \
                 ck_no_activation_bytes, ck_pack_nothing, ck_gemm_float_workspace__neon)

const ck_gemm_config ck_gemm_f32_f16__neon =
    HALF(CK_PANEL16_MARKED, ck_gemm_half_f16__neon, ck_panel16_sizes_marked, ck_panel16_pack_marked, ck_panel16_unpack_half);
const ck_gemm_config ck_gemm_f32_bf16__neon =
    HALF(CK_PANEL16_PAIRS, ck_gemm_half_bf16__neon, ck_panel16x2_sizes, ck_panel16x2_pack, ck_panel16x2_unpack);
const ck_gemm_config ck_gemm_bf16_bf16__neon =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, ck_few_rows, ck_row_chunk, 0, ck_gemm_bf16_bf16_fma__neon, ck_panel16x2_sizes,
                   ck_panel16x2_pack, ck_panel16x2_unpack, ck_exchanged_bf16_bytes_neon, ck_pack_exchanged_bf16__neon, ck_gemm_float_workspace__neon);

// ---- Sparse

// For single weights a slice of the panel should lie in L1: 128 inputs × 64 rows are 32 KB, 256 × 16 are 16 KB. Otherwise, and for one row, all of
// K is one slice, so that a strip is walked through once.
static size_t slice_inputs(size_t inputs, size_t block_rows, size_t block_columns, size_t rows) {
  if (block_rows == 1 && block_columns == 1 && rows >= 8) return rows >= 48 ? 128 : 256;
  size_t whole = ck_round_up(inputs, block_columns);
  return whole < ck_sparse_max_slice ? whole : ck_sparse_max_slice;
}

const ck_sparse_f32_config ck_spmm_f32_f32_block__neon =
    CK_SPARSE_F32_CONFIG(CK_SPARSE_STRIPS, ck_sparse_f32_tile__neon, slice_inputs, ck_sparse_f32_sizes_strips, ck_sparse_f32_pack_strips,
                         ck_sparse_f32_unpack_strips, ck_sparse_f32__neon, ck_sparse_vector_f32__neon, ck_sparse_f32_workspace_bytes__neon);

// Costs: no times, but cycles at 3 GHz of the loops as modelled for a Cortex-A72 (llvm-mca 19), a tile 8 rows wide, with estimates of what is done once for
// an output: 40 cycles, 24 of a strip of several; and 300 ps an input for rows that are not contiguous. Quantizing takes the same both ways and is left out.
static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {
    {2000, 13000, 760, 370, 13000, 610}, {2000, 13000, 590, 370, 13000, 190}, {2000, 8000, 380, 370, 8000, 200}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__neon =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, ck_sparse_s8_tile__neon, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__neon, ck_sparse_vector_s8__neon, sparse_costs, ck_sparse_s8_workspace_bytes__neon,
                        ck_sparse_vector_s8_workspace_bytes__neon);

// ---- N:M
const ck_nm_f32_config ck_spmm_f32_f32_nm__neon = CK_NM_F32_PANEL8(ck_nm_f32__neon, ck_nm_f32_workspace_bytes__neon);
const ck_nm_s8_config ck_spmm_f32_u8_s8nm__neon = CK_NM_S8_PANEL8(ck_nm_s8__neon);

// ---- Convolution

const ck_conv2d_config ck_conv2d_f32__neon = CK_CONV2D_CONFIG(ck_conv2d__neon, ck_conv2d_workspace_bytes__neon);

#endif
