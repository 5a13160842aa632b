// Checks products of signs against plain loops over ±1.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"

#pragma clang fp contract(off)

enum { guard = 64 };

typedef struct operands {
  float *x, *x_scales, *scales, *bias;  // [M][K], [M], [N padded], [N]
  int8_t *codes;                        // [N][K]
  uint8_t *bits, *packed;
  int32_t *sums;
} operands;

static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(64, ck_round_up(bytes + guard, 64));
  memset(memory, 0, ck_round_up(bytes + guard, 64));
  return memory;
}

static uint64_t next(uint64_t *state) {  // xorshift64 (Marsaglia 2003)
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static operands make_operands(size_t rows, size_t inputs, size_t outputs, int kind, uint64_t seed) {
  uint64_t state = seed | 1;
  size_t padded = ck_round_up(outputs, ck_panel), code_bytes = ck_gemm_code_bytes(inputs, outputs, 1);
  operands o = {allocate(4 * rows * inputs), allocate(4 * rows),  allocate(4 * padded), allocate(4 * outputs), allocate(outputs * inputs),
                allocate(rows * ck_round_up(inputs, ck_fold) / 8), allocate(code_bytes), allocate(4 * padded)};
  for (size_t i = 0; i < rows * inputs; i++) {
    float value = (float)(int32_t)(next(&state) >> 40) * 0x1p-24f - 0.5f;
    if (next(&state) % 16 == 0) value = next(&state) % 2 ? 0.0f : -0.0f;  // both are signs of 1
    o.x[i] = kind == 0 ? value : kind == 1 ? 1.0f : -1.0f;
  }
  for (size_t i = 0; i < outputs * inputs; i++) o.codes[i] = kind > 0 || next(&state) >> 40 & 1 ? 1 : -1;
  for (size_t n = 0; n < outputs; n++) {
    o.scales[n] = (float)(next(&state) >> 54) * 0x1p-10f;
    o.bias[n] = (float)(next(&state) >> 54) - 512.0f;
  }
  ck_gemm_pack(1, inputs, outputs, 0, o.codes, NULL, 0, padded / ck_panel, o.packed, NULL, o.sums);
  return o;
}

static int bits_agree(const operands *o, size_t rows, size_t inputs) {
  size_t row_bytes = ck_round_up(inputs, ck_fold) / 8;
  for (size_t m = 0; m < rows; m++) {
    double magnitudes = 0;
    for (size_t k = 0; k < 8 * row_bytes; k++) {
      int expected = k < inputs && o->x[m * inputs + k] >= 0;
      if ((o->bits[m * row_bytes + k / 8] >> k % 8 & 1) != expected) return 0;
      magnitudes += k < inputs ? __builtin_fabs(o->x[m * inputs + k]) : 0;
    }
    double mean = magnitudes / (double)inputs, bound = mean * 0x1p-24 * ((double)inputs / 8 + 5);
    if (__builtin_fabs(o->x_scales[m] - mean) > bound) return 0;
  }
  return 1;
}

// Output [m, n] of each kind, bit for bit.
static int output_agrees(const operands *o, size_t inputs, size_t outputs, size_t m, size_t n, const int32_t *sums, const float *values) {
  int64_t sum = 0;
  for (size_t k = 0; k < inputs; k++) sum += o->x[m * inputs + k] >= 0 ? o->codes[n * inputs + k] : -o->codes[n * inputs + k];
  float value = (float)sum * (o->x_scales[m] * o->scales[n]) + o->bias[n];
  return sums[m * outputs + n] == sum && memcmp(&values[m * outputs + n], &value, sizeof value) == 0;
}

size_t ck_test_bit_gemm(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind, uint64_t seed) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  operands o = make_operands(rows, inputs, outputs, kind, seed);
  kernels->binarize_rows_u1_f32(o.x, rows, inputs, inputs, o.bits, o.x_scales);
  size_t failed = bits_agree(&o, rows, inputs) ? 0 : rows + 1, panels = ck_round_up(outputs, ck_panel) / ck_panel, count = rows * outputs;
  size_t workspace_bytes = ck_gemm_workspace_bytes(inputs);
  uint8_t *workspace = allocate(workspace_bytes);
  memset(workspace, 0xA5, workspace_bytes + guard);
  int32_t *sums = allocate(4 * count);
  float *whole = allocate(4 * count), *cut = allocate(4 * count);
  ck_gemm_weights w = {inputs, outputs, 0, o.packed, NULL, o.sums, o.scales, NULL, NULL};
  ck_bit_activations x = {rows, o.bits, o.x_scales};
  ck_gemm_output y = {ck_output_s32, sums, outputs, o.bias, 0, 1, 0};
  kernels->gemm_u1_s1(&w, &x, &y, 0, rows, 0, panels, workspace);
  y.type = ck_output_f32, y.data = whole;
  kernels->gemm_u1_s1(&w, &x, &y, 0, rows, 0, panels, workspace);
  y.data = cut;
  for (size_t m = 0; m < rows; m += ck_row_block)
    for (size_t panel = 0; panel < panels; panel++)
      kernels->gemm_u1_s1(&w, &x, &y, m, rows - m < ck_row_block ? rows : m + ck_row_block, panel, panel + 1, workspace);
  for (size_t m = 0; m < rows && failed == 0; m++)
    for (size_t n = 0; n < outputs; n++)
      if (!output_agrees(&o, inputs, outputs, m, n, sums, whole) || !output_agrees(&o, inputs, outputs, m, n, sums, cut)) failed = m + 1;
  if (sums[count] != 0 || whole[count] != 0 || cut[count] != 0) failed = rows + 2;
  for (size_t i = 0; i < guard; i++)
    if (workspace[workspace_bytes + i] != 0xA5) failed = rows + 3;
  free(workspace), free(sums), free(whole), free(cut);
  free(o.x), free(o.x_scales), free(o.scales), free(o.bias), free(o.codes), free(o.bits), free(o.packed), free(o.sums);
  return failed;
}
