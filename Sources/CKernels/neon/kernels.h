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

// ---- N:M
ck_fn_nm_f32 ck_nm_f32__neon;  // sparse_nm.c
ck_fn_nm_workspace ck_nm_f32_workspace_bytes__neon;
ck_fn_nm_s8 ck_nm_s8__neon;  // sparse_nm_s8.c

// ---- Convolution
ck_fn_conv2d ck_conv2d__neon;  // convolution.c
ck_fn_conv2d_workspace ck_conv2d_workspace_bytes__neon;

#endif
