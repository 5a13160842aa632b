// Checks a gemm kernel against plain loops, in C because debug builds of Swift are slow: packs, runs, compares.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"

// What is expected is made of separate products and sums.
#pragma clang fp contract(off)

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

static int coin(uint64_t *state) { return next(state) >> 40 & 1; }

static int8_t make_code(ck_test_extremes extremes, uint64_t *state, int lowest, int highest, int is_binary) {
  switch (extremes) {
    case ck_test_random: return (int8_t)(is_binary ? coin(state) * 2 - 1 : between(state, lowest, highest));
    case ck_test_highest: return (int8_t)highest;
    case ck_test_lowest:
    case ck_test_lowest_times_zero: return (int8_t)lowest;
    default: return (int8_t)(coin(state) ? lowest : highest);
  }
}

// `code` is that of output 0 at the same input.
static uint8_t make_activation(ck_test_extremes extremes, uint64_t *state, int most, int code) {
  switch (extremes) {
    case ck_test_random: return (uint8_t)between(state, 0, most);
    case ck_test_mixed: return (uint8_t)(coin(state) ? most : 0);
    case ck_test_aligned: return (uint8_t)(code > 0 ? most : 0);
    case ck_test_lowest_times_zero: return 0;
    default: return (uint8_t)most;
  }
}

// Pairs of inputs 2·i and 2·i + 1 whose weights have equal signs and add up to 128 or 129 in magnitude.
static void make_edge_pairs(uint64_t *state, size_t outputs, size_t inputs, int8_t *codes) {
  for (size_t n = 0; n < outputs; n++)
    for (size_t k = 0; k + 1 < inputs; k += 2) {
      int sum = 128 + coin(state), first = between(state, sum - 127, 127), sign = coin(state) ? 1 : -1;
      codes[n * inputs + k] = (int8_t)(sign * first);
      codes[n * inputs + k + 1] = (int8_t)(sign * (sum - first));
    }
}

static operands make_operands(const ck_test_gemm_case *c, ck_test_extremes extremes) {
  uint64_t state = c->seed | 1;
  size_t m = c->rows, k = c->inputs, n = c->outputs, groups = c->group ? (k + c->group - 1) / c->group : 0;
  int highest = c->bits == 8 ? 127 : c->bits == 1 ? 1 : (1 << (c->bits - 1)) - 1, most = c->is_u7 ? 127 : 255;
  int lowest = c->bits == 8 || c->bits == 1 ? -highest : -highest - 1;
  operands o = {allocate(n * k), allocate(n * groups), allocate(m * k), allocate(4 * m), allocate(4 * m), allocate(4 * n), allocate(4 * n)};
  for (size_t i = 0; i < n * k; i++) o.codes[i] = make_code(extremes, &state, lowest, highest, c->bits == 1);
  if (extremes == ck_test_edge_pairs && c->bits == 8) make_edge_pairs(&state, n, k, o.codes);
  for (size_t i = 0; i < n * groups; i++) {
    int multiplier = between(&state, -127, 127);
    o.multipliers[i] = (int8_t)(extremes == ck_test_random ? multiplier : extremes == ck_test_mixed ? (multiplier < 0 ? -127 : 127) : 127);
  }
  for (size_t i = 0; i < m * k; i++) o.x[i] = make_activation(extremes, &state, most, o.codes[i % k]);
  // At the extremes outputs also leave the range of int32 before they are requantized.
  float unit = extremes == ck_test_random ? 0x1p-14f : 0x1p20f;
  for (size_t i = 0; i < m; i++) {
    o.zeros[i] = extremes == ck_test_random ? between(&state, 0, most) : i % 2 ? most : 0;
    o.x_scales[i] = (float)between(&state, 1, 1000) * unit;
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

// What an output is made of: the exact sum, and its segments added as floats, in order.
typedef struct reference {
  int64_t sum;
  float total;
  int fits;  // every segment in int32
} reference;

// The formula: Σ multiplier · (x − zero) · code.
static reference exact_sum(const ck_test_gemm_case *c, const operands *o, size_t m, size_t n) {
  reference result = {0, 0, 1};
  size_t segment = ck_gemm_segment(c->inputs, c->group, c->bits);
  for (size_t first = 0; first < c->inputs; first += segment) {
    int64_t sum = 0;
    for (size_t k = first; k < c->inputs && k < first + segment; k++) {
      int32_t product = (o->x[m * c->inputs + k] - o->zeros[m]) * o->codes[n * c->inputs + k];
      sum += c->group ? (int64_t)product * o->multipliers[n * ((c->inputs + c->group - 1) / c->group) + k / c->group] : product;
    }
    result.sum += sum;
    result.total = first == 0 ? (float)sum : result.total + (float)sum;
    result.fits &= sum >= INT32_MIN && sum <= INT32_MAX;
  }
  return result;
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
  if (c->bits == 1) return kernels->gemm_u8_s1;
  return c->is_u7 ? kernels->gemm_u7_s8 : kernels->gemm_u8_s8;
}

enum { workspace_guard = 192 };

// Runs the product of the first `rows` rows, cut in four if `is_cut`, into y[rows][N + 1]; the last column is a guard. Returns
// whether the bytes behind the workspace are as they were.
static int run(const ck_kernels *kernels, const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w, size_t rows,
                ck_output_type type, int is_cut, void *y) {
  uint8_t *x = pack_activations(kernels, o->x, rows, c->inputs);
  size_t workspace_bytes = ck_gemm_workspace_bytes(c->inputs);
  uint8_t *workspace = allocate(workspace_bytes + workspace_guard);
  memset(workspace, 0xA5, workspace_bytes + workspace_guard);
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
  int is_intact = 1;
  for (size_t i = 0; i < workspace_guard; i++) is_intact &= workspace[workspace_bytes + i] == 0xA5;
  free(x), free(workspace);
  return is_intact;
}

static int32_t requantized(float y, int32_t zero, int32_t lowest, int32_t highest) {
  double scaled = (double)(y * 0.37f), rounded = __builtin_nearbyint(scaled) + zero;
  return rounded < lowest ? lowest : rounded > highest ? highest : (int32_t)rounded;
}

static int same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

// Compares all kinds of output of the first `rows` rows with expected[m][n], bit for bit.
static int outputs_agree(const ck_kernels *kernels, const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w, size_t rows,
                         const reference *expected) {
  size_t n = c->outputs, stride = n + 1;
  int32_t *sums = allocate(4 * rows * stride);
  float *whole = allocate(4 * rows * stride), *cut = allocate(4 * rows * stride);
  uint8_t *bytes = allocate(rows * stride);
  int8_t *signed_bytes = allocate(rows * stride);
  int is_one_segment = ck_gemm_segments(c->inputs, c->group, c->bits) == 1, agrees = 1;
  for (size_t i = 0; i < rows * stride; i++) sums[i] = 77, whole[i] = cut[i] = 77, bytes[i] = 77, signed_bytes[i] = 77;
  if (is_one_segment) agrees &= run(kernels, c, o, w, rows, ck_output_s32, 0, sums);
  agrees &= run(kernels, c, o, w, rows, ck_output_f32, 0, whole);
  agrees &= run(kernels, c, o, w, rows, ck_output_f32, 1, cut);
  agrees &= run(kernels, c, o, w, rows, ck_output_u8, 0, bytes);
  agrees &= run(kernels, c, o, w, rows, ck_output_s8, 1, signed_bytes);
  agrees &= memcmp(whole, cut, 4 * rows * stride) == 0;
  for (size_t m = 0; m < rows; m++) {
    for (size_t j = 0; j < n; j++) {
      size_t at = m * stride + j;
      const reference *r = &expected[m * n + j];
      float y = r->total * (o->x_scales[m] * o->scales[j]) + o->bias[j];
      if (c->relu && y < 0) y = 0;
      agrees &= r->fits && same_bits(whole[at], y) && (!is_one_segment || sums[at] == r->sum);
      agrees &= bytes[at] == requantized(y, 100, 0, 255) && signed_bytes[at] == requantized(y, 0, -127, 127);
    }
    agrees &= sums[m * stride + n] == 77 && whole[m * stride + n] == 77 && bytes[m * stride + n] == 77 && signed_bytes[m * stride + n] == 77;
  }
  free(sums), free(whole), free(cut), free(bytes), free(signed_bytes);
  return agrees;
}

static int unpacks(const ck_test_gemm_case *c, const operands *o, const ck_gemm_weights *w) {
  size_t k = c->inputs, groups = c->group ? (k + c->group - 1) / c->group : 0;
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
  reference *expected = allocate(sizeof(reference) * c->rows * c->outputs);
  for (size_t m = 0; m < c->rows; m++)
    for (size_t n = 0; n < c->outputs; n++) expected[m * c->outputs + n] = exact_sum(c, &o, m, n);
  size_t failed = unpacks(c, &o, &w) ? 0 : c->rows + 1;
  for (size_t rows = first_rows; rows <= c->rows && failed == 0; rows += row_step)
    if (!outputs_agree(kernels, c, &o, &w, rows, expected)) failed = rows;
  free(codes), free(multipliers), free(sums), free(scales), free(expected), free(starts), free(units);
  free_operands(&o);
  return failed;
}
