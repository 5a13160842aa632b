#include "normalization.h"
#include "loops.h"

CK_INLINE void ck_channel_moments_f32_body(const float *x, size_t rows, size_t channels, double *scratch, float *mean, float *variance) {
  double *sums = scratch, *squares = scratch + channels;
  for (size_t c = 0; c < 2 * channels; c++) scratch[c] = 0;
  for (size_t m = 0; m < rows; m++)
    for (size_t c = 0; c < channels; c++) sums[c] += x[m * channels + c];
  for (size_t c = 0; c < channels; c++) sums[c] /= (double)rows;
  for (size_t m = 0; m < rows; m++)
    for (size_t c = 0; c < channels; c++) {
      double d = x[m * channels + c] - sums[c];
      squares[c] += d * d;
    }
  for (size_t c = 0; c < channels; c++) {
    mean[c] = (float)sums[c];
    variance[c] = (float)(squares[c] / (double)rows);
  }
}

CK_INLINE void ck_column_moments_f64_body(const float *x, size_t rows, size_t columns, double *mean, double *variance) {
  for (size_t c = 0; c < columns; c++) mean[c] = variance[c] = 0;
  for (size_t m = 0; m < rows; m++)
    for (size_t c = 0; c < columns; c++) mean[c] += (double)x[m * columns + c] - x[c];
  for (size_t c = 0; c < columns; c++) mean[c] /= (double)rows;
  for (size_t m = 0; m < rows; m++)
    for (size_t c = 0; c < columns; c++) {
      double d = (double)x[m * columns + c] - x[c] - mean[c];
      variance[c] += d * d;
    }
  for (size_t c = 0; c < columns; c++) {
    mean[c] += x[c];
    variance[c] /= (double)rows;
  }
}

CK_INLINE void ck_batch_norm_forward_f32_body(const float *restrict x, size_t rows, size_t channels, const float *restrict mean,
                                              const float *restrict inverse, const float *restrict gamma, const float *restrict beta,
                                              float *restrict normalized, float *restrict y) {
  for (size_t m = 0; m < rows; m++, x += channels, normalized += channels, y += channels)
    for (size_t c = 0; c < channels; c++) {
      float n = (x[c] - mean[c]) * inverse[c];
      normalized[c] = n;
      y[c] = n * gamma[c] + beta[c];
    }
}

CK_INLINE void ck_batch_norm_sums_f32_body(const float *dy, const float *normalized, size_t rows, size_t channels, double *scratch, float *dgamma,
                                           float *dbeta) {
  double *products = scratch, *sums = scratch + channels;
  for (size_t c = 0; c < 2 * channels; c++) scratch[c] = 0;
  for (size_t m = 0; m < rows; m++, dy += channels, normalized += channels)
    for (size_t c = 0; c < channels; c++) {
      products[c] += (double)dy[c] * normalized[c];
      sums[c] += dy[c];
    }
  for (size_t c = 0; c < channels; c++) {
    dgamma[c] = (float)products[c];
    dbeta[c] = (float)sums[c];
  }
}

CK_INLINE void ck_batch_norm_backward_f32_body(const float *restrict dy, const float *restrict normalized, size_t rows, size_t channels,
                                               const float *restrict gamma, const float *restrict inverse, const float *restrict dgamma,
                                               const float *restrict dbeta, float *restrict dx) {
  const float share = 1.0f / (float)rows;
  for (size_t m = 0; m < rows; m++, dy += channels, normalized += channels, dx += channels)
    for (size_t c = 0; c < channels; c++)
      dx[c] = gamma[c] * inverse[c] * (dy[c] - dbeta[c] * share - normalized[c] * dgamma[c] * share);
}

CK_INLINE void ck_dropout_f32_body(const float *restrict x, size_t count, float rate, uint64_t seed, float *restrict keep, float *restrict y) {
  const float factor = 1.0f / (1.0f - rate);
  for (size_t i = 0; i < count; i++) {
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    float uniform = (float)((z ^ z >> 31) >> 40) * 0x1p-24f;
    keep[i] = uniform < rate ? 0.0f : factor;
    y[i] = x[i] * keep[i];
  }
}

CK_INLINE void ck_multiply_f32_body(const float *restrict a, const float *restrict b, float *restrict y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = a[i] * b[i];
}

uint64_t ck_fnv1a_64(const void *bytes, size_t count, uint64_t hash) {
  const uint8_t *byte = bytes;
  for (size_t i = 0; i < count; i++) hash = (hash ^ byte[i]) * 0x100000001B3u;
  return hash;
}

CK_INLINE void ck_scale_rows_f32_body(const float *restrict x, size_t rows, size_t channels, const float *restrict scale, float *restrict y) {
  for (size_t m = 0; m < rows; m++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) y[c] = x[c] * scale[c];
}

#define CK_LOOPS_OF_NORMALIZATION
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
