// How sparse weights become int8 codes: one scale for the weights of an output, or of all.
#ifndef CK_INT8_WEIGHTS_H
#define CK_INT8_WEIGHTS_H

#include "scalar.h"

// weight ≈ scale · code. `factor` and `inverse` are those of 1 / scale, which leaves float32 where the scale is subnormal.
typedef struct ck_int8_scale {
  float scale, factor, inverse;
} ck_int8_scale;

// The scale that maps `largest` to 127; of subnormal scales, which are multiples of 2⁻¹⁴⁹, the first that does not clip. 1 for zeros.
static inline ck_int8_scale ck_int8_scale_of(float largest) {
  float scale = largest / 127.0f;
  if (scale < FLT_MIN) {
    if ((double)scale * 127.0 < (double)largest) scale += 0x1p-149f;
    if (scale == 0.0f) scale = 1.0f;
  }
  float factor = scale < FLT_MIN ? 0x1p64f : 1.0f;
  return (ck_int8_scale){scale, factor, 1.0f / (scale * factor)};
}

static inline int8_t ck_int8_code(float weight, ck_int8_scale s) { return (int8_t)ck_code(weight * s.factor, s.inverse, 0, -127, 127); }

#endif
