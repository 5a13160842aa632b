// What config.c of this set puts together: kernels, and the scratch memory that each needs.
#ifndef CK_AVX512VNNI_KERNELS_H
#define CK_AVX512VNNI_KERNELS_H

#include "gemm.h"
#include "sparse.h"
#include "sparse_nm.h"

enum { ck_few_rows_avx512vnni = 8 };

// gemm_blocks.c, gemm_activations.c: more than 8 rows.
ck_fn_gemm ck_gemm_blocks_s8__avx512vnni, ck_gemm_blocks_s4__avx512vnni, ck_gemm_blocks_s2__avx512vnni, ck_gemm_blocks_s1__avx512vnni;
ck_fn_gemm_workspace ck_gemm_blocks_workspace_bytes__avx512vnni;
ck_fn_gemm_pack_activations ck_pack_many_rows_s8__avx512vnni, ck_pack_many_rows_s4__avx512vnni, ck_pack_many_rows_s2__avx512vnni,
    ck_pack_many_rows_s1__avx512vnni;
ck_fn_gemm_activation_bytes ck_many_rows_activation_bytes_s8__avx512vnni, ck_many_rows_activation_bytes_s4__avx512vnni;  // 4 bits: and fewer

// sparse_s8.c, sparse_s8_narrow.c, sparse_vector_s8.c; tile and workspace are AVX512's.
ck_fn_sparse_s8 ck_sparse_s8__avx512vnni, ck_sparse_s8_narrow__avx512vnni;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__avx512vnni;

ck_fn_nm_s8 ck_nm_s8__avx512vnni;  // sparse_nm.c

#endif
