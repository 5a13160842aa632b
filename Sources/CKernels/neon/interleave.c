// Interleaving of activation rows (gemm.h): 8 rows × 16 codes are two matrices of 4×4 units. Limit: 16 TRN for 128 codes, beside 8 loads and 8 stores.
#if defined(__aarch64__)
#include "../gemm/layout.h"

#include "dispatch.h"
#include "transpose.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

void ck_interleave_u8__neon(const uint8_t *codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *block) {
  for (size_t k = 0; k < padded_inputs; k += 16, block += 16 * ck_row_block) {
    CK_UNROLL for (size_t first = 0; first < ck_row_block; first += 4) {
      uint32x4_t v[4];
      CK_UNROLL for (size_t r = 0; r < 4; r++)
        v[r] = first + r < rows ? vreinterpretq_u32_u8(vld1q_u8(codes + (first + r) * stride + k)) : vdupq_n_u32(0);
      ck_transpose4(v);
      CK_UNROLL for (size_t t = 0; t < 4; t++) vst1q_u8(block + 4 * (t * ck_row_block + first), vreinterpretq_u8_u32(v[t]));
    }
  }
}

CK_TARGET_END
#endif
