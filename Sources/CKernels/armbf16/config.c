// What the kernels of arm64 with BF16 are and how they want their operands.
#if defined(__aarch64__)

#include "dispatch.h"
#include "kernels.h"

const ck_gemm_config ck_gemm_bf16_bf16__armbf16 =
    CK_GEMM_CONFIG(CK_PANEL8_BLOCKS, 16, ck_panel, ck_row_block, 4, ck_row_block, ck_row_chunk, ck_gemm_rounds_pairs, ck_gemm_bf16_bf16_mmla__armbf16,
                   ck_panel8x4_sizes, ck_panel8x4_pack, ck_panel8x4_unpack, ck_bf16_block_bytes, ck_pack_blocks_bf16__armbf16,
                   ck_gemm_bf16_workspace__armbf16);

#endif
