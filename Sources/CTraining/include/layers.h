// Layers without products: forward and backward passes. Samples are rows, channels lie innermost (NHWC).
#ifndef CTRAINING_LAYERS_H
#define CTRAINING_LAYERS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// destination[i] = source[indices[i]], rows of `columns` floats.
void ck_gather_rows_f32(const float *_Nonnull source, size_t columns, const int64_t *_Nonnull indices, size_t count, float *_Nonnull destination);

// y = max(x, 0); a NaN stays.
void ck_relu_forward_f32(const float *_Nonnull x, float *_Nonnull y, size_t count);
// dx = dy where y > 0, else 0.
void ck_relu_backward_f32(const float *_Nonnull y, const float *_Nonnull dy, float *_Nonnull dx, size_t count);

// sums[n] += Σ over rows of x[m, n].
void ck_add_column_sums_f32(const float *_Nonnull x, size_t rows, size_t columns, float *_Nonnull sums);
// destination[m, n] = row[n].
void ck_fill_rows_f32(const float *_Nonnull row, size_t rows, size_t columns, float *_Nonnull destination);
// x[i] *= factor.
void ck_scale_f32(float *_Nonnull x, size_t count, float factor);
// values[i] = source[indices[i]].
void ck_gather_i64(const int64_t *_Nonnull source, const int64_t *_Nonnull indices, size_t count, int64_t *_Nonnull values);
// A permutation of 0…count − 1 (Fisher and Yates), by xoshiro256++ from state[4], not all zero, without bias (Lemire 2019).
void ck_permutation_i64(int64_t *_Nonnull order, size_t count, const uint64_t *_Nonnull state);

#endif
