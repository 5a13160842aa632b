// Rounding of float32 buffers to FP16, BF16 and TF32, and back. One rule for every instruction set (IEEE 754-2019, 4.3.1):
// round to nearest, ties to even; subnormals kept; overflow judged after rounding; a NaN keeps its sign, becomes quiet and
// keeps its top payload bits. The result does not depend on MXCSR or FPCR (rounding direction, DAZ, FTZ), on alignment, or on
// where the tail begins. scalar.h has the function of one number that each of these applies to every element.
// Shapes: source[count] → destination[count], any count. Pointers are aligned as their element type, no further. Source and
// destination do not overlap; the TF32 kernels alone may also work in place (destination == source).
#ifndef CK_ROUND_H
#define CK_ROUND_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// destination[i] = bits of source[i] in IEEE binary16.
typedef void ck_fn_round_f16_f32(const float *_Nonnull source, uint16_t *_Nonnull destination, size_t count);
// destination[i] = bits of source[i] in bfloat16 (the upper half of binary32).
typedef void ck_fn_round_bf16_f32(const float *_Nonnull source, uint16_t *_Nonnull destination, size_t count);
// destination[i] = the binary16 number source[i], exactly. Signalling NaNs become quiet.
typedef void ck_fn_widen_f32_f16(const uint16_t *_Nonnull source, float *_Nonnull destination, size_t count);
// destination[i] = the bfloat16 number source[i], exactly. Signalling NaNs become quiet.
typedef void ck_fn_widen_f32_bf16(const uint16_t *_Nonnull source, float *_Nonnull destination, size_t count);

// float32 rounded to TF32 (10 stored significand bits), kept in a float32 whose low 13 bits are zero.
typedef void ck_fn_round_tf32_even_f32(const float *_Nonnull source, float *_Nonnull destination, size_t count);  // to nearest, ties to even
// to nearest, ties away (PTX cvt.rna)
typedef void ck_fn_round_tf32_away_f32(const float *_Nonnull source, float *_Nonnull destination, size_t count);
typedef void ck_fn_round_tf32_zero_f32(const float *_Nonnull source, float *_Nonnull destination, size_t count);  // toward zero

#endif
