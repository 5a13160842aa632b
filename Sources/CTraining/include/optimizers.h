// One step of an optimizer over one parameter. Where mask is given, weights with mask[i] = 0 stay 0, and so do their moments.
#ifndef CTRAINING_OPTIMIZERS_H
#define CTRAINING_OPTIMIZERS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// SGD with momentum as in PyTorch: g += decay · w; v = momentum · v + g; w −= rate · v (Nesterov: w −= rate · (g + momentum · v)).
void ck_sgd_step_f32(float *_Nonnull weights, const float *_Nonnull gradient, float *_Nonnull velocity, const uint8_t *_Nullable mask,
                     size_t count, float rate, float momentum, float decay, int nesterov);
// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019): `rate` has the bias correction 1/(1 − β₁ᵗ),
// second_correction is 1/√(1 − β₂ᵗ); w −= rate · m / (√v · second_correction + epsilon) + decay · w, decay already times the learning rate.
typedef struct ck_adam {
  float rate, first_decay, second_decay, second_correction, epsilon, weight_decay;
} ck_adam;
void ck_adam_step_f32(float *_Nonnull weights, const float *_Nonnull gradient, float *_Nonnull first, float *_Nonnull second,
                      const uint8_t *_Nullable mask, size_t count, const ck_adam *_Nonnull step);
// x[i] = 0 where mask[i] is 0.
void ck_apply_mask_f32(float *_Nonnull x, const uint8_t *_Nonnull mask, size_t count);

#endif
