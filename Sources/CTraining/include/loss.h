// Softmax cross-entropy and its gradient.
#ifndef CTRAINING_LOSS_H
#define CTRAINING_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// probabilities[m, n] = exp(x[m, n] / temperature) / Σ; in float64 inside, stable for every finite x. May work in place.
void ck_softmax_f32(const float *_Nonnull x, size_t rows, size_t classes, float temperature, float *_Nonnull probabilities);
// Returns Σ over rows of −log softmax(x)[m, labels[m]], and gradient[m, n] = (softmax(x)[m, n] − (n = label)) · factor.
double ck_cross_entropy_f32(const float *_Nonnull x, size_t rows, size_t classes, const int64_t *_Nonnull labels, float factor,
                            float *_Nonnull gradient);
// Number of rows whose largest element (the first of equal ones; NaN never wins) is at labels[m].
size_t ck_count_correct_f32(const float *_Nonnull x, size_t rows, size_t classes, const int64_t *_Nonnull labels);

#endif
