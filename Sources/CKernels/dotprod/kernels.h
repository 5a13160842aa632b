// What config.c of this set puts together.
#ifndef CK_DOTPROD_KERNELS_H
#define CK_DOTPROD_KERNELS_H

#include "../neon/gemm_many.h"

// ---- Codes

ck_fn_tile ck_tile__dotprod;                  // gemm_tiles.c
ck_fn_grouped_tile ck_grouped_tile__dotprod;
// gemm_rows.c: up to ck_few_rows rows.
ck_fn_gemm ck_gemm_rows_s8__dotprod, ck_gemm_rows_s4__dotprod, ck_gemm_rows_s2__dotprod;
size_t ck_gemm_rows_workspace__dotprod(size_t inputs);

// ---- 1 bit

ck_fn_gemm ck_gemm_signs__dotprod;  // gemm_signs.c

// ---- N:M

ck_fn_nm_s8 ck_nm_s8__dotprod;  // sparse_nm.c

#endif
