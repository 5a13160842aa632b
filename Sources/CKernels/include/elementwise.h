// Element-wise steps of float32 layers, which BLAS does not have. Plain C that every compiler vectorizes: they are bound by memory.
#ifndef CK_ELEMENTWISE_H
#define CK_ELEMENTWISE_H

#include <stddef.h>

#include "compiler.h"

// y[i] = max(y[i], 0); a NaN stays.
void ck_relu_f32(float *_Nonnull y, size_t count);
// y[m, n] += bias[n]; y is row-major without gaps.
void ck_add_bias_f32(float *_Nonnull y, size_t rows, size_t columns, const float *_Nonnull bias);
// y[n, m] += bias[n]: the same for outputs along the rows.
void ck_add_row_bias_f32(float *_Nonnull y, size_t rows, size_t columns, const float *_Nonnull bias);
// The place of the first infinity or NaN; `count` if there is none.
size_t ck_first_not_finite_f32(const float *_Nonnull x, size_t count);

#endif
