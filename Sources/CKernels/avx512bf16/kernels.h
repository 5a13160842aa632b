// What config.c of this set puts together.
#ifndef CK_AVX512BF16_KERNELS_H
#define CK_AVX512BF16_KERNELS_H

#include "gemm.h"

ck_fn_gemm ck_gemm_bf16_bf16_dot__avx512bf16;  // gemm_bf16.c
ck_fn_gemm ck_gemm_signs__avx512bf16;              // gemm_signs.c

#endif
