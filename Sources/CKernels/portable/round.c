#include "round.h"

#include "dispatch.h"
#include "scalar.h"

#define ROUND_KERNEL(operation, from, to, scalar)                                                 \
  void ck_##operation##__portable(const from *source, to *destination, size_t count) {            \
    for (size_t i = 0; i < count; i++) destination[i] = scalar(source[i]);                        \
  }

ROUND_KERNEL(round_f16_f32, float, uint16_t, ck_f16_from_f32)
ROUND_KERNEL(round_bf16_f32, float, uint16_t, ck_bf16_from_f32)
ROUND_KERNEL(widen_f32_f16, uint16_t, float, ck_f32_from_f16)
ROUND_KERNEL(widen_f32_bf16, uint16_t, float, ck_f32_from_bf16)
ROUND_KERNEL(round_tf32_even_f32, float, float, ck_tf32_even)
ROUND_KERNEL(round_tf32_away_f32, float, float, ck_tf32_away)
ROUND_KERNEL(round_tf32_zero_f32, float, float, ck_tf32_zero)
