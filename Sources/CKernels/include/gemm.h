// Linear layers with quantized weights: Y[M, N] = X[M, K] · W[N, K]ᵀ, M rows, K inputs, N outputs.
//
// Integer formats. Activations are uint8 codes with a scale and a zero point per row, weights are signed codes of 8, 4, 2 or
// 1 bit (−1 and 1). W[n, k] = scale[n] · multiplier[g, n] · code[n, k], g = k / group: one float scale per output and, for groups, one
// int8 multiplier per group, so that every sum up to the epilogue is an integer and exact.
//     Y[m, n] = x_scale[m] · scale[n] · Σ_g multiplier[g, n] · Σ_{k in g} (x[m, k] − x_zero[m]) · code[n, k] + bias[n]
//
// Packed weights. Outputs lie in panels of 16, inputs in steps of 4; the unit is 16 outputs × 4 inputs, output-major.
//   8 bits  a unit is 64 bytes: byte 4·c + i is code[16·p + c, 4·t + i]
//   4 bits  64 bytes hold units t (low nibbles) and t + 1 (high nibbles), stored as code + 8
//   2 bits  64 bytes hold units t … t + 3 in bit pairs from the lowest, stored as code + 2; ternary codes −1…1 too
//   1 bit   64 bytes hold 16 outputs × 32 inputs: bit k % 8 of byte 16 · (k / 8) + c is set where the code is 1. Four inputs of an
//           output are four neighbouring bits, the index of a table lookup
// K is padded to a multiple of 32 with zero codes (1 bit: with clear bits, whose activations are 0), N to a multiple of 16.
// Multipliers of a group and panel are 16 bytes in the output order 0–3, 8–11, 4–7, 12–15, which one sign extension and two unpacks
// turn into pairs of int16.
#ifndef CK_GEMM_H
#define CK_GEMM_H

#include <stddef.h>
#include <stdint.h>

enum {
  ck_panel = 16,              // outputs in a panel
  ck_fold = 32,               // inputs are padded to a multiple of this; the smallest group
  ck_row_block = 8,           // activation rows interleaved in one block
  ck_row_chunk = 256,         // activation rows that are worth multiplying at once: more share the decoding of a panel no better
  ck_few_rows = 4,            // up to this many rows, activations stay row-major
  ck_gemm_max_inputs = 65536, // 255 · 127 · 65,536 < 2³¹
  ck_gemm_block = 1024,       // inputs that are decoded at a time
  ck_gemm_short_inputs = 96,  // up to this many inputs, 8-bit weights of more than 8 rows are not searched for pairs that saturate
};

// Packed integer weights. Pointers are 64-byte aligned and owned by the caller.
typedef struct ck_gemm_weights {
  size_t inputs, outputs;                 // K, N; 1 ≤ K ≤ ck_gemm_max_inputs
  size_t group;                           // inputs per multiplier, a multiple of 32, the last group may have fewer; 0: no multipliers
  const uint8_t *_Nonnull codes;          // [N/16][K/32 · 32 · 16 · bits / 8]
  const int8_t *_Nullable multipliers;    // [N/16][groups][16], null when group is 0
  const int32_t *_Nonnull sums;           // [segments][N/16 · 16]: Σ multiplier · code over each segment of K
  const float *_Nonnull scales;           // [N/16 · 16]
  // 8 bits with activations 0…255 only, else null: the units in which an output has an unsafe pair (below).
  const uint32_t *_Nullable unsafe_starts;  // [N/16][K/1,024 rounded up][16], and one more: where the list of an output in a block begins
  const uint8_t *_Nullable unsafe_units;    // number of the unit in its block
} ck_gemm_weights;

// A pair of 8-bit weights, inputs 2·i and 2·i + 1, is unsafe where 255 · w₀ + 255 · w₁ leaves int16: |w₀ + w₁| > 128. Kernels that add
// pairs in int16 need to know where. Returns the number of listed units; fills the arrays where they are not null. codes[N, K] row-major.
size_t ck_gemm_list_unsafe(size_t inputs, size_t outputs, const int8_t *_Nonnull codes, uint32_t *_Nullable starts, uint8_t *_Nullable units);

// With multipliers, int32 sums are exact over one segment of K: (255 · 255 · 8) · 4,096 < 2³¹ for up to 4 bits and
// (255 · 255 · 127) · 256 < 2³¹ for 8 (|x − zero| ≤ 255, |multiplier| ≤ 127 < 255). Segments are added as floats.
// Without multipliers all K form one segment.
// 1 bit: as for 4.
static inline size_t ck_gemm_segment(size_t inputs, size_t group, int bits) {
  if (group == 0) return inputs;
  return bits == 8 ? 256 : 4096;
}
static inline size_t ck_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }
static inline size_t ck_gemm_segments(size_t inputs, size_t group, int bits) {
  size_t segment = ck_gemm_segment(inputs, group, bits);
  return (inputs + segment - 1) / segment;
}
// Groups of an output: K / group, rounded up.
static inline size_t ck_gemm_groups(size_t inputs, size_t group) { return group == 0 ? 0 : (inputs + group - 1) / group; }
// Sizes in bytes or elements of the arrays of ck_gemm_weights.
static inline size_t ck_gemm_unsafe_start_count(size_t inputs, size_t outputs) {
  return ck_round_up(outputs, ck_panel) * ((inputs + ck_gemm_block - 1) / ck_gemm_block) + 1;
}
static inline size_t ck_gemm_code_bytes(size_t inputs, size_t outputs, int bits) {
  return ck_round_up(outputs, ck_panel) * ck_round_up(inputs, ck_fold) / 8 * (size_t)bits;
}
static inline size_t ck_gemm_multiplier_count(size_t inputs, size_t outputs, size_t group) {
  return ck_round_up(outputs, ck_panel) * ck_gemm_groups(inputs, group);
}

// Packs row-major codes[N, K] (|multiplier| ≤ 127, codes within the range of `bits`) and multipliers[N, groups] (null when
// group is 0) for outputs 16·panel_begin ..< 16·panel_end, and fills the sums.
void ck_gemm_pack(int bits, size_t inputs, size_t outputs, size_t group, const int8_t *_Nonnull codes,
                  const int8_t *_Nullable multipliers, size_t panel_begin, size_t panel_end, uint8_t *_Nonnull packed,
                  int8_t *_Nullable packed_multipliers, int32_t *_Nonnull sums);
// The inverse: codes of output `n` (K bytes) and its multipliers (one for each group).
void ck_gemm_unpack_row(int bits, const ck_gemm_weights *_Nonnull weights, size_t n, int8_t *_Nonnull codes,
                        int8_t *_Nullable multipliers);

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

// Quantized activations. Up to ck_few_rows rows: codes[M][K32], row-major. More: blocks of 8 rows, codes[M/8][K32/4][8][4].
// K32 is K rounded up to 32; codes beyond K and rows beyond M are zero.
typedef struct ck_gemm_activations {
  size_t rows;                           // M ≥ 1
  const uint8_t *_Nonnull codes;         // 64-byte aligned
  const float *_Nonnull scales;          // [M]
  const int32_t *_Nonnull zero_points;   // [M], 0…255
} ck_gemm_activations;

static inline size_t ck_gemm_activation_bytes(size_t rows, size_t inputs) {
  return (rows <= ck_few_rows ? rows : ck_round_up(rows, ck_row_block)) * ck_round_up(inputs, ck_fold);
}

// Interleaves up to 8 row-major rows: block[t][r][i] = codes[r, 4·t + i], t < K32/4; missing rows become zero.
typedef void ck_fn_interleave_u8(const uint8_t *_Nonnull codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *_Nonnull block);

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

// Bytes of scratch memory, 64-byte aligned, that one call of any gemm kernel needs.
size_t ck_gemm_workspace_bytes(size_t inputs);

// Computes outputs 16·panel_begin ..< min(N, 16·panel_end) of rows row_begin ..< row_end (row_begin a multiple of 8). Threads
// may share everything but the workspace; the result does not depend on how the ranges are cut.
typedef void ck_fn_gemm_u8_s8(const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x, const ck_gemm_output *_Nonnull y,
                              size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end, void *_Nonnull workspace);
typedef ck_fn_gemm_u8_s8 ck_fn_gemm_u8_s4;
typedef ck_fn_gemm_u8_s8 ck_fn_gemm_u8_s2;
typedef ck_fn_gemm_u8_s8 ck_fn_gemm_u8_s1;
// The same for activation codes 0…127 (W8A7): no pair of products can saturate, which saves the correction.
typedef ck_fn_gemm_u8_s8 ck_fn_gemm_u7_s8;

// Binary activations: x ≈ scale · sign, sign 1 where x ≥ 0, else −1 (NaN too).
typedef struct ck_bit_activations {
  size_t rows;                     // M ≥ 1
  const uint8_t *_Nonnull bits;    // [M][K32/8]: bit k % 8 of byte k / 8 is set where the sign is 1; clear beyond K
  const float *_Nonnull scales;    // [M]
} ck_bit_activations;

// Fills them: bits[rows][K32/8] as above, scale = mean |x| of each row, the scale of least squared error; the same bits on every
// instruction set: eight sums, of every eighth element, added in one order. Infinite where Σ |x| leaves float32.
typedef void ck_fn_binarize_rows_u1_f32(const float *_Nonnull x, size_t rows, size_t columns, size_t stride, uint8_t *_Nonnull bits,
                                        float *_Nonnull scales);

// Y[m, n] = x_scale[m] · scale[n] · (K − 2 · popcount(bits[m] xor bits[n])) + bias[n]: weights of 1 bit without groups (sums are not
// read), any row_begin, else as above. s32 writes the integer.
typedef void ck_fn_gemm_u1_s1(const ck_gemm_weights *_Nonnull w, const ck_bit_activations *_Nonnull x, const ck_gemm_output *_Nonnull y,
                              size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end, void *_Nonnull workspace);

// 16-bit float weights with float32 activations: Y = X · Wᵀ + bias. Packed: codes[N/16][K][16] (bit patterns).
typedef struct ck_half_weights {
  size_t inputs, outputs;
  const uint16_t *_Nonnull values;  // 64-byte aligned
} ck_half_weights;

static inline size_t ck_half_value_count(size_t inputs, size_t outputs) { return ck_round_up(outputs, ck_panel) * inputs; }
// Packs row-major bit patterns[N, K] for outputs 16·panel_begin ..< 16·panel_end, and back for one output.
void ck_half_pack(size_t inputs, size_t outputs, const uint16_t *_Nonnull patterns, size_t panel_begin, size_t panel_end, uint16_t *_Nonnull packed);
void ck_half_unpack_row(const ck_half_weights *_Nonnull weights, size_t n, uint16_t *_Nonnull patterns);

// x[M, K] with `stride` floats between rows; `rows` is M of the whole product (it chooses the order of the sums), the ranges as above.
typedef void ck_fn_gemm_f32_f16(const ck_half_weights *_Nonnull w, const float *_Nonnull x, size_t rows, size_t stride,
                                const ck_gemm_output *_Nonnull y, size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end,
                                void *_Nonnull workspace);
typedef ck_fn_gemm_f32_f16 ck_fn_gemm_f32_bf16;

#endif
