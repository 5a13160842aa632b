// What the AVX512-VNNI kernels are and how they want their operands.
#if defined(__x86_64__)

#include "../avx2/kernels.h"
#include "../avx512/kernels.h"
#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "../sparse/nm_layout.h"
#include "dispatch.h"
#include "gemm_rows.h"
#include "kernels.h"

// ---- Integer gemm: codes go through registers, for more rows a panel is decoded once.
enum { few_rows = ck_few_rows_avx512vnni };

#define FEW_OR_MANY(bits, many_bytes)                                                                                                         \
  static void gemm_s##bits(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end, \
                           size_t panel_begin, size_t panel_end, void *workspace) {                                                           \
    ck_fn_gemm *kernel = x->rows <= few_rows ? ck_gemm_rows_s##bits##__avx512vnni : ck_gemm_blocks_s##bits##__avx512vnni;                     \
    kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                                                   \
  }                                                                                                                                           \
  static void pack_s##bits(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {         \
    ck_fn_gemm_pack_activations *pack =                                                                                                       \
        x->rows <= few_rows ? ck_pack_few_rows_s##bits##__avx512vnni : ck_pack_many_rows_s##bits##__avx512vnni;                               \
    pack(x, row_begin, row_end, to, workspace);                                                                                               \
  }                                                                                                                                           \
  static size_t activation_bytes_s##bits(size_t rows, size_t inputs) {                                                                        \
    return rows <= few_rows ? ck_few_rows_activation_bytes__avx512vnni(rows, inputs) : many_bytes(rows, inputs);                              \
  }
FEW_OR_MANY(8, ck_many_rows_activation_bytes_s8__avx512vnni)
FEW_OR_MANY(4, ck_many_rows_activation_bytes_s4__avx512vnni)
FEW_OR_MANY(2, ck_many_rows_activation_bytes_s4__avx512vnni)
FEW_OR_MANY(1, ck_many_rows_activation_bytes_s4__avx512vnni)

static size_t workspace_bytes(const ck_gemm_shape *shape, size_t rows) {
  return rows <= few_rows ? ck_few_rows_workspace_bytes__avx512vnni(shape, rows) : ck_gemm_blocks_workspace_bytes__avx512vnni(shape, rows);
}

#define CODES(bits)                                                                                                                            \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, 1, ck_fold, few_rows, ck_row_chunk, 0, gemm_s##bits, ck_panel16_sizes_s##bits,      \
                 ck_panel16_pack_s##bits##__avx512, ck_panel16_unpack_s##bits, activation_bytes_s##bits, pack_s##bits, workspace_bytes)
const ck_gemm_config ck_gemm_u8_s8__avx512vnni = CODES(8);
const ck_gemm_config ck_gemm_u7_s8__avx512vnni = CODES(8);  // activations of 7 bits are activations of 8 bits here
const ck_gemm_config ck_gemm_u8_s4__avx512vnni = CODES(4);
const ck_gemm_config ck_gemm_u8_s2__avx512vnni = CODES(2);
const ck_gemm_config ck_gemm_u8_s1__avx512vnni = CODES(1);

// ---- Sparse: vpdpbusd adds four products exactly, so quads need no splitting. Up to 8 rows gathered inputs are interleaved in 256 bits, which three ports
// take and whose panel has 32 bytes an input: 0.86 to 0.95 of the time (1,024 and 4,096 inputs, 90 % zeros, Sapphire Rapids).
static void sparse_s8(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                      void *workspace) {
  ck_fn_sparse_s8 *kernel = x->rows <= 8 && w->structure.block_columns == 1 ? ck_sparse_s8_narrow__avx512vnni : ck_sparse_s8__avx512vnni;
  kernel(w, parts, x, y, row_begin, row_end, workspace);
}
// Costs, fitted as avx2/config.c says.
static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {
    {11130, 5070, 380, 600, 6440, 200}, {8870, 5490, 130, 510, 6440, 50}, {11160, 3780, 110, 560, 2870, 70}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__avx512vnni =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, ck_sparse_s8_tile__avx512, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        sparse_s8, ck_sparse_vector_s8__avx512vnni, sparse_costs, ck_sparse_s8_workspace_bytes__avx512,
                        ck_sparse_vector_s8_workspace_bytes__avx2);

const ck_nm_s8_config ck_spmm_f32_u8_s8nm__avx512vnni = CK_NM_S8_PANEL16(ck_nm_s8__avx512vnni);

#endif
