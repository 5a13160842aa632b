// Checks block-sparse products against plain loops: float32 ones against sums in float64, int8 ones bit for bit.
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
  slot_starts,
  slot_runs,
  slot_strips,
  slot_columns,
  slot_values,
  slot_sums,
  slot_scales,
  slot_scratch,
  slot_bias,
  slot_offsets,
  slot_block_columns,
  slot_blocks,
  slot_dense,
};

typedef struct matrix {
  uint32_t *offsets, *columns;
  float *values, *dense;     // [blocks][R][C], [N][K]
  int8_t *codes, *dense_codes;
  float *bias, *scales, *x;  // [N], [N], [M][K]
} matrix;

static int8_t make_code(int kind, uint64_t *state) {
  if (kind == 1) return 127;
  if (kind == 2) return -127;
  if (kind == 3) return (int8_t)(ck_test_coin(state) ? 127 : -127);
  return (int8_t)ck_test_between(state, -127, 127);
}

// Moves an array into guarded memory of its size.
static void *guard(int slot, void *array, size_t bytes, size_t alignment) {
  void *guarded = memcpy(ck_test_guarded(slot, bytes, alignment), array, bytes);
  free(array);
  return guarded;
}

static matrix make_matrix(const ck_test_sparse_case *c) {
  uint64_t state = c->seed | 1;
  size_t strips = (c->outputs + c->block_rows - 1) / c->block_rows, across = (c->inputs + c->block_columns - 1) / c->block_columns;
  size_t block = c->block_rows * c->block_columns, most = strips * across;
  matrix m = {malloc(4 * (strips + 1)), malloc(4 * most + 4), malloc(4 * most * block + 4), calloc(c->outputs * c->inputs, 4),
              malloc(most * block + 1), calloc(c->outputs * c->inputs, 1), ck_test_guarded(slot_bias, 4 * c->outputs, 4), malloc(4 * c->outputs),
              malloc(4 * c->rows * c->inputs)};
  size_t blocks = 0;
  for (size_t strip = 0; strip < strips; strip++) {
    m.offsets[strip] = (uint32_t)blocks;
    for (size_t column = 0; column < across; column++) {
      if (ck_test_between(&state, 1, 100) > c->percent) continue;
      for (size_t i = 0; i < block; i++) {
        size_t n = strip * c->block_rows + i / c->block_columns, k = column * c->block_columns + i % c->block_columns;
        int is_inside = n < c->outputs && k < c->inputs;
        m.values[blocks * block + i] = is_inside ? ck_test_number(&state) : 0;
        m.codes[blocks * block + i] = is_inside ? make_code(c->kind, &state) : 0;
        if (is_inside) m.dense[n * c->inputs + k] = m.values[blocks * block + i], m.dense_codes[n * c->inputs + k] = m.codes[blocks * block + i];
      }
      m.columns[blocks++] = (uint32_t)column;
    }
  }
  m.offsets[strips] = (uint32_t)blocks;
  m.offsets = guard(slot_offsets, m.offsets, 4 * (strips + 1), 4);
  m.columns = guard(slot_block_columns, m.columns, 4 * blocks, 4);
  if (c->is_s8) m.codes = guard(slot_blocks, m.codes, blocks * block, 1);
  else m.values = guard(slot_blocks, m.values, 4 * blocks * block, 4);
  for (size_t n = 0; n < c->outputs; n++) m.bias[n] = ck_test_number(&state), m.scales[n] = ck_test_number(&state);
  for (size_t i = 0; i < c->rows * c->inputs; i++) {
    m.x[i] = ck_test_number(&state);
    if (c->kind > 0) m.x[i] = ck_test_coin(&state) ? 255 : 0;
  }
  return m;
}

static void free_matrix(matrix *m, int is_s8) {
  if (is_s8) free(m->values);
  else free(m->codes);
  free(m->dense), free(m->dense_codes), free(m->scales), free(m->x);
}

// The arrays of a packed matrix, in guarded memory.
static ck_sparse_arrays make_arrays(const ck_sparse_sizes *sizes) {
  return (ck_sparse_arrays){ck_test_guarded(slot_starts, 4 * (sizes->slices + 1), 4), ck_test_guarded(slot_runs, sizeof(ck_sparse_run) * sizes->runs, 4),
                            ck_test_guarded(slot_strips, 4 * sizes->strips, 4), ck_test_guarded(slot_columns, 2 * sizes->columns, 2)};
}
static ck_sparse_structure make_structure(const ck_sparse_blocks *b, const ck_sparse_sizes *sizes, const ck_sparse_arrays *a) {
  return (ck_sparse_structure){b->inputs,     b->outputs, b->block_rows, b->block_columns, sizes->slices, b->slice_inputs,
                               a->run_starts, a->runs,    a->strips,     a->columns};
}

// All buffers of this product, and those that an earlier one had and this one has not.
static int is_intact(void) {
  for (int slot = slot_y; slot <= slot_dense; slot++)
    if (!ck_test_guards_are_intact(slot)) return 0;
  return ck_test_guards_are_intact(ck_test_slot_workspace);
}

// X as a layout stores it, rows `gap` longer than they need be, NaN between them.
static ck_sparse_input lay_out(const ck_test_sparse_case *c, const float *x) {
  size_t rows = c->layout & 1 ? c->inputs : c->rows, columns = c->layout & 1 ? c->rows : c->inputs, stride = columns + c->gap;
  size_t count = (rows - 1) * stride + columns;
  float *stored = ck_test_guarded(slot_x, 4 * count, 4);
  for (size_t i = 0; i < count; i++) stored[i] = NAN;
  for (size_t m = 0; m < c->rows; m++)
    for (size_t k = 0; k < c->inputs; k++) stored[c->layout & 1 ? k * stride + m : m * stride + k] = x[m * c->inputs + k];
  return (ck_sparse_input){stored, c->rows, stride, c->layout & 1 ? ck_feature_major : ck_row_major, 0, 0};
}

static ck_sparse_output make_output(const ck_test_sparse_case *c, const matrix *m) {
  size_t rows = c->layout & 2 ? c->outputs : c->rows, columns = c->layout & 2 ? c->rows : c->outputs, stride = columns + c->gap;
  float *y = ck_test_guarded(slot_y, 4 * ((rows - 1) * stride + columns), 4);
  return (ck_sparse_output){y, stride, c->layout & 2 ? ck_feature_major : ck_row_major, m->bias, c->relu};
}
static float output_at(const ck_sparse_output *y, size_t m, size_t n) {
  return y->data[y->layout == ck_row_major ? m * y->stride + n : n * y->stride + m];
}

static int floats_agree(const ck_test_sparse_case *c, const matrix *w, const ck_sparse_output *y) {
  for (size_t m = 0; m < c->rows; m++)
    for (size_t n = 0; n < c->outputs; n++) {
      double sum = (double)w->bias[n], size = fabs(sum), terms = 1;
      for (size_t k = 0; k < c->inputs; k++) {
        if (w->dense[n * c->inputs + k] == 0) continue;
        double product = (double)w->x[m * c->inputs + k] * (double)w->dense[n * c->inputs + k];
        sum += product;
        size += fabs(product);
        terms++;
      }
      if (c->relu && sum < 0) sum = 0;
      if (!(fabs((double)output_at(y, m, n) - sum) <= terms * 0x1p-24 * size)) return 0;
    }
  return 1;
}

// By the rules of quantize.h and sparse.h.
static int integers_agree(const ck_test_sparse_case *c, const matrix *w, const ck_sparse_output *y) {
  int32_t *differences = malloc(4 * c->inputs);
  int agrees = 1;
  for (size_t m = 0; m < c->rows; m++) {
    const float *x = w->x + m * c->inputs;
    float low = INFINITY, high = -INFINITY;
    for (size_t k = 0; k < c->inputs; k++) low = x[k] < low ? x[k] : low, high = x[k] > high ? x[k] : high;
    ck_affine rule = ck_affine_of_range(low, high, 255);
    for (size_t k = 0; k < c->inputs; k++) differences[k] = ck_code(x[k], rule.inverse_scale, rule.zero_point, 0, 255) - rule.zero_point;
    for (size_t n = 0; n < c->outputs; n++) {
      const int8_t *codes = w->dense_codes + n * c->inputs;
      int32_t sum = 0;  // 255 · 127 · 65,536 < 2³¹
      for (size_t k = 0; k < c->inputs; k++) sum += differences[k] * codes[k];
      float value = (float)sum * (rule.scale * w->scales[n]) + w->bias[n], found = output_at(y, m, n);
      if (c->relu && value < 0) value = 0;
      agrees &= found == value;  // zeros of either sign are equal
    }
  }
  free(differences);
  return agrees;
}

static int check_floats(const ck_sparse_f32_config *config, const ck_test_sparse_case *c, const matrix *m) {
  size_t slice = c->slice_inputs > 0 ? c->slice_inputs : config->slice_inputs(c->inputs, c->block_rows, c->block_columns, c->rows);
  ck_sparse_blocks blocks = {c->inputs, c->outputs, c->block_rows, c->block_columns, slice, m->offsets, m->columns};
  uint32_t *scratch = ck_test_guarded(slot_scratch, 4 * ck_sparse_pack_scratch(c->inputs, c->outputs, c->block_rows), 4);
  ck_sparse_sizes sizes = config->sizes(&blocks, scratch);
  ck_sparse_arrays arrays = make_arrays(&sizes);
  float *values = ck_test_guarded(slot_values, 4 * sizes.values, 4);
  config->pack(&blocks, m->values, scratch, &arrays, values);
  ck_sparse_f32 w = {make_structure(&blocks, &sizes, &arrays), values};
  float *dense = ck_test_guarded(slot_dense, 4 * c->outputs * c->inputs, 4);
  memset(dense, 0, 4 * c->outputs * c->inputs);
  config->unpack(&w, dense);
  int agrees = memcmp(dense, m->dense, 4 * c->outputs * c->inputs) == 0;
  ck_sparse_input x = lay_out(c, m->x);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&w.structure), 64);
  ck_sparse_output y = make_output(c, m);
  size_t step = c->is_cut ? config->tile(c->block_rows) : c->rows;
  for (size_t row = 0; row < c->rows; row += step) config->kernel(&w, 1, &x, &y, row, c->rows - row < step ? c->rows : row + step, workspace);
  agrees &= floats_agree(c, m, &y) && is_intact();
  if (c->rows == 1) {
    ck_test_sparse_case row_major = *c;
    row_major.layout = 0;
    y = make_output(&row_major, m);
    config->vector_kernel(&w, lay_out(&row_major, m->x).data, &y);
    agrees &= floats_agree(c, m, &y) && is_intact();
  }
  return agrees;
}

static int check_vector(const ck_sparse_s8_config *config, const ck_test_sparse_case *c, const matrix *m, const ck_sparse_s8 *w) {
  ck_test_sparse_case row_major = *c;
  row_major.layout = 0;
  ck_sparse_output y = make_output(&row_major, m);
  size_t padded = (c->inputs + 63) / 64 * 64;
  uint8_t *codes = ck_test_guarded(slot_x, padded, 64);
  float scale;
  int32_t zero;
  ck_quantize_rows_u8_f32__portable(m->x, 1, c->inputs, c->inputs, 255, codes, padded, &scale, &zero);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->vector_workspace_bytes(c->inputs), 64);
  config->vector_kernel(w, codes, scale, zero, &y, workspace);
  return integers_agree(c, m, &y) && is_intact();
}

static int check_integers(const ck_sparse_s8_config *config, const ck_test_sparse_case *c, const matrix *m) {
  size_t slice = (c->inputs + c->block_columns - 1) / c->block_columns * c->block_columns;
  ck_sparse_blocks blocks = {c->inputs, c->outputs, c->block_rows, c->block_columns, slice, m->offsets, m->columns};
  uint32_t *scratch = ck_test_guarded(slot_scratch, 4 * ck_sparse_pack_scratch(c->inputs, c->outputs, c->block_rows), 4);
  ck_sparse_sizes sizes = config->sizes(&blocks, m->codes, scratch);
  ck_sparse_arrays arrays = make_arrays(&sizes);
  int8_t *values = ck_test_guarded(slot_values, sizes.values, 1);
  int32_t *sums = ck_test_guarded(slot_sums, 4 * c->outputs, 4);
  float *scales = ck_test_guarded(slot_scales, 4 * c->outputs, 4);
  memcpy(scales, m->scales, 4 * c->outputs);
  config->pack(&blocks, m->codes, scratch, &arrays, values, sums);
  ck_sparse_s8 w = {make_structure(&blocks, &sizes, &arrays), values, scales, sums};
  ck_sparse_input x = lay_out(c, m->x);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&w.structure), 64);
  ck_sparse_output y = make_output(c, m);
  size_t step = c->is_cut ? config->tile(c->block_rows) : c->rows;
  for (size_t row = 0; row < c->rows; row += step) config->kernel(&w, 1, &x, &y, row, c->rows - row < step ? c->rows : row + step, workspace);
  int agrees = integers_agree(c, m, &y) && is_intact();
  return agrees && (c->rows > 1 || check_vector(config, c, m, &w));
}

int ck_test_sparse(ck_isa isa, const ck_test_sparse_case *c) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  matrix m = make_matrix(c);
  int agrees = c->is_s8 ? check_integers(kernels->spmm_f32_u8_s8block, c, &m) : check_floats(kernels->spmm_f32_f32_block, c, &m);
  free_matrix(&m, c->is_s8);
  return agrees;
}
