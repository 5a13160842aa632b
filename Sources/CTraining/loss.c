#include "loss.h"

#include <math.h>

static double log_sum_exp(const float *x, size_t classes, double inverse_temperature, double *largest) {
  double top = -INFINITY;
  for (size_t n = 0; n < classes; n++) top = x[n] > top ? x[n] : top;
  double sum = 0;
  for (size_t n = 0; n < classes; n++) sum += exp((x[n] - top) * inverse_temperature);
  *largest = top;
  return log(sum);
}

void ck_softmax_f32(const float *x, size_t rows, size_t classes, float temperature, float *probabilities) {
  double inverse = 1.0 / temperature;
  for (size_t m = 0; m < rows; m++, x += classes, probabilities += classes) {
    double top, log_sum = log_sum_exp(x, classes, inverse, &top);
    for (size_t n = 0; n < classes; n++) probabilities[n] = (float)exp((x[n] - top) * inverse - log_sum);
  }
}

double ck_cross_entropy_f32(const float *x, size_t rows, size_t classes, const int64_t *labels, float factor, float *gradient) {
  double loss = 0;
  for (size_t m = 0; m < rows; m++, x += classes, gradient += classes) {
    double top, log_sum = log_sum_exp(x, classes, 1, &top);
    loss += log_sum - (x[labels[m]] - top);
    for (size_t n = 0; n < classes; n++) gradient[n] = (float)exp(x[n] - top - log_sum) * factor;
    gradient[labels[m]] -= factor;
  }
  return loss;
}

size_t ck_count_correct_f32(const float *x, size_t rows, size_t classes, const int64_t *labels) {
  size_t correct = 0;
  for (size_t m = 0; m < rows; m++, x += classes) {
    size_t best = classes;
    for (size_t n = 0; n < classes; n++)
      if (best == classes ? x[n] == x[n] : x[n] > x[best]) best = n;
    correct += best == (size_t)labels[m];
  }
  return correct;
}
