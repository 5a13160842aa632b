// What the tests of the kernels need from C: loops over billions of inputs, the control word of the floating-point unit, and
// the addresses behind the table of kernels.
#ifndef CKERNELS_TEST_SUPPORT_H
#define CKERNELS_TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CKernels.h"

// Whether two kernels give the same bits for the float32 inputs first, first + stride, first + 2·stride, … below 2³². If not,
// *difference is an input on which they do not. round_f16_f32 and round_bf16_f32 have one type, so have the three of TF32.
bool ck_test_sweep_16(ck_fn_round_f16_f32 *_Nonnull one, ck_fn_round_f16_f32 *_Nonnull other, uint32_t first, uint32_t stride,
                      uint32_t *_Nonnull difference);
bool ck_test_sweep_32(ck_fn_round_tf32_even_f32 *_Nonnull one, ck_fn_round_tf32_even_f32 *_Nonnull other, uint32_t first, uint32_t stride,
                      uint32_t *_Nonnull difference);

// MXCSR or FPCR of this thread.
uint64_t ck_test_float_control(void);
void ck_test_set_float_control(uint64_t control);
// `control` with subnormals flushed on input and output and the rounding direction 0…3 in the machine's encoding (0 is nearest). On arm64 also with NaNs
// that lose their payload and with the alternative FP16, which has no infinities.
uint64_t ck_test_hostile_control(uint64_t control, unsigned direction);

// Whether the table of `isa` holds, for each operation, the last row of kernels.inc whose features `isa` has.
bool ck_test_table_is_filled(ck_isa isa);

// Memory of at least `bytes`, whole pages that begin and end at pages that may not be touched; null if there is none.
void *_Nullable ck_test_map_between_guards(size_t bytes);
// How much that is.
size_t ck_test_mapped_bytes(size_t bytes);
void ck_test_unmap_between_guards(void *_Nonnull memory, size_t bytes);

// Where the buffers of all checks lie between such pages, from the next check on. A buffer of 64-byte alignment that ends at a page, but for what its
// alignment asks, leaves up to 63 bytes behind it that may be read unnoticed; at its exact end it is as aligned as its size is, which no processor
// minds whose vectors may lie anywhere.
typedef enum ck_test_placement { ck_test_at_end, ck_test_at_beginning, ck_test_at_exact_end } ck_test_placement;
void ck_test_place(ck_test_placement at);

// One product of random operands made from a seed: M rows, K inputs, N outputs.
typedef struct ck_test_gemm_case {
  int bits, is_u7;
  size_t rows, inputs, outputs, group;
  int relu;
  uint64_t seed;
} ck_test_gemm_case;

// Codes: all random; or the lowest or highest weights times the highest activations; or both ends at random; or activations at the
// end that makes output 0 largest; or the lowest weights times 0; or 8-bit weights whose pairs add up to ±128 and ±129, on both sides of what
// int16 holds, times the highest activations. All but the first have zero points at both ends, in turn.
typedef enum ck_test_extremes {
  ck_test_random,
  ck_test_lowest,
  ck_test_highest,
  ck_test_mixed,
  ck_test_aligned,
  ck_test_lowest_times_zero,
  ck_test_edge_pairs,
} ck_test_extremes;

// Packs and unpacks the weights, and compares the int32, float32, uint8 and int8 outputs of the kernels of `isa`, whole and cut in four,
// with plain loops, for the first first_rows, first_rows + row_step, … rows. Nothing may be
// written beyond the outputs and the workspace.
// Returns 0, or the number of rows that failed (rows + 1 for unpacking).
size_t ck_test_gemm(ck_isa isa, const ck_test_gemm_case *_Nonnull c, ck_test_extremes extremes, size_t first_rows, size_t row_step);

// The same for gemm_u1_s1: signs of random floats, `kind` 0, or all 1, 1, or weights all 1 and signs all −1, 2. Bits and scales of the
// activations are checked too.
size_t ck_test_bit_gemm(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind, uint64_t seed);

// Weights of FP16 or BF16 against sums in float64, whole and cut. 0, or what failed: a row m as m + 1, unpacking M + 1, cuts M + 2, memory behind.
size_t ck_test_half_gemm(ck_isa isa, int is_bf16, size_t rows, size_t inputs, size_t outputs, int relu, uint64_t seed);

// A product of block-sparse weights.
typedef struct ck_test_sparse_case {
  int is_s8;
  size_t block_rows, block_columns, rows, inputs, outputs;
  size_t slice_inputs;  // 0: as the configuration says
  int percent;          // of the blocks that are stored
  int kind;             // int8: codes at random, 0; all 127, 1; all −127, 2; either, 3, with activations of 0 and 255
  int layout;           // bit 0: X is feature-major; bit 1: Y is
  size_t gap;           // numbers between rows
  int relu, is_cut;
  uint64_t seed;
} ck_test_sparse_case;
// 1 where float32 products are within their bound of sums in float64, or int8 ones are exact, for several rows and, with one row, by the kernel for
// one as well; and where unpacking gives the weights back and nothing is written elsewhere.
int ck_test_sparse(ck_isa isa, const ck_test_sparse_case *_Nonnull c);

// A product of N:M sparse weights.
typedef struct ck_test_nm_case {
  int is_s8;
  size_t group, rows, inputs, outputs;
  int is_extreme, relu, is_cut;
  uint64_t seed;
} ck_test_nm_case;
int ck_test_nm(ck_isa isa, const ck_test_nm_case *_Nonnull c);

// A convolution of stride 1, of images of numbers in −1…1; with `is_infinite` one weight is infinite. 1 where all outputs are within their bound of
// sums in float64 and nothing is written elsewhere.
typedef struct ck_test_conv2d_case {
  size_t batch, height, width, channels, window_height, window_width, padding, outputs;
  int has_bias, relu, is_infinite;
  uint64_t seed;
} ck_test_conv2d_case;
int ck_test_conv2d(ck_isa isa, const ck_test_conv2d_case *_Nonnull c);

// 1 where rounding, quantizing, ranges, interleaving and signs of `count` numbers of all kinds have the bits that scalar.h says.
int ck_test_elements(ck_isa isa, size_t count, uint64_t seed);

// Quantizing of weights: 1 where codes, multipliers and scales have the bits of the portable kernel, codes follow the rule, the scale of 2-bit codes has
// the least error, and a weight that is not finite is found.
typedef struct ck_test_weights_case {
  int bits;  // or ck_ternary
  size_t inputs, outputs, group;
  int kind;  // random, zeros, subnormals, near the largest number, ties, one magnitude with either sign, few that are not zero: 0…6
  uint64_t seed;
} ck_test_weights_case;
int ck_test_quantize_weights(ck_isa isa, const ck_test_weights_case *_Nonnull c);

// All three products of floats, gemm_f32_f16, gemm_f32_bf16 and gemm_bf16_bf16, and all types of output. Sums must lie within the bounds of gemm.h, and
// those of gemm_bf16_bf16 have the bits of the portable kernel or, where the set rounds pairs, of gemm.h's sums of pairs (NaNs but for their payload). Numbers are near 1; or of any size up to 2⁵³, subnormals with
// them; or their products are around 2⁻¹²⁶; or infinities, NaNs, zeros and subnormals are among them; or sums are
// 2⁻¹²⁶ and what rounding decides about.
// 0, or what failed: a row m as m + 1, packing and memory M + 1, outputs by type and cuts M + 2.
typedef enum ck_test_float_format { ck_test_f32_f16, ck_test_f32_bf16, ck_test_bf16_bf16 } ck_test_float_format;
typedef enum ck_test_float_kind { ck_test_float_near_one, ck_test_float_wide, ck_test_float_tiny, ck_test_float_special, ck_test_float_edge } ck_test_float_kind;
size_t ck_test_float_gemm(ck_isa isa, ck_test_float_format format, size_t rows, size_t inputs, size_t outputs, ck_test_float_kind kind, uint64_t seed);

#endif
