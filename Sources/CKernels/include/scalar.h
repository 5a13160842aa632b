// The rule of each format as a function of one number. Formats cross this boundary as bit patterns. The portable kernels are
// loops over these, the others give the same bits. Integer arithmetic, or float arithmetic that is exact: no result of the
// format conversions depends on the rounding direction or the flush modes of MXCSR or FPCR.
#ifndef CK_SCALAR_H
#define CK_SCALAR_H

#include <float.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t ck_bits_of_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float ck_f32_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// value / 2^shift rounded to nearest, ties to even: adds just under half a unit, and the rest of the half where the kept part
// is odd. 1 ≤ shift ≤ 24; value + 2^(shift−1) must fit in 32 bits.
static inline uint32_t ck_shift_right_even(uint32_t value, uint32_t shift) {
  uint32_t odd = value >> shift & 1u;
  return (value + ((1u << (shift - 1)) - 1u) + odd) >> shift;
}

// Bits of x in IEEE binary16, to nearest, ties to even. A NaN keeps its sign and top 9 payload bits and becomes quiet.
static inline uint16_t ck_f16_from_f32(float x) {
  uint32_t bits = ck_bits_of_f32(x);
  uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  uint32_t result;
  if (magnitude > 0x7F800000u) {
    result = 0x7E00u | (magnitude >> 13 & 0x3FFu);
  } else if (magnitude >= 0x47800000u) {  // 2¹⁶ and above; from 65,520 on the carry of the last branch reaches infinity
    result = 0x7C00u;
  } else if (magnitude < 0x33000000u) {  // below 2⁻²⁵, half of the smallest subnormal
    result = 0;
  } else if (magnitude < 0x38800000u) {  // below 2⁻¹⁴: x = significand · 2^(exponent − 150), a subnormal counts 2⁻²⁴
    result = ck_shift_right_even((magnitude & 0x7FFFFFu) | 0x800000u, 126u - (magnitude >> 23));
  } else {
    result = ck_shift_right_even(magnitude - ((127u - 15u) << 23), 13);
  }
  return (uint16_t)(sign | result);
}

// The binary16 number with these bits, exactly; a signalling NaN becomes quiet.
static inline float ck_f32_from_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1Fu, significand = half & 0x3FFu;
  if (exponent == 0) {  // significand · 2⁻²⁴: exact, and zero or normal in float32, so no flush mode touches it
    return ck_f32_of_bits(sign | ck_bits_of_f32((float)significand * 0x1p-24f));
  }
  if (exponent == 0x1F) return ck_f32_of_bits(sign | 0x7F800000u | significand << 13 | (significand != 0 ? 0x400000u : 0u));
  return ck_f32_of_bits(sign | (exponent + (127 - 15)) << 23 | significand << 13);
}

// Bits of x in bfloat16, to nearest, ties to even. A NaN keeps its sign and top 6 payload bits and becomes quiet.
static inline uint16_t ck_bf16_from_f32(float x) {
  uint32_t bits = ck_bits_of_f32(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)ck_shift_right_even(bits, 16);
}

// The bfloat16 number with these bits, exactly; a signalling NaN becomes quiet.
static inline float ck_f32_from_bf16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  return ck_f32_of_bits((bits & 0x7FFFFFFFu) > 0x7F800000u ? bits | 0x400000u : bits);
}

// `rounded`, already free of its low 13 bits, unless x is a NaN: that keeps its sign and top 9 payload bits and becomes quiet.
static inline float ck_tf32_unless_nan(uint32_t bits, uint32_t rounded) {
  uint32_t nan = (bits | 0x400000u) & ~0x1FFFu;
  return ck_f32_of_bits((bits & 0x7FFFFFFFu) > 0x7F800000u ? nan : rounded);
}

// x rounded to TF32 (8 exponent bits, 10 stored significand bits) to nearest, ties to even.
static inline float ck_tf32_even(float x) {
  uint32_t bits = ck_bits_of_f32(x);
  return ck_tf32_unless_nan(bits, ck_shift_right_even(bits, 13) << 13);
}

// x rounded to TF32 to nearest, ties away from zero (PTX cvt.rna.tf32.f32).
static inline float ck_tf32_away(float x) {
  uint32_t bits = ck_bits_of_f32(x);
  return ck_tf32_unless_nan(bits, (bits + 0x1000u) & ~0x1FFFu);
}

// x rounded to TF32 toward zero.
static inline float ck_tf32_zero(float x) {
  uint32_t bits = ck_bits_of_f32(x);
  return ck_tf32_unless_nan(bits, bits & ~0x1FFFu);
}

// The integer nearest to x, ties to even, for |x| ≤ 2²⁴. rintf would obey the rounding direction: here the cast truncates by
// definition, and x − truncated is exact (both are multiples of x's last place).
static inline int32_t ck_rint_even(float x) {
  int32_t truncated = (int32_t)x;
  float rest = x - (float)truncated;
  int32_t up = (rest > 0.5f) | ((rest == 0.5f) & (truncated & 1));
  int32_t down = (rest < -0.5f) | ((rest == -0.5f) & (truncated & 1));
  return truncated + up - down;
}

// The code of a number, the one rule of quantize.h: clamp(rint(x · inverse_scale) + zero_point, lowest, highest), 0 (clamped) where the product
// is a NaN. It clamps before it rounds, so that the cast cannot overflow: with integer bounds clamp(rint(v)) = rint(clamp(v)), and the bounds
// are exact, |lowest − zero_point| ≤ 2²³ + 2⁸ < 2²⁴.
static inline int32_t ck_code(float x, float inverse_scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  float product = x * inverse_scale;
  float low = (float)(lowest - zero_point), high = (float)(highest - zero_point);
  float clamped = product > low ? product : low;
  clamped = clamped < high ? clamped : high;
  int32_t code = ck_rint_even(clamped) + zero_point;
  int32_t zero = lowest > 0 ? lowest : highest < 0 ? highest : 0;
  return product == product ? code : zero;
}

// Affine map of real numbers to codes: code = rint(x · inverse_scale) + zero_point, x ≈ scale · (code − zero_point).
typedef struct ck_affine {
  float scale, inverse_scale;
  int32_t zero_point;
} ck_affine;

// The map of [min(minimum, 0), max(maximum, 0)] onto the codes 0…highest (1 ≤ highest ≤ 255), so that 0 has a code of its own:
//   scale = (max − min) / highest, or 1 where that is zero, subnormal or not finite
//   inverse_scale = 1 / scale
//   zero_point = clamp(rint(−min · inverse_scale), 0, highest)
// each operation rounded to float32. −min takes the same product as the codes do, so the code of min itself is exactly 0.
// Neither argument is a NaN.
static inline ck_affine ck_affine_of_range(float minimum, float maximum, int32_t highest) {
  float lowest_value = minimum < 0.0f ? minimum : 0.0f, highest_value = maximum > 0.0f ? maximum : 0.0f;
  float scale = (highest_value - lowest_value) / (float)highest;
  if (!(scale >= FLT_MIN && scale <= FLT_MAX)) scale = 1.0f;
  float inverse_scale = 1.0f / scale;
  float offset = -lowest_value * inverse_scale;
  int32_t zero_point = offset < (float)highest ? ck_rint_even(offset) : highest;
  return (ck_affine){scale, inverse_scale, zero_point};
}

#endif
