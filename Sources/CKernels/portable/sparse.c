// The reference of the sparse family: each stored weight once, for every row of X.
#include "../sparse/layout.h"
#include "dispatch.h"

#include "scalar.h"

CK_NO_CONTRACTION

static float input_at(const ck_sparse_input *x, size_t m, size_t k) {
  return x->layout == ck_row_major ? x->data[m * x->stride + k] : x->data[k * x->stride + m];
}
static float *output_at(const ck_sparse_output *y, size_t m, size_t n) {
  return y->layout == ck_row_major ? y->data + m * y->stride + n : y->data + n * y->stride + m;
}
static float relu(const ck_sparse_output *y, float value) { return y->relu && value < 0.0f ? 0.0f : value; }

static void multiply_row(const ck_sparse_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t m) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *column = t->columns;
  const float *value = w->values;
  for (size_t n = 0; n < t->outputs; n++) *output_at(y, m, n) = y->bias != NULL ? y->bias[n] : 0.0f;
  for (size_t slice = 0; slice < t->slices; slice++)
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++)
      for (uint32_t i = 0; i < t->runs[run].strips; i++, strip++)
        for (uint32_t b = 0; b < t->runs[run].blocks; b++, column++)
          for (size_t c = 0; c < t->block_columns; c++)
            for (size_t r = 0; r < t->block_rows; r++, value++) {
              size_t n = *strip * t->block_rows + r, k = slice * t->slice_inputs + *column * t->block_columns + c;
              if (n < t->outputs && k < t->inputs) *output_at(y, m, n) += *value * input_at(x, m, k);
            }
  for (size_t n = 0; n < t->outputs; n++) *output_at(y, m, n) = relu(y, *output_at(y, m, n));
}

static void sparse_f32(const ck_sparse_f32 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y,
                                     size_t row_begin, size_t row_end, void *workspace) {
  (void)workspace;
  ck_sparse_output to = *y;
  for (size_t part = 0; part < parts; part++) {
    for (size_t m = row_begin; m < row_end; m++) multiply_row(w + part, x, &to, m);
    to = ck_sparse_output_from(&to, w[part].structure.outputs);
  }
}

static void sparse_vector_f32(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  ck_sparse_input input = {x, 1, w->structure.inputs, ck_row_major, 0, 0};
  ck_sparse_output row = {y->data, w->structure.outputs, ck_row_major, y->bias, y->relu};
  multiply_row(w, &input, &row, 0);
}

// Scale, zero point and codes of row m, as ck_fn_quantize_rows_u8_f32 makes them, or fixed ones.
static ck_affine range_of_row(const ck_sparse_input *x, size_t m, size_t inputs) {
  if (x->fixed_scale > 0) return (ck_affine){x->fixed_scale, 1.0f / x->fixed_scale, x->fixed_zero_point};
  float lowest = 0, highest = 0;
  for (size_t k = 0; k < inputs; k++) {
    float value = input_at(x, m, k);
    lowest = value < lowest ? value : lowest;
    highest = value > highest ? value : highest;
  }
  return ck_affine_of_range(lowest, highest, 255);
}

// One row of codes: these, or those of row m of X.
typedef struct code_row {
  const uint8_t *codes;
  const ck_sparse_input *x;
  size_t m;
  ck_affine affine;
} code_row;

static int32_t code_at(const code_row *row, size_t k) {
  return row->codes != NULL ? row->codes[k] : ck_code(input_at(row->x, row->m, k), row->affine.inverse_scale, row->affine.zero_point, 0, 255);
}

static int32_t integer_sum(const ck_sparse_s8 *w, size_t n, const code_row *row) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  int is_gathered = t->block_columns == 1;
  size_t quad = 0;
  int32_t sum = 0;
  for (uint32_t run = 0; run < t->run_starts[1]; run++)
    for (uint32_t i = 0; i < t->runs[run].strips; i++, strip++, quad += t->runs[run].blocks) {
      if (*strip != n / t->block_rows) continue;
      for (size_t q = quad; q < quad + t->runs[run].blocks; q++)
        for (size_t j = 0; j < 4; j++) {
          size_t k = is_gathered ? t->columns[4 * q + j] : (size_t)t->columns[q] * 4 + j;
          if (k < t->inputs) sum += code_at(row, k) * w->values[(q * t->block_rows + n % t->block_rows) * 4 + j];
        }
    }
  return sum;
}

// relu(x_scale · scale · (Σ x · code − zero_point · Σ code) + bias) of output n.
static float integer_output(const ck_sparse_s8 *w, size_t n, const code_row *row, const ck_sparse_output *y) {
  int32_t sum = integer_sum(w, n, row) - row->affine.zero_point * w->sums[n];
  return relu(y, (float)sum * (row->affine.scale * w->scales[n]) + (y->bias != NULL ? y->bias[n] : 0.0f));
}

static void sparse_s8(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y,
                                      size_t row_begin, size_t row_end, void *workspace) {
  (void)workspace;
  ck_sparse_output to = *y;
  for (size_t part = 0; part < parts; to = ck_sparse_output_from(&to, w[part++].structure.outputs))
    for (size_t m = row_begin; m < row_end; m++) {
      code_row row = {NULL, x, m, range_of_row(x, m, w[part].structure.inputs)};
      for (size_t n = 0; n < w[part].structure.outputs; n++) *output_at(&to, m, n) = integer_output(w + part, n, &row, &to);
    }
}

static void sparse_vector_s8(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                      void *workspace) {
  (void)workspace;
  code_row row = {codes, NULL, 0, {scale, 0, zero_point}};
  for (size_t n = 0; n < w->structure.outputs; n++) y->data[n] = integer_output(w, n, &row, y);
}

// ---- Configurations

static size_t one_row(size_t block_rows) {
  (void)block_rows;
  return 1;
}
static size_t whole_slice(size_t inputs, size_t block_rows, size_t block_columns, size_t rows) {
  (void)block_rows, (void)rows;
  size_t whole = (inputs + block_columns - 1) / block_columns * block_columns;
  return whole < ck_sparse_max_slice ? whole : ck_sparse_max_slice;
}
static size_t no_workspace(const ck_sparse_structure *w) {
  (void)w;
  return 0;
}
static size_t no_vector_workspace(size_t inputs) {
  (void)inputs;
  return 0;
}

const ck_sparse_f32_config ck_spmm_f32_f32_block__portable =
    CK_SPARSE_F32_CONFIG(CK_SPARSE_STRIPS, one_row, whole_slice, ck_sparse_f32_sizes_strips, ck_sparse_f32_pack_strips, ck_sparse_f32_unpack_strips,
                         sparse_f32, sparse_vector_f32, no_workspace);
// A tile is one row: all rows go one by one.
static const ck_sparse_costs costs[ck_sparse_cost_classes] = {{1, 0, 0, 1, 0, 0}, {1, 0, 0, 1, 0, 0}, {1, 0, 0, 1, 0, 0}};
const ck_sparse_s8_config ck_spmm_f32_u8_s8block__portable =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, one_row, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads, sparse_s8,
                        sparse_vector_s8, costs, no_workspace, no_vector_workspace);
