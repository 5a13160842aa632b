// Four rows of four units of 32 bits become four columns: eight TRN in registers.
#ifndef CK_NEON_TRANSPOSE_H
#define CK_NEON_TRANSPOSE_H

#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE void ck_transpose4(uint32x4_t v[4]) {
  uint64x2_t t[4];
  CK_UNROLL for (int i = 0; i < 4; i += 2) {
    t[i] = vreinterpretq_u64_u32(vtrn1q_u32(v[i], v[i + 1]));
    t[i + 1] = vreinterpretq_u64_u32(vtrn2q_u32(v[i], v[i + 1]));
  }
  CK_UNROLL for (int i = 0; i < 2; i++) {
    v[i] = vreinterpretq_u32_u64(vtrn1q_u64(t[i], t[2 + i]));
    v[2 + i] = vreinterpretq_u32_u64(vtrn2q_u64(t[i], t[2 + i]));
  }
}

CK_TARGET_END

#endif
