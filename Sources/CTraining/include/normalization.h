// Batch normalization and dropout.
#ifndef CTRAINING_NORMALIZATION_H
#define CTRAINING_NORMALIZATION_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// Mean and variance (divided by rows) of each channel of x[rows, channels], summed in float64; scratch[2 · channels].
void ck_channel_moments_f32(const float *_Nonnull x, size_t rows, size_t channels, double *_Nonnull scratch, float *_Nonnull mean,
                            float *_Nonnull variance);
// The same in float64, rows at least 1. Sums are relative to the first row, so a column of equal numbers has a variance of exactly 0.
void ck_column_moments_f64(const float *_Nonnull x, size_t rows, size_t columns, double *_Nonnull mean, double *_Nonnull variance);
// normalized[m, c] = (x[m, c] − mean[c]) · inverse[c]; y = normalized · gamma[c] + beta[c].
void ck_batch_norm_forward_f32(const float *_Nonnull x, size_t rows, size_t channels, const float *_Nonnull mean, const float *_Nonnull inverse,
                               const float *_Nonnull gamma, const float *_Nonnull beta, float *_Nonnull normalized, float *_Nonnull y);
// dgamma[c] = Σ dy · normalized, dbeta[c] = Σ dy, summed in float64; scratch[2 · channels].
void ck_batch_norm_sums_f32(const float *_Nonnull dy, const float *_Nonnull normalized, size_t rows, size_t channels, double *_Nonnull scratch,
                            float *_Nonnull dgamma, float *_Nonnull dbeta);
// dx = gamma · inverse · (dy − dbeta / rows − normalized · dgamma / rows), by channel.
void ck_batch_norm_backward_f32(const float *_Nonnull dy, const float *_Nonnull normalized, size_t rows, size_t channels,
                                const float *_Nonnull gamma, const float *_Nonnull inverse, const float *_Nonnull dgamma,
                                const float *_Nonnull dbeta, float *_Nonnull dx);
// y[m, c] = x[m, c] · scale[c].
void ck_scale_rows_f32(const float *_Nonnull x, size_t rows, size_t channels, const float *_Nonnull scale, float *_Nonnull y);
// keep[i] = 1 / (1 − rate) with probability 1 − rate, else 0; y = x · keep. Element i draws from SplitMix64 at position i of `seed`, so the
// result depends on nothing else.
void ck_dropout_f32(const float *_Nonnull x, size_t count, float rate, uint64_t seed, float *_Nonnull keep, float *_Nonnull y);
// y[i] = a[i] · b[i].
void ck_multiply_f32(const float *_Nonnull a, const float *_Nonnull b, float *_Nonnull y, size_t count);
// FNV-1a (Fowler, Noll and Vo) of 64 bits, continued from `hash`; begin with 0xCBF29CE484222325.
uint64_t ck_fnv1a_64(const void *_Nonnull bytes, size_t count, uint64_t hash);

#endif
