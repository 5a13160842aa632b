// What the AVX512 kernels are and how they want their operands. Constants that were found by measurement stand here, with the machine.
#if defined(__x86_64__)

#include "../avx2/kernels.h"
#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- 16-bit floats

static size_t float_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return ck_gemm_float_workspace_bytes__avx512();
}

// BF16 in pairs: one operation for 16 weights widens them, two in panel16.
const ck_gemm_config ck_gemm_f32_f16__avx512 =
    CK_GEMM_CONFIG(CK_PANEL16_HALF, 16, ck_panel, 1, 1, ck_direct_rows, ck_float_chunk, ck_gemm_reads_floats, ck_gemm_half_f16__avx512,
                   ck_panel16_sizes_half, ck_panel16_pack_half, ck_panel16_unpack_half, ck_no_activation_bytes, ck_pack_nothing, float_workspace);
const ck_gemm_config ck_gemm_f32_bf16__avx512 =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, ck_direct_rows, ck_float_chunk, ck_gemm_reads_floats, ck_gemm_half_bf16__avx512,
                   ck_panel16x2_sizes, ck_panel16x2_pack, ck_panel16x2_unpack, ck_no_activation_bytes, ck_pack_nothing, float_workspace);
// Packed as for AVX2, by its function: 1 % of the product.
const ck_gemm_config ck_gemm_bf16_bf16__avx512 =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, ck_direct_rows, ck_float_chunk, 0, ck_gemm_bf16_bf16_fma__avx512, ck_panel16x2_sizes,
                   ck_panel16x2_pack, ck_panel16x2_unpack, ck_exchanged_bf16_bytes, ck_pack_exchanged_bf16__avx2, float_workspace);

// ---- Codes: few inputs are AVX2's

// 7 × 8 bits: from 5 rows on folding pairs beats widening, 199 to 236 GOP/s instead of 131 to 169 (4096 × 4096, Sapphire Rapids).
enum { few_rows = ck_few_rows_avx512, few_rows_u7 = ck_few_rows };

#define FEW_OR_MANY(name, most, few, many)                                                                                                   \
  static void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end, \
                   size_t panel_begin, size_t panel_end, void *workspace) {                                                            \
    (x->rows <= most ? few : many)(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                \
  }
FEW_OR_MANY(gemm_u8_s8, few_rows, ck_gemm_rows_s8__avx512,
            (w->inputs <= ck_gemm_short_inputs_avx2 ? ck_gemm_short_u8_s8__avx2 : ck_gemm_blocks_u8_s8__avx512))
FEW_OR_MANY(gemm_u7_s8, few_rows_u7, ck_gemm_rows_s8__avx512, ck_gemm_blocks_u7_s8__avx512)
FEW_OR_MANY(gemm_u8_s4, few_rows, ck_gemm_rows_s4__avx512, ck_gemm_blocks_u8_s4__avx512)
FEW_OR_MANY(gemm_u8_s2, few_rows, ck_gemm_rows_s2__avx512, ck_gemm_blocks_u8_s2__avx512)

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t codes_workspace(const ck_gemm_shape *shape, size_t rows) {
  if (rows > few_rows) return ck_gemm_codes_workspace__avx2(shape, rows);
  return larger(ck_gemm_codes_workspace__avx2(shape, rows), ck_gemm_rows_workspace_bytes__avx512(shape->inputs));
}

static void pack_codes(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  ck_pack_panel16_activations(x, row_begin, row_end, to, workspace, ck_quantize_rows_u8_f32__avx512, ck_quantize_u8_f32__avx512,
                              ck_interleave_u8__avx2);
}

#define CODES(bits, needs, kernel)                                                                                                            \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, ck_row_block, ck_fold, few_rows, ck_row_chunk, needs, kernel, ck_panel16_sizes_s##bits,          \
                 ck_panel16_pack_s##bits##__avx512, ck_panel16_unpack_s##bits, ck_panel16_activation_bytes, pack_codes, codes_workspace)
const ck_gemm_config ck_gemm_u8_s8__avx512 = CODES(8, ck_gemm_needs_unsafe_pairs, gemm_u8_s8);
const ck_gemm_config ck_gemm_u7_s8__avx512 = CODES(8, 0, gemm_u7_s8);
const ck_gemm_config ck_gemm_u8_s4__avx512 = CODES(4, 0, gemm_u8_s4);
const ck_gemm_config ck_gemm_u8_s2__avx512 = CODES(2, 0, gemm_u8_s2);

static size_t binary_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)rows;
  return larger(ck_panel16_pack_workspace(shape->inputs), larger(ck_gemm_binary_workspace_bytes__avx512(), ck_gemm_binary_workspace_bytes__avx2()));
}
// Tables of the rows are made anew for each range of panels.
const ck_gemm_config ck_gemm_u8_s1__avx512 =
    CK_GEMM_CONFIG(CK_PANEL16, 1, ck_panel, ck_row_block, ck_fold, few_rows, ck_row_chunk, ck_gemm_prefers_rows, ck_gemm_binary__avx512,
                   ck_panel16_sizes_s1, ck_panel16_pack_s1__avx512, ck_panel16_unpack_s1, ck_panel16_activation_bytes, pack_codes, binary_workspace);

// ---- Signs

static void pack_signs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_sign_words(x, row_begin, row_end, to, ck_binarize_rows_u1_f32__avx512);
}
static size_t no_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return 0;
}

const ck_gemm_config ck_gemm_u1_s1__avx512 =
    CK_GEMM_CONFIG(CK_PANEL16_WORDS, 1, ck_panel, 1, 64, 0, ck_row_chunk, 0, ck_gemm_signs__avx512, ck_panel16x64_sizes, ck_panel16x64_pack,
                   ck_panel16x64_unpack, ck_sign_word_bytes, pack_signs, no_workspace);

// ---- Sparse

// Measured on a Sapphire Rapids (48 KB of L1, 2 MB of L2). Single outputs: a slice of the panel lies in L1, 128 inputs × 64 rows are 32 KB (96 and 192
// inputs are 3 % slower, 256 are 10 %); 256 × 16 are 16 KB, which wins from 2 rows on; blocks 1×4 have a fourth of the columns: twice the inputs and
// more. Otherwise, and for one row, all of K is one slice, so that a strip is walked through once. Its panel should lie in L2 (1 MB on Zen 5): beyond
// 2048 inputs (ck_sparse_f32_long_inputs_avx512) 32 rows at a time cost nothing and keep it within 512 KB up to 4096.
static size_t slice_inputs(size_t inputs, size_t block_rows, size_t block_columns, size_t rows) {
  if (block_rows == 1 && rows >= 48) return 128;
  if (block_rows == 1 && rows >= 2) return block_columns == 1 ? 256 : rows >= 16 ? 512 : 1024;
  size_t whole = ck_round_up(inputs, block_columns);
  return whole < ck_sparse_max_slice ? whole : ck_sparse_max_slice;
}

const ck_sparse_f32_config ck_spmm_f32_f32_block__avx512 =
    CK_SPARSE_F32_CONFIG(CK_SPARSE_STRIPS, ck_sparse_f32_tile__avx512, slice_inputs, ck_sparse_f32_sizes_strips, ck_sparse_f32_pack_strips,
                         ck_sparse_f32_unpack_strips, ck_sparse_f32__avx512, ck_sparse_vector_f32__avx512, ck_sparse_f32_workspace_bytes__avx512);

// Pairs of products are added in int16, as in AVX2. Up to 8 rows half of 512 bits and more would be idle, and the panel of single weights is half as large
// with 32 rows an input: AVX2's kernel takes 0.75 to 1.05 of the time then (1,024 and 4,096 inputs, 90 % zeros, Sapphire Rapids).
static void sparse_s8(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                      void *workspace) {
  ck_fn_sparse_s8 *kernel = x->rows <= (w->structure.block_rows * w->structure.block_columns == 1 ? 16 : 8) ? ck_sparse_s8__avx2 : ck_sparse_s8__avx512;
  kernel(w, parts, x, y, row_begin, row_end, workspace);
}
// Fitted as avx2/config.c says.
static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {
    {10820, 5390, 390, 570, 6970, 210}, {10830, 4510, 210, 530, 6680, 60}, {10580, 3910, 230, 560, 3120, 120}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__avx512 =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_SAFE_QUADS, ck_sparse_s8_tile__avx512, ck_sparse_s8_sizes_safe_quads, ck_sparse_s8_pack_safe_quads,
                        ck_sparse_s8_unpack_quads, sparse_s8, ck_sparse_vector_s8__avx512, sparse_costs, ck_sparse_s8_workspace_bytes__avx512,
                        ck_sparse_vector_s8_workspace_bytes__avx2);

const ck_nm_f32_config ck_spmm_f32_f32_nm__avx512 = CK_NM_F32_PANEL8(ck_nm_f32__avx512, ck_nm_f32_workspace_bytes__avx512);

// ---- Convolution

// Lanes are outputs where that fills them better than positions do, whose ends cost as much as 6 more numbers of a window (ck_conv2d_ends_avx512; Sapphire
// Rapids: 12 outputs of 32×32×3, 3×3, are a tie, 10 of 14×14×6, 5×5, as well).
const ck_conv2d_config ck_conv2d_f32__avx512 = CK_CONV2D_CONFIG(ck_conv2d__avx512, ck_conv2d_workspace_bytes__avx512);

#endif
