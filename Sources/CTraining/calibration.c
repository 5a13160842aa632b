// Histograms of activations and what is read from them; rounding of weights.
#include <math.h>
#include <string.h>

#include "clones.h"
#include "quantization.h"
#include "scalar.h"

size_t ck_histogram_f32(const float *x, size_t count, float width, size_t bins, uint64_t *counts) {
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

double ck_rounding_error_f32(const float *w, size_t count, float scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  const float inverse = 1.0f / scale, low = (float)(lowest - zero_point), high = (float)(highest - zero_point);
  float error[8] = {0};
  for (size_t i = 0; i < count; i++) {
    float v = w[i] * inverse;
    v = v < low ? low : v;
    v = v > high ? high : v;
    float rest = w[i] - scale * (float)ck_rint_even(v);
    error[i % 8] += rest * rest;
  }
  double sum = 0;
  for (size_t i = 0; i < 8; i++) sum += error[i];
  return sum;
}

float ck_search_scale_f32(const float *w, size_t count, int32_t lowest, int32_t highest) {
  float extreme = 0;
  for (size_t i = 0; i < count; i++) extreme = fabsf(w[i]) > fabsf(extreme) ? w[i] : extreme;
  float full = lowest == -highest ? fabsf(extreme) / (float)highest : extreme / (float)lowest;
  if (!(fabsf(full) >= 0x1p-120f)) return 1.0f;
  float best = full;
  double least = INFINITY;
  for (int step = 0; step < 200; step++) {
    if (step % 2 == 1 && lowest == -highest) continue;
    float scale = full * (1.0f - 0.008f * (float)(step / 2)) * (step % 2 == 1 ? -1.0f : 1.0f);
    double error = ck_rounding_error_f32(w, count, scale, 0, lowest, highest);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

CK_BODY ck_subtract_multiple_f32_body(float *restrict w, const float *restrict row, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) w[i] -= factor * row[i];
}
CK_CLONES(ck_subtract_multiple_f32, (float *restrict w, const float *restrict row, size_t count, float factor), (w, row, count, factor))

void ck_gptq_row_f32(float *w, size_t count, const float *upper, const float *scales, const int8_t *zero_points, int32_t lowest, int32_t highest,
                     int signs, int8_t *codes) {
  for (size_t k = 0; k < count; k++) {
    const float *row = upper + k * count;
    const float low = (float)(lowest - zero_points[k]), high = (float)(highest - zero_points[k]);
    float v = w[k] * (1.0f / scales[k]);
    v = v > low ? v : low;
    v = v < high ? v : high;
    int32_t code = signs ? (w[k] >= 0 ? 1 : -1) : ck_rint_even(v);
    codes[k] = (int8_t)(code + zero_points[k]);
    ck_subtract_multiple_f32(w + k + 1, row + k + 1, count - k - 1, (w[k] - scales[k] * (float)code) / row[k]);
  }
}

void ck_round_f32_f64(const double *x, size_t count, float *rounded) {
  for (size_t i = 0; i < count; i++) rounded[i] = (float)x[i];
}

void ck_difference_f64_f32(const float *a, const float *b, size_t count, double *differences) {
  for (size_t i = 0; i < count; i++) differences[i] = (double)a[i] - b[i];
}

void ck_mean_differences_f32(const float *w, const float *q, size_t rows, size_t columns, const double *means, float *corrections) {
  for (size_t r = 0; r < rows; r++, w += columns, q += columns) {
    double sum = 0;
    for (size_t c = 0; c < columns; c++) sum += ((double)w[c] - q[c]) * means[c];
    corrections[r] = (float)sum;
  }
}
