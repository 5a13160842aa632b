// What the AVX2 kernels are and how they want their operands. Constants that were found by measurement stand here, with the machine.
#if defined(__x86_64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// Rows up to which codes are streamed through registers instead of decoding a panel once. With 8 bits that pays up to 8 rows, since decoding has to
// find the pairs that could saturate (Zen 3, 3.2 GHz).
enum { few_rows = ck_few_rows, few_rows_s8 = ck_row_block };

static void gemm_u8_s8(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                       size_t panel_begin, size_t panel_end, void *workspace) {
  ck_fn_gemm *kernel = x->rows <= few_rows_s8                       ? ck_gemm_rows_u8_s8__avx2
                       : w->inputs <= ck_gemm_short_inputs_avx2 ? ck_gemm_short_u8_s8__avx2
                                                                   : ck_gemm_blocks_u8_s8__avx2;
  kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
}

#define FEW_OR_MANY(name, few, many)                                                                                                     \
  static void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,   \
                   size_t panel_begin, size_t panel_end, void *workspace) {                                                              \
    (x->rows <= few_rows ? few : many)(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                  \
  }
FEW_OR_MANY(gemm_u7_s8, ck_gemm_rows_u8_s8__avx2, ck_gemm_blocks_u7_s8__avx2)
FEW_OR_MANY(gemm_u8_s4, ck_gemm_rows_u8_s4__avx2, ck_gemm_blocks_u8_s4__avx2)
FEW_OR_MANY(gemm_u8_s2, ck_gemm_rows_u8_s2__avx2, ck_gemm_blocks_u8_s2__avx2)

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t ck_gemm_codes_workspace__avx2(const ck_gemm_shape *shape, size_t rows) {
  size_t few = larger(ck_panel16_pack_workspace(shape->inputs), ck_gemm_rows_workspace_bytes__avx2(shape->inputs));
  if (rows <= few_rows) return few;  // in between, formats differ
  size_t many = larger(ck_gemm_blocks_workspace_bytes__avx2(), ck_gemm_short_workspace_bytes__avx2());
  return rows <= few_rows_s8 ? larger(few, many) : larger(ck_panel16_pack_workspace(shape->inputs), many);
}
static size_t binary_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)rows;
  return larger(ck_panel16_pack_workspace(shape->inputs), ck_gemm_binary_workspace_bytes__avx2());
}
static size_t half_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return ck_gemm_half_workspace_bytes__avx2();
}

static void pack_codes(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  ck_pack_panel16_activations(x, row_begin, row_end, to, workspace, ck_quantize_rows_u8_f32__avx2, ck_quantize_u8_f32__avx2,
                              ck_interleave_u8__avx2);
}
static void pack_signs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_signs(x, row_begin, row_end, to, ck_binarize_rows_u1_f32__avx2);
}

#define CODES(bits, needs, kernel, workspace)                                                                                                     \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, ck_row_block, ck_fold, few_rows, ck_row_chunk, needs, kernel, ck_panel16_sizes_s##bits,              \
                 ck_panel16_pack_s##bits##__avx2, ck_panel16_unpack_s##bits, ck_panel16_activation_bytes, pack_codes, workspace)
// Sums of the rows of one product are cut by the number of rows of the whole, so chunks do not choose.
#define HALF(kernel)                                                                                                                              \
  CK_GEMM_CONFIG(CK_PANEL16_HALF, 16, ck_panel, 1, 1, few_rows, ck_row_chunk, ck_gemm_reads_floats, kernel, ck_panel16_sizes_half,                \
                 ck_panel16_pack_half, ck_panel16_unpack_half, ck_no_activation_bytes, ck_pack_nothing, half_workspace)

const ck_gemm_config ck_gemm_u8_s8__avx2 = CODES(8, ck_gemm_needs_unsafe_pairs, gemm_u8_s8, ck_gemm_codes_workspace__avx2);
const ck_gemm_config ck_gemm_u7_s8__avx2 = CODES(8, 0, gemm_u7_s8, ck_gemm_codes_workspace__avx2);
const ck_gemm_config ck_gemm_u8_s4__avx2 = CODES(4, 0, gemm_u8_s4, ck_gemm_codes_workspace__avx2);
const ck_gemm_config ck_gemm_u8_s2__avx2 = CODES(2, 0, gemm_u8_s2, ck_gemm_codes_workspace__avx2);
// Tables of the rows are made anew for each range of panels.
const ck_gemm_config ck_gemm_u8_s1__avx2 = CODES(1, ck_gemm_prefers_rows, ck_gemm_binary__avx2, binary_workspace);
const ck_gemm_config ck_gemm_u1_s1__avx2 =
    CK_GEMM_CONFIG(CK_PANEL16, 1, ck_panel, ck_row_block, ck_fold, 0, ck_row_chunk, ck_gemm_prefers_rows, ck_gemm_signs__avx2, ck_panel16_sizes_s1,
                   ck_panel16_pack_s1__avx2, ck_panel16_unpack_s1, ck_sign_activation_bytes, pack_signs, binary_workspace);
const ck_gemm_config ck_gemm_f32_f16__avx2 = HALF(ck_gemm_half_f16__avx2);
const ck_gemm_config ck_gemm_f32_bf16__avx2 = HALF(ck_gemm_half_bf16__avx2);
const ck_gemm_config ck_gemm_bf16_bf16__avx2 =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, few_rows, ck_row_chunk, 0, ck_gemm_bf16_bf16_fma__avx2, ck_panel16x2_sizes,
                   ck_panel16x2_pack, ck_panel16x2_unpack, ck_exchanged_bf16_bytes, ck_pack_exchanged_bf16__avx2, half_workspace);

// ---- Sparse

// For single weights a slice of the panel should lie in L1: 128 inputs × 64 rows are 32 KB, 256 × 16 are 16 KB. Otherwise, and for one row, all of
// K is one slice, so that a strip is walked through once.
static size_t slice_inputs(size_t inputs, size_t block_rows, size_t block_columns, size_t rows) {
  if (block_rows == 1 && block_columns == 1 && rows >= 8) return rows >= 48 ? 128 : 256;
  size_t whole = ck_round_up(inputs, block_columns);
  return whole < ck_sparse_max_slice ? whole : ck_sparse_max_slice;
}
static size_t s8_tile(size_t block_rows) {
  (void)block_rows;
  return ck_sparse_s8_tile_avx2;
}
// Codes of all inputs in 32 bits.
size_t ck_sparse_vector_s8_workspace_bytes__avx2(size_t inputs) { return ck_round_up(inputs, 64) * sizeof(int32_t); }

const ck_sparse_f32_config ck_spmm_f32_f32_block__avx2 =
    CK_SPARSE_F32_CONFIG(CK_SPARSE_STRIPS, ck_sparse_f32_tile__avx2, slice_inputs, ck_sparse_f32_sizes_strips, ck_sparse_f32_pack_strips,
                         ck_sparse_f32_unpack_strips, ck_sparse_f32__avx2, ck_sparse_vector_f32__avx2, ck_sparse_f32_workspace_bytes__avx2);
// Costs: fitted to the times of 16 shapes with 64 to 4,096 inputs and outputs, 90 % zeros, 1 and 4 rows, on a Sapphire Rapids, and 300 ps an input for
// rows that are not contiguous. Blocks of several outputs have those of 4×1, whose rows gain the least.
static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {
    {10790, 5470, 390, 300, 19140, 330}, {10800, 4570, 210, 480, 17310, 80}, {10710, 3880, 230, 300, 14930, 160}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__avx2 =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_SAFE_QUADS, s8_tile, ck_sparse_s8_sizes_safe_quads, ck_sparse_s8_pack_safe_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__avx2, ck_sparse_vector_s8__avx2, sparse_costs, ck_sparse_s8_workspace_bytes__avx2,
                        ck_sparse_vector_s8_workspace_bytes__avx2);
const ck_nm_f32_config ck_spmm_f32_f32_nm__avx2 = CK_NM_F32_PANEL8(ck_nm_f32__avx2, ck_nm_no_workspace);
const ck_nm_s8_config ck_spmm_f32_u8_s8nm__avx2 = CK_NM_S8_PANEL8(ck_nm_s8__avx2);

// ---- Convolution

const ck_conv2d_config ck_conv2d_f32__avx2 = CK_CONV2D_CONFIG(ck_conv2d__avx2, ck_conv2d_workspace_bytes__avx2);

#endif
