// Rounding to BF16 by integers, whatever FPCR says.
#ifndef CK_NEON_BF16_H
#define CK_NEON_BF16_H

#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// Four numbers rounded to BF16, to nearest, ties to even, in the upper half of each lane; what is below belongs to nothing. NaNs become quiet.
CK_INLINE uint32x4_t ck_rounded_bf16(float32x4_t x) {
  uint32x4_t bits = vreinterpretq_u32_f32(x), magnitude = vandq_u32(bits, vdupq_n_u32(0x7FFFFFFFu));
  uint32x4_t is_nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7F800000u)), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  uint32x4_t sum = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7FFF));
  return vbslq_u32(is_nan, vorrq_u32(bits, vdupq_n_u32(0x400000)), sum);
}

CK_TARGET_END
#endif
