// What the NEON kernels that make int8 codes share.
#ifndef CK_NEON_CODES_H
#define CK_NEON_CODES_H

#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// 16 codes rint(x · inverse), saturated; 0 where the product is a NaN. FCVTNS rounds ties to even whatever FPCR says, saturates, and turns a NaN into 0.
CK_INLINE int8x16_t ck_nearest_codes(const float *x, float32x4_t inverse) {
  int32x4_t c[4];
  CK_UNROLL for (int i = 0; i < 4; i++) c[i] = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4 * i), inverse));
  int16x8_t low = vqmovn_high_s32(vqmovn_s32(c[0]), c[1]), high = vqmovn_high_s32(vqmovn_s32(c[2]), c[3]);
  return vqmovn_high_s16(vqmovn_s16(low), high);
}

CK_TARGET_END

#endif
