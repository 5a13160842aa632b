// Checks an integer gemm kernel against plain loops, in C because debug builds of Swift are slow, and so that emulators can run it: packs, runs, compares.
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

// What is expected is made of separate products and sums.
CK_NO_CONTRACTION

enum { slot_unpacked = ck_test_slot_others, slot_codes = slot_unpacked + 2, slot_multipliers, slot_bias, slot_y };  // slot_y + 8 for each type, whole and cut

typedef struct operands {
  int8_t *codes, *multipliers;  // [N][K], [N][K/group]
  uint8_t *x;                   // [M][K]
  int32_t *zeros;               // [M]
  float *x_scales, *scales, *bias;
} operands;

static int8_t make_code(ck_test_extremes extremes, uint64_t *state, int lowest, int highest, int is_binary) {
  switch (extremes) {
    case ck_test_random: return (int8_t)(is_binary ? ck_test_coin(state) * 2 - 1 : ck_test_between(state, lowest, highest));
    case ck_test_highest: return (int8_t)highest;
    case ck_test_lowest:
    case ck_test_lowest_times_zero: return (int8_t)lowest;
    default: return (int8_t)(ck_test_coin(state) ? lowest : highest);
  }
}

// `code` is that of output 0 at the same input.
static uint8_t make_activation(ck_test_extremes extremes, uint64_t *state, int most, int code) {
  switch (extremes) {
    case ck_test_random: return (uint8_t)ck_test_between(state, 0, most);
    case ck_test_mixed: return (uint8_t)(ck_test_coin(state) ? most : 0);
    case ck_test_aligned: return (uint8_t)(code > 0 ? most : 0);
    case ck_test_lowest_times_zero: return 0;
    default: return (uint8_t)most;
  }
}

// Pairs of inputs 2·i and 2·i + 1 whose weights have equal signs and add up to 128 or 129 in magnitude.
static void make_edge_pairs(uint64_t *state, size_t outputs, size_t inputs, int8_t *codes) {
  for (size_t n = 0; n < outputs; n++)
    for (size_t k = 0; k + 1 < inputs; k += 2) {
      int sum = 128 + ck_test_coin(state), first = ck_test_between(state, sum - 127, 127), sign = ck_test_coin(state) ? 1 : -1;
      codes[n * inputs + k] = (int8_t)(sign * first);
      codes[n * inputs + k + 1] = (int8_t)(sign * (sum - first));
    }
}

static operands make_operands(const ck_test_gemm_case *c, ck_test_extremes extremes) {
  uint64_t state = c->seed | 1;
  size_t m = c->rows, k = c->inputs, n = c->outputs, groups = c->group ? (k + c->group - 1) / c->group : 0;
  int highest = c->bits == 8 ? 127 : c->bits == 1 ? 1 : (1 << (c->bits - 1)) - 1, most = c->is_u7 ? 127 : 255;
  int lowest = c->bits == 8 || c->bits == 1 ? -highest : -highest - 1;
  operands o = {ck_test_guarded(slot_codes, n * k, 1), ck_test_guarded(slot_multipliers, n * groups, 1), malloc(1 + m * k), malloc(1 + 4 * m),
                malloc(1 + 4 * m), malloc(1 + 4 * n), ck_test_guarded(slot_bias, 4 * n, 4)};
  for (size_t i = 0; i < n * k; i++) o.codes[i] = make_code(extremes, &state, lowest, highest, c->bits == 1);
  if (extremes == ck_test_edge_pairs && c->bits == 8) make_edge_pairs(&state, n, k, o.codes);
  for (size_t i = 0; i < n * groups; i++) {
    int multiplier = ck_test_between(&state, -127, 127);
    o.multipliers[i] = (int8_t)(extremes == ck_test_random ? multiplier : extremes == ck_test_mixed ? (multiplier < 0 ? -127 : 127) : 127);
  }
  for (size_t i = 0; i < m * k; i++) o.x[i] = make_activation(extremes, &state, most, o.codes[i % k]);
  // At the extremes outputs also leave the range of int32 before they are requantized.
  float unit = extremes == ck_test_random ? 0x1p-14f : 0x1p20f;
  for (size_t i = 0; i < m; i++) {
    o.zeros[i] = extremes == ck_test_random ? ck_test_between(&state, 0, most) : i % 2 ? most : 0;
    o.x_scales[i] = (float)ck_test_between(&state, 1, 1000) * unit;
  }
  for (size_t i = 0; i < n; i++) {
    o.scales[i] = (float)ck_test_between(&state, -1000, 1000) * 0x1p-16f;
    o.bias[i] = (float)ck_test_between(&state, -1000, 1000);
  }
  return o;
}

static void free_operands(operands *o) { free(o->x), free(o->zeros), free(o->x_scales), free(o->scales); }

// What an output is made of: the exact sum, and its segments added as floats, in order.
typedef struct reference {
  int64_t sum;
  float total;
  int fits;  // every segment in int32
} reference;

// Σ (x − zero) · code of inputs begin ..< end. |x − zero| ≤ 255, |code| ≤ 127: 65,536 of them fit in int32, whose loop compilers vectorize.
static int32_t sum_of_products(const ck_test_gemm_case *c, const operands *o, size_t m, size_t n, size_t begin, size_t end) {
  const uint8_t *x = o->x + m * c->inputs;
  const int8_t *codes = o->codes + n * c->inputs;
  int32_t sum = 0, zero = o->zeros[m];
  for (size_t k = begin; k < end; k++) sum += (x[k] - zero) * codes[k];
  return sum;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// The formula: Σ multiplier · (x − zero) · code.
static reference exact_sum(const ck_test_gemm_case *c, const operands *o, size_t m, size_t n) {
  reference result = {0, 0, 1};
  size_t segment = ck_gemm_segment(c->inputs, c->group, c->bits), group = c->group ? c->group : c->inputs, groups = ck_gemm_groups(c->inputs, c->group);
  for (size_t first = 0; first < c->inputs; first += segment) {
    int64_t sum = 0;
    for (size_t end, k = first; k < smaller(c->inputs, first + segment); k = end) {  // groups may lie across the ends of segments
      end = smaller((k / group + 1) * group, smaller(c->inputs, first + segment));
      sum += (int64_t)sum_of_products(c, o, m, n, k, end) * (c->group ? o->multipliers[n * groups + k / group] : 1);
    }
    result.sum += sum;
    result.total = first == 0 ? (float)sum : result.total + (float)sum;
    result.fits &= sum >= INT32_MIN && sum <= INT32_MAX;
  }
  return result;
}

// Packs X, whose codes are x / 1 + 0, and gives the rows the scales and zero points of the case.
static ck_gemm_activations pack_activations(const ck_test_gemm_case *c, const ck_gemm_config *config, const operands *o, size_t rows, void *workspace) {
  float *x = ck_test_guarded(ck_test_slot_source, rows * c->inputs * sizeof(float), sizeof(float));
  for (size_t i = 0; i < rows * c->inputs; i++) x[i] = o->x[i];
  ck_gemm_source source = {x, rows, c->inputs, c->inputs, c->is_u7 ? 127 : 255, 1, 0};
  ck_gemm_activations packed = ck_test_pack_activations(config, &source, workspace);
  memcpy((float *)(uintptr_t)packed.scales, o->x_scales, rows * sizeof(float));
  memcpy((int32_t *)(uintptr_t)packed.zero_points, o->zeros, rows * sizeof(int32_t));
  return packed;
}

// Runs the product of the first `rows` rows, cut in four if `is_cut`, into y[rows][N + 1], whose last column is a guard that the last row lacks. Null if
// anything was written elsewhere.
static void *run(const ck_test_gemm_case *c, const ck_gemm_config *config, const operands *o, const ck_gemm_weights *w, size_t rows,
                 ck_output_type type, int is_cut) {
  ck_gemm_shape shape = {c->inputs, c->outputs, c->group};
  size_t size = type == ck_output_f32 || type == ck_output_s32 ? 4 : 1, stride = c->outputs + 1;
  int slot = slot_y + (int)type * 2 + is_cut;
  uint8_t *y = ck_test_guarded(slot, (rows * stride - 1) * size, size);
  void *workspace = ck_test_guarded(ck_test_slot_workspace, config->workspace_bytes(&shape, rows), 64);
  ck_gemm_activations x = pack_activations(c, config, o, rows, workspace);
  ck_gemm_output output = {type, y, stride, o->bias, c->relu, 0.37f, type == ck_output_u8 ? 100 : 0};
  ck_test_multiply(config, w, &x, &output, is_cut, workspace);
  int intact = ck_test_guards_are_intact(slot) && ck_test_guards_are_intact(ck_test_slot_workspace) && ck_test_activations_are_intact();
  for (size_t i = stride; i < rows * stride; i += stride)
    for (size_t byte = 0; byte < size; byte++) intact &= y[(i - 1) * size + byte] == ck_test_pattern;
  return intact ? y : NULL;
}

static int32_t requantized(float y, int32_t zero, int32_t lowest, int32_t highest) {
  double scaled = (double)(y * 0.37f), rounded = __builtin_nearbyint(scaled) + zero;
  return rounded < lowest ? lowest : rounded > highest ? highest : (int32_t)rounded;
}

static int same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

// Compares all kinds of output of the first `rows` rows with expected[m][n], bit for bit.
static int outputs_agree(const ck_test_gemm_case *c, const ck_gemm_config *config, const operands *o, const ck_gemm_weights *w, size_t rows,
                         const reference *expected) {
  size_t n = c->outputs, stride = n + 1;
  int is_one_segment = ck_gemm_segments(c->inputs, c->group, c->bits) == 1;
  const int32_t *sums = is_one_segment ? run(c, config, o, w, rows, ck_output_s32, 0) : NULL;
  const float *whole = run(c, config, o, w, rows, ck_output_f32, 0), *cut = run(c, config, o, w, rows, ck_output_f32, 1);
  const uint8_t *bytes = run(c, config, o, w, rows, ck_output_u8, 0);
  const int8_t *signed_bytes = run(c, config, o, w, rows, ck_output_s8, 1);
  if ((is_one_segment && sums == NULL) || whole == NULL || cut == NULL || bytes == NULL || signed_bytes == NULL) return 0;
  int agrees = memcmp(whole, cut, 4 * (rows * stride - 1)) == 0;
  for (size_t m = 0; m < rows; m++)
    for (size_t j = 0; j < n; j++) {
      size_t at = m * stride + j;
      const reference *r = &expected[m * n + j];
      float y = r->total * (o->x_scales[m] * o->scales[j]) + o->bias[j];
      if (c->relu && y < 0) y = 0;
      agrees &= r->fits && same_bits(whole[at], y) && (!is_one_segment || sums[at] == r->sum);
      agrees &= bytes[at] == requantized(y, 100, 0, 255) && signed_bytes[at] == requantized(y, 0, -127, 127);
    }
  return agrees;
}

static int unpacks(const ck_test_gemm_case *c, const ck_gemm_config *config, const operands *o, const ck_gemm_weights *w) {
  size_t k = c->inputs, groups = ck_gemm_groups(k, c->group);
  int8_t *codes = ck_test_guarded(slot_unpacked, k, 1), *multipliers = ck_test_guarded(slot_unpacked + 1, groups, 1);
  int agrees = 1;
  for (size_t n = 0; n < c->outputs; n++) {
    config->unpack_row(w, n, codes, groups ? multipliers : NULL);
    agrees &= memcmp(codes, o->codes + n * k, k) == 0 && (groups == 0 || memcmp(multipliers, o->multipliers + n * groups, groups) == 0);
  }
  return agrees && ck_test_guards_are_intact(slot_unpacked) && ck_test_guards_are_intact(slot_unpacked + 1);
}

static const ck_gemm_config *config_of(const ck_kernels *kernels, const ck_test_gemm_case *c) {
  if (c->bits == 4) return kernels->gemm_u8_s4;
  if (c->bits == 2) return kernels->gemm_u8_s2;
  if (c->bits == 1) return kernels->gemm_u8_s1;
  return c->is_u7 ? kernels->gemm_u7_s8 : kernels->gemm_u8_s8;
}

size_t ck_test_gemm(ck_isa isa, const ck_test_gemm_case *c, ck_test_extremes extremes, size_t first_rows, size_t row_step) {
  const ck_gemm_config *config = config_of(ck_kernels_of(isa), c);
  operands o = make_operands(c, extremes);
  ck_gemm_shape shape = {c->inputs, c->outputs, c->group};
  ck_gemm_weights w = ck_test_pack_weights(config, &shape, o.codes, c->group ? o.multipliers : NULL, o.scales);
  reference *expected = malloc(sizeof(reference) * c->rows * c->outputs);
  for (size_t m = 0; m < c->rows; m++)
    for (size_t n = 0; n < c->outputs; n++) expected[m * c->outputs + n] = exact_sum(c, &o, m, n);
  size_t failed = unpacks(c, config, &o, &w) ? 0 : c->rows + 1;
  for (size_t rows = first_rows; rows <= c->rows && failed == 0; rows += row_step)
    if (!outputs_agree(c, config, &o, &w, rows, expected)) failed = rows;
  if (failed == 0 && !ck_test_weights_are_intact()) failed = c->rows + 2;
  free(expected);
  free_operands(&o);
  return failed;
}
