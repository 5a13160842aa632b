#include "distillation.h"
#include "loops.h"

#include <math.h>

// *result = log Σ exp(x / temperature).
static void log_sum_exp(const float *x, size_t classes, double temperature, double *result) {
  double top = -INFINITY, sum = 0, inverse = 1 / temperature;
  for (size_t n = 0; n < classes; n++) top = x[n] > top ? x[n] : top;
  for (size_t n = 0; n < classes; n++) sum += exp((x[n] - top) * inverse);
  double log_sum = log(sum);
  *result = top * inverse + log_sum;
}

void ck_add_softened_f32(const float *logits, const int64_t *indices, size_t count, size_t classes, double temperature, double weight,
                         float *targets) {
  for (size_t m = 0; m < count; m++, targets += classes) {
    const float *x = logits + (size_t)indices[m] * classes;
    double log_sum;
    log_sum_exp(x, classes, temperature, &log_sum);
    for (size_t n = 0; n < classes; n++) targets[n] += (float)(weight * exp(x[n] / temperature - log_sum));
  }
}

static double add_hard(const float *x, size_t classes, size_t label, double weight, float *gradient) {
  double log_sum;
  log_sum_exp(x, classes, 1, &log_sum);
  for (size_t n = 0; n < classes; n++) gradient[n] += (float)(weight * (exp(x[n] - log_sum) - (n == label)));
  return log_sum - x[label];
}

double ck_distillation_f32(const float *x, size_t rows, size_t classes, const float *targets, const int64_t *labels, const uint8_t *has_label,
                           double temperature, double soft_weight, double factor, float *gradient) {
  double loss = 0;
  for (size_t m = 0; m < rows; m++, x += classes, gradient += classes, targets += classes) {
    double log_sum, divergence = 0;
    log_sum_exp(x, classes, temperature, &log_sum);
    for (size_t n = 0; n < classes; n++) {
      double log_q = x[n] / temperature - log_sum, p = targets[n];
      if (p > 0) divergence += p * (log(p) - log_q);
      gradient[n] = (float)(factor * soft_weight * temperature * (exp(log_q) - p));
    }
    if (soft_weight > 0) loss += soft_weight * temperature * temperature * divergence;
    if (soft_weight < 1 && (!has_label || has_label[m]))
      loss += (1 - soft_weight) * add_hard(x, classes, (size_t)labels[m], factor * (1 - soft_weight), gradient);
  }
  return loss;
}

void ck_gather_u8(const uint8_t *source, const int64_t *indices, size_t count, uint8_t *values) {
  for (size_t i = 0; i < count; i++) values[i] = source[indices[i]];
}

double ck_squared_difference_f32(const float *x, const float *target, size_t count, float factor, float *difference) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    float d = x[i] - target[i];
    sum += (double)d * d;
    difference[i] = d * factor;
  }
  return sum;
}

CK_INLINE void ck_add_f32_body(float *x, const float *y, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] += y[i];
}

#define CK_LOOPS_OF_DISTILLATION
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
