#include <string.h>

#include "CKernelsTestSupport.h"

enum { chunk = 4096 };

#define SWEEP(width, type, kernel)                                                                                   \
  bool ck_test_sweep_##width(kernel *one, kernel *other, uint32_t first, uint32_t stride, uint32_t *difference) {    \
    float inputs[chunk];                                                                                             \
    type left[chunk], right[chunk];                                                                                  \
    for (uint64_t next = first; next < (uint64_t)1 << 32;) {                                                         \
      size_t count = 0;                                                                                              \
      for (; count < chunk && next < (uint64_t)1 << 32; count++, next += stride)                                     \
        inputs[count] = ck_f32_of_bits((uint32_t)next);                                                              \
      one(inputs, left, count);                                                                                      \
      other(inputs, right, count);                                                                                   \
      if (memcmp(left, right, count * sizeof left[0]) == 0) continue;                                                \
      size_t i = 0;                                                                                                  \
      while (memcmp(&left[i], &right[i], sizeof left[0]) == 0) i++;                                                  \
      *difference = ck_bits_of_f32(inputs[i]);                                                                       \
      return false;                                                                                                  \
    }                                                                                                                \
    return true;                                                                                                     \
  }

SWEEP(16, uint16_t, ck_fn_round_f16_f32)
SWEEP(32, float, ck_fn_round_tf32_even_f32)
