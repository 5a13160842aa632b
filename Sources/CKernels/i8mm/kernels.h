// What config.c of this set puts together.
#ifndef CK_I8MM_KERNELS_H
#define CK_I8MM_KERNELS_H

#include "../neon/gemm_many.h"

// ---- Codes

ck_fn_tile ck_tile__i8mm;                  // gemm_tiles.c
ck_fn_grouped_tile ck_grouped_tile__i8mm;
// gemm_rows.c: up to ck_few_rows rows.
ck_fn_gemm ck_gemm_rows_s8__i8mm, ck_gemm_rows_s4__i8mm, ck_gemm_rows_s2__i8mm, ck_gemm_rows_s1__i8mm;

// ---- Sparse

ck_fn_sparse_s8 ck_sparse_s8__i8mm;  // sparse_s8.c; all else is dotprod's

// ---- N:M

ck_fn_nm_s8 ck_nm_s8__i8mm;  // sparse_nm.c: more than 16 rows, dotprod's for fewer

#endif
