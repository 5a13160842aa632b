// The kernels of the AVX512 set that its configurations (config.c) choose among.
#ifndef CK_AVX512_KERNELS_H
#define CK_AVX512_KERNELS_H

#include "../sparse/layout.h"
#include "gemm.h"

// sparse_f32.c, sparse_vector.c. From so many inputs on blocks of several rows take half a tile at a time, so that its panel fits in L2: config.c.
enum { ck_sparse_f32_long_inputs_avx512 = 2048 };
ck_fn_sparse_f32 ck_sparse_f32__avx512;
ck_fn_sparse_tile ck_sparse_f32_tile__avx512;
ck_fn_sparse_workspace ck_sparse_f32_workspace_bytes__avx512;
ck_fn_sparse_vector_f32 ck_sparse_vector_f32__avx512;

#endif
