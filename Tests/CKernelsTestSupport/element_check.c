// Checks the kernels of single elements: rounding, quantizing, interleaving, signs, the convolution. Every instruction set gives the bits of scalar.h, or
// of the portable kernel where a result is a sum.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

CK_NO_CONTRACTION

enum { slot_x = ck_test_slot_others, slot_one, slot_other, slot_more };  // slot_more and three behind it

// Numbers of all kinds: bit patterns at random, and those that are hard to round.
static float any_number(uint64_t *state) {
  static const uint32_t hard[] = {0,          1,          0x8000,     0x7FFFFF,   0x800000,   0x33000000, 0x33000001, 0x387FF000, 0x38800000,
                                  0x3F000000, 0x3FC00000, 0x477FEFFF, 0x477FF000, 0x47800000, 0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0x7F800000,
                                  0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF};
  uint32_t sign = (uint32_t)ck_test_coin(state) << 31;
  if (ck_test_between(state, 0, 3) == 0) return ck_f32_of_bits(sign | hard[ck_test_between(state, 0, (int)(sizeof hard / sizeof hard[0]) - 1)]);
  if (ck_test_coin(state)) return ck_test_number(state) * 4;
  return ck_f32_of_bits((uint32_t)(ck_test_next(state) >> 32));
}

static float *numbers(size_t count, uint64_t *state) {
  float *x = ck_test_guarded(slot_x, 4 * count, 4);
  for (size_t i = 0; i < count; i++) x[i] = any_number(state);
  return x;
}

static int intact(void) { return ck_test_guards_are_intact(slot_one) && ck_test_guards_are_intact(slot_other); }

static int rounding_agrees(const ck_kernels *k, size_t count, uint64_t *state) {
  const float *x = numbers(count, state);
  int agrees = 1;
  uint16_t *halves = ck_test_guarded(slot_one, 2 * count, 2);
  float *floats = ck_test_guarded(slot_other, 4 * count, 4);
#define HALVES(kernel, rule)                                       \
  k->kernel(x, halves, count);                                     \
  for (size_t i = 0; i < count; i++) agrees &= halves[i] == rule(x[i]);
#define FLOATS(kernel, source, rule)                               \
  k->kernel(source, floats, count);                                \
  for (size_t i = 0; i < count; i++) agrees &= ck_bits_of_f32(floats[i]) == ck_bits_of_f32(rule(source[i]));
  HALVES(round_f16_f32, ck_f16_from_f32)
  HALVES(round_bf16_f32, ck_bf16_from_f32)
  for (size_t i = 0; i < count; i++) halves[i] = (uint16_t)(ck_test_next(state) >> 48);
  FLOATS(widen_f32_f16, halves, ck_f32_from_f16)
  FLOATS(widen_f32_bf16, halves, ck_f32_from_bf16)
  FLOATS(round_tf32_even_f32, x, ck_tf32_even)
  FLOATS(round_tf32_away_f32, x, ck_tf32_away)
  FLOATS(round_tf32_zero_f32, x, ck_tf32_zero)
#define IN_PLACE(kernel, rule)                                     \
  if (count > 0) memcpy(floats, x, 4 * count);                     \
  k->kernel(floats, floats, count);                                \
  for (size_t i = 0; i < count; i++) agrees &= ck_bits_of_f32(floats[i]) == ck_bits_of_f32(rule(x[i]));
  IN_PLACE(round_tf32_even_f32, ck_tf32_even)
  IN_PLACE(round_tf32_away_f32, ck_tf32_away)
  IN_PLACE(round_tf32_zero_f32, ck_tf32_zero)
#undef IN_PLACE
#undef HALVES
#undef FLOATS
  return agrees && intact();
}

static int codes_agree(const ck_kernels *k, size_t count, uint64_t *state) {
  const float *x = numbers(count, state);
  int8_t *signed_codes = ck_test_guarded(slot_one, count, 1);
  uint8_t *codes = ck_test_guarded(slot_other, count, 1);
  float inverse = 100 * ck_test_number(state);
  int32_t zero = ck_test_between(state, 0, 4) == 0 ? 128 : ck_test_between(state, 0, 255), lowest = ck_test_coin(state) ? -127 : -8, highest = lowest == -127 ? 127 : 7;
  k->quantize_s8_f32(x, count, inverse, zero - 128, lowest, highest, signed_codes);
  k->quantize_u8_f32(x, count, inverse, zero, 0, 255, codes);
  int agrees = 1;
  for (size_t i = 0; i < count; i++)
    agrees &= signed_codes[i] == ck_code(x[i], inverse, zero - 128, lowest, highest) && codes[i] == ck_code(x[i], inverse, zero, 0, 255);
  // Any range, any zero point.
  int32_t far = ck_test_between(state, -(1 << 23), 1 << 23), least = ck_test_coin(state) ? 0 : ck_test_between(state, 0, 255), most = ck_test_between(state, least, 255);
  if (ck_test_coin(state)) far = ck_test_between(state, -300, 600);
  inverse *= ck_test_coin(state) ? 1 : 0x1p18f;
  k->quantize_u8_f32(x, count, inverse, far, least, most, codes);
  for (size_t i = 0; i < count; i++) agrees &= codes[i] == ck_code(x[i], inverse, far, least, most);
  k->quantize_s8_f32(x, count, inverse, far, least - 128, most - 128, signed_codes);
  for (size_t i = 0; i < count; i++) agrees &= signed_codes[i] == ck_code(x[i], inverse, far, least - 128, most - 128);
  float *back = ck_test_guarded(slot_more, 4 * count, 4);
  k->dequantize_f32_s8(signed_codes, count, inverse, zero, back);
  for (size_t i = 0; i < count; i++) agrees &= back[i] == inverse * (float)(signed_codes[i] - zero);
  return agrees && intact() && ck_test_guards_are_intact(slot_more);
}

static int rows_agree(const ck_kernels *k, size_t rows, size_t columns, uint64_t *state) {
  size_t stride = columns + 3, code_stride = columns + 5;
  float *x = ck_test_guarded(slot_x, 4 * ((rows - 1) * stride + columns), 4);
  size_t special = ck_test_coin(state) ? 37 : 3;  // many signalling NaNs, too: the number before one must not get lost
  for (size_t i = 0; i < (rows - 1) * stride + columns; i++)
    x[i] = i % special != 2 ? ck_test_number(state) : special == 3 ? ck_f32_of_bits(0x7F800001) : any_number(state);
  size_t bytes = (rows - 1) * code_stride + columns + 5;
  uint8_t *codes[2] = {ck_test_guarded(slot_one, bytes, 1), ck_test_guarded(slot_other, bytes, 1)};
  float *scales[2] = {ck_test_guarded(slot_more, 4 * rows, 4), ck_test_guarded(slot_more + 1, 4 * rows, 4)};
  int32_t *zeros[2] = {ck_test_guarded(slot_more + 2, 4 * rows, 4), ck_test_guarded(slot_more + 3, 4 * rows, 4)};
  int32_t highest = ck_test_coin(state) ? 255 : 127;
  const ck_kernels *both[2] = {k, ck_kernels_of(ck_isa_portable)};
  for (int i = 0; i < 2; i++) both[i]->quantize_rows_u8_f32(x, rows, columns, stride, highest, codes[i], code_stride, scales[i], zeros[i]);
  int agrees = memcmp(codes[0], codes[1], bytes) == 0 && memcmp(scales[0], scales[1], 4 * rows) == 0 && memcmp(zeros[0], zeros[1], 4 * rows) == 0;
  for (int i = 0; i < 2; i++) both[i]->row_range_f32(x, rows, columns, stride, scales[i], (float *)zeros[i]);
  agrees &= memcmp(scales[0], scales[1], 4 * rows) == 0 && memcmp(zeros[0], zeros[1], 4 * rows) == 0;
  for (int i = 0; i < 2; i++) both[i]->row_absmax_f32(x, rows, columns, stride, scales[i]);
  agrees &= memcmp(scales[0], scales[1], 4 * rows) == 0 && intact();
  for (int i = 0; i < 4; i++) agrees &= ck_test_guards_are_intact(slot_more + i);
  size_t row_bytes = (columns + 31) / 32 * 4;
  for (int i = 0; i < 2; i++) {
    uint8_t *bits = ck_test_guarded(slot_one + i, rows * row_bytes, 1);
    both[i]->binarize_rows_u1_f32(x, rows, columns, stride, bits, scales[i]);
    codes[i] = bits;
  }
  for (size_t m = 0; m < rows; m++) agrees &= ck_bits_of_f32(scales[0][m]) == ck_bits_of_f32(scales[1][m]) || scales[1][m] != scales[1][m];
  return agrees && memcmp(codes[0], codes[1], rows * row_bytes) == 0 && intact();
}

static int interleaving_agrees(const ck_kernels *k, size_t rows, size_t padded, uint64_t *state) {
  size_t stride = padded + (size_t)ck_test_between(state, 0, 5);
  uint8_t *codes = ck_test_guarded(slot_one, (rows - 1) * stride + padded, 1), *block = ck_test_guarded(slot_other, 8 * padded, 64);
  for (size_t i = 0; i < (rows - 1) * stride + padded; i++) codes[i] = (uint8_t)ck_test_next(state);
  k->interleave_u8(codes, rows, stride, padded, block);
  int agrees = intact();
  for (size_t i = 0; i < 8 * padded; i++) {
    size_t t = i / 32, r = i / 4 % 8;
    agrees &= block[i] == (r < rows ? codes[r * stride + 4 * t + i % 4] : 0);
  }
  return agrees;
}

// Formats do not depend on the control word at all; codes and ranges follow it as the portable kernel does. (Emulated instructions are plain C, which obeys
// the control word where the instructions themselves say how they round.)
static int agree_whatever_the_control(const ck_kernels *k, size_t count, uint64_t *state) {
#if defined(CK_SIMDE)
  (void)k, (void)count, (void)state;
  return 1;
#endif
  uint64_t usual = ck_test_float_control();
  ck_test_set_float_control(ck_test_hostile_control(usual, (unsigned)ck_test_between(state, 0, 3)));
  int agrees = rounding_agrees(k, count, state) && codes_agree(k, count, state) && (count == 0 || rows_agree(k, 1 + count % 9, count, state));
  ck_test_set_float_control(usual);
  return agrees;
}

int ck_test_elements(ck_isa isa, size_t count, uint64_t seed) {
  const ck_kernels *k = ck_kernels_of(isa);
  uint64_t state = seed | 1;
  return agree_whatever_the_control(k, count, &state) && rounding_agrees(k, count, &state) && codes_agree(k, count, &state) &&
         (count == 0 || rows_agree(k, 1 + count % 9, count, &state)) && interleaving_agrees(k, 1 + count % 8, 32 * (1 + count % 5), &state);
}
