// Interleaving of activation rows (gemm.h): 8 rows × 16 codes are two matrices of 4×4 units. Limit: 16 TRN for 128 codes, and 8 loads and 8 stores.
// Modelled, 128 codes take 13 cycles on Neoverse N1, 5.1 on V1, 6.1 on V2, 11 on Apple M1, 25 on Cortex-A72.
#if defined(__aarch64__)
#include "../gemm/layout.h"

#include "dispatch.h"
#include "transpose.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE void interleave(const uint8_t *codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *block) {
  for (size_t k = 0; k < padded_inputs; k += 16, block += 16 * ck_row_block) {
    uint32x4_t v[ck_row_block];
    CK_UNROLL for (size_t r = 0; r < ck_row_block; r++) v[r] = r < rows ? vreinterpretq_u32_u8(vld1q_u8(codes + r * stride + k)) : vdupq_n_u32(0);
    ck_transpose4(v), ck_transpose4(v + 4);
    CK_UNROLL for (size_t i = 0; i < ck_row_block; i++) vst1q_u8(block + 16 * i, vreinterpretq_u8_u32(v[i % 2 * 4 + i / 2]));
  }
}

void ck_interleave_u8__neon(const uint8_t *codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *block) {
  if (rows >= ck_row_block) interleave(codes, ck_row_block, stride, padded_inputs, block);
  else interleave(codes, rows, stride, padded_inputs, block);
}

CK_TARGET_END
#endif
