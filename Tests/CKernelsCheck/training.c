// Checks that every loop of CTraining's list gives the bits of the plain one on a set, for lengths with every tail.
#include "training.h"

#include <string.h>

#include "CKernelsTestSupport.h"
#include "CTraining.h"
#include "guarded.h"

enum { rows = 3, float_arrays = 9, double_arrays = 3, most_cases = 64, most_square = 24, slot_count = 17 };

// What the loops read and write: `rows` rows each, between pages that may not be touched.
typedef struct arrays {
  size_t columns, count;
  float *f[float_arrays];
  double *d[double_arrays];
  uint8_t *mask, *bytes;
  int8_t *codes;
  int32_t *sums;
  uint64_t *counts;  // [64]
  double result;
} arrays;

// Numbers in −1…1, some of them zeros with either sign, ties of codes, and squares below what FLT_MIN holds.
static float number(uint64_t *state) {
  float x = ck_test_number(state);
  switch (ck_test_between(state, 0, 15)) {
    case 0: return 0;
    case 1: return -0.0f;
    case 2: return (float)ck_test_between(state, -9, 9) * 0.5f;
    case 3: return x * 0x1p-70f;
    default: return x;
  }
}

static void *place(int slot, size_t count, size_t size) { return ck_test_guarded(slot, count * size, size); }

static void fill(arrays *a, size_t columns, uint64_t seed) {
  uint64_t state = seed | 1;
  size_t n = rows * columns;
  a->columns = columns, a->count = n, a->result = 0;
  for (int i = 0; i < float_arrays; i++) {
    a->f[i] = place(i, n, sizeof(float));
    for (size_t k = 0; k < n; k++) a->f[i][k] = number(&state);
  }
  for (int i = 0; i < double_arrays; i++) {
    a->d[i] = place(float_arrays + i, n, sizeof(double));
    for (size_t k = 0; k < n; k++) a->d[i][k] = (double)number(&state) + 1.5;
  }
  a->mask = place(12, n, 1), a->bytes = place(13, n, 1), a->codes = place(14, n, 1), a->sums = place(15, n, sizeof(int32_t));
  a->counts = place(16, 64, sizeof(uint64_t));
  memset(a->counts, 0, 64 * sizeof(uint64_t));
  for (size_t k = 0; k < n; k++) {
    a->mask[k] = ck_test_between(&state, 0, 2) > 0, a->bytes[k] = (uint8_t)ck_test_next(&state), a->codes[k] = (int8_t)ck_test_between(&state, 0, 15);
    a->sums[k] = ck_test_between(&state, -100000, 100000);
  }
}

// Second moments are no less than 0.
static void square(float *x, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] *= x[i];
}

static uint64_t hash(const arrays *a) {
  uint64_t h = 0xCBF29CE484222325u;
  for (int i = 0; i < float_arrays; i++) h = ck_fnv1a_64(a->f[i], a->count * sizeof(float), h);
  for (int i = 0; i < double_arrays; i++) h = ck_fnv1a_64(a->d[i], a->count * sizeof(double), h);
  h = ck_fnv1a_64(a->mask, a->count, h), h = ck_fnv1a_64(a->bytes, a->count, h), h = ck_fnv1a_64(a->codes, a->count, h);
  h = ck_fnv1a_64(a->sums, a->count * sizeof(int32_t), h), h = ck_fnv1a_64(a->counts, 64 * sizeof(uint64_t), h);
  for (int slot = 0; slot < slot_count; slot++) h += !ck_test_guards_are_intact(slot);
  return ck_fnv1a_64(&a->result, sizeof a->result, h);
}

// The cases that were run, in order: the call, and a hash of all arrays after it.
typedef struct record {
  size_t count;
  const char *calls[most_cases];
  uint64_t hashes[most_cases];
} record;

#define CASE(...)                                                    \
  fill(a, columns, seed);                                            \
  __VA_ARGS__;                                                       \
  r->calls[r->count] = #__VA_ARGS__, r->hashes[r->count++] = hash(a);

static void run_layers(arrays *a, size_t columns, uint64_t seed, record *r) {
  size_t n = rows * columns;
  const ck_adam adam = {0.1f, 0.9f, 0.99f, 3, 1e-3f, 0.01f};
  CASE(ck_relu_forward_f32(a->f[0], a->f[1], n))
  CASE(ck_relu_backward_f32(a->f[0], a->f[1], a->f[2], n))
  CASE(ck_add_column_sums_f32(a->f[0], rows, columns, a->f[1]))
  CASE(ck_scale_f32(a->f[0], n, 0.37f))
  CASE(ck_fill_rows_f32(a->f[0], rows, columns, a->f[1]))
  CASE(ck_channel_moments_f32(a->f[0], rows, columns, a->d[0], a->f[1], a->f[2]))
  CASE(ck_column_moments_f64(a->f[0], rows, columns, a->d[0], a->d[1]))
  CASE(ck_batch_norm_forward_f32(a->f[0], rows, columns, a->f[1], a->f[2], a->f[3], a->f[4], a->f[5], a->f[6]))
  CASE(ck_batch_norm_sums_f32(a->f[0], a->f[1], rows, columns, a->d[0], a->f[2], a->f[3]))
  CASE(ck_batch_norm_backward_f32(a->f[0], a->f[1], rows, columns, a->f[2], a->f[3], a->f[4], a->f[5], a->f[6]))
  CASE(ck_dropout_f32(a->f[0], n, 0.3f, seed, a->f[1], a->f[2]))
  CASE(ck_multiply_f32(a->f[0], a->f[1], a->f[2], n))
  CASE(ck_scale_rows_f32(a->f[0], rows, columns, a->f[1], a->f[2]))
  CASE(ck_apply_mask_f32(a->f[0], a->mask, n))
  CASE(ck_add_f32(a->f[0], a->f[1], n))
  for (int is_masked = 0; is_masked < 2; is_masked++) {
    CASE(ck_sgd_step_f32(a->f[0], a->f[1], a->f[2], is_masked ? a->mask : NULL, n, 0.1f, 0.9f, 0.01f, is_masked))
    CASE(square(a->f[3], n); ck_adam_step_f32(a->f[0], a->f[1], a->f[2], a->f[3], is_masked ? a->mask : NULL, n, &adam))
  }
}

static void run_quantization(arrays *a, size_t columns, uint64_t seed, record *r) {
  size_t n = rows * columns, few = columns < most_square ? columns : most_square;
  const ck_code_range four_bits = {-8, 7, 0}, signs = {-1, 1, 1};
  float upper[most_square * most_square];
  for (size_t i = 0; i < most_square * most_square; i++) upper[i] = (float)(i % 7) / 64 - 3.0f / 64 + (i % (few + 1) == 0);
  CASE(ck_fake_codes_f32(a->f[0], n, 90, -70, 71, a->f[1]))
  CASE(ck_fake_signs_f32(a->f[0], n, a->f[1]))
  CASE(ck_widen_codes_f32_u8(a->bytes, n, 7, a->f[0]))
  CASE(ck_scale_f32(a->f[0], n, 25); ck_narrow_codes_s8_f32(a->f[0], n, a->codes))
  CASE(ck_scale_f32(a->f[0], n, 10000); ck_add_sums_s32(a->f[0], n, a->sums))
  CASE(ck_scale_sums_f32(a->sums, rows, columns, a->f[0], a->f[1], a->f[2], a->f[3]))
  CASE(ck_scale_sums_f32(NULL, rows, columns, a->f[0], a->f[1], NULL, a->f[3]))
  CASE(ck_scale_each_row_f32(a->f[0], rows, columns, a->f[1], a->f[2]))
  CASE(a->result = ck_lsq_gradient_f32(a->f[0], a->f[1], n, 90, -70, 71, a->f[2], a->f[3]))
  CASE(ck_add_column_sums_f64(a->f[0], rows, columns, a->d[0]))
  CASE(a->result = (double)ck_histogram_f32(a->f[0], n, 0x1p-5f, 64, a->counts))
  CASE(ck_round_row_f32(a->f[0], n, a->f[1], a->codes, four_bits, (int8_t *)a->bytes))
  CASE(ck_round_row_f32(a->f[0], n, a->f[1], a->codes, signs, (int8_t *)a->bytes))
  CASE(ck_gptq_row_f32(a->f[0], few, upper, a->f[1], a->codes, a->mask, four_bits, (int8_t *)a->bytes))
  CASE(ck_round_f32_f64(a->d[0], n, a->f[0]))
  CASE(ck_add_scaled_f64_f32(a->f[0], n, 0.1, a->d[0]))
  CASE(ck_difference_f64_f32(a->f[0], a->f[1], n, a->d[0]))
}

static void run_pruning(arrays *a, size_t columns, uint64_t seed, record *r) {
  size_t n = rows * columns, few = columns < most_square ? columns : most_square;
  double upper[most_square * most_square];
  for (size_t i = 0; i < most_square * most_square; i++) upper[i] = (double)(i % 7) / 64 - 3.0 / 64 + (i % (few + 1) == 0);
  CASE(ck_magnitude_scores_f64(a->f[0], n, 0, a->d[0]))
  CASE(ck_magnitude_scores_f64(a->f[0], n, 1, a->d[0]))
  CASE(ck_random_scores_f64(seed, n, a->d[0]))
  CASE(ck_add_gradient_f64(a->f[0], n, 0.1, a->d[0]))
  CASE(ck_add_squares_f64(a->f[0], n, 0.1, a->d[0]))
  CASE(ck_add_squared_products_f64(a->f[0], a->f[1], n, 0.1, a->d[0]))
  CASE(ck_times_weight_f64(a->f[0], n, a->d[0]))
  CASE(ck_squares_f64(a->f[0], n, a->d[0]))
  CASE(ck_times_square_f64(a->f[0], n, 1.1, a->d[0]))
  CASE(ck_magnitude_times_column_f64(a->f[0], rows, columns, a->d[1], a->d[0]))
  CASE(ck_square_times_column_f64(a->f[0], rows, columns, a->d[1], a->d[0]))
  CASE(ck_add_column_squares_f64(a->f[0], rows, columns, a->d[0]))
  CASE(a->result = (double)ck_count_kept_u8(a->mask, n))
  CASE(a->result = (double)ck_count_nonzero_f32(a->f[0], n))
  CASE(ck_add_f64(a->f[0], n, a->d[0]))
  CASE(ck_prune_and_correct_f32(a->f[0], a->mask, rows, few, upper, a->d[0]))
  CASE(ck_and_u8(a->mask, a->bytes, n))
}

static void run(ck_isa isa, size_t columns, uint64_t seed, record *r) {
  arrays a;
  ck_use_isa(isa);
  r->count = 0;
  run_layers(&a, columns, seed, r);
  run_quantization(&a, columns, seed, r);
  run_pruning(&a, columns, seed, r);
}

const char *check_training(ck_isa isa, size_t columns, uint64_t seed) {
  record plain, found;
  run(ck_isa_portable, columns, seed, &plain);
  run(isa, columns, seed, &found);
  for (size_t i = 0; i < found.count; i++)
    if (found.hashes[i] != plain.hashes[i]) return found.calls[i];
  const char *const *names;
  size_t count = ck_training_loops(&names);
  for (size_t n = 0; n < count; n++) {
    size_t i = 0;
    while (i < found.count && strstr(found.calls[i], names[n]) == NULL) i++;
    if (i == found.count) return names[n];
  }
  return NULL;
}
