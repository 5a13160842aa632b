// Configurations of the AVX512 set, and its measured constants.
#if defined(__x86_64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Sparse

static size_t slice_inputs(size_t inputs, size_t block_rows, size_t block_columns, size_t rows) {
  if (block_rows == 1 && rows >= 2) return rows >= 48 ? 128 : 256;
  size_t whole = ck_round_up(inputs, block_columns);
  return whole < ck_sparse_max_slice ? whole : ck_sparse_max_slice;
}

const ck_sparse_f32_config ck_spmm_f32_f32_block__avx512 =
    CK_SPARSE_F32_CONFIG(CK_SPARSE_STRIPS, ck_sparse_f32_tile__avx512, slice_inputs, ck_sparse_f32_sizes_strips, ck_sparse_f32_pack_strips,
                         ck_sparse_f32_unpack_strips, ck_sparse_f32__avx512, ck_sparse_vector_f32__avx512, ck_sparse_f32_workspace_bytes__avx512);

#endif
