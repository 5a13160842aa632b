// What config.c of this set puts together: kernels, and the scratch memory that each needs. The sets dotprod, i8mm and armbf16 build on some of them.
#ifndef CK_NEON_KERNELS_H
#define CK_NEON_KERNELS_H

#include "../sparse/nm_layout.h"
#include "convolution.h"
#include "gemm.h"

// ---- Codes

// ---- 1 bit

// ---- 16-bit floats

// ---- Sparse

// sparse_f32.c, sparse_vector.c
ck_fn_sparse_f32 ck_sparse_f32__neon;
ck_fn_sparse_tile ck_sparse_f32_tile__neon;
ck_fn_sparse_workspace ck_sparse_f32_workspace_bytes__neon;
ck_fn_sparse_vector_f32 ck_sparse_vector_f32__neon;
// sparse_s8.c, sparse_vector_s8.c
ck_fn_sparse_s8 ck_sparse_s8__neon;
ck_fn_sparse_tile ck_sparse_s8_tile__neon;
ck_fn_sparse_workspace ck_sparse_s8_workspace_bytes__neon;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__neon;
// Codes as signed bytes.
static inline size_t ck_sparse_vector_s8_workspace_bytes__neon(size_t inputs) { return ck_round_up(inputs, 64); }

// ---- N:M

// ---- Convolution

#endif
