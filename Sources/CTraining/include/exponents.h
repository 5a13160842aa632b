// Counts of binary exponents.
#ifndef CTRAINING_EXPONENTS_H
#define CTRAINING_EXPONENTS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// Exponents of finite, nonzero float32 numbers: −149 (the smallest subnormal number) … 127; e is counted at [e + 149].
enum { ck_exponent_count = 277 };

typedef struct {
  int64_t *_Nonnull numbers;  // [ck_exponent_count]: 2^e ≤ |x| < 2^(e+1)
  int64_t *_Nonnull powers;   // of those, |x| = 2^e
  int64_t *_Nonnull tops;     // of those, |x| ≥ 2^e · (2 − 2⁻¹¹), which FP16 rounds up to 2^(e+1)
  int64_t zeros, not_finite;
} ck_exponents;

// Adds x[0…count − 1] to the counts.
void ck_count_exponents_f32(const float *_Nonnull x, size_t count, ck_exponents *_Nonnull counts);

#endif
