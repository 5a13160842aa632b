// Checks N:M sparse products against plain loops: float32 ones against sums in float64, int8 ones bit for bit.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

CK_NO_CONTRACTION

enum {
  slot_x = ck_test_slot_others,
  slot_y,
  slot_codes,
  slot_values,
  slot_sums,
  slot_scales,
  slot_rows,
  slot_workspace,
  slot_bias,
  slot_keep,
  slot_weights,
  slot_x_scales,
  slot_zeros,
  slot_unpacked,
};

typedef struct operands {
  float *dense, *bias, *x;
  uint8_t *keep, *codes;  // [N][K], [M][K8]
  float *x_scales;
  int32_t *zeros;
} operands;

static operands make_operands(const ck_test_nm_case *c) {
  uint64_t state = c->seed | 1;
  size_t padded = ck_nm_round_up(c->inputs, ck_nm_group), weights = c->outputs * c->inputs;
  operands o = {ck_test_guarded(slot_weights, 4 * weights, 4), ck_test_guarded(slot_bias, 4 * c->outputs, 4),
                ck_test_guarded(slot_x, 4 * c->rows * c->inputs, 4), ck_test_guarded(slot_keep, weights, 1),
                ck_test_guarded(slot_rows, c->rows * padded, 1), ck_test_guarded(slot_x_scales, 4 * c->rows, 4),
                ck_test_guarded(slot_zeros, 4 * c->rows, 4)};
  memset(o.dense, 0, 4 * weights), memset(o.keep, 0, weights);
  for (size_t n = 0; n < c->outputs; n++)
    for (size_t first = 0; first < c->inputs; first += c->group) {
      size_t kept = 0;
      for (size_t k = first; k < c->inputs && k < first + c->group; k++) {
        if (kept == c->group / 2 || !ck_test_coin(&state)) continue;
        o.keep[n * c->inputs + k] = 1;
        o.dense[n * c->inputs + k] = c->is_extreme ? (ck_test_coin(&state) ? 127.0f : -127.0f) : ck_test_number(&state);
        kept++;
      }
    }
  for (size_t n = 0; n < c->outputs; n++) o.bias[n] = ck_test_number(&state);
  for (size_t i = 0; i < c->rows * c->inputs; i++) o.x[i] = ck_test_number(&state);
  memset(o.codes, 0, c->rows * padded);
  for (size_t m = 0; m < c->rows; m++) {
    for (size_t k = 0; k < c->inputs; k++)
      o.codes[m * padded + k] = (uint8_t)(c->is_extreme ? (ck_test_coin(&state) ? 255 : 0) : ck_test_between(&state, 0, 255));
    o.x_scales[m] = ck_test_number(&state);
    o.zeros[m] = ck_test_between(&state, 0, 255);
  }
  return o;
}

static ck_sparse_output make_output(const ck_test_nm_case *c, const operands *o) {
  size_t stride = c->outputs + 3;
  float *y = ck_test_guarded(slot_y, 4 * ((c->rows - 1) * stride + c->outputs), 4);
  return (ck_sparse_output){y, stride, ck_row_major, o->bias, c->relu};
}

// The product in up to four parts: cut (c->is_cut) within the rows and between panels.
static void multiply_floats(const ck_nm_f32_config *config, const ck_test_nm_case *c, const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y,
                            int is_cut) {
  void *workspace = ck_test_guarded(slot_workspace, config->workspace_bytes(c->inputs, c->outputs), 64);
  size_t panels = (c->outputs + config->n_step - 1) / config->n_step, panel = is_cut ? panels / 2 : 0, row = is_cut ? c->rows / 3 : 0;
  for (int part = 0; part < 4; part++) {
    size_t row_begin = part & 1 ? row : 0, row_end = part & 1 ? c->rows : row, begin = part & 2 ? panel : 0, end = part & 2 ? panels : panel;
    if (row_begin < row_end && begin < end) config->kernel(w, x, y, row_begin, row_end, begin, end, workspace);
  }
}

static int is_near(const ck_test_nm_case *c, const operands *o, const ck_sparse_output *y) {
  int agrees = 1;
  for (size_t m = 0; m < c->rows; m++)
    for (size_t n = 0; n < c->outputs; n++) {
      double sum = (double)o->bias[n], size = fabs(sum);
      for (size_t k = 0; k < c->inputs; k++) {
        double product = (double)o->x[m * c->inputs + k] * (double)o->dense[n * c->inputs + k];
        sum += product;
        size += fabs(product);
      }
      if (c->relu && sum < 0) sum = 0;
      agrees &= fabs((double)y->data[m * y->stride + n] - sum) <= (double)(c->inputs / 2 + 9) * 0x1p-24 * size;
    }
  return agrees;
}

static int check_floats(const ck_nm_f32_config *config, const ck_test_nm_case *c, const operands *o) {
  ck_nm_sizes sizes = config->sizes(c->inputs, c->outputs);
  uint32_t *codes = ck_test_guarded(slot_codes, 4 * sizes.codes, 64);
  float *values = ck_test_guarded(slot_values, 4 * sizes.values, 64);
  config->pack(o->dense, o->keep, c->inputs, c->outputs, c->group, codes, values);
  ck_nm_f32 w = {c->inputs, c->outputs, c->group, codes, values};
  ck_sparse_input x = {o->x, c->rows, c->inputs, ck_row_major, 0, 0};
  ck_sparse_output y = make_output(c, o);
  multiply_floats(config, c, &w, &x, &y, c->is_cut);
  float *dense = ck_test_guarded(slot_unpacked, 4 * c->outputs * c->inputs, 4);
  memset(dense, 0, 4 * c->outputs * c->inputs);
  config->unpack(&w, dense);
  int agrees = memcmp(dense, o->dense, 4 * c->outputs * c->inputs) == 0 && is_near(c, o, &y) && ck_test_guards_are_intact(slot_workspace);
  if (!c->is_cut) return agrees;
  // A number does not depend on how threads share the work.
  float *parts = malloc(4 * c->rows * c->outputs);
  for (size_t m = 0; m < c->rows; m++) memcpy(parts + m * c->outputs, y.data + m * y.stride, 4 * c->outputs);
  multiply_floats(config, c, &w, &x, &y, 0);
  for (size_t m = 0; m < c->rows; m++) agrees &= memcmp(parts + m * c->outputs, y.data + m * y.stride, 4 * c->outputs) == 0;
  free(parts);
  return agrees;
}

static int check_integers(const ck_nm_s8_config *config, const ck_test_nm_case *c, const operands *o) {
  ck_nm_sizes sizes = config->sizes(c->inputs, c->outputs);
  uint8_t *codes = ck_test_guarded(slot_codes, sizes.codes, 64);
  int8_t *values = ck_test_guarded(slot_values, sizes.values, 64);
  float *scales = ck_test_guarded(slot_scales, 4 * c->outputs, 4);
  int32_t *sums = ck_test_guarded(slot_sums, 4 * c->outputs, 4);
  config->pack(o->dense, o->keep, c->inputs, c->outputs, c->group, codes, values, scales, sums);
  ck_nm_s8 w = {c->inputs, c->outputs, c->group, codes, values, scales, sums};
  size_t padded = ck_nm_round_up(c->inputs, ck_nm_group);
  ck_nm_activations x = {o->codes, padded, o->x_scales, o->zeros};
  ck_sparse_output y = make_output(c, o);
  size_t panels = (c->outputs + config->n_step - 1) / config->n_step, panel = c->is_cut ? panels / 2 : 0, row = c->is_cut ? c->rows / 3 : 0;
  for (int part = 0; part < 4; part++) {
    size_t row_begin = part & 1 ? row : 0, row_end = part & 1 ? c->rows : row, begin = part & 2 ? panel : 0, end = part & 2 ? panels : panel;
    if (row_begin < row_end && begin < end) config->kernel(&w, &x, &y, row_begin, row_end, begin, end);
  }
  int agrees = 1;
  for (size_t n = 0; n < c->outputs; n++)
    for (size_t m = 0; m < c->rows; m++) {
      int64_t sum = 0;
      for (size_t k = 0; k < c->inputs; k++)
        sum += (o->codes[m * padded + k] - o->zeros[m]) * ck_code(o->dense[n * c->inputs + k], 1 / scales[n], 0, -127, 127);
      float value = (float)sum * (o->x_scales[m] * scales[n]) + o->bias[n];
      if (c->relu && value < 0) value = 0;
      agrees &= y.data[m * y.stride + n] == value;
    }
  return agrees;
}

int ck_test_nm(ck_isa isa, const ck_test_nm_case *c) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  operands o = make_operands(c);
  int agrees = c->is_s8 ? check_integers(kernels->spmm_f32_u8_s8nm, c, &o) : check_floats(kernels->spmm_f32_f32_nm, c, &o);
  for (int slot = slot_x; slot <= slot_unpacked; slot++) agrees &= ck_test_guards_are_intact(slot);
  return agrees;
}
