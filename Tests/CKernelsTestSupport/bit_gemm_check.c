// Checks products of signs against plain loops over ±1.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

CK_NO_CONTRACTION

enum { slot_y = ck_test_slot_others, slot_bias = slot_y + 3, slot_codes };

typedef struct operands {
  float *x, *scales, *bias;  // [M][K], [N], [N]
  int8_t *codes;             // [N][K]
} operands;

static operands make_operands(size_t rows, size_t inputs, size_t outputs, int kind, uint64_t seed) {
  uint64_t state = seed | 1;
  operands o = {ck_test_guarded(ck_test_slot_source, 4 * rows * inputs, 4), malloc(4 * outputs), ck_test_guarded(slot_bias, 4 * outputs, 4),
                ck_test_guarded(slot_codes, outputs * inputs, 1)};
  for (size_t i = 0; i < rows * inputs; i++) {
    float value = ck_test_number(&state);
    if (ck_test_next(&state) % 16 == 0) value = ck_test_next(&state) % 2 ? 0.0f : -0.0f;  // both are signs of 1
    o.x[i] = kind == 0 ? value : kind == 1 ? 1.0f : -1.0f;
  }
  for (size_t i = 0; i < outputs * inputs; i++) o.codes[i] = kind > 0 || ck_test_coin(&state) ? 1 : -1;
  for (size_t n = 0; n < outputs; n++) {
    o.scales[n] = (float)ck_test_between(&state, 0, 1023) * 0x1p-10f;
    o.bias[n] = (float)ck_test_between(&state, -512, 511);
  }
  return o;
}

// Whether the scale of each row is the mean of its magnitudes.
static int scales_agree(const operands *o, const ck_gemm_activations *x, size_t inputs) {
  for (size_t m = 0; m < x->rows; m++) {
    double magnitudes = 0;
    for (size_t k = 0; k < inputs; k++) magnitudes += __builtin_fabs((double)o->x[m * inputs + k]);
    double mean = magnitudes / (double)inputs, bound = mean * 0x1p-24 * ((double)inputs / 8 + 5);
    if (__builtin_fabs((double)x->scales[m] - mean) > bound) return 0;
  }
  return 1;
}

// Output [m, n] of each kind, bit for bit.
static int output_agrees(const operands *o, const ck_gemm_activations *x, size_t inputs, size_t outputs, size_t m, size_t n, const int32_t *sums,
                         const float *const values[2]) {
  int64_t sum = 0;
  for (size_t k = 0; k < inputs; k++) sum += o->x[m * inputs + k] >= 0 ? o->codes[n * inputs + k] : -o->codes[n * inputs + k];
  float value = (float)sum * (x->scales[m] * o->scales[n]) + o->bias[n];
  size_t at = m * outputs + n;
  return sums[at] == sum && memcmp(&values[0][at], &value, sizeof value) == 0 && memcmp(&values[1][at], &value, sizeof value) == 0;
}

size_t ck_test_bit_gemm(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind, uint64_t seed) {
  const ck_gemm_config *config = ck_kernels_of(isa)->gemm_u1_s1;
  operands o = make_operands(rows, inputs, outputs, kind, seed);
  ck_gemm_shape shape = {inputs, outputs, 0};
  ck_gemm_weights w = ck_test_pack_weights(config, &shape, o.codes, NULL, o.scales);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&shape, rows), 64);
  ck_gemm_source source = {o.x, rows, inputs, inputs, 1, 0, 0};
  ck_gemm_activations x = ck_test_pack_activations(config, &source, workspace);
  size_t failed = scales_agree(&o, &x, inputs) ? 0 : rows + 1, bytes = 4 * rows * outputs;
  int32_t *sums = ck_test_guarded(slot_y, bytes, 4);
  float *values[2] = {ck_test_guarded(slot_y + 1, bytes, 4), ck_test_guarded(slot_y + 2, bytes, 4)};
  ck_gemm_output y = {ck_output_s32, sums, outputs, o.bias, 0, 1, 0};
  ck_test_multiply(config, &w, &x, &y, 0, workspace);
  y.type = ck_output_f32;
  for (int is_cut = 0; is_cut < 2; is_cut++) {
    y.data = values[is_cut];
    ck_test_multiply(config, &w, &x, &y, is_cut, workspace);
  }
  for (size_t m = 0; m < rows && failed == 0; m++)
    for (size_t n = 0; n < outputs; n++)
      if (!output_agrees(&o, &x, inputs, outputs, m, n, sums, (const float *const *)values)) failed = m + 1;
  for (int slot = 0; slot < 3; slot++)
    if (!ck_test_guards_are_intact(slot_y + slot)) failed = rows + 2;
  if (!ck_test_guards_are_intact(ck_test_slot_workspace) || !ck_test_activations_are_intact() || !ck_test_weights_are_intact()) failed = rows + 3;
  free(o.scales);
  return failed;
}
