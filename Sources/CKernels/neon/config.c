// What the NEON kernels are and how they want their operands. Constants stand here, with the processor and the model that they were found by.
#if defined(__aarch64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Codes

// ---- 1 bit

// ---- 16-bit floats

#define HALF(layout, kernel, sizes, pack, unpack)                                                                                      \
  CK_GEMM_CONFIG(layout, 16, ck_panel, 1, 1, ck_few_rows, ck_row_chunk, ck_gemm_reads_floats, kernel, sizes, pack, unpack,              \
                 ck_no_activation_bytes, ck_pack_nothing, ck_gemm_float_workspace__neon)

const ck_gemm_config ck_gemm_f32_f16__neon =
    HALF(CK_PANEL16_MARKED, ck_gemm_half_f16__neon, ck_panel16_sizes_marked, ck_panel16_pack_marked, ck_panel16_unpack_half);
const ck_gemm_config ck_gemm_f32_bf16__neon =
    HALF(CK_PANEL16_PAIRS, ck_gemm_half_bf16__neon, ck_panel16x2_sizes, ck_panel16x2_pack, ck_panel16x2_unpack);
const ck_gemm_config ck_gemm_bf16_bf16__neon =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, ck_few_rows, ck_row_chunk, 0, ck_gemm_bf16_bf16_fma__neon, ck_panel16x2_sizes,
                   ck_panel16x2_pack, ck_panel16x2_unpack, ck_exchanged_bf16_bytes_neon, ck_pack_exchanged_bf16__neon, ck_gemm_float_workspace__neon);

// ---- Sparse

// ---- N:M

// ---- Convolution

#endif
