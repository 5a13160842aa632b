// Histograms of activations and what is read from them; rounding of weights.
#include <float.h>
#include <math.h>
#include <string.h>

#include "loops.h"
#include "quantization.h"
#include "scalar.h"

CK_INLINE size_t ck_histogram_f32_body(const float *x, size_t count, float width, size_t bins, uint64_t *counts) {
  const float inverse = 1.0f / width;
  const float middle = (float)(bins / 2);
  size_t zeros = 0;
  for (size_t i = 0; i < count; i++) {
    if (x[i] == 0.0f || x[i] != x[i]) {
      zeros++;
      continue;
    }
    float position = floorf(x[i] * inverse);  // exact: a power of two
    position = position < -middle ? -middle : position > middle - 1 ? middle - 1 : position;
    counts[(ptrdiff_t)position + (ptrdiff_t)(bins / 2)]++;
  }
  return zeros;
}

void ck_histogram_widen(uint64_t *counts, size_t bins) {
  size_t half = bins / 2, quarter = bins / 4;
  for (size_t i = 0; i < quarter; i++) counts[half + i] = counts[half + 2 * i] + counts[half + 2 * i + 1];
  for (size_t i = 0; i < quarter; i++) counts[half - 1 - i] = counts[half - 1 - 2 * i] + counts[half - 2 - 2 * i];
  memset(counts + half + quarter, 0, (half - quarter) * sizeof *counts);
  memset(counts, 0, (half - quarter) * sizeof *counts);
}

double ck_histogram_error(const uint64_t *counts, size_t bins, float width, float scale, int32_t zero_point, int32_t highest) {
  const float inverse = 1.0f / scale, low = (float)-zero_point, high = (float)(highest - zero_point);
  double sum = 0;
  for (size_t i = 0; i < bins; i++) {
    if (counts[i] == 0) continue;
    float x = ((float)i - (float)(bins / 2) + 0.5f) * width, v = x * inverse;
    v = v < low ? low : v > high ? high : v;
    double rest = (double)x - (double)scale * ck_rint_even(v);
    sum += (double)counts[i] * rest * rest;
  }
  return sum;
}

double ck_histogram_divergence(const uint64_t *counts, size_t bins, size_t first, size_t end, size_t levels, double *expanded) {
  double below = 0, above = 0, used = 0, result = 0;
  for (size_t i = 0; i < first; i++) below += (double)counts[i];
  for (size_t i = end; i < bins; i++) above += (double)counts[i];
  const uint64_t *inside = counts + first;
  size_t kept = end - first;
  for (size_t level = 0; level < levels; level++) {
    size_t from = level * kept / levels, to = (level + 1) * kept / levels, occupied = 0;
    double sum = 0;
    for (size_t i = from; i < to; i++) {
      sum += (double)inside[i];
      occupied += inside[i] > 0;
    }
    for (size_t i = from; i < to; i++) expanded[i] = inside[i] > 0 ? sum / (double)occupied : 0;
    used += sum;
  }
  double total = below + used + above;
  for (size_t i = 0; i < kept; i++) {
    double p = ((double)inside[i] + (i == 0 ? below : 0) + (i + 1 == kept ? above : 0)) / total;
    if (p == 0) continue;
    double q = used > 0 ? expanded[i] / used : 0;
    result += p * log(p / (q > 1e-12 ? q : 1e-12));
  }
  return result;
}

// In units of the scale, so that squares of small and large weights neither vanish nor overflow.
static float squared_rest(float quotient, float low, float high) {
  float v = quotient;
  v = v < low ? low : v;
  v = v > high ? high : v;
  float rest = quotient - (float)ck_rint_even(v);
  return rest * rest;
}

double ck_rounding_error_f32(const float *w, size_t count, float scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  const float inverse = 1.0f / scale, low = (float)(lowest - zero_point), high = (float)(highest - zero_point);
  float error[8] = {0};
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t j = 0; j < 8; j++) error[j] += squared_rest(w[i + j] * inverse, low, high);
  for (; i < count; i++) error[i % 8] += squared_rest(w[i] * inverse, low, high);
  double sum = 0;
  for (size_t j = 0; j < 8; j++) sum += (double)error[j];
  return sum * scale * scale;
}

// The inverse of a smaller scale is not finite.
static float usable(float scale) { return fabsf(scale) >= FLT_MIN ? scale : copysignf(FLT_MIN, scale); }

float ck_search_scale_f32(const float *w, size_t count, int32_t lowest, int32_t highest, int either_sign) {
  float extreme = 0;
  for (size_t i = 0; i < count; i++) extreme = fabsf(w[i]) > fabsf(extreme) ? w[i] : extreme;
  if (extreme == 0) return 0;
  int is_symmetric = lowest == -highest;
  // A positive scale may have to reach the extreme with the shorter side of the codes.
  float full = is_symmetric || !either_sign ? fabsf(extreme) / (float)highest : extreme / (float)lowest, best = usable(full);
  double least = INFINITY;
  for (int step = 0; step < 200; step++) {
    if (step % 2 == 1 && (is_symmetric || !either_sign)) continue;
    float scale = usable(full * (1.0f - 0.008f * (float)(step / 2)) * (step % 2 == 1 ? -1.0f : 1.0f));
    double error = ck_rounding_error_f32(w, count, scale, 0, lowest, highest);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

CK_INLINE void subtract_multiple(float *restrict w, const float *restrict row, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) w[i] -= factor * row[i];
}

CK_INLINE int32_t rounded(float w, float scale, int32_t zero_point, ck_code_range range) {
  if (range.signs) return w >= 0 ? 1 : -1;
  const float low = (float)(range.lowest - zero_point), high = (float)(range.highest - zero_point);
  float v = w * (1.0f / scale);
  v = v > low ? v : low;
  v = v < high ? v : high;
  return ck_rint_even(v);
}

CK_INLINE void ck_round_row_f32_body(const float *w, size_t count, const float *scales, const int8_t *zero_points, ck_code_range range,
                                     int8_t *codes) {
  for (size_t k = 0; k < count; k++) codes[k] = (int8_t)(rounded(w[k], scales[k], zero_points[k], range) + zero_points[k]);
}

CK_INLINE void ck_gptq_row_f32_body(float *w, size_t count, const float *upper, const float *scales, const int8_t *zero_points,
                                    const uint8_t *keeps, ck_code_range range, int8_t *codes) {
  for (size_t k = 0; k < count; k++) {
    const float *row = upper + k * count;
    int32_t code = keeps != NULL && keeps[k] == 0 ? 0 : rounded(w[k], scales[k], zero_points[k], range);
    codes[k] = (int8_t)(code + zero_points[k]);
    subtract_multiple(w + k + 1, row + k + 1, count - k - 1, (w[k] - scales[k] * (float)code) / row[k]);
  }
}

CK_INLINE void ck_round_f32_f64_body(const double *x, size_t count, float *rounded) {
  for (size_t i = 0; i < count; i++) rounded[i] = (float)x[i];
}

CK_INLINE void ck_add_scaled_f64_f32_body(const float *x, size_t count, double factor, double *sums) {
  for (size_t i = 0; i < count; i++) sums[i] += factor * x[i];
}

CK_INLINE void ck_difference_f64_f32_body(const float *a, const float *b, size_t count, double *differences) {
  for (size_t i = 0; i < count; i++) differences[i] = (double)a[i] - b[i];
}

void ck_mean_differences_f32(const float *w, const float *q, size_t rows, size_t columns, const double *means, float *corrections) {
  for (size_t r = 0; r < rows; r++, w += columns, q += columns) {
    double sum = 0;
    for (size_t c = 0; c < columns; c++) sum += ((double)w[c] - q[c]) * means[c];
    corrections[r] = (float)sum;
  }
}

#define CK_LOOPS_OF_CALIBRATION
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
