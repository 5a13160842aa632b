// Checks products of 16-bit float weights and float32 activations against sums in float64.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

CK_NO_CONTRACTION

enum { slot_y = ck_test_slot_others, slot_unpacked = slot_y + 2, slot_bias, slot_patterns };

typedef struct operands {
  float *x, *values, *bias;  // [M][K], [N][K] as the patterns say, [N]
  uint16_t *patterns;        // [N][K]
} operands;

static operands make_operands(int is_bf16, size_t rows, size_t inputs, size_t outputs, uint64_t seed) {
  uint64_t state = seed | 1;
  operands o = {ck_test_guarded(ck_test_slot_source, 4 * rows * inputs, 4), malloc(4 * outputs * inputs), ck_test_guarded(slot_bias, 4 * outputs, 4),
                ck_test_guarded(slot_patterns, 2 * outputs * inputs, 2)};
  for (size_t i = 0; i < rows * inputs; i++) o.x[i] = 2 * ck_test_number(&state);
  for (size_t i = 0; i < outputs * inputs; i++) {
    float weight = ck_test_number(&state);
    o.patterns[i] = is_bf16 ? ck_bf16_from_f32(weight) : ck_f16_from_f32(weight);
    o.values[i] = is_bf16 ? ck_f32_from_bf16(o.patterns[i]) : ck_f32_from_f16(o.patterns[i]);
  }
  for (size_t n = 0; n < outputs; n++) o.bias[n] = ck_test_number(&state);
  return o;
}

// Within (n + 1) · 2⁻²⁴ · Σ|xw| of the sum in float64, the bias counted as a term; ReLU after it.
static int is_within_bound(const operands *o, size_t inputs, size_t m, size_t n, int relu, float y) {
  double sum = (double)o->bias[n], size = __builtin_fabs(sum);
  for (size_t k = 0; k < inputs; k++) {
    double product = (double)o->x[m * inputs + k] * (double)o->values[n * inputs + k];
    sum += product;
    size += __builtin_fabs(product);
  }
  if (relu && sum < 0) sum = 0;
  return __builtin_fabs((double)y - sum) <= (double)(inputs + 1) * 0x1p-24 * size;
}

static int unpacks(const ck_gemm_config *config, const ck_gemm_weights *w, const operands *o) {
  uint16_t *row = ck_test_guarded(slot_unpacked, 2 * w->inputs, 2);
  int agrees = 1;
  for (size_t n = 0; n < w->outputs; n++) {
    config->unpack_row(w, n, row, NULL);
    agrees &= memcmp(row, o->patterns + n * w->inputs, 2 * w->inputs) == 0;
  }
  return agrees && ck_test_guards_are_intact(slot_unpacked);
}

size_t ck_test_half_gemm(ck_isa isa, int is_bf16, size_t rows, size_t inputs, size_t outputs, int relu, uint64_t seed) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  const ck_gemm_config *config = is_bf16 ? kernels->gemm_f32_bf16 : kernels->gemm_f32_f16;
  operands o = make_operands(is_bf16, rows, inputs, outputs, seed);
  ck_gemm_shape shape = {inputs, outputs, 0};
  ck_gemm_weights w = ck_test_pack_weights(config, &shape, o.patterns, NULL, NULL);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&shape, rows), 64);
  ck_gemm_source source = {o.x, rows, inputs, inputs, 0, 0, 0};
  ck_gemm_activations x = ck_test_pack_activations(config, &source, workspace);
  size_t bytes = 4 * rows * outputs, failed = unpacks(config, &w, &o) ? 0 : rows + 1;
  float *values[2] = {ck_test_guarded(slot_y, bytes, 4), ck_test_guarded(slot_y + 1, bytes, 4)};
  for (int is_cut = 0; is_cut < 2; is_cut++) {
    ck_gemm_output y = {ck_output_f32, values[is_cut], outputs, o.bias, relu, 0, 0};
    ck_test_multiply(config, &w, &x, &y, is_cut, workspace);
  }
  for (size_t m = 0; m < rows && failed == 0; m++)
    for (size_t n = 0; n < outputs; n++)
      if (!is_within_bound(&o, inputs, m, n, relu, values[0][m * outputs + n])) failed = m + 1;
  if (failed == 0 && memcmp(values[0], values[1], bytes) != 0) failed = rows + 2;
  for (int slot = 0; slot < 2; slot++)
    if (!ck_test_guards_are_intact(slot_y + slot)) failed = rows + 3;
  if (!ck_test_guards_are_intact(ck_test_slot_workspace) || !ck_test_weights_are_intact()) failed = rows + 4;
  free(o.values);
  return failed;
}
