// What config.c of this set puts together.
#ifndef CK_DOTPROD_KERNELS_H
#define CK_DOTPROD_KERNELS_H

#include "../neon/gemm_many.h"

// ---- Codes

ck_fn_tile ck_tile__dotprod;                  // gemm_tiles.c
ck_fn_grouped_tile ck_grouped_tile__dotprod;
// gemm_rows.c: up to ck_few_rows rows.
ck_fn_gemm ck_gemm_rows_s8__dotprod, ck_gemm_rows_s4__dotprod, ck_gemm_rows_s2__dotprod;

// ---- 1 bit

ck_fn_gemm ck_gemm_signs__dotprod;  // gemm_signs.c

// ---- Sparse

// sparse_s8.c, sparse_vector_s8.c; the workspace for one row is NEON's.
ck_fn_sparse_s8 ck_sparse_s8__dotprod;
ck_fn_sparse_tile ck_sparse_s8_tile__dotprod;
ck_fn_sparse_workspace ck_sparse_s8_workspace_bytes__dotprod;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__dotprod;
extern const ck_sparse_costs ck_sparse_costs__dotprod[ck_sparse_cost_classes];  // config.c

// ---- N:M

ck_fn_nm_s8 ck_nm_s8__dotprod;  // sparse_nm.c

#endif
