// Configurations of the AVX512 set, and its measured constants.
#if defined(__x86_64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

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

#endif
