#include "optimizers.h"
#include "loops.h"

#include <math.h>

// sqrtf sets errno, which keeps loops from being vectorized.
#if defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_sqrt)
#define SQUARE_ROOT(x) __builtin_elementwise_sqrt(x)
#endif
#endif
#ifndef SQUARE_ROOT
#define SQUARE_ROOT(x) sqrtf(x)
#endif

CK_INLINE void ck_apply_mask_f32_body(float *x, const uint8_t *mask, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float value = x[i];  // loaded in any case: without masked stores, as on arm64, the loop would have a branch
    x[i] = mask[i] ? value : 0.0f;
  }
}

CK_INLINE void ck_sgd_step_f32_body(float *restrict weights, const float *restrict gradient, float *restrict velocity, const uint8_t *mask,
                                    size_t count, float rate, float momentum, float decay, int nesterov) {
  const float ahead = nesterov ? momentum : 0.0f;
  for (size_t i = 0; i < count; i++) {
    float g = gradient[i] + decay * weights[i];
    float v = momentum * velocity[i] + g;
    velocity[i] = v;
    weights[i] -= rate * (nesterov ? g + ahead * v : v);
  }
  if (mask) {
    ck_apply_mask_f32_body(weights, mask, count);
    ck_apply_mask_f32_body(velocity, mask, count);
  }
}

CK_INLINE void ck_adam_step_f32_body(float *restrict weights, const float *restrict gradient, float *restrict first, float *restrict second,
                                     const uint8_t *mask, size_t count, const ck_adam *step) {
  const ck_adam s = *step;
  for (size_t i = 0; i < count; i++) {
    float g = gradient[i];
    float m = s.first_decay * first[i] + (1.0f - s.first_decay) * g;
    float v = s.second_decay * second[i] + (1.0f - s.second_decay) * (g * g);
    first[i] = m;
    second[i] = v;
    weights[i] -= s.rate * m / (SQUARE_ROOT(v) * s.second_correction + s.epsilon) + s.weight_decay * weights[i];
  }
  if (mask) {
    ck_apply_mask_f32_body(weights, mask, count);
    ck_apply_mask_f32_body(first, mask, count);
    ck_apply_mask_f32_body(second, mask, count);
  }
}

#define CK_LOOPS_OF_OPTIMIZERS
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
