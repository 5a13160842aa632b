// float32 to integer codes and back. One rule (Jacob et al., arXiv:1712.05877, with the reciprocal of the scale):
//   code = clamp(rint(x · inverse_scale) + zero_point, lowest, highest)
// x · inverse_scale is rounded to float32 once; rint goes to nearest, ties to even, whatever the rounding direction of MXCSR
// or FPCR (the product itself is an ordinary float32 operation and follows them); huge values and infinities clamp; where the
// product is a NaN the code is 0, clamped to the range. Every instruction set gives the same codes and the same ranges.
// Pointers are aligned as their element type, no further. Outputs do not overlap inputs. Strides count elements and are at
// least `columns`. Every size may be 0.
#ifndef CK_QUANTIZE_H
#define CK_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// Range of each row: minimum[r], maximum[r] over x[r, 0..<columns]. NaNs are skipped; a row without numbers gives +∞, −∞.
// A result of zero is +0.
typedef void ck_fn_row_range_f32(const float *_Nonnull x, size_t rows, size_t columns, size_t stride, float *_Nonnull minimum,
                                 float *_Nonnull maximum);
// Largest magnitude of each row; NaNs are skipped; a row without numbers gives 0.
typedef void ck_fn_row_absmax_f32(const float *_Nonnull x, size_t rows, size_t columns, size_t stride, float *_Nonnull absmax);

// codes[i] by the rule above, i < count. −128 ≤ lowest ≤ highest ≤ 127; |zero_point| ≤ 2²³.
// Weights use −127…127 (8 bits), −8…7 (4 bits), −2…1 (2 bits).
typedef void ck_fn_quantize_s8_f32(const float *_Nonnull x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest,
                                   int32_t highest, int8_t *_Nonnull codes);
// The same for 0 ≤ lowest ≤ highest ≤ 255.
typedef void ck_fn_quantize_u8_f32(const float *_Nonnull x, size_t count, float inverse_scale, int32_t zero_point, int32_t lowest,
                                   int32_t highest, uint8_t *_Nonnull codes);
// x[i] = scale · (codes[i] − zero_point), rounded once. |zero_point| ≤ 2²³.
typedef void ck_fn_dequantize_f32_s8(const int8_t *_Nonnull codes, size_t count, float scale, int32_t zero_point, float *_Nonnull x);

// Dynamic activations: each row r of x[rows, columns] gets the scale and zero point of ck_affine_of_range (scalar.h) for its
// own range, NaNs skipped, and codes[r, 0..<columns] = clamp(rint(x · inverse_scale) + zero_point, 0, highest);
// codes[r, columns..<code_stride] become 0. highest is 127 or 255 (any of 1…255 works). A row whose range is not finite has
// scale 1 and a zero point of 0 or highest: its infinities clamp, its small numbers keep their order.
typedef void ck_fn_quantize_rows_u8_f32(const float *_Nonnull x, size_t rows, size_t columns, size_t stride, int32_t highest,
                                        uint8_t *_Nonnull codes, size_t code_stride, float *_Nonnull scale, int32_t *_Nonnull zero_point);

#endif
