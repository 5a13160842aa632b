// Codes, multipliers and scale of one row of weights: how float weights become what gemm.h describes.
#include <float.h>
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "gemm.h"
#include "scalar.h"

CK_NO_CONTRACTION

typedef struct code_range {
  float lowest, highest;
} code_range;

static code_range range_of(int bits) {
  if (bits == 8) return (code_range){-127, 127};
  if (bits == ck_ternary || bits == 1) return (code_range){-1, 1};
  float half = (float)(1 << (bits - 1));
  return (code_range){-half, half - 1};
}

// The error of rounding to the 2-bit codes −2 … 1 in units of the scale, so that squares neither overflow nor vanish, whatever the size of the
// weights. Comparisons instead of rounding, and lanes of their own: compilers turn both into vector operations. Ties go to the even code, as
// in ck_code.
enum { error_lanes = 16 };

static double squared_error(const float *x, size_t count, float scale) {
  float inverse_scale = 1.0f / scale, error[error_lanes] = {0};
  for (size_t i = 0; i < count; i += error_lanes) {
    float padded[error_lanes] = {0};
    const float *lanes = x + i;
    if (count - i < error_lanes) {
      memcpy(padded, lanes, (count - i) * sizeof(float));
      lanes = padded;
    }
    for (size_t j = 0; j < error_lanes; j++) {
      float quotient = lanes[j] * inverse_scale;
      float code = (quotient > 0.5f ? 1.0f : 0.0f) - (quotient < -0.5f ? 1.0f : 0.0f) - (quotient <= -1.5f ? 1.0f : 0.0f);
      float rest = quotient - code;
      error[j] += rest * rest;
    }
  }
  double sum = 0;
  for (size_t j = 0; j < error_lanes; j++) sum += (double)error[j];
  return sum * scale * scale;
}

// Sorts count ≤ 2³² keys in descending order, 11 bits at a time; `keys` has room for twice as many.
static uint32_t *sort_descending(uint32_t *keys, size_t count) {
  uint32_t *from = keys, *to = keys + count;
  for (int shift = 0; shift < 32; shift += 11) {
    size_t starts[2048] = {0}, next = 0;
    for (size_t i = 0; i < count; i++) starts[from[i] >> shift & 2047]++;
    for (int digit = 2047; digit >= 0; digit--) {
      size_t found = starts[digit];
      starts[digit] = next;
      next += found;
    }
    for (size_t i = 0; i < count; i++) to[starts[from[i] >> shift & 2047]++] = from[i];
    uint32_t *other = from;
    from = to;
    to = other;
  }
  return from;
}

// Codes −1…1 with t of them not zero have the least error where these are the t largest magnitudes and the scale is their mean,
// Σ w² − (Σ_t |w|)² / t: the t that maximizes (Σ_t |w|)² / t. Rounding |w| / scale, ties to zero, then finds the same t weights.
static float ternary_scale(const float *x, size_t count, uint32_t *scratch) {
  memcpy(scratch, x, count * sizeof(float));
  for (size_t i = 0; i < count; i++) scratch[i] &= 0x7fffffffu;  // magnitudes order as their bit patterns
  const uint32_t *sorted = sort_descending(scratch, count);
  double sum = 0, most = 0, best = 0;
  for (size_t i = 0; i < count; i++) {
    float magnitude;
    memcpy(&magnitude, sorted + i, sizeof magnitude);
    sum += magnitude;
    double gain = sum * (sum / (double)(i + 1));
    if (gain > most) {
      most = gain;
      best = sum / (double)(i + 1);
    }
  }
  return (float)best;
}

static float mean_magnitude(const float *x, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += fabsf(x[i]);
  return (float)(sum / (double)count);
}

// A scale whose inverse is finite, of the same sign; 0 for 0.
static float usable(float scale) { return scale == 0 || fabsf(scale) >= FLT_MIN ? scale : copysignf(FLT_MIN, scale); }

// The positive scale of least squared error for codes −2 … 1, of 32 between the largest magnitude and a tenth of it. Scales of either sign have a
// fifth less error, but whole networks lose by them: outputs whose weights are clipped at different ends move apart, while what positive scales take
// from all outputs alike cancels. Accuracy with weights alone in 2 bits, means of 5 seeds, either sign and positive (of float32): LetterRecognition
// 16-128-64-26 66.6, 72.2 (90.1), digits 64-100-50-10 81.1, 90.6 (93.7), a synthetic table of 20 features and 12 classes 82.0, 83.5 (88.3),
// Fashion-MNIST LeNet-300-100 85.0, 85.9 (88.6). With 4 and 3 bits both are level (88.8, 88.6; 85.7, 85.6 on LetterRecognition), and so either sign is
// taken there; with GPTQ, too, which passes on what clipping takes (2 bits 82.3, 81.3; 88.6, 88.7; 85.2, 84.8 on the first three).
static float two_bit_scale(const float *x, size_t count, float largest) {
  float best = usable(largest), scale = best;
  double least = squared_error(x, count, best);
  for (int step = 1; step < 32; step++) {
    scale = usable(scale * 0.93f);
    double error = squared_error(x, count, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

// The scale of a group, 0 for a group of zeros. With 4 bits the largest magnitude is mapped to the lowest code, −8, whatever its sign: the scale
// may be negative. With 2 bits clipping the extremes pays.
static float group_scale(const float *x, size_t count, int bits, uint32_t *scratch) {
  if (bits == 1) return mean_magnitude(x, count);
  if (bits == ck_ternary) return ternary_scale(x, count, scratch);
  float extreme = 0;
  for (size_t i = 0; i < count; i++) extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
  code_range range = range_of(bits);
  if (bits == 8) return fabsf(extreme) / range.highest;
  return bits > 2 || extreme == 0 ? extreme / range.lowest : two_bit_scale(x, count, fabsf(extreme));
}

// What stands for weights of zero: any scale would do, but codes of 1 bit are never 0.
static float scale_of_output(float scale, int bits) { return scale == 0 ? bits == 1 ? 0.0f : 1.0f : usable(scale); }

CK_APART float channel_scale(int bits, size_t count, const float *weights, uint32_t *scratch) {
  return scale_of_output(group_scale(weights, count, bits, scratch), bits);
}

CK_APART float scale_of_groups(int bits, size_t inputs, size_t group, const float *weights, float *group_scales, uint32_t *scratch) {
  float largest = 0;
  for (size_t g = 0; g < ck_gemm_groups(inputs, group); g++) {
    size_t left = inputs - g * group;
    group_scales[g] = group_scale(weights + g * group, left < group ? left : group, bits, scratch);
    largest = fabsf(group_scales[g]) > largest ? fabsf(group_scales[g]) : largest;
  }
  return scale_of_output(largest / 127.0f, bits);
}

CK_APART void find_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  for (size_t g = 0; g < groups; g++) {
    // Away from zero, so that the extreme of the group is not clipped; at least 1.
    float magnitude = scale == 0 ? 1.0f : fminf(fmaxf(ceilf(fabsf(group_scales[g] / scale)), 1.0f), 127.0f);
    multipliers[g] = (int8_t)(group_scales[g] < 0 ? -magnitude : magnitude);
  }
}

CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *weights, float scale, const int8_t *multipliers, int8_t *codes) {
  size_t length = group == 0 ? inputs : group;
  if (bits == 1) {
    for (size_t k = 0; k < inputs; k++) codes[k] = weights[k] >= 0 ? 1 : -1;
    return;
  }
  code_range range = range_of(bits);
  for (size_t first = 0; first < inputs; first += length) {
    float inverse_scale = 1.0f / (group == 0 ? scale : scale * (float)multipliers[first / length]);
    size_t end = inputs - first < length ? inputs : first + length;
    for (size_t k = first; k < end; k++) codes[k] = (int8_t)ck_code(weights[k], inverse_scale, 0, (int32_t)range.lowest, (int32_t)range.highest);
  }
}

// ---- The same in the default floating-point environment

float ck_gemm_channel_scale(int bits, size_t count, const float *weights, uint32_t *scratch) {
  uint64_t control = ck_begin_default_floats();
  float scale = channel_scale(bits, count, weights, scratch);
  ck_end_default_floats(control);
  return scale;
}

float ck_gemm_group_scale(int bits, size_t inputs, size_t group, const float *weights, float *group_scales, uint32_t *scratch) {
  uint64_t control = ck_begin_default_floats();
  float scale = scale_of_groups(bits, inputs, group, weights, group_scales, scratch);
  ck_end_default_floats(control);
  return scale;
}

void ck_gemm_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  uint64_t control = ck_begin_default_floats();
  find_multipliers(groups, group_scales, scale, multipliers);
  ck_end_default_floats(control);
}

void ck_gemm_codes(int bits, size_t inputs, size_t group, const float *weights, float scale, const int8_t *multipliers, int8_t *codes) {
  uint64_t control = ck_begin_default_floats();
  find_codes(bits, inputs, group, weights, scale, multipliers, codes);
  ck_end_default_floats(control);
}
