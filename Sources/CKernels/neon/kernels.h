// What config.c of this set puts together: kernels, and the scratch memory that each needs. The sets dotprod, i8mm and armbf16 build on some of them.
#ifndef CK_NEON_KERNELS_H
#define CK_NEON_KERNELS_H

#include "../sparse/nm_layout.h"
#include "convolution.h"
#include "gemm.h"

// ---- Codes

// pack_weights.c: panel16x4.
ck_fn_gemm_pack ck_panel16_pack_s8__neon, ck_panel16_pack_s4__neon, ck_panel16_pack_s2__neon, ck_panel16_pack_s1__neon;

// ---- 1 bit

// ---- 16-bit floats

// ---- Sparse

// ---- N:M

// ---- Convolution

#endif
