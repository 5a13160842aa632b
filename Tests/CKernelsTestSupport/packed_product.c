#include "packed_product.h"

#include <string.h>

#include "guarded.h"

ck_gemm_weights ck_test_pack_weights(const ck_gemm_config *config, const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers,
                                     const float *scales) {
  ck_gemm_sizes sizes = config->sizes(shape);
  uint8_t *packed_codes = ck_test_guarded(ck_test_slot_codes, sizes.code_bytes, 64);
  int8_t *packed_multipliers = ck_test_guarded(ck_test_slot_multipliers, sizes.multipliers, 64);
  int32_t *sums = ck_test_guarded(ck_test_slot_sums, sizes.sums * sizeof(int32_t), 64);
  float *packed_scales = ck_test_guarded(ck_test_slot_scales, sizes.scales * sizeof(float), 64);
  memset(packed_codes, 0, sizes.code_bytes);
  if (sizes.scales > 0) {
    memset(packed_scales, 0, sizes.scales * sizeof(float));
    memcpy(packed_scales, scales, shape->outputs * sizeof(float));
  }
  ck_gemm_arrays arrays = {packed_codes, packed_multipliers, sums};
  size_t panels = (shape->outputs + config->n_step - 1) / config->n_step, half = panels / 2;
  size_t first = half * config->n_step, code_bytes = config->bits == 16 ? 2 : 1, groups = ck_gemm_groups(shape->inputs, shape->group);
  config->pack_weights(shape, (const char *)codes + first * shape->inputs * code_bytes, groups > 0 ? multipliers + first * groups : NULL, half, panels,
                       &arrays);
  config->pack_weights(shape, codes, multipliers, 0, half, &arrays);
  uint32_t *starts = NULL;
  uint8_t *units = NULL;
  if (config->needs & ck_gemm_needs_unsafe_pairs) {
    starts = ck_test_guarded(ck_test_slot_starts, ck_gemm_unsafe_start_count(shape->inputs, shape->outputs) * sizeof *starts, 64);
    units = ck_test_guarded(ck_test_slot_units, ck_gemm_list_unsafe(shape->inputs, shape->outputs, codes, NULL, NULL), 64);
    ck_gemm_list_unsafe(shape->inputs, shape->outputs, codes, starts, units);
  }
  return (ck_gemm_weights){shape->inputs, shape->outputs, shape->group, packed_codes, shape->group == 0 ? NULL : packed_multipliers, sums,
                           packed_scales, starts, units};
}

int ck_test_weights_are_intact(void) {
  for (int slot = ck_test_slot_codes; slot <= ck_test_slot_units; slot++)
    if (!ck_test_guards_are_intact(slot)) return 0;
  return 1;
}

ck_gemm_activations ck_test_pack_activations(const ck_gemm_config *config, const ck_gemm_source *source, void *workspace) {
  size_t rows = source->rows, half = rows > config->few_rows ? rows / 2 / config->m_step * config->m_step : 0;
  if (config->needs & ck_gemm_reads_floats)
    return (ck_gemm_activations){rows, source->stride, (const uint8_t *)(const void *)source->data, NULL, NULL};
  ck_gemm_codes_out to = {ck_test_guarded(ck_test_slot_activations, config->activation_bytes(rows, source->inputs), 64),
                          ck_test_guarded(ck_test_slot_activation_scales, rows * sizeof(float), 64),
                          ck_test_guarded(ck_test_slot_zero_points, rows * sizeof(int32_t), 64)};
  if (half < rows) config->pack_activations(source, half, rows, &to, workspace);
  if (half > 0) config->pack_activations(source, 0, half, &to, workspace);
  return (ck_gemm_activations){rows, 0, to.codes, to.scales, to.zero_points};
}

int ck_test_activations_are_intact(void) {
  return ck_test_guards_are_intact(ck_test_slot_activations) && ck_test_guards_are_intact(ck_test_slot_activation_scales) &&
         ck_test_guards_are_intact(ck_test_slot_zero_points);
}

void ck_test_multiply(const ck_gemm_config *config, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, int is_cut,
                      void *workspace) {
  size_t rows = x->rows, panels = (w->outputs + config->n_step - 1) / config->n_step;
  size_t row = is_cut && rows > config->few_rows ? rows / 2 / config->m_step * config->m_step : 0, panel = is_cut ? panels / 2 : 0;
  for (int part = 0; part < 4; part++) {
    size_t row_begin = part & 1 ? row : 0, row_end = part & 1 ? rows : row, begin = part & 2 ? panel : 0, end = part & 2 ? panels : panel;
    if (row_begin < row_end && begin < end) config->kernel(w, x, y, row_begin, row_end, begin, end, workspace);
  }
}
