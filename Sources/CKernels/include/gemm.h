// Linear layers with quantized or rounded weights: Y[M, N] = X[M, K] · W[N, K]ᵀ, M rows, K inputs, N outputs.
//
// Integer formats. Activations are uint8 codes with a scale and a zero point per row, weights are signed codes of 8, 4, 2 or
// 1 bit (−1 and 1). W[n, k] = scale[n] · multiplier[g, n] · code[n, k], g = k / group: one float scale per output and, for groups, one
// int8 multiplier per group, so that every sum up to the epilogue is an integer and exact.
//     Y[m, n] = x_scale[m] · scale[n] · Σ_g multiplier[g, n] · Σ_{k in g} (x[m, k] − x_zero[m]) · code[n, k] + bias[n]
// With multipliers, int32 sums are exact over one segment of K (ck_gemm_segment); segments are added as floats, in order.
// Signs. Activations are x ≈ scale · sign, sign 1 where x ≥ 0, else −1 (NaN too), scale = mean |x| of the row, weights of 1 bit without groups:
//     Y[m, n] = x_scale[m] · scale[n] · (K − 2 · popcount(bits[m] xor bits[n])) + bias[n]
// Floats. Weights are FP16 or BF16 numbers, activations float32, Y = X · Wᵀ + bias, within K · 2⁻²⁴ · Σ |x · w| (to first order) of the exact sum; or
// both are BF16 (ck_config_gemm_bf16_bf16).
//
// A kernel brings its layout: how weights and activations are packed, and how much scratch memory it needs, is known to its configuration
// (ck_gemm_config) alone. Callers ask it, and keep the configuration that they packed a matrix for.
#ifndef CK_GEMM_H
#define CK_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

enum {
  ck_gemm_max_inputs = 65536,  // 255 · 127 · 65,536 < 2³¹
  ck_gemm_least_group = 32,    // groups are multiples of it
};

static inline size_t ck_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// With multipliers, int32 sums are exact over one segment of K: (255 · 255 · 8) · 4,096 < 2³¹ for up to 4 bits and
// (255 · 255 · 127) · 256 < 2³¹ for 8 (|x − zero| ≤ 255, |multiplier| ≤ 127 < 255). Without multipliers all K form one segment.
static inline size_t ck_gemm_segment(size_t inputs, size_t group, int bits) {
  if (group == 0) return inputs;
  return bits == 8 ? 256 : 4096;
}
static inline size_t ck_gemm_segments(size_t inputs, size_t group, int bits) {
  size_t segment = ck_gemm_segment(inputs, group, bits);
  return (inputs + segment - 1) / segment;
}
// Groups of an output: K / group, rounded up.
static inline size_t ck_gemm_groups(size_t inputs, size_t group) { return group == 0 ? 0 : (inputs + group - 1) / group; }

// ---- Weights

typedef struct ck_gemm_shape {
  size_t inputs, outputs;  // K, N; for integers and signs 1 ≤ K ≤ ck_gemm_max_inputs
  size_t group;            // inputs per multiplier, a multiple of 32, the last group may have fewer; 0: no multipliers
} ck_gemm_shape;

// Packed weights. Pointers are 64-byte aligned; the memory belongs to the caller, who may have mapped it from a file.
typedef struct ck_gemm_weights {
  size_t inputs, outputs, group;           // as in ck_gemm_shape
  const uint8_t *_Nonnull codes;           // as the layout says; gemm/layout.h has the canonical one
  const int8_t *_Nullable multipliers;     // as the layout says; null when group is 0
  const int32_t *_Nullable sums;           // [segments][padded N]: Σ multiplier · code over each segment of K; null for float weights
  const float *_Nullable scales;           // [padded N]; null for float weights
  // Where the configuration needs them (ck_gemm_needs_unsafe_pairs), else null: the units in which an output has an unsafe pair.
  const uint32_t *_Nullable unsafe_starts;
  const uint8_t *_Nullable unsafe_units;
} ck_gemm_weights;

// The same arrays while they are filled.
typedef struct ck_gemm_arrays {
  uint8_t *_Nonnull codes;
  int8_t *_Nullable multipliers;
  int32_t *_Nullable sums;
} ck_gemm_arrays;

// Bytes or elements of the arrays of ck_gemm_weights.
typedef struct ck_gemm_sizes {
  size_t code_bytes, multipliers, sums, scales;
} ck_gemm_sizes;

// A pair of 8-bit weights, inputs 2·i and 2·i + 1, is unsafe where 255 · w₀ + 255 · w₁ leaves int16: |w₀ + w₁| > 128. Kernels that add
// pairs in int16 need to know where. Returns the number of listed units; fills the arrays where they are not null. codes[N, K] row-major.
// unsafe_starts[N/16][K/1,024 rounded up][16], and one more: where the list of an output in a block of 1,024 inputs begins;
// unsafe_units: the number of the unit in its block.
size_t ck_gemm_list_unsafe(size_t inputs, size_t outputs, const int8_t *_Nonnull codes, uint32_t *_Nullable starts, uint8_t *_Nullable units);
size_t ck_gemm_unsafe_start_count(size_t inputs, size_t outputs);

// From float weights to codes, for one output of K finite weights. Without groups: scale = ck_gemm_channel_scale, then
// ck_gemm_codes with group 0. With groups: ck_gemm_group_scale (fills the wanted scales of groups, returns the output's scale), then
// ck_gemm_multipliers, then ck_gemm_codes. code = clamp(rint(w / (scale · multiplier))); the largest magnitude of a group maps to
// the end of the range, for 2 bits the positive scale of least squared error among 32 is taken. A scale of 4 bits may be negative. The wanted scale
// of a group of zeros is 0, so that it has no say in the scale of its output. Weights times 2ᵏ have scales times 2ᵏ and the same codes, as long as
// those scales are normal numbers; smaller ones become the smallest of these.
// Instead of 2 bits, ck_ternary asks for codes −1…1 with the scale of least squared error. With 1 bit, code = 1 where w ≥ 0, else −1,
// and scale = mean |w|, which has the least squared error (Rastegari 2016). `scratch` is for ck_ternary, else null: 2 · count
// elements, where groups are given 2 · group.
enum { ck_ternary = 3 };  // in place of `bits`: a number of levels
float ck_gemm_channel_scale(int bits, size_t count, const float *_Nonnull weights, uint32_t *_Nullable scratch);
float ck_gemm_group_scale(int bits, size_t inputs, size_t group, const float *_Nonnull weights, float *_Nonnull group_scales,
                          uint32_t *_Nullable scratch);
void ck_gemm_multipliers(size_t groups, const float *_Nonnull group_scales, float scale, int8_t *_Nonnull multipliers);
void ck_gemm_codes(int bits, size_t inputs, size_t group, const float *_Nonnull weights, float scale, const int8_t *_Nullable multipliers,
                   int8_t *_Nonnull codes);

// The same for some outputs at once, with the same bits: codes[outputs, K], multipliers[outputs, groups] and scales[outputs].
typedef struct ck_float_weights {
  const float *_Nonnull weights;         // [outputs, K]
  size_t inputs, group;                  // K; group as in ck_gemm_shape
  int bits;                              // or ck_ternary
  const float *_Nullable shared_scale;   // without groups: one scale for all outputs instead of one for each
} ck_float_weights;
// `codes` may be null: scales alone. multipliers are null without groups. Returns 0 where a weight is not finite, and what was written means nothing
// then; else 1. With a shared scale weights are not asked.
typedef int ck_fn_quantize_weights_s8_f32(const ck_float_weights *_Nonnull w, size_t outputs, int8_t *_Nullable codes, int8_t *_Nullable multipliers,
                                          float *_Nonnull scales, void *_Nonnull workspace);
// Its bytes of scratch memory.
static inline size_t ck_quantize_weights_workspace(int bits, size_t inputs, size_t group) {
  return (ck_gemm_groups(inputs, group) + (bits == ck_ternary ? 2 * (group == 0 ? inputs : group) : 0)) * 4;
}

// ---- Activations

// X[M, K] as the caller has it, and how it gets its codes.
typedef struct ck_gemm_source {
  const float *_Nonnull data;
  size_t rows, inputs, stride;  // M ≥ 1, K, floats between rows
  int32_t highest;              // of uint8 codes: 255, or 127 for u7
  float fixed_scale;            // 0: each row has its own scale and zero point (for signs: its own scale), else all rows have this scale
  int32_t fixed_zero_point;
} ck_gemm_source;

// Packed activations while they are filled.
typedef struct ck_gemm_codes_out {
  uint8_t *_Nonnull codes;            // activation_bytes of the configuration, 64-byte aligned
  float *_Nullable scales;            // [M]
  int32_t *_Nullable zero_points;     // [M]
} ck_gemm_codes_out;

// Packed activations. Where the configuration reads floats (ck_gemm_reads_floats), codes are X itself, float32, `stride` floats between rows.
typedef struct ck_gemm_activations {
  size_t rows;                            // M ≥ 1 of the product: chooses the layout of codes
  size_t stride;                          // of floats
  const uint8_t *_Nonnull codes;          // 64-byte aligned, but for floats
  const float *_Nullable scales;          // [M], integers and signs
  const int32_t *_Nullable zero_points;   // [M], 0…255, integers
} ck_gemm_activations;

// ---- Outputs

typedef enum ck_output_type { ck_output_f32, ck_output_u8, ck_output_s8, ck_output_s32 } ck_output_type;

// Where and how Y is written. After scales and bias: ReLU, then
//   f32  Y itself
//   u8   clamp(rint(y · inverse_scale) + zero_point, 0, 255); s8 the same with −127…127; NaN gives 0
//   s32  the exact integer Σ (x − zero) · multiplier · code (one segment only); scales, bias and ReLU do not apply
typedef struct ck_gemm_output {
  ck_output_type type;
  void *_Nonnull data;              // [M, N] with `stride` elements between rows
  size_t stride;
  const float *_Nullable bias;      // [N]
  int relu;
  float inverse_scale;              // u8 and s8 only
  int32_t zero_point;
} ck_gemm_output;

// ---- Configurations

// Computes outputs n_step·panel_begin ..< min(N, n_step·panel_end) of rows row_begin ..< row_end (row_begin a multiple of m_step). Threads
// may share everything but the workspace; the result does not depend on how the ranges are cut.
typedef void ck_fn_gemm(const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x, const ck_gemm_output *_Nonnull y,
                        size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end, void *_Nonnull workspace);
typedef ck_gemm_sizes ck_fn_gemm_sizes(const ck_gemm_shape *_Nonnull shape);
// Packs panels panel_begin ..< panel_end, whose codes are zeros before, and fills their sums. `codes` are those of the outputs of these panels alone,
// [outputs, K] row-major, int8 or the bit patterns of 16-bit floats (|multiplier| ≤ 127, codes within their range), so are multipliers[outputs, groups]
// (null when group is 0).
typedef void ck_fn_gemm_pack(const ck_gemm_shape *_Nonnull shape, const void *_Nonnull codes, const int8_t *_Nullable multipliers,
                             size_t panel_begin, size_t panel_end, const ck_gemm_arrays *_Nonnull packed);
// The inverse: codes (or patterns) of output `n`, K of them, and its multipliers (one for each group).
typedef void ck_fn_gemm_unpack(const ck_gemm_weights *_Nonnull weights, size_t n, void *_Nonnull codes, int8_t *_Nullable multipliers);
// Bytes of packed activations of M rows of K inputs; 0 where floats are read.
typedef size_t ck_fn_gemm_activation_bytes(size_t rows, size_t inputs);
// Packs rows row_begin ..< row_end of X (row_begin a multiple of m_step). Threads may share everything but the workspace.
typedef void ck_fn_gemm_pack_activations(const ck_gemm_source *_Nonnull x, size_t row_begin, size_t row_end,
                                         const ck_gemm_codes_out *_Nonnull to, void *_Nonnull workspace);
// Bytes of scratch memory, 64-byte aligned, that one call of the kernel or of pack_activations needs for M rows.
typedef size_t ck_fn_gemm_workspace(const ck_gemm_shape *_Nonnull shape, size_t rows);

enum {
  ck_gemm_needs_unsafe_pairs = 1 << 0,  // the weights' lists
  ck_gemm_reads_floats = 1 << 1,        // activations are X as it is; nothing is packed
  ck_gemm_rounds_pairs = 1 << 3,        // BF16 × BF16 with the sums of pairs, below, instead of those of the format
  ck_gemm_prefers_rows = 1 << 2,        // each call prepares something for its rows, so cut by rows where they suffice for all threads
};

// All that callers need to know of a kernel.
typedef struct ck_gemm_config {
  const char *_Nonnull layout;  // name of the layout of packed weights, as files spell it
  int bits;                     // of a weight
  size_t n_step;                // outputs of a panel
  size_t m_step;                // ranges of rows begin at multiples of it
  size_t k_step;                // K is padded to a multiple of it
  size_t few_rows;              // up to this many rows have a way of their own, whose rows are not cut
  size_t chunk_rows;            // rows that are worth multiplying at once, a multiple of m_step
  unsigned needs;
  ck_fn_gemm *_Nonnull kernel;
  ck_fn_gemm_sizes *_Nonnull sizes;
  ck_fn_gemm_pack *_Nonnull pack_weights;
  ck_fn_gemm_unpack *_Nonnull unpack_row;
  ck_fn_gemm_activation_bytes *_Nonnull activation_bytes;
  ck_fn_gemm_pack_activations *_Nonnull pack_activations;
  ck_fn_gemm_workspace *_Nonnull workspace_bytes;
} ck_gemm_config;

// One type for all operations: kernels.inc and the table are made from these names.
typedef ck_gemm_config ck_config_gemm_u8_s8;     // W8A8
typedef ck_gemm_config ck_config_gemm_u7_s8;     // W8A7: activation codes 0…127, with which no pair of products can saturate int16
typedef ck_gemm_config ck_config_gemm_u8_s4;
typedef ck_gemm_config ck_config_gemm_u8_s2;
typedef ck_gemm_config ck_config_gemm_u8_s1;
typedef ck_gemm_config ck_config_gemm_u1_s1;     // W1A1
typedef ck_gemm_config ck_config_gemm_f32_f16;
typedef ck_gemm_config ck_config_gemm_f32_bf16;
// BF16 × BF16, sums in float32. Activations are rounded to BF16 first (to nearest, ties to even, subnormals kept); the order of the sums is part of the
// format, and is what `vdpbf16ps` computes, so that every set but armbf16 gives the same bits:
//     sum = 0;  for each pair of inputs 2·t, 2·t + 1 in order, K padded with a zero:  sum = fma(x[2t+1], w[2t+1], sum);  sum = fma(x[2t], w[2t], sum)
// fma rounds once, to nearest, ties to even. Subnormal x, w count as zeros of their sign, and a result that is below 2⁻¹²⁶ when rounded to 24 bits
// becomes a zero of its sign, whatever MXCSR or FPCR say (Intel's manual, VDPBF16PS: to nearest even, denormals flushed on input and output, MXCSR
// neither asked nor changed; that tininess is found after rounding, was found by comparison). Where a sum is a NaN it is one on every set, but its payload
// is not defined. Bias, ReLU and codes follow as elsewhere.
//   Error. Each of the n = K + 1 steps rounds: a relative error of at most u = 2⁻²⁴, so with all steps ((1 + u)ⁿ − 1) · Σ |x·w|, which is below
// 2·n·u · Σ |x·w| for n ≤ 2²³. Each step may also lose a result below 2⁻¹²⁶, and a product whose x (or w) is below 2⁻¹²⁶, which is less than
// 2⁻¹²⁶ · |w| (or |x|); later roundings enlarge both by less than (1 + u)ⁿ < 2. With x and w after rounding to BF16, unless a sum leaves float32:
//     |Y − exact| ≤ (K + 2) · 2⁻²³ · Σ |x·w| + 2⁻¹²⁵ · Σ (1 + |x| + |w|)
//
//   Sums of pairs (ck_gemm_rounds_pairs). The set armbf16 has the sums of Arm's BFDOT and BFMMLA (Arm Architecture Reference Manual, BFDotAdd and
// BFMatMulAdd with FPCR.EBF 0), whose steps no other instructions have, so its bits differ from those of the other sets; they are the same for any number
// of rows and any cut. K is padded with zeros to a multiple of 4:
//     sum = 0;  for each pair of inputs 2·t, 2·t + 1 in order:  sum = odd(sum + odd(odd(x[2t] · w[2t]) + odd(x[2t+1] · w[2t+1])))
// odd rounds to 24 bits: what is not exact is cut off and the last bit set; a result below 2⁻¹²⁶ becomes a zero of its sign, one from 2¹²⁸ on infinite.
// Subnormal x, w count as zeros of their sign.
//   The bound above holds. odd errs by less than v = 2⁻²³ of the exact result. Products are exact, 8 · 8 bits, but for those that are lost. A term passes
// through the sum of its pair and those of the pairs that follow, the first of which is exact: n ≤ (K + 1) / 2 roundings (zeros of the padding round
// nothing), so ((1 + v)ⁿ − 1) · Σ |x·w| ≤ 2·n·v · Σ |x·w| ≤ (K + 1) · 2⁻²³ · Σ |x·w| for n ≤ 2²². What is lost: a pair loses at most two results below
// 2⁻¹²⁶, since where both products are lost, or their sum is, zero is added and loses nothing, and where one is, the sum of the pair is the other; so one
// for each input, and where x or w is subnormal its product as above; later roundings enlarge both by less than (1 + v)ⁿ < 2.
typedef ck_gemm_config ck_config_gemm_bf16_bf16;

// Signs of rows and their scales: bits[rows][K32/8], bit k % 8 of byte k / 8 is set where the sign is 1, clear beyond K; scale = mean |x| of each row,
// the scale of least squared error; the same bits on every instruction set: eight sums, of every eighth element, added in one order. Infinite where
// Σ |x| leaves float32.
typedef void ck_fn_binarize_rows_u1_f32(const float *_Nonnull x, size_t rows, size_t columns, size_t stride, uint8_t *_Nonnull bits,
                                        float *_Nonnull scales);
// Interleaves up to 8 row-major rows: block[t][r][i] = codes[r, 4·t + i], t < padded_inputs / 4; missing rows become zero.
typedef void ck_fn_interleave_u8(const uint8_t *_Nonnull codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *_Nonnull block);

#endif
