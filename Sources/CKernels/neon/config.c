// What the NEON kernels are and how they want their operands. Constants stand here, with the processor and the model that they were found by.
#if defined(__aarch64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Codes

// ---- 1 bit

// ---- 16-bit floats

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

static const ck_sparse_costs sparse_costs[ck_sparse_cost_classes] = {{1, 0, 0, 1, 0, 0}, {1, 0, 0, 1, 0, 0}, {1, 0, 0, 1, 0, 0}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__neon =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, ck_sparse_s8_tile__neon, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__neon, ck_sparse_vector_s8__neon, sparse_costs, ck_sparse_s8_workspace_bytes__neon,
                        ck_sparse_vector_s8_workspace_bytes__neon);

// ---- N:M

// ---- Convolution

#endif
