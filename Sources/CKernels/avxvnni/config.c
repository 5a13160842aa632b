// What the AVX-VNNI kernels are and how they want their operands. 1-bit weights stay AVX2's: its tables give 128 products a shuffle, more than vpdpbusd.
#if defined(__x86_64__)

#include "../avx2/kernels.h"
#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

static size_t workspace_bytes(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return ck_gemm_codes_workspace_bytes__avxvnni();
}
static size_t many_bytes(size_t rows, size_t inputs) { return rows * ck_row_stride__avxvnni(inputs); }
static void pack_many(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t stride = ck_row_stride__avxvnni(x->inputs);
  ck_codes_of_rows(x, row_begin, row_end - row_begin, to->codes + row_begin * stride, stride, to, ck_quantize_rows_u8_f32__avx2,
                   ck_quantize_u8_f32__avx2);
}

static size_t activation_bytes(size_t rows, size_t inputs) {
  return rows <= ck_few_rows_avxvnni ? ck_few_rows_activation_bytes__avxvnni(rows, inputs) : many_bytes(rows, inputs);
}
#define FEW_OR_MANY(bits)                                                                                                                    \
  static void gemm_s##bits(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end, \
                           size_t panel_begin, size_t panel_end, void *workspace) {                                                          \
    ck_fn_gemm *kernel = x->rows <= ck_few_rows_avxvnni ? ck_gemm_rows_s##bits##__avxvnni : ck_gemm_codes_s##bits##__avxvnni;                \
    kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                                                  \
  }                                                                                                                                          \
  static void pack_s##bits(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {        \
    (x->rows <= ck_few_rows_avxvnni ? ck_pack_few_rows_s##bits##__avxvnni : pack_many)(x, row_begin, row_end, to, workspace);                \
  }
FEW_OR_MANY(4)
FEW_OR_MANY(2)

#define CODES(bits, kernel, bytes, pack)                                                                                                     \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, 1, ck_fold, ck_few_rows_avxvnni, ck_row_chunk, 0, kernel, ck_panel16_sizes_s##bits,               \
                 ck_panel16_pack_s##bits##__avx2, ck_panel16_unpack_s##bits, bytes, pack, workspace_bytes)
const ck_gemm_config ck_gemm_u8_s8__avxvnni = CODES(8, ck_gemm_codes_s8__avxvnni, many_bytes, pack_many);
const ck_gemm_config ck_gemm_u7_s8__avxvnni = CODES(8, ck_gemm_codes_s8__avxvnni, many_bytes, pack_many);  // 7 bits are 8 bits here
const ck_gemm_config ck_gemm_u8_s4__avxvnni = CODES(4, gemm_s4, activation_bytes, pack_s4);
const ck_gemm_config ck_gemm_u8_s2__avxvnni = CODES(2, gemm_s2, activation_bytes, pack_s2);

// ---- Sparse: vpdpbusd adds four products exactly, so quads need no splitting.

static size_t sparse_tile(size_t block_rows) {
  (void)block_rows;
  return ck_sparse_s8_tile_avx2;
}
// Fitted as avx2/config.c says.
static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {
    {11260, 5240, 370, 710, 18440, 260}, {10680, 4990, 120, 540, 16320, 60}, {10610, 4060, 110, 540, 14690, 70}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__avxvnni =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, sparse_tile, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__avxvnni, ck_sparse_vector_s8__avxvnni, sparse_costs, ck_sparse_s8_workspace_bytes__avx2,
                        ck_sparse_vector_s8_workspace_bytes__avx2);

const ck_nm_s8_config ck_spmm_f32_u8_s8nm__avxvnni = CK_NM_S8_PANEL16(ck_nm_s8__avxvnni);

#endif
