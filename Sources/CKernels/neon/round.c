// Rounding of float32 to FP16, BF16 and TF32, and back. FCVTN and FCVTL obey FPCR (rounding, FZ, AHP, DN), so it is 0 around the loop; with that they are
// scalar.h's rules, NaNs included. BFCVTN would be too, but is of another set.
// Limit: operations, beside loads and stores of 16 numbers: FP16 4, BF16 17, TF32 to nearest even 21, away 13, toward zero 8; widening 4 and 8. One
// test finds NaNs among 16 numbers, since FMAX gives a NaN where either operand is one; they are put right apart, so that no number pays for them: with a
// selection for each, BF16 takes 28 operations. Modelled, numbers a cycle on Neoverse N1, V1, V2, Apple M1, Cortex-A72: FP16 2.0, 4.0, 4.0, 5.3, 1.3; BF16
// 1.7, 3.3, 3.2, 2.8, 1.1; TF32 to even 1.3, 2.6, 2.4, 2.2, 0.9, away 1.9, 4.0, 3.5, 3.2, 1.1, toward zero 2.6, 6.3, 5.3, 4.0, 1.2; widening FP16 2.0, 4.0,
// 4.0, 5.2, 1.3, BF16 2.6, 6.3, 5.3, 4.5, 1.1. FP16 is at the limit of its conversions.
#if defined(__aarch64__)
#include "round.h"

#include "../float_environment.h"
#include "dispatch.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE float32x4_t floats(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

// A signalling NaN with its quiet bit set, all else as it is. As assembly, since compilers take it for nothing.
CK_INLINE uint32x4_t quiet(uint32x4_t bits) {
  uint32x4_t same;
  __asm__("fminnm %0.4s, %1.4s, %1.4s" : "=w"(same) : "w"(bits));
  return same;
}

// −1 where the bit is set. Kept, since clang makes two operations of one.
CK_INLINE uint32x4_t has_bit(uint32x4_t bits, uint32x4_t bit) {
  uint32x4_t lanes = vtstq_u32(bits, bit);
  CK_KEEP_VECTOR(lanes);
  return lanes;
}

CK_INLINE void load_bits(const float *source, uint32x4_t bits[4]) {
  CK_UNROLL for (int i = 0; i < 4; i++) bits[i] = vreinterpretq_u32_f32(vld1q_f32(source + 4 * i));
}

CK_INLINE int has_nan(const uint32x4_t bits[4]) {
  float32x4_t greatest = vmaxq_f32(vmaxq_f32(floats(bits[0]), floats(bits[1])), vmaxq_f32(floats(bits[2]), floats(bits[3])));
  float one = vmaxvq_f32(greatest);
  return __builtin_expect(one != one, 0) != 0;
}

// Each block turns 16 numbers at `source` into 16 at `destination`.

CK_INLINE void f16_block(const float *source, uint16_t *destination) {
  for (int i = 0; i < 16; i += 8) {
    float16x8_t rounded = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(source + i)), vld1q_f32(source + i + 4));
    vst1q_u16(destination + i, vreinterpretq_u16_f16(rounded));
  }
}

// Upper halves of bits + 0x7FFF, and one more where the kept part is odd: there has_bit is −1.
CK_INLINE uint16x8_t bf16_of(uint32x4_t low, uint32x4_t high) {
  const uint32x4_t half = vdupq_n_u32(0x7FFF), odd = vdupq_n_u32(0x10000);
  return vsubhn_high_u32(vsubhn_u32(vaddq_u32(low, half), has_bit(low, odd)), vaddq_u32(high, half), has_bit(high, odd));
}

CK_INLINE uint16x8_t bf16_with_nans(uint16x8_t rounded, uint32x4_t low, uint32x4_t high) {
  uint16x8_t upper = vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
  uint16x8_t numbers = vuzp1q_u16(vreinterpretq_u16_u32(vceqq_f32(floats(low), floats(low))), vreinterpretq_u16_u32(vceqq_f32(floats(high), floats(high))));
  return vbslq_u16(numbers, rounded, vorrq_u16(upper, vdupq_n_u16(0x40)));
}

CK_INLINE void bf16_block(const float *source, uint16_t *destination) {
  uint32x4_t bits[4];
  load_bits(source, bits);
  uint16x8_t low = bf16_of(bits[0], bits[1]), high = bf16_of(bits[2], bits[3]);
  if (has_nan(bits)) low = bf16_with_nans(low, bits[0], bits[1]), high = bf16_with_nans(high, bits[2], bits[3]);
  vst1q_u16(destination, low);
  vst1q_u16(destination + 8, high);
}

CK_INLINE void widen_f16_block(const uint16_t *source, float *destination) {
  for (int i = 0; i < 16; i += 8) {
    float16x8_t halves = vreinterpretq_f16_u16(vld1q_u16(source + i));
    vst1q_f32(destination + i, vcvt_f32_f16(vget_low_f16(halves)));
    vst1q_f32(destination + i + 4, vcvt_high_f32_f16(halves));
  }
}

CK_INLINE void widen_bf16_block(const uint16_t *source, float *destination) {
  const uint16x8_t zero = vdupq_n_u16(0);
  for (int i = 0; i < 16; i += 8) {
    uint16x8_t halves = vld1q_u16(source + i);
    vst1q_f32(destination + i, floats(quiet(vreinterpretq_u32_u16(vzip1q_u16(zero, halves)))));
    vst1q_f32(destination + i + 4, floats(quiet(vreinterpretq_u32_u16(vzip2q_u16(zero, halves)))));
  }
}

// TF32: what carries into the kept bits has been added; the low 13 bits are cleared. A NaN has its own bits in place of the sum.
CK_INLINE void tf32_finish(uint32x4_t bits[4], uint32x4_t rounded[4], float *destination) {
  if (has_nan(bits))
    CK_UNROLL for (int i = 0; i < 4; i++) rounded[i] = vbslq_u32(vceqq_f32(floats(bits[i]), floats(bits[i])), rounded[i], quiet(bits[i]));
  CK_UNROLL for (int i = 0; i < 4; i++) vst1q_f32(destination + 4 * i, floats(vandq_u32(rounded[i], vdupq_n_u32(~0x1FFFu))));
}

CK_INLINE void tf32_even_block(const float *source, float *destination) {
  const uint32x4_t half = vdupq_n_u32(0xFFF), odd = vdupq_n_u32(0x2000);
  uint32x4_t bits[4], rounded[4];
  load_bits(source, bits);
  CK_UNROLL for (int i = 0; i < 4; i++) rounded[i] = vsubq_u32(vaddq_u32(bits[i], half), has_bit(bits[i], odd));
  tf32_finish(bits, rounded, destination);
}

CK_INLINE void tf32_away_block(const float *source, float *destination) {
  uint32x4_t bits[4], rounded[4];
  load_bits(source, bits);
  CK_UNROLL for (int i = 0; i < 4; i++) rounded[i] = vaddq_u32(bits[i], vdupq_n_u32(0x1000));
  tf32_finish(bits, rounded, destination);
}

CK_INLINE void tf32_zero_block(const float *source, float *destination) {
  uint32x4_t bits[4];
  load_bits(source, bits);
  CK_UNROLL for (int i = 0; i < 4; i++) vst1q_f32(destination + 4 * i, floats(vandq_u32(quiet(bits[i]), vdupq_n_u32(~0x1FFFu))));
}

// Blocks of 16. The last overlaps the one before it (in place it rounds some numbers again, which changes nothing); fewer than 16 go through a copy.
// There are no streaming stores: compilers have none in common (STNP).
#define ROUND_KERNEL(operation, from, to, block)                                            \
  void ck_##operation##__neon(const from *source, to *destination, size_t count) {          \
    uint64_t control = ck_begin_default_floats();                                           \
    size_t i = 0;                                                                           \
    for (; count - i >= 16; i += 16) block(source + i, destination + i);                    \
    if (i < count && count >= 16) {                                                         \
      block(source + count - 16, destination + count - 16);                                 \
    } else if (i < count) {                                                                 \
      from few[16] = {0};                                                                   \
      to few_rounded[16];                                                                   \
      memcpy(few, source, count * sizeof(from));                                            \
      block(few, few_rounded);                                                              \
      memcpy(destination, few_rounded, count * sizeof(to));                                 \
    }                                                                                       \
    ck_end_default_floats(control);                                                         \
  }

ROUND_KERNEL(round_f16_f32, float, uint16_t, f16_block)
ROUND_KERNEL(round_bf16_f32, float, uint16_t, bf16_block)
ROUND_KERNEL(widen_f32_f16, uint16_t, float, widen_f16_block)
ROUND_KERNEL(widen_f32_bf16, uint16_t, float, widen_bf16_block)
ROUND_KERNEL(round_tf32_even_f32, float, float, tf32_even_block)
ROUND_KERNEL(round_tf32_away_f32, float, float, tf32_away_block)
ROUND_KERNEL(round_tf32_zero_f32, float, float, tf32_zero_block)

CK_TARGET_END
#endif
