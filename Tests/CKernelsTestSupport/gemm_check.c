// Checks a gemm kernel against plain loops, in C because debug builds of Swift are slow: packs, runs, compares.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"

typedef struct operands {
  int8_t *codes, *multipliers;  // [N][K], [N][K/group]
  uint8_t *x;                   // [M][K]
  int32_t *zeros;               // [M]
  float *x_scales, *scales, *bias;
} operands;

static void *allocate(size_t bytes) { return aligned_alloc(64, ck_round_up(bytes + 1, 64)); }

static uint64_t next(uint64_t *state) {  // xorshift64 (Marsaglia 2003)
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static int between(uint64_t *state, int lowest, int highest) { return lowest + (int)(next(state) >> 33) % (highest - lowest + 1); }

static operands make_operands(const ck_test_gemm_case *c, ck_test_extremes extremes) {
  uint64_t state = c->seed | 1;
  size_t m = c->rows, k = c->inputs, n = c->outputs, groups = c->group ? k / c->group : 0;
  int highest = c->bits == 8 ? 127 : (1 << (c->bits - 1)) - 1, lowest = c->bits == 8 ? -127 : -highest - 1, most = c->is_u7 ? 127 : 255;
  operands o = {allocate(n * k), allocate(n * groups), allocate(m * k), allocate(4 * m), allocate(4 * m), allocate(4 * n), allocate(4 * n)};
  for (size_t i = 0; i < n * k; i++)
    o.codes[i] = (int8_t)(extremes == ck_test_random ? between(&state, lowest, highest) : extremes == ck_test_lowest ? lowest
                          : extremes == ck_test_highest ? highest : next(&state) >> 40 & 1 ? lowest : highest);
  for (size_t i = 0; i < n * groups; i++) {
    int multiplier = between(&state, -127, 127);
    o.multipliers[i] = (int8_t)(extremes == ck_test_random ? multiplier : extremes == ck_test_mixed ? (multiplier < 0 ? -127 : 127) : 127);
  }
  for (size_t i = 0; i < m * k; i++)
    o.x[i] = (uint8_t)(extremes == ck_test_random ? between(&state, 0, most) : extremes == ck_test_mixed ? (next(&state) >> 40 & 1 ? most : 0) : most);
  for (size_t i = 0; i < m; i++) {
    o.zeros[i] = extremes == ck_test_random ? between(&state, 0, most) : i % 2 ? most : 0;
    o.x_scales[i] = (float)between(&state, 1, 1000) * 0x1p-14f;
  }
  for (size_t i = 0; i < n; i++) {
    o.scales[i] = (float)between(&state, -1000, 1000) * 0x1p-16f;
    o.bias[i] = (float)between(&state, -1000, 1000);
  }
  return o;
}

static void free_operands(operands *o) {
  free(o->codes), free(o->multipliers), free(o->x), free(o->zeros), free(o->x_scales), free(o->scales), free(o->bias);
}

// The formula: Σ multiplier · (x − zero) · code.
static int64_t exact_sum(const ck_test_gemm_case *c, const operands *o, size_t m, size_t n) {
  int64_t sum = 0;
  for (size_t k = 0; k < c->inputs; k++) {
    int32_t product = (o->x[m * c->inputs + k] - o->zeros[m]) * o->codes[n * c->inputs + k];
    sum += c->group ? (int64_t)product * o->multipliers[n * (c->inputs / c->group) + k / c->group] : product;
  }
  return sum;
}

static uint8_t *pack_activations(const ck_kernels *kernels, const uint8_t *x, size_t rows, size_t inputs) {
  size_t padded = ck_round_up(inputs, ck_fold);
  uint8_t *row_major = allocate(ck_round_up(rows, ck_row_block) * padded);
  memset(row_major, 0, rows * padded);
  for (size_t m = 0; m < rows; m++) memcpy(row_major + m * padded, x + m * inputs, inputs);
  if (rows <= ck_few_rows) return row_major;
  uint8_t *blocks = allocate(ck_gemm_activation_bytes(rows, inputs));
  for (size_t m = 0; m < rows; m += ck_row_block)
    kernels->interleave_u8(row_major + m * padded, rows - m < ck_row_block ? rows - m : ck_row_block, padded, padded, blocks + m * padded);
  free(row_major);
  return blocks;
}

static ck_fn_gemm_u8_s8 *kernel_of(const ck_kernels *kernels, const ck_test_gemm_case *c) {
  if (c->bits == 4) return kernels->gemm_u8_s4;
  if (c->bits == 2) return kernels->gemm_u8_s2;
  return c->is_u7 ? kernels->gemm_u7_s8 : kernels->gemm_u8_s8;
}

// Runs the product of the first `rows` rows, cut in four if `is_cut`, into y[rows][N + 1]; the last column is a guard.
static void run(const ck_kernels *kernels, const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w, size_t rows,
                ck_output_type type, int is_cut, void *y) {
  uint8_t *x = pack_activations(kernels, o->x, rows, c->inputs);
  void *workspace = allocate(ck_gemm_workspace_bytes(c->inputs));
  ck_gemm_activations activations = {rows, x, o->x_scales, o->zeros};
  ck_gemm_output output = {type, y, c->outputs + 1, o->bias, c->relu, 0.37f, type == ck_output_u8 ? 100 : 0};
  size_t panels = ck_round_up(c->outputs, ck_panel) / ck_panel, half = is_cut ? rows / 2 / ck_row_block * ck_row_block : rows;
  size_t first = is_cut ? panels / 2 : panels;
  for (int part = 0; part < 4; part++) {
    size_t row_begin = part & 1 ? half : 0, row_end = part & 1 ? rows : half, begin = part & 2 ? first : 0, end = part & 2 ? panels : first;
    // Few rows are never cut by rows.
    if (rows <= ck_few_rows && (part & 1)) continue;
    if (rows <= ck_few_rows) row_begin = 0, row_end = rows;
    if (row_begin < row_end && begin < end) kernel_of(kernels, c)(w, &activations, &output, row_begin, row_end, begin, end, workspace);
  }
  free(x), free(workspace);
}

static int32_t requantized(float y, int32_t zero, int32_t lowest, int32_t highest) {
  double scaled = (double)(y * 0.37f), rounded = __builtin_nearbyint(scaled) + zero;
  return rounded < lowest ? lowest : rounded > highest ? highest : (int32_t)rounded;
}

// Compares all kinds of output of the first `rows` rows; sums are exact[m][n].
static int outputs_agree(const ck_kernels *kernels, const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w, size_t rows,
                         const int64_t *exact) {
  size_t n = c->outputs, stride = n + 1;
  int32_t *sums = allocate(4 * rows * stride);
  float *whole = allocate(4 * rows * stride), *cut = allocate(4 * rows * stride);
  uint8_t *bytes = allocate(rows * stride);
  int8_t *signed_bytes = allocate(rows * stride);
  int is_one_segment = ck_gemm_segments(c->inputs, c->group, c->bits) == 1, agrees = 1;
  for (size_t i = 0; i < rows * stride; i++) sums[i] = 77, whole[i] = cut[i] = 77, bytes[i] = 77, signed_bytes[i] = 77;
  if (is_one_segment) run(kernels, c, o, w, rows, ck_output_s32, 0, sums);
  run(kernels, c, o, w, rows, ck_output_f32, 0, whole);
  run(kernels, c, o, w, rows, ck_output_f32, 1, cut);
  run(kernels, c, o, w, rows, ck_output_u8, 0, bytes);
  run(kernels, c, o, w, rows, ck_output_s8, 1, signed_bytes);
  agrees &= memcmp(whole, cut, 4 * rows * stride) == 0;
  for (size_t m = 0; m < rows; m++) {
    for (size_t j = 0; j < n; j++) {
      size_t at = m * stride + j;
      int64_t sum = exact[m * n + j];
      float y = (float)sum * (o->x_scales[m] * o->scales[j]);
      y = y + o->bias[j];
      if (c->relu && y < 0) y = 0;
      if (is_one_segment) {
        agrees &= sums[at] == sum && whole[at] == y;
      } else {  // each segment rounds once when it becomes a float and once when it is added
        double segments = (double)ck_gemm_segments(c->inputs, c->group, c->bits);
        double bound = 2 * segments * 0x1p-24 * (double)c->inputs * 255 * (1 << (c->bits - 1)) * 127;
        agrees &= __builtin_fabs((double)whole[at] - (double)y) <= bound * (double)__builtin_fabsf(o->x_scales[m] * o->scales[j]) + 1e-3;
        y = whole[at];
      }
      agrees &= bytes[at] == requantized(y, 100, 0, 255) && signed_bytes[at] == requantized(y, 0, -127, 127);
    }
    agrees &= sums[m * stride + n] == 77 && whole[m * stride + n] == 77 && bytes[m * stride + n] == 77 && signed_bytes[m * stride + n] == 77;
  }
  free(sums), free(whole), free(cut), free(bytes), free(signed_bytes);
  return agrees;
}

static int unpacks(const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w) {
  size_t k = c->inputs, groups = c->group ? k / c->group : 0;
  int8_t *codes = allocate(k), *multipliers = allocate(groups);
  int agrees = 1;
  for (size_t n = 0; n < c->outputs; n++) {
    ck_gemm_unpack_row(c->bits, w, n, codes, groups ? multipliers : NULL);
    agrees &= memcmp(codes, o->codes + n * k, k) == 0 && (groups == 0 || memcmp(multipliers, o->multipliers + n * groups, groups) == 0);
  }
  free(codes), free(multipliers);
  return agrees;
}

size_t ck_test_gemm(ck_isa isa, const ck_test_gemm_case *c, ck_test_extremes extremes, size_t first_rows, size_t row_step) {
  const ck_kernels *kernels = ck_kernels_of(isa);
  operands o = make_operands(c, extremes);
  size_t padded_outputs = ck_round_up(c->outputs, ck_panel);
  uint8_t *codes = allocate(ck_gemm_code_bytes(c->inputs, c->outputs, c->bits));
  int8_t *multipliers = allocate(ck_gemm_multiplier_count(c->inputs, c->outputs, c->group));
  int32_t *sums = allocate(4 * ck_gemm_segments(c->inputs, c->group, c->bits) * padded_outputs);
  float *scales = allocate(4 * padded_outputs);
  memset(scales, 0, 4 * padded_outputs);
  memcpy(scales, o.scales, 4 * c->outputs);
  memset(codes, 0, ck_gemm_code_bytes(c->inputs, c->outputs, c->bits));
  ck_gemm_pack(c->bits, c->inputs, c->outputs, c->group, o.codes, o.multipliers, 0, padded_outputs / ck_panel, codes, multipliers, sums);
  uint32_t *starts = allocate(4 * ck_gemm_unsafe_start_count(c->inputs, c->outputs));
  uint8_t *units = allocate(ck_gemm_list_unsafe(c->inputs, c->outputs, o.codes, NULL, NULL));
  ck_gemm_list_unsafe(c->inputs, c->outputs, o.codes, starts, units);
  int needs_lists = c->bits == 8 && !c->is_u7;
  ck_gemm_weights w = {c->inputs, c->outputs, c->group, codes, c->group ? multipliers : NULL, sums, scales, needs_lists ? starts : NULL,
                       needs_lists ? units : NULL};
  int64_t *exact = allocate(8 * c->rows * c->outputs);
  for (size_t m = 0; m < c->rows; m++)
    for (size_t n = 0; n < c->outputs; n++) exact[m * c->outputs + n] = exact_sum(c, &o, m, n);
  size_t failed = unpacks(c, &o, &w) ? 0 : c->rows + 1;
  for (size_t rows = first_rows; rows <= c->rows && failed == 0; rows += row_step)
    if (!outputs_agree(kernels, c, &o, &w, rows, exact)) failed = rows;
  free(codes), free(multipliers), free(sums), free(scales), free(exact), free(starts), free(units);
  free_operands(&o);
  return failed;
}
