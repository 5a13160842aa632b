// What config.c of this set puts together: kernels, and the scratch memory that each needs.
#ifndef CK_AVX2_KERNELS_H
#define CK_AVX2_KERNELS_H

#include "../sparse/nm_layout.h"
#include "convolution.h"
#include "gemm.h"

// round.c: destinations of so many bytes are written past the caches, since an ordinary store would first read the line that it overwrites and evict
// what the caller still needs. A smaller one may well be read back from the cache.
enum { ck_streaming_bytes = 8 << 20 };
enum { ck_gemm_short_inputs_avx2 = 96 };  // the most inputs of gemm_short.c; see config.c

// pack_weights.c: panel16x4.
ck_fn_gemm_pack ck_panel16_pack_s8__avx2, ck_panel16_pack_s4__avx2, ck_panel16_pack_s2__avx2, ck_panel16_pack_s1__avx2;
// gemm_rows.c: up to 4 rows, 8 bits up to 8.
ck_fn_gemm ck_gemm_rows_u8_s8__avx2, ck_gemm_rows_u8_s4__avx2, ck_gemm_rows_u8_s2__avx2;
size_t ck_gemm_rows_workspace_bytes__avx2(size_t inputs);
// gemm_blocks.c: more rows.
ck_fn_gemm ck_gemm_blocks_u8_s8__avx2, ck_gemm_blocks_u7_s8__avx2, ck_gemm_blocks_u8_s4__avx2, ck_gemm_blocks_u8_s2__avx2;
size_t ck_gemm_blocks_workspace_bytes__avx2(void);
size_t ck_gemm_codes_workspace__avx2(const ck_gemm_shape *shape, size_t rows);  // of all kernels of codes, also with AVX512's tiles: config.c
// gemm_short.c: 8 bits, up to ck_gemm_short_inputs_avx2 inputs, more than 4 rows.
ck_fn_gemm ck_gemm_short_u8_s8__avx2;
size_t ck_gemm_short_workspace_bytes__avx2(void);
// gemm_binary.c: 1-bit weights, activations of 8 and of 1 bit.
ck_fn_gemm ck_gemm_binary__avx2, ck_gemm_signs__avx2;
size_t ck_gemm_binary_workspace_bytes__avx2(void);
// gemm_half.c: 16-bit floats.
ck_fn_gemm ck_gemm_half_f16__avx2, ck_gemm_half_bf16__avx2;
size_t ck_gemm_half_workspace_bytes__avx2(void);
// gemm_bf16.c: BF16 × BF16; float32 activations [M][K2], rounded to BF16, the inputs of each pair exchanged.
ck_fn_gemm ck_gemm_bf16_bf16_fma__avx2;
ck_fn_gemm_pack_activations ck_pack_exchanged_bf16__avx2;
static inline size_t ck_exchanged_bf16_bytes(size_t rows, size_t inputs) { return rows * ck_round_up(inputs, 2) * sizeof(float); }

// sparse_f32.c, sparse_vector.c, sparse_s8.c, sparse_vector_s8.c, sparse_nm.c
enum { ck_sparse_s8_tile_avx2 = 32 };
ck_fn_sparse_f32 ck_sparse_f32__avx2;
ck_fn_sparse_tile ck_sparse_f32_tile__avx2;
ck_fn_sparse_workspace ck_sparse_f32_workspace_bytes__avx2;
ck_fn_sparse_vector_f32 ck_sparse_vector_f32__avx2;
ck_fn_sparse_s8 ck_sparse_s8__avx2;
ck_fn_sparse_workspace ck_sparse_s8_workspace_bytes__avx2;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__avx2;
ck_fn_sparse_vector_workspace ck_sparse_vector_s8_workspace_bytes__avx2;
ck_fn_nm_f32 ck_nm_f32__avx2;
ck_fn_nm_s8 ck_nm_s8__avx2;

ck_fn_conv2d ck_conv2d__avx2;  // convolution.c
ck_fn_conv2d_workspace ck_conv2d_workspace_bytes__avx2;

#endif
