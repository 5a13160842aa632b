// Checks products of 16-bit floats: against sums in double within the bounds of gemm.h, whole against cut, and BF16 × BF16 against the bits of the portable
// kernel or, where a set rounds pairs, of the sums of pairs that gemm.h defines.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"
#include "scalar.h"

CK_NO_CONTRACTION

enum { slot_bias = ck_test_slot_others, slot_y, slot_patterns };

static const float requantizing_scale = 37.5f;

typedef struct operands {
  float *x, *bias;               // [M][K], [N]
  uint16_t *patterns;            // [N][K]
  float *weights, *activations;  // [N][K], [M][K]: the numbers that are multiplied
  size_t rows, inputs, outputs;
  int relu;
} operands;

// Numbers whose products are 2⁻¹²⁶ and what is added to it without effect, or takes it below when the sum is rounded: 2⁻¹⁵⁰ … 2⁻¹⁵². Most are 0, a few are
// subnormal or 1.
static float make_edge(uint64_t *state) {
  static const float numbers[] = {0x1p-63f, 0x1p-63f, 0x1p-63f, 0x1p-75f, 0x1p-75f, 0x1p-76f, 0x1p-76f, 0x1.8p-76f};
  int i = ck_test_between(state, 0, 99);
  float number = i < 32 ? numbers[i % 8] : i < 35 ? 0x1p-130f : i == 35 ? 1 : 0;
  return ck_test_coin(state) ? number : -number;
}

// Numbers near 1; of any exponent, subnormals with them; whose products are around 2⁻¹²⁶; infinities, NaNs and zeros among them; or as above.
static float make_number(ck_test_float_kind kind, uint64_t *state) {
  static const uint32_t special[] = {0,          0x80000000u, 1,          0x80000001u, 0x007FFFFFu, 0x00800000u, 0x80800000u, 0x7F7FFFFFu,
                                     0xFF7FFFFFu, 0x7F800000u, 0xFF800000u, 0x7FC00001u, 0xFF800001u, 0x3F800000u, 0xBF800000u, 0x00400000u};
  uint32_t bits = (uint32_t)(ck_test_next(state) >> 24);
  switch (kind) {
    case ck_test_float_near_one: return ck_test_number(state);
    case ck_test_float_tiny: return ck_f32_of_bits((bits & 0x807FFFFFu) | (uint32_t)ck_test_between(state, 50, 75) << 23);
    case ck_test_float_wide: return ck_f32_of_bits((bits & 0x807FFFFFu) | (uint32_t)ck_test_between(state, 0, 180) << 23);
    case ck_test_float_edge: return make_edge(state);
    default: return ck_test_between(state, 0, 40) > 0 ? ck_test_number(state) : ck_f32_of_bits(special[bits % 16]);
  }
}

static uint16_t make_pattern(ck_test_float_format format, ck_test_float_kind kind, uint64_t *state) {
  float value = make_number(kind, state);
  if (format != ck_test_f32_f16) return ck_bf16_from_f32(value);
  if (kind != ck_test_float_special && ck_test_between(state, 0, 7) == 0) return (uint16_t)(ck_test_next(state) >> 20 & 0x83FF);  // subnormal
  return ck_f16_from_f32(kind == ck_test_float_special ? value : ck_test_number(state));
}

static operands make_operands(ck_test_float_format format, size_t rows, size_t inputs, size_t outputs, ck_test_float_kind kind, uint64_t seed) {
  uint64_t state = seed | 1;
  operands o = {ck_test_guarded(ck_test_slot_source, 4 * rows * inputs, 4), ck_test_guarded(slot_bias, 4 * outputs, 4),
                ck_test_guarded(slot_patterns, 2 * outputs * inputs, 2), malloc(4 * outputs * inputs), malloc(4 * rows * inputs), rows, inputs, outputs,
                (int)(seed % 2)};
  ck_test_float_kind kind_of_x = kind == ck_test_float_special && seed % 3 == 0 ? ck_test_float_near_one : kind;  // weights alone are special
  for (size_t i = 0; i < rows * inputs; i++) {
    o.x[i] = make_number(kind_of_x, &state);
    o.activations[i] = format == ck_test_bf16_bf16 ? ck_f32_from_bf16(ck_bf16_from_f32(o.x[i])) : o.x[i];
  }
  for (size_t i = 0; i < outputs * inputs; i++) {
    o.patterns[i] = make_pattern(format, kind, &state);
    o.weights[i] = format == ck_test_f32_f16 ? ck_f32_from_f16(o.patterns[i]) : ck_f32_from_bf16(o.patterns[i]);
  }
  for (size_t n = 0; n < outputs; n++) o.bias[n] = (float)ck_test_between(&state, -512, 511) * 0x1p-8f;
  return o;
}

static const ck_gemm_config *config_of(ck_isa isa, ck_test_float_format format) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  return format == ck_test_f32_f16 ? kernels->gemm_f32_f16 : format == ck_test_f32_bf16 ? kernels->gemm_f32_bf16 : kernels->gemm_bf16_bf16;
}

// The product into y[M][N], of one type, whole or cut. Returns whether nothing was written outside.
static int multiply(const operands *o, const ck_gemm_config *config, ck_output_type type, int with_bias, int is_cut, void *y) {
  ck_gemm_shape shape = {o->inputs, o->outputs, 0};
  ck_gemm_weights w = ck_test_pack_weights(config, &shape, o->patterns, NULL, NULL);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&shape, o->rows), 64);
  ck_gemm_source source = {o->x, o->rows, o->inputs, o->inputs, 0, 0, 0};
  ck_gemm_activations x = ck_test_pack_activations(config, &source, workspace);
  size_t size = type == ck_output_f32 ? 4 : 1;
  void *guarded = ck_test_guarded(slot_y, size * o->rows * o->outputs, size);
  ck_gemm_output output = {type, guarded, o->outputs, with_bias ? o->bias : NULL, with_bias && o->relu, requantizing_scale, type == ck_output_u8 ? 100 : 0};
  ck_test_multiply(config, &w, &x, &output, is_cut, workspace);
  memcpy(y, guarded, size * o->rows * o->outputs);
  return ck_test_guards_are_intact(slot_y) && ck_test_guards_are_intact(ck_test_slot_workspace) && ck_test_weights_are_intact() &&
         ((config->needs & ck_gemm_reads_floats) || ck_test_activations_are_intact());
}

static int unpacks(const operands *o, const ck_gemm_config *config) {
  ck_gemm_shape shape = {o->inputs, o->outputs, 0};
  ck_gemm_weights w = ck_test_pack_weights(config, &shape, o->patterns, NULL, NULL);
  uint16_t *row = ck_test_guarded(slot_y, 2 * o->inputs, 2);
  int agrees = 1;
  for (size_t n = 0; n < o->outputs; n++) {
    config->unpack_row(&w, n, row, NULL);
    agrees &= memcmp(row, o->patterns + n * o->inputs, 2 * o->inputs) == 0;
  }
  return agrees && ck_test_guards_are_intact(slot_y);
}

static double flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

// Whether a sum, without bias, lies within the bound of its format, or is the infinity or a NaN that its operands make it; sums that may leave float32
// otherwise are not judged.
static int is_within_bound(const operands *o, ck_test_float_format format, size_t m, size_t n, float y) {
  double exact = 0, products = 0, factors = 0, inputs = (double)o->inputs;
  const float *x = o->activations + m * o->inputs, *w = o->weights + n * o->inputs;
  for (size_t k = 0; k < o->inputs; k++) {
    double product = (double)x[k] * (double)w[k];
    if (format == ck_test_bf16_bf16 && isinf(product)) product = flushed(x[k]) * flushed(w[k]);  // subnormal numbers count as zeros there
    exact += product;
    if (isfinite(product)) products += fabs(product);
  }
  if (!(products < FLT_MAX / 2)) return 1;
  if (!isfinite(exact)) return isnan(exact) ? isnan(y) : (double)y == exact;
  for (size_t k = 0; k < o->inputs && format == ck_test_bf16_bf16; k++) factors += 1 + fabs((double)x[k]) + fabs((double)w[k]);
  // Sums in double err too, by inputs · 2⁻⁵³. Products of float32 may be subnormal: 2⁻¹⁵⁰ each.
  double bound = format == ck_test_bf16_bf16 ? (inputs + 2) * 0x1p-23 * products + 0x1p-125 * factors : inputs * (0x1.001p-24 * products + 0x1p-149);
  return fabs(y - exact) <= bound + inputs * 0x1p-52 * products;
}

// ---- Sums of pairs

// a + b rounded to odd in 24 bits, zero of its sign below 2⁻¹²⁶. The sum is high + low exactly (TwoSum).
static float add_to_odd(double a, double b) {
  double high = a + b, part = high - a, low = (a - (high - part)) + (b - part);
  if (!(fabs(high) < 0x1p128)) return (float)high;
  if (fabs(high) < 0x1p-127) return copysignf(0, (float)high);
  uint32_t bits = ck_bits_of_f32((float)high);
  if (isinf(ck_f32_of_bits(bits))) bits--;
  double rest = high - (double)ck_f32_of_bits(bits);
  if (rest == 0) rest = low;
  if (rest != 0) bits = ((rest > 0) == (high > 0) ? bits : bits - 1) | 1;
  return fabsf(ck_f32_of_bits(bits)) < FLT_MIN ? copysignf(0, (float)high) : ck_f32_of_bits(bits);
}

static float sum_of_pairs(const operands *o, size_t m, size_t n) {
  float sum = 0;
  for (size_t k = 0; k < ck_round_up(o->inputs, 4); k += 2) {
    float products[2] = {0, 0};
    for (size_t i = 0; i < 2 && k + i < o->inputs; i++) {
      float x = o->activations[m * o->inputs + k + i], w = o->weights[n * o->inputs + k + i];
      products[i] = add_to_odd(flushed(x) * flushed(w), -0.0);
    }
    sum = add_to_odd(sum, add_to_odd(products[0], products[1]));
  }
  return sum;
}

// The sums that a configuration of BF16 × BF16 must have.
static int make_reference(const operands *o, const ck_gemm_config *config, float *sums) {
  if (!(config->needs & ck_gemm_rounds_pairs)) return multiply(o, config_of(ck_isa_portable, ck_test_bf16_bf16), ck_output_f32, 0, 0, sums);
  for (size_t i = 0; i < o->rows * o->outputs; i++) sums[i] = sum_of_pairs(o, i / o->outputs, i % o->outputs);
  return 1;
}

// ---- Outputs

static int same(float a, float b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }

// Whether a caller's flush modes do not matter: neither numbers nor products are subnormal in float32, but weights are in FP16.
static int is_kept_from_flushing(const operands *o, const ck_gemm_config *config, const float *sums) {
  size_t bytes = 4 * o->rows * o->outputs;
  float *flushed = malloc(bytes);
  uint64_t control = ck_test_float_control();
  ck_test_set_float_control(ck_test_hostile_control(control, 0));
  int agrees = multiply(o, config, ck_output_f32, 0, 0, flushed);
  ck_test_set_float_control(control);
  agrees = agrees && memcmp(flushed, sums, bytes) == 0;
  free(flushed);
  return agrees;
}

// Outputs of one type on this set, whole and cut, and what they should be, made from the sums.
static int outputs_agree(const operands *o, const ck_gemm_config *config, ck_output_type type, const float *sums) {
  size_t count = o->rows * o->outputs, size = type == ck_output_f32 ? 4 : 1;
  uint8_t *whole = malloc(count * size), *cut = malloc(count * size);
  int agrees = multiply(o, config, type, 1, 0, whole) && multiply(o, config, type, 1, 1, cut);
  for (size_t i = 0; i < count; i++) {
    float value = sums[i] + o->bias[i % o->outputs];
    if (o->relu && value < 0) value = 0;
    if (type == ck_output_f32) agrees &= same(((float *)(void *)whole)[i], value) && same(((float *)(void *)cut)[i], value);
    if (type == ck_output_u8) agrees &= whole[i] == ck_code(value, requantizing_scale, 100, 0, 255);
    if (type == ck_output_s8) agrees &= (int8_t)whole[i] == ck_code(value, requantizing_scale, 0, -127, 127);
    if (type != ck_output_f32) agrees &= whole[i] == cut[i];
  }
  free(whole), free(cut);
  return agrees;
}

size_t ck_test_float_gemm(ck_isa isa, ck_test_float_format format, size_t rows, size_t inputs, size_t outputs, ck_test_float_kind kind, uint64_t seed) {
  const ck_gemm_config *config = config_of(isa, format);
  operands o = make_operands(format, rows, inputs, outputs, kind, seed);
  float *sums = malloc(4 * rows * outputs), *reference = malloc(4 * rows * outputs);
  size_t failed = unpacks(&o, config) && multiply(&o, config, ck_output_f32, 0, 0, sums) ? 0 : rows + 1;
  if (format == ck_test_bf16_bf16 && !make_reference(&o, config, reference)) failed = rows + 1;
  for (size_t i = 0; i < rows * outputs && failed == 0; i++) {
    if (!is_within_bound(&o, format, i / outputs, i % outputs, sums[i])) failed = i / outputs + 1;
    if (format == ck_test_bf16_bf16 && !same(sums[i], reference[i])) failed = i / outputs + 1;
  }
  if (failed == 0 && kind == ck_test_float_near_one && !is_kept_from_flushing(&o, config, sums)) failed = rows + 2;
  for (int type = ck_output_f32; type <= ck_output_s8 && failed == 0; type++)
    if (!outputs_agree(&o, config, (ck_output_type)type, sums)) failed = rows + 2;
  if (!ck_test_guards_are_intact(ck_test_slot_source)) failed = rows + 3;
  free(sums), free(reference), free(o.weights), free(o.activations);
  return failed;
}
