// How float weights become codes, multipliers and scales (gemm.h), shared as text: each instruction set compiles it for itself, with its own search for
// extremes, and gets the same bits. In the default floating-point environment, without contraction: what counts is written so that compilers turn it
// into vector operations of any width.
#ifndef CK_GEMM_WEIGHTS_H
#define CK_GEMM_WEIGHTS_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "elementwise.h"
#include "gemm.h"
#include "scalar.h"

CK_NO_CONTRACTION

// The numbers of largest magnitude of each `group` of x[0..<count] (the last may have fewer), with their signs; of two of one magnitude the first; 0
// where all are 0. Returns whether all of x are finite; if not, the extremes mean nothing.
typedef int ck_fn_weight_extremes(const float *x, size_t count, size_t group, float *extremes);
// Adds what 2-bit codes gain at four scales, as ck_two_bit_gains says, in 16 lanes each: `count` is a multiple of 16.
enum { ck_gains_at_once = 4, ck_gain_lanes = 16 };
typedef void ck_fn_two_bit_gains(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]);
typedef void ck_fn_find_codes(int bits, size_t inputs, size_t group, const float *x, size_t ahead, const float *inverse_scales, int8_t *codes);
typedef void ck_fn_find_multipliers(size_t groups, float *group_scales, float scale, int8_t *multipliers);
typedef struct ck_weight_steps {
  ck_fn_weight_extremes *extremes;
  ck_fn_two_bit_gains *two_bit_gains;
  // ck_find_inverse_scales and ck_find_codes in functions of their own: within a larger one compilers leave their loops scalar.
  ck_fn_find_multipliers *find_multipliers;
  ck_fn_find_codes *find_codes;
} ck_weight_steps;

typedef struct ck_weight_range {
  float lowest, highest;
} ck_weight_range;

static inline ck_weight_range ck_weight_range_of(int bits) {
  if (bits == 8) return (ck_weight_range){-127, 127};
  if (bits == ck_ternary || bits == 1) return (ck_weight_range){-1, 1};
  float half = (float)(1 << (bits - 1));
  return (ck_weight_range){-half, half - 1};
}

// Of the least and the greatest number of x, both counted as 0 where they have the other sign. Only where both have one magnitude, the first is looked for.
static inline float ck_extreme_of_range(const float *x, size_t count, float least, float greatest) {
  if (greatest != -least) {
    // Without a branch, which would be guessed wrong for every second group: the bits of either, by a mask.
    uint32_t mask = (uint32_t)0 - (uint32_t)(greatest > -least), bits = (ck_bits_of_f32(greatest) & mask) | (ck_bits_of_f32(least) & ~mask);
    return ck_f32_of_bits(bits);
  }
  for (size_t i = 0; i < count && greatest > 0; i++)
    if (fabsf(x[i]) == greatest) return x[i];
  return 0;
}

// rint(clamp(product)) + 1.5 · 2²³, ties to even: the integer is in the lowest bits. With integer bounds below 2²² this is ck_code's rule; where the
// product is the NaN of 0 · ∞, its lowest bits are 0, as that rule has it.
CK_INLINE float ck_rounded_code(float product, ck_weight_range range) {
  float clamped = range.lowest > product ? range.lowest : product;
  clamped = range.highest < clamped ? range.highest : clamped;
  return clamped + 0x1.8p23f;
}

// The squared error of 2-bit codes −2 … 1. The code c nearest to q = w / s is the one of largest 2·q·c − c², and the largest of these four lines is
// max(0, 2·|q| − 1) + max(0, −2·q − 3). So
//     Σ (w − s·c)² = Σ w² − 2·s·G(s),  G(s) = Σ max(0, |w| − s/2) + Σ max(0, −w − 3·s/2)
// and the scale of least error is that of largest s·G(s). In terms of max(|w|, s/2) and min(w, −3·s/2), with constants taken off at the end, that is four
// operations for a vector of weights and a scale; what is common is shared by four scales. `factor`, a power of two, brings weights near 1, so that sums
// neither overflow nor vanish. Sums of 16 lanes, added as float64 every 4,096 weights: one order on every set.
enum { ck_gain_part = 4096 };
static inline float ck_gain_upper(float scale) { return 0.5f * scale; }
static inline float ck_gain_lower(float scale) { return -1.5f * scale; }

static inline double ck_sum_of_lanes(const float *lanes) {
  double sums[ck_gain_lanes / 2];
  for (size_t j = 0; j < ck_gain_lanes / 2; j++) sums[j] = (double)lanes[j] + (double)lanes[j + ck_gain_lanes / 2];
  for (size_t half = ck_gain_lanes / 4; half > 0; half /= 2)
    for (size_t j = 0; j < half; j++) sums[j] += sums[j + half];
  return sums[0];
}

CK_INLINE void ck_two_bit_gains(const float *x, size_t count, float factor, const float *scales, double *gains, ck_fn_two_bit_gains *add) {
  for (size_t i = 0; i < ck_gains_at_once; i++) gains[i] = 0;
  for (size_t first = 0; first < count; first += ck_gain_part) {
    size_t here = count - first < ck_gain_part ? count - first : ck_gain_part, whole = here / ck_gain_lanes * ck_gain_lanes;
    float sums[ck_gains_at_once][ck_gain_lanes] = {{0}};
    add(x + first, whole, factor, scales, sums);
    if (whole < here) {
      float padded[ck_gain_lanes] = {0};
      memcpy(padded, x + first + whole, (here - whole) * sizeof(float));
      add(padded, ck_gain_lanes, factor, scales, sums);
    }
    for (size_t i = 0; i < ck_gains_at_once; i++) gains[i] += ck_sum_of_lanes(sums[i]);
  }
  double added = (double)ck_round_up(count, ck_gain_lanes);
  for (size_t i = 0; i < ck_gains_at_once; i++) gains[i] -= added * ((double)ck_gain_upper(scales[i]) - (double)ck_gain_lower(scales[i]));
}

// Sorts count ≤ 2³² keys in descending order, 11 bits at a time; `keys` has room for twice as many.
static inline uint32_t *ck_sort_descending(uint32_t *keys, size_t count) {
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
static inline float ck_ternary_scale(const float *x, size_t count, uint32_t *scratch) {
  memcpy(scratch, x, count * sizeof(float));
  for (size_t i = 0; i < count; i++) scratch[i] &= 0x7fffffffu;  // magnitudes order as their bit patterns
  const uint32_t *sorted = ck_sort_descending(scratch, count);
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

static inline float ck_mean_magnitude(const float *x, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += fabsf(x[i]);
  return (float)(sum / (double)count);
}

// A scale whose inverse is finite, of the same sign; 0 for 0.
static inline float ck_usable_scale(float scale) { return scale == 0 || fabsf(scale) >= FLT_MIN ? scale : copysignf(FLT_MIN, scale); }

// A power of two that takes `largest` to 1 … 4, a subnormal one to less.
static inline float ck_power_near_inverse(float largest) {
  uint32_t exponent = ck_bits_of_f32(largest) >> 23;
  return ck_f32_of_bits((exponent < 1 ? 253 : exponent > 253 ? 1 : 254 - exponent) << 23);
}

enum { ck_two_bit_scales = 32 };

// Gains of some steps, four at a time; the last ones are repeated.
CK_INLINE void ck_gains_of_steps(const float *x, size_t count, float factor, const float *scales, const int *steps, int number, double *gains,
                                 ck_fn_two_bit_gains *add) {
  for (int first = 0; first < number; first += ck_gains_at_once) {
    float some[ck_gains_at_once];
    double found[ck_gains_at_once];
    for (int i = 0; i < ck_gains_at_once; i++) some[i] = scales[steps[first + i < number ? first + i : number - 1]] * factor;
    ck_two_bit_gains(x, count, factor, some, found, add);
    for (int i = 0; i < ck_gains_at_once && first + i < number; i++) gains[steps[first + i]] = found[i];
  }
}

// The positive scale of least squared error for codes −2 … 1, of 32 between the largest magnitude and a tenth of it, of equal ones the largest. Scales of
// either sign have a fifth less error, but whole networks lose by them: outputs whose weights are clipped at different ends move apart, while what
// positive scales take from all outputs alike cancels. Accuracy with weights alone in 2 bits, means of 5 seeds, either sign and positive (of float32):
// LetterRecognition 16-128-64-26 66.6, 72.2 (90.1), digits 64-100-50-10 81.1, 90.6 (93.7), a synthetic table of 20 features and 12 classes 82.0, 83.5
// (88.3), Fashion-MNIST LeNet-300-100 85.0, 85.9 (88.6). With 4 and 3 bits both are level (88.8, 88.6; 85.7, 85.6 on LetterRecognition), and so either
// sign is taken there; with GPTQ, too, which passes on what clipping takes (2 bits 82.3, 81.3; 88.6, 88.7; 85.2, 84.8 on the first three).
//   G is convex, as a sum of convex functions: between two scales it lies below the line through both. So every third step is tried, and of the others
// those alone for which that line, with a margin for rounding, allows more than the best so far: for bell-shaped weights 4 of 20.
CK_INLINE float ck_two_bit_scale(const float *x, size_t count, float largest, ck_fn_two_bit_gains *add) {
  static const int every_third[] = {0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31};
  enum { tried = sizeof every_third / sizeof every_third[0] };
  float scales[ck_two_bit_scales], factor = ck_power_near_inverse(largest);
  double gains[ck_two_bit_scales], most = 0;
  for (int i = 0; i < ck_two_bit_scales; i++) scales[i] = ck_usable_scale(i == 0 ? largest : scales[i - 1] * 0.93f);
  ck_gains_of_steps(x, count, factor, scales, every_third, tried, gains, add);
  for (int i = 0; i < tried; i++) most = fmax(most, (double)scales[every_third[i]] * gains[every_third[i]]);
  int others[ck_two_bit_scales], number = 0;
  for (int i = 0; i + 1 < tried; i++) {
    int a = every_third[i], b = every_third[i + 1];
    for (int step = a + 1; step < b; step++) {
      double part = ((double)scales[a] - (double)scales[step]) / ((double)scales[a] - (double)scales[b]);
      gains[step] = -1;  // not the best
      if (!((double)scales[step] * (gains[a] + (gains[b] - gains[a]) * part) * (1 + 1e-4) < most)) others[number++] = step;
    }
  }
  ck_gains_of_steps(x, count, factor, scales, others, number, gains, add);
  int best = 0;
  for (int step = 1; step < ck_two_bit_scales; step++)
    if ((double)scales[step] * gains[step] > (double)scales[best] * gains[best]) best = step;
  return scales[best];
}

// The wanted scales of groups, 0 for a group of zeros; `group` = `count` for one. With 4 bits the largest magnitude is mapped to the lowest code, −8,
// whatever its sign: the scale may be negative. With 2 bits clipping the extremes pays. Returns whether all weights are finite.
CK_INLINE int ck_scales_of_groups(int bits, size_t count, size_t group, const float *x, float *scales, uint32_t *scratch, const ck_weight_steps *steps) {
  size_t groups = ck_gemm_groups(count, group);
  if (bits == 1 || bits == ck_ternary) {
    if (ck_first_not_finite_f32(x, count) < count) return 0;
    for (size_t g = 0, first = 0; g < groups; g++, first += group) {
      size_t length = count - first < group ? count - first : group;
      scales[g] = bits == 1 ? ck_mean_magnitude(x + first, length) : ck_ternary_scale(x + first, length, scratch);
    }
    return 1;
  }
  if (!steps->extremes(x, count, group, scales)) return 0;
  ck_weight_range range = ck_weight_range_of(bits);
  for (size_t g = 0; g < groups && bits == 8; g++) scales[g] = fabsf(scales[g]) / range.highest;
  for (size_t g = 0; g < groups && bits == 4; g++) scales[g] = scales[g] / range.lowest;
  for (size_t g = 0, first = 0; g < groups && bits == 2; g++, first += group)
    if (scales[g] != 0) scales[g] = ck_two_bit_scale(x + first, count - first < group ? count - first : group, fabsf(scales[g]), steps->two_bit_gains);
  return 1;
}

// What stands for weights of zero: any scale would do, but codes of 1 bit are never 0.
static inline float ck_scale_of_output(float scale, int bits) { return scale == 0 ? bits == 1 ? 0.0f : 1.0f : ck_usable_scale(scale); }

// The scale of an output; both return whether all weights are finite.
CK_INLINE int ck_channel_scale(int bits, size_t count, const float *x, float *scale, uint32_t *scratch, const ck_weight_steps *steps) {
  if (!ck_scales_of_groups(bits, count, count, x, scale, scratch, steps)) return 0;
  *scale = ck_scale_of_output(*scale, bits);
  return 1;
}
CK_INLINE int ck_group_scale(int bits, size_t inputs, size_t group, const float *x, float *scale, float *group_scales, uint32_t *scratch,
                             const ck_weight_steps *steps) {
  if (!ck_scales_of_groups(bits, inputs, group, x, group_scales, scratch, steps)) return 0;
  int32_t largest = 0;  // magnitudes order as their bit patterns, and integers have vectors of maxima
  for (size_t g = 0; g < ck_gemm_groups(inputs, group); g++) {
    int32_t bits_of_scale = (int32_t)(ck_bits_of_f32(group_scales[g]) & 0x7FFFFFFFu);
    largest = bits_of_scale > largest ? bits_of_scale : largest;
  }
  *scale = ck_scale_of_output(ck_f32_of_bits((uint32_t)largest) / 127.0f, bits);
  return 1;
}

CK_INLINE void ck_find_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  for (size_t g = 0; g < groups; g++) {
    // Away from zero, so that the extreme of the group is not clipped; at least 1.
    float magnitude = scale == 0 ? 1.0f : ceilf(fabsf(group_scales[g] / scale));
    magnitude = magnitude > 1.0f ? magnitude : 1.0f;
    magnitude = magnitude < 127.0f ? magnitude : 127.0f;
    multipliers[g] = (int8_t)(group_scales[g] < 0 ? -magnitude : magnitude);
  }
}

// `ahead`: floats to what is fetched from memory meanwhile.
CK_INLINE void ck_codes_of_group(ck_weight_range range, size_t count, const float *x, size_t ahead, float inverse_scale, int8_t *codes) {
  enum { step = 32 };
  size_t k = 0;
  for (; k + step <= count; k += step) {
    __builtin_prefetch(x + k + ahead, 0, 2), __builtin_prefetch(x + k + ahead + step / 2, 0, 2);
    for (size_t i = k; i < k + step; i++) codes[i] = (int8_t)(ck_bits_of_f32(ck_rounded_code(x[i] * inverse_scale, range)) & 255);
  }
  for (; k < count; k++) codes[k] = (int8_t)(ck_bits_of_f32(ck_rounded_code(x[k] * inverse_scale, range)) & 255);
}

// Multipliers of an output, and 1 / (scale · multiplier) in place of the scales that groups wanted.
CK_INLINE void ck_find_inverse_scales(size_t groups, float *group_scales, float scale, int8_t *multipliers) {
  ck_find_multipliers(groups, group_scales, scale, multipliers);
  for (size_t g = 0; g < groups; g++) group_scales[g] = 1.0f / (scale * (float)multipliers[g]);
}

// inverse_scales: of each group, of the output where there are none.
CK_INLINE void ck_find_codes(int bits, size_t inputs, size_t group, const float *x, size_t ahead, const float *inverse_scales, int8_t *codes) {
  if (bits == 1) {
    for (size_t k = 0; k < inputs; k++) codes[k] = x[k] >= 0 ? 1 : -1;
    return;
  }
  ck_weight_range range = ck_weight_range_of(bits);
  if (group == 0) {
    ck_codes_of_group(range, inputs, x, ahead, *inverse_scales, codes);
    return;
  }
  for (size_t first = 0; first < inputs; first += group)
    ck_codes_of_group(range, inputs - first < group ? inputs - first : group, x + first, ahead, *inverse_scales++, codes + first);
}

// All of it, output by output: what ck_fn_quantize_weights_s8_f32 says. Meanwhile the next outputs come from memory, which rests otherwise while codes of
// these are found and packed.
CK_INLINE int ck_quantize_outputs(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace,
                                  const ck_weight_steps *steps) {
  size_t inputs = w->inputs, groups = ck_gemm_groups(inputs, w->group);
  float *group_scales = workspace;
  uint32_t *scratch = (uint32_t *)workspace + groups;
  for (size_t n = 0; n < outputs; n++, multipliers += groups) {
    const float *row = w->weights + n * inputs;
    if (groups > 0) {
      if (!ck_group_scale(w->bits, inputs, w->group, row, scales + n, group_scales, scratch, steps)) return 0;
      steps->find_multipliers(groups, group_scales, scales[n], multipliers);
    } else if (w->shared_scale == NULL) {
      if (!ck_channel_scale(w->bits, inputs, row, scales + n, scratch, steps)) return 0;
    } else {
      scales[n] = *w->shared_scale;
    }
    float inverse_scale = 1.0f / scales[n];
    const float *inverse_scales = groups > 0 ? group_scales : &inverse_scale;
    if (codes != NULL) steps->find_codes(w->bits, inputs, w->group, row, outputs * inputs, inverse_scales, codes + n * inputs);
  }
  return 1;
}

// ---- Of no instruction set

static inline int ck_weight_extremes(const float *x, size_t count, size_t group, float *extremes) {
  enum { lanes = 16 };
  if (ck_first_not_finite_f32(x, count) < count) return 0;
  for (size_t first = 0; first < count; first += group, extremes++) {
    size_t length = count - first < group ? count - first : group, i = 0;
    float low[lanes] = {0}, high[lanes] = {0};
    for (; i + lanes <= length; i += lanes)
      for (size_t j = 0; j < lanes; j++) {
        float value = x[first + i + j];
        low[j] = value < low[j] ? value : low[j];
        high[j] = value > high[j] ? value : high[j];
      }
    for (; i < length; i++) {
      low[0] = x[first + i] < low[0] ? x[first + i] : low[0];
      high[0] = x[first + i] > high[0] ? x[first + i] : high[0];
    }
    for (size_t half = lanes / 2; half > 0; half /= 2)
      for (size_t j = 0; j < half; j++) {
        low[j] = low[j + half] < low[j] ? low[j + half] : low[j];
        high[j] = high[j + half] > high[j] ? high[j + half] : high[j];
      }
    *extremes = ck_extreme_of_range(x + first, length, low[0], high[0]);
  }
  return 1;
}

static inline void ck_add_two_bit_gains(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]) {
  for (size_t i = 0; i < ck_gains_at_once; i++) {
    float upper = ck_gain_upper(scales[i]), lower = ck_gain_lower(scales[i]), lanes[ck_gain_lanes];
    memcpy(lanes, sums[i], sizeof lanes);
    for (size_t k = 0; k < count; k += ck_gain_lanes)
      for (size_t j = 0; j < ck_gain_lanes; j++) {
        float value = x[k + j] * factor, magnitude = fabsf(value);
        lanes[j] += (magnitude > upper ? magnitude : upper) - (value < lower ? value : lower);
      }
    memcpy(sums[i], lanes, sizeof lanes);
  }
}

#endif
