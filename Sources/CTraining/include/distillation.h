// Soft targets of distillation, and hints.
#ifndef CTRAINING_DISTILLATION_H
#define CTRAINING_DISTILLATION_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// targets[m, n] += weight · softmax(logits[indices[m], ·] / temperature)[n]; in float64 inside, stable for every finite logit.
void ck_add_softened_f32(const float *_Nonnull logits, const int64_t *_Nonnull indices, size_t count, size_t classes, double temperature,
                         double weight, float *_Nonnull targets);
// Returns Σ over rows of soft_weight · temperature² · KL(targets[m] ‖ softmax(x[m] / temperature)) and, where has_label is NULL or
// has_label[m] is not 0, of (1 − soft_weight) · −log softmax(x[m])[labels[m]]. gradient = that of the sum with respect to x, times factor.
// Other labels are not read.
double ck_distillation_f32(const float *_Nonnull x, size_t rows, size_t classes, const float *_Nonnull targets, const int64_t *_Nonnull labels,
                           const uint8_t *_Nullable has_label, double temperature, double soft_weight, double factor,
                           float *_Nonnull gradient);
// values[i] = source[indices[i]].
void ck_gather_u8(const uint8_t *_Nonnull source, const int64_t *_Nonnull indices, size_t count, uint8_t *_Nonnull values);
// Returns Σ (x[i] − target[i])²; difference[i] = (x[i] − target[i]) · factor.
double ck_squared_difference_f32(const float *_Nonnull x, const float *_Nonnull target, size_t count, float factor, float *_Nonnull difference);
// x[i] += y[i].
void ck_add_f32(float *_Nonnull x, const float *_Nonnull y, size_t count);

#endif
