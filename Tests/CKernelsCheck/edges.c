// The families of kernels by sizes where tiles, panels, vectors and folds end: every M and N of 1…40, every K of 1…80 and around all folds, each with
// operands of all kinds and with the other sizes drawn from edges; or all M, N and K of 1…40.
#include "CKernelsTestSupport.h"
#include "check.h"
#include "guarded.h"

enum { most_rows = 40, most_outputs = 40, most_inputs = 80, large_inputs = 600 };

static const size_t edges[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40};
// Enough of them for ways that serve many.
static const size_t many[] = {48, 63, 64, 65, 100, 127, 128, 129, 150, 257};
// Where kernels fold sums of int16 or end units, groups and segments of K: multiples of these.
static const size_t folds[] = {24, 32, 64, 128, 256, 1024, 4096};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t state;  // of the draws

static size_t draw(size_t count) { return (size_t)(ck_test_next(&state) >> 20) % count; }
// Rows or outputs to go with K inputs: now and then many, few where K is large.
static size_t draw_size(size_t inputs, size_t chance) {
  if (inputs > large_inputs) return edges[draw(14)];
  return draw(chance) == 0 ? many[draw(COUNT(many))] : edges[draw(COUNT(edges))];
}

// `kind` of the operands, one of as many as each_size was told.
typedef void check_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind);

static void each_inputs(ck_isa isa, int kind, check_size *check) {
  for (size_t inputs = 1; inputs <= most_inputs; inputs++) check(isa, draw_size(inputs, 16), inputs, draw_size(inputs, 4), kind);
  for (size_t f = 0; f < COUNT(folds); f++)
    for (size_t multiple = 1; multiple <= (folds[f] > large_inputs ? 2 : 4); multiple++)
      for (size_t near = 0; near < 3; near++) {
        size_t inputs = folds[f] * multiple - 1 + near;
        check(isa, draw_size(inputs, 16), inputs, draw_size(inputs, 4), kind);
      }
}

static void each_size(ck_isa isa, int is_product, int kinds, check_size *check) {
  state = seed | 1;
  if (is_product) {
    for (size_t rows = 1; rows <= most_rows; rows++)
      for (size_t inputs = 1; inputs <= 40; inputs++)
        for (size_t outputs = 1; outputs <= most_outputs; outputs++) check(isa, rows, inputs, outputs, (int)draw((size_t)kinds));
    return;
  }
  for (int kind = 0; kind < kinds; kind++) {
    for (size_t rows = 1; rows <= most_rows; rows++) check(isa, rows, edges[draw(COUNT(edges))], draw_size(0, 4), kind);
    for (size_t outputs = 1; outputs <= most_outputs; outputs++) check(isa, draw_size(0, 16), edges[draw(COUNT(edges))], outputs, kind);
    each_inputs(isa, kind, check);
  }
}

// ---- Codes

static const struct {
  const char *name;
  int bits, is_u7;
} formats[] = {{"w8a8", 8, 0}, {"w8a7", 8, 1}, {"w4a8", 4, 0}, {"w2a8", 2, 0}, {"w1a8", 1, 0}};

// Products of the first first_rows … rows rows.
static void check_codes(ck_isa isa, size_t first_rows, size_t rows, size_t inputs, size_t outputs, size_t group, int extremes) {
  for (size_t f = 0; f < COUNT(formats); f++) {
    ck_test_gemm_case c = {formats[f].bits, formats[f].is_u7, rows, inputs, outputs, group, (int)draw(2), ck_test_next(&state)};
    expect(ck_test_gemm(isa, &c, (ck_test_extremes)extremes, first_rows, 1) == 0, isa, formats[f].name, rows, inputs, outputs, group);
  }
}

static void check_gemm_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  check_codes(isa, rows, rows, inputs, outputs, 0, kind);
  check_codes(isa, rows, rows, inputs, outputs, 32 * (1 + draw(5)), kind);
}

void check_gemm_edges(ck_isa isa, int is_product) {
  enum { kinds = ck_test_edge_pairs + 1 };
  if (!is_product) each_size(isa, 0, kinds, check_gemm_size);
  state = seed | 1;
  if (is_product)  // all rows of a product share its oracle
    for (size_t inputs = 1; inputs <= 40; inputs++)
      for (size_t outputs = 1; outputs <= most_outputs; outputs++)
        for (size_t group = 0; group <= 32; group += 32) check_codes(isa, 1, most_rows, inputs, outputs, group, (int)draw(kinds));
  // The largest K, worst operands.
  for (int extremes = ck_test_lowest; extremes < kinds; extremes++)
    for (size_t group = 0; group <= 32; group += 32)
      check_codes(isa, extremes % 2 ? 1 : 5, extremes % 2 ? 1 : 5, ck_gemm_max_inputs, 17, group, extremes);
}

static void check_bits_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  expect(ck_test_bit_gemm(isa, rows, inputs, outputs, kind, ck_test_next(&state)) == 0, isa, "w1a1", rows, inputs, outputs, (size_t)kind);
}
void check_bits_edges(ck_isa isa, int is_product) {
  each_size(isa, is_product, 3, check_bits_size);
  for (int kind = 0; kind < 3; kind++) check_bits_size(isa, 5, ck_gemm_max_inputs, 17, kind);
}

// ---- Floats

static void check_floats_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  for (int format = ck_test_f32_f16; format <= ck_test_bf16_bf16; format++)
    expect(ck_test_float_gemm(isa, (ck_test_float_format)format, rows, inputs, outputs, (ck_test_float_kind)kind, ck_test_next(&state)) == 0, isa, "floats",
           rows, inputs, outputs, (size_t)(format * 10 + kind));
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++)
    expect(ck_test_half_gemm(isa, is_bf16, rows, inputs, outputs, (int)draw(2), ck_test_next(&state)) == 0, isa, is_bf16 ? "bf16" : "f16", rows, inputs,
           outputs, 0);
}
void check_floats_edges(ck_isa isa, int is_product) { each_size(isa, is_product, ck_test_float_edge + 1, check_floats_size); }

// ---- Sparse

static void check_sparse_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  static const size_t shapes[][2] = {{1, 1}, {4, 1}, {8, 1}, {1, 4}, {4, 4}, {16, 16}};
  static const int percents[] = {10, 50, 100, 0};
  for (size_t s = 0; s < COUNT(shapes); s++)
    for (int is_s8 = 0; is_s8 < 2; is_s8++) {
      ck_test_sparse_case c = {is_s8, shapes[s][0], shapes[s][1], rows, inputs, outputs, draw(3) == 0 ? 3 * shapes[s][1] : 0, percents[draw(4)], kind,
                               (int)draw(4), draw(3), (int)draw(2), (int)draw(2), ck_test_next(&state)};
      expect(ck_test_sparse(isa, &c), isa, is_s8 ? "sparse int8" : "sparse float32", rows, inputs, outputs, shapes[s][0] * 100 + shapes[s][1]);
    }
}
void check_sparse_edges(ck_isa isa, int is_product) { each_size(isa, is_product, 4, check_sparse_size); }

static void check_nm_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int is_extreme) {
  for (int is_s8 = 0; is_s8 < 2; is_s8++)
    for (size_t group = 4; group <= 8; group += 4) {
      ck_test_nm_case c = {is_s8, group, rows, inputs, outputs, is_extreme, (int)draw(2), (int)draw(2), ck_test_next(&state)};
      expect(ck_test_nm(isa, &c), isa, is_s8 ? "N:M int8" : "N:M float32", rows, inputs, outputs, group);
    }
}
void check_nm_edges(ck_isa isa, int is_product) { each_size(isa, is_product, 2, check_nm_size); }

// ---- Convolutions: rows are the width of the image, inputs its channels

static void check_convolution_size(ck_isa isa, size_t width, size_t channels, size_t outputs, int is_infinite) {
  if (channels > most_inputs) return;
  for (size_t window = 1 + draw(3); window <= 5; window += 3) {
    size_t height = window / 2 + 1;
    ck_test_conv2d_case c = {1 + draw(2), height + draw(5), width < window ? window : width, channels,    height,              window,
                             draw(height), outputs,          (int)draw(2),                    (int)draw(2), is_infinite, ck_test_next(&state)};
    expect(ck_test_conv2d(isa, &c), isa, "convolution", c.height, c.width, outputs, window * 100 + channels);
  }
}
void check_convolution_edges(ck_isa isa, int is_product) { each_size(isa, is_product, 2, check_convolution_size); }

// ---- Elements

static void check_weights_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  static const int bits[] = {8, 4, 2, ck_ternary, 1};
  (void)rows;
  for (size_t b = 0; b < COUNT(bits); b++)
    for (size_t group = 0; group <= 96; group += 32) {
      ck_test_weights_case c = {bits[b], inputs, outputs < 5 ? outputs : 1 + outputs % 3, group, kind, ck_test_next(&state)};
      expect(ck_test_quantize_weights(isa, &c), isa, "quantizing of weights", (size_t)bits[b], inputs, c.outputs, group * 10 + (size_t)kind);
    }
}
void check_weights_edges(ck_isa isa, int is_product) {
  (void)is_product;  // outputs are independent
  state = seed | 1;
  for (int kind = 0; kind < 7; kind++) each_inputs(isa, kind, check_weights_size);
}

static void check_elements_size(ck_isa isa, size_t rows, size_t inputs, size_t outputs, int kind) {
  (void)rows, (void)outputs, (void)kind;
  expect(ck_test_elements(isa, inputs, ck_test_next(&state)), isa, "elements", 1, inputs, 0, 0);
}
void check_elements_edges(ck_isa isa, int is_product) {
  (void)is_product;
  state = seed | 1;
  for (size_t count = 0; count < 300; count++) check_elements_size(isa, 1, count, 1, 0);
  for (int turn = 0; turn < 10; turn++) each_inputs(isa, 0, check_elements_size);
}
