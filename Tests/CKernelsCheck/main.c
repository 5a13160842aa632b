// Runs the checks of Tests/CKernelsTestSupport on every instruction set that this machine, or the emulation that this was compiled for, has: what
// `make ckernels-check` runs with each compiler, and what emulators of other processors run. Prints a line for each set; the status is 1 where one fails.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "check.h"
#include "training.h"

uint64_t seed;
static size_t checks, failures;

void expect(int passed, ck_isa isa, const char *what, size_t rows, size_t inputs, size_t outputs, size_t more) {
  checks++;
  if (passed) return;
  if (failures++ < 20)
    printf("FAILED %s %s: %zu rows, K %zu, N %zu, %zu\n", ck_isa_name(isa), what, rows, inputs, outputs, more);
}

static const struct {
  const char *name;
  int bits, is_u7;
} formats[] = {{"w8a8", 8, 0}, {"w8a7", 8, 1}, {"w4a8", 4, 0}, {"w2a8", 2, 0}, {"w1a8", 1, 0}};

static void check_gemm(ck_isa isa, size_t step) {
  static const size_t groups[] = {32, 64, 96, 128, 160};
  for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
    ck_test_gemm_case c = {formats[f].bits, formats[f].is_u7, 35, 0, 0, 0, 0, 0};
    for (c.inputs = 1; c.inputs <= 200; c.inputs += c.inputs < 70 ? step : 5 * step)
      for (c.outputs = 1 + c.inputs % 3; c.outputs <= 67; c.outputs += 3 * step + 1) {
        c.seed = seed + c.inputs * 1000003 + c.outputs;
        expect(ck_test_gemm(isa, &c, (ck_test_extremes)(c.inputs % 7), 1, 1 + c.outputs % 3) == 0, isa, formats[f].name, c.rows, c.inputs, c.outputs, 0);
      }
    c.rows = 17, c.outputs = 18, c.relu = 1;
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
      for (c.inputs = 31; c.inputs < 5000; c.inputs = c.inputs * 2 + 9 * step)
        for (int extremes = 0; extremes <= ck_test_edge_pairs; extremes++) {
          c.group = groups[g], c.seed = seed + c.inputs;
          expect(ck_test_gemm(isa, &c, (ck_test_extremes)extremes, 1, 4) == 0, isa, formats[f].name, c.rows, c.inputs, c.outputs, c.group);
        }
    // Enough panels for ways that serve many of them only, up to 13 rows.
    c.rows = 13, c.outputs = 150;
    for (size_t g = 0; g < 2; g++)
      for (c.inputs = 97; c.inputs < 1400; c.inputs = c.inputs * 2 + 3 * step, c.outputs += 31) {
        c.group = g * 64, c.seed = seed + c.inputs;
        expect(ck_test_gemm(isa, &c, (ck_test_extremes)(c.inputs % 7), 1, 1 + step / 8) == 0, isa, formats[f].name, c.rows, c.inputs, c.outputs, c.group);
      }
  }
}

// Calls CHECK(rows, inputs, outputs) for many shapes, of one row and more.
#define EACH_SHAPE(step, CHECK)                                                                       \
  for (size_t inputs = 1; inputs < 3000; inputs = inputs * 3 / 2 + step)                              \
    for (size_t outputs = 1; outputs < 150; outputs = outputs < 40 ? outputs + 5 + step : outputs * 3) \
      for (size_t rows = 1; rows < 20; rows += 2 + step) CHECK(rows, inputs, outputs)

static void check_bits(ck_isa isa, size_t step) {
#define CHECK(rows, inputs, outputs)         \
  for (int kind = 0; kind < 3; kind++)       \
    expect(ck_test_bit_gemm(isa, rows, inputs, outputs, kind, seed + inputs) == 0, isa, "w1a1", rows, inputs, outputs, (size_t)kind);
  EACH_SHAPE(step, CHECK)
#undef CHECK
}

static void check_float_shape(ck_isa isa, size_t rows, size_t inputs, size_t outputs, ck_test_float_kind kind) {
  for (int format = ck_test_f32_f16; format <= ck_test_bf16_bf16; format++)
    expect(ck_test_float_gemm(isa, (ck_test_float_format)format, rows, inputs, outputs, kind, seed + inputs) == 0, isa, "floats", rows, inputs, outputs,
           (size_t)format * 10 + kind);
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++)
    expect(ck_test_half_gemm(isa, is_bf16, rows, inputs, outputs, rows % 2, seed + inputs) == 0, isa, is_bf16 ? "bf16" : "f16", rows, inputs, outputs,
           0);
}
// Each number of a few rows and each kind of numbers comes with many shapes, whatever the sample.
static void check_floats(ck_isa isa, size_t step) {
  size_t i = 0;
#define CHECK(rows, inputs, outputs) check_float_shape(isa, rows > 1 ? rows : 1 + i % 9, inputs, outputs, (ck_test_float_kind)(i % 5)), i++;
  EACH_SHAPE(step, CHECK)
#undef CHECK
}

static void check_sparse(ck_isa isa, size_t step) {
  static const size_t shapes[][2] = {{1, 1}, {4, 1}, {8, 1}, {1, 4}, {4, 4}, {16, 16}};
  static const int percents[] = {10, 50, 100, 0};
  size_t i = 0;
  for (size_t s = 0; s < 6; s++)
    for (size_t rows = 1; rows < 140; rows = rows * 3 / 2 + step)
      for (size_t inputs = 1; inputs < 300; inputs = inputs * 2 + step)
        for (size_t outputs = 1; outputs < 60; outputs = outputs * 2 + step, i++)
          for (int is_s8 = 0; is_s8 < 2; is_s8++) {
            ck_test_sparse_case c = {is_s8, shapes[s][0], shapes[s][1], rows, inputs, outputs, i % 3 == 0 ? 3 * shapes[s][1] : 0, percents[i % 4],
                                     (int)(i % 5) - 1 < 0 ? 0 : (int)(i % 5) - 1, (int)(i % 4), i % 3, i % 2 == 0, i % 7 < 3, seed + i};
            expect(ck_test_sparse(isa, &c), isa, is_s8 ? "sparse int8" : "sparse float32", rows, inputs, outputs, shapes[s][0] * 100 + shapes[s][1]);
          }
}

static void check_nm(ck_isa isa, size_t step) {
  size_t i = 0;
  for (size_t rows = 1; rows < 90; rows += rows < 20 ? 2 + step / 2 : 5 + step)
    for (size_t inputs = 1; inputs < 1300; inputs = inputs * 2 + step)
      for (size_t outputs = 1; outputs < 60; outputs += 4 + step, i++)
        for (int is_s8 = 0; is_s8 < 2; is_s8++) {
          ck_test_nm_case c = {is_s8, i % 2 ? 4 : 8, rows, inputs, outputs, i % 3 == 0, i % 4 == 0, i % 5 < 2, seed + i};
          expect(ck_test_nm(isa, &c), isa, is_s8 ? "N:M int8" : "N:M float32", rows, inputs, outputs, c.group);
        }
}

static void check_convolutions(ck_isa isa, size_t step) {
  size_t i = 0;
  for (size_t window = 1; window <= 5; window++)
    for (size_t width = window; width < 70; width += 1 + width / 8 * step)
      for (size_t channels = 1; channels < 8; channels += 1 + step / 3)
        for (size_t outputs = 1; outputs <= 35; outputs += outputs < 18 ? 1 + step / 5 : 6, i++) {
          ck_test_conv2d_case c = {1 + i % 2, window / 2 + 1 + i % 5, width, channels, window / 2 + 1, window, i % (window / 2 + 1), outputs,
                                   i % 3 != 0, i % 4 == 0, i % 5 == 0, seed + i};
          expect(ck_test_conv2d(isa, &c), isa, "convolution", c.height, width, outputs, window * 100 + channels);
        }
}

static void check_loops(ck_isa isa, size_t step) {
  for (size_t columns = 1; columns < 200; columns += columns < 70 ? 1 + step / 7 : 5 * step) {
    const char *failed = check_training(isa, columns, seed + columns);
    expect(failed == NULL, isa, failed, 3, columns, 0, 0);
  }
}

static void check_weights(ck_isa isa, size_t step) {
  static const int bits[] = {8, 4, 2, ck_ternary, 1};
  static const size_t groups[] = {0, 32, 64, 96};
  for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++)
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
      for (int kind = 0; kind < 7; kind++)
        for (size_t inputs = 1; inputs < 9000; inputs = inputs < 70 ? inputs + step : inputs * 3 / 2 + step) {
          ck_test_weights_case c = {bits[b], inputs, inputs > 1000 ? 1 : 1 + inputs % 5, groups[g], kind, seed + inputs};
          expect(ck_test_quantize_weights(isa, &c), isa, "quantizing of weights", (size_t)bits[b], inputs, c.outputs, groups[g] * 10 + (size_t)kind);
        }
}

static void check_elements(ck_isa isa, size_t step) {
  for (size_t elements = 0; elements < 300; elements += step > 2 ? 3 : 1) expect(ck_test_elements(isa, elements, seed + elements), isa, "elements", 1, elements, 0, 0);
}

// Rounding: a sample sweeps the inputs first, first + stride, …: every tie of 19 kept bits and its neighbours, and a prime stride; without a sample all
// 2³² inputs are swept. Whatever the control word holds, bits are those of scalar.h.
typedef struct sweeps {
  ck_isa isa;
  uint64_t inputs;
  uint32_t stride;  // 1: all
} sweeps;

static void sweep_16(sweeps *s, const char *name, ck_fn_round_f16_f32 *kernel, ck_fn_round_f16_f32 *portable, uint32_t first, uint32_t stride) {
  uint32_t at = 0;
  expect(ck_test_sweep_16(kernel, portable, first, stride, &at), s->isa, name, 0, at, first, stride);
  s->inputs += (((uint64_t)1 << 32) - first + stride - 1) / stride;
}
static void sweep_32(sweeps *s, const char *name, ck_fn_round_tf32_even_f32 *kernel, ck_fn_round_tf32_even_f32 *portable, uint32_t first, uint32_t stride) {
  uint32_t at = 0;
  expect(ck_test_sweep_32(kernel, portable, first, stride, &at), s->isa, name, 0, at, first, stride);
  s->inputs += (((uint64_t)1 << 32) - first + stride - 1) / stride;
}

static int widening_agrees(const ck_kernels *k) {
  static uint16_t halves[1 << 16];
  static float f16[1 << 16], bf16[1 << 16];
  for (uint32_t i = 0; i < 1 << 16; i++) halves[i] = (uint16_t)i;
  k->widen_f32_f16(halves, f16, 1 << 16), k->widen_f32_bf16(halves, bf16, 1 << 16);
  int agrees = 1;
  for (uint32_t i = 0; i < 1 << 16; i++) {
    agrees &= ck_bits_of_f32(f16[i]) == ck_bits_of_f32(ck_f32_from_f16((uint16_t)i));
    agrees &= ck_bits_of_f32(bf16[i]) == ck_bits_of_f32(ck_f32_from_bf16((uint16_t)i));
  }
  return agrees;
}

static void sweep_all(sweeps *s, const ck_kernels *k, const ck_kernels *p, uint32_t first, uint32_t stride) {
  sweep_16(s, "FP16", k->round_f16_f32, p->round_f16_f32, first, stride);
  sweep_16(s, "BF16", k->round_bf16_f32, p->round_bf16_f32, first, stride);
  sweep_32(s, "TF32 to even", k->round_tf32_even_f32, p->round_tf32_even_f32, first, stride);
  sweep_32(s, "TF32 away", k->round_tf32_away_f32, p->round_tf32_away_f32, first, stride);
  sweep_32(s, "TF32 to zero", k->round_tf32_zero_f32, p->round_tf32_zero_f32, first, stride);
}

static void check_rounding(ck_isa isa, size_t step) {
  static const uint32_t ties[] = {0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF};
  const ck_kernels *portable = ck_kernels_of(ck_isa_portable), *k = ck_kernels_of(isa);
  static const ck_kernels *last;  // sets without kernels of their own have those of a set before
  int are_new = last == NULL || last->round_f16_f32 != k->round_f16_f32 || last->round_bf16_f32 != k->round_bf16_f32;
  last = k;
  if (!are_new || isa == ck_isa_portable) return;
  sweeps s = {isa, 0, step > 7 ? 251 : step > 2 ? 47 : 1};
  uint64_t usual = ck_test_float_control();
  for (unsigned control = 0; control < 4; control++) {  // the usual one, then three directions of a hostile one that share the inputs
    if (control > 0) ck_test_set_float_control(ck_test_hostile_control(usual, control));
    int agrees = widening_agrees(k);
    if (control == 0) sweep_all(&s, k, portable, (uint32_t)(seed % s.stride), s.stride);
    else sweep_all(&s, k, portable, (control - 1) * s.stride + (uint32_t)(seed % s.stride), 3 * s.stride);
    for (size_t t = 0; t < 6 && s.stride > 1 && control < 2; t++) sweep_all(&s, k, portable, ties[t], 0x2000);
    ck_test_set_float_control(usual);
    expect(agrees, isa, "widening", 0, control, 0, 0);
  }
  printf("%-11s rounding, 5 formats: %llu inputs with the usual control word and with hostile ones, %s\n", ck_isa_name(isa),
         (unsigned long long)s.inputs / 10, s.stride == 1 ? "all of float32" : "a sample");
}

// Emulation (emulated_intrinsics.h) stands in for the sets that the processor lacks, so that it does not rot for the last one where none is lacking; with
// EMULATE=all for all but the portable one, or for the one named.
static int is_wanted(ck_isa isa) {
#if defined(CK_SIMDE)
  const char *wanted = getenv("EMULATE");
  ck_isa named;
  if (wanted != NULL && strcmp(wanted, "all") == 0) return ck_isa_features(isa) != 0;
  if (wanted != NULL && ck_isa_named(wanted, &named)) return named == isa;
  uint32_t lacking = ck_machine_features() & ~ck_detected_features();
  int last = 0;
  for (int i = 0; i < ck_isa_count; i++)
    if (ck_isa_is_available((ck_isa)i)) last = i;
  return lacking != 0 ? (ck_isa_features(isa) & lacking) != 0 : (int)isa == last;
#else
  (void)isa;
  return 1;
#endif
}

// The words of the command line: which sample of the sizes, which sets and families to check, all without a word of that kind, and where buffers lie.
typedef struct request {
  size_t step;
  int has_edges, is_product;
  uint64_t sets, families;
} request;

typedef void check_family(ck_isa isa, size_t step);
static const struct {
  const char *name;
  check_family *check;
  check_edges *edges;  // where null, `check` takes their place
} families[] = {
    {"gemm", check_gemm, check_gemm_edges},
    {"floats", check_floats, check_floats_edges},
    {"bits", check_bits, check_bits_edges},
    {"sparse", check_sparse, check_sparse_edges},
    {"nm", check_nm, check_nm_edges},
    {"weights", check_weights, check_weights_edges},
    {"convolution", check_convolutions, check_convolution_edges},
    {"loops", check_loops, NULL},
    {"elements", check_elements, check_elements_edges},
    {"rounding", check_rounding, NULL},
};
enum { family_count = sizeof families / sizeof families[0] };

static const struct {
  const char *name;
  request sample;
} samples[] = {{"quick", {7, 0, 0, 0, 0}}, {"brief", {31, 0, 0, 0, 0}}, {"edges", {7, 1, 0, 0, 0}}, {"product", {1, 1, 1, 0, 0}}};

static const struct {
  const char *name;
  ck_test_placement placement;
} placements[] = {{"beginnings", ck_test_at_beginning}, {"exact", ck_test_at_exact_end}};

// What was asked for and is not known would otherwise pass as something else.
static int read_word(const char *word, request *r) {
  ck_isa isa;
  for (size_t f = 0; f < family_count; f++)
    if (strcmp(word, families[f].name) == 0) return r->families |= (uint64_t)1 << f, 1;
  if (ck_isa_named(word, &isa)) return r->sets |= (uint64_t)1 << isa, 1;
  for (size_t s = 0; s < sizeof samples / sizeof samples[0]; s++)
    if (strcmp(word, samples[s].name) == 0)
      return r->step = samples[s].sample.step, r->has_edges = samples[s].sample.has_edges, r->is_product = samples[s].sample.is_product, 1;
  for (size_t p = 0; p < sizeof placements / sizeof placements[0]; p++)
    if (strcmp(word, placements[p].name) == 0) return ck_test_place(placements[p].placement), 1;
  fprintf(stderr, "ckernels-check: expected quick, brief, edges, product, beginnings, exact, instruction sets or families (");
  for (size_t f = 0; f < family_count; f++) fprintf(stderr, "%s%s", f == 0 ? "" : ", ", families[f].name);
  fprintf(stderr, "), found %s\n", word);
  return 0;
}

static int read_request(int count, char **arguments, request *r) {
  *r = (request){2, 0, 0, 0, 0};
  for (int i = 1; i < count; i++)
    if (arguments[i][0] != 0 && !read_word(arguments[i], r)) return 0;
  for (int isa = 0; isa < ck_isa_count; isa++)
    if (r->sets >> isa & 1 && !ck_isa_is_available((ck_isa)isa)) {
      char text[256];
      ck_describe_isa_selection(ck_select_isa(ck_isa_name((ck_isa)isa)), text, sizeof text);
      fprintf(stderr, "ckernels-check: %s\n", text);
      return 0;
    }
  if (r->sets == 0) r->sets = ~(uint64_t)0;
  if (r->families == 0) r->families = ~(uint64_t)0;
  const char *wanted = getenv("EMULATE");
  ck_isa isa;
  if (wanted != NULL && strcmp(wanted, "") != 0 && strcmp(wanted, "1") != 0 && strcmp(wanted, "all") != 0 && !ck_isa_named(wanted, &isa)) {
    fprintf(stderr, "EMULATE: expected 1, all or an instruction set, found %s\n", wanted);
    return 0;
  }
  return 1;
}

int main(int count, char **arguments) {
  request r;
  if (count == 2 && strcmp(arguments[1], "families") == 0) {  // names them, for scripts that run one after the other
    for (size_t f = 0; f < family_count; f++) puts(families[f].name);
    return 0;
  }
  if (!read_request(count, arguments, &r)) return 2;
  const char *given = getenv("CK_TEST_SEED");
  seed = given != NULL ? strtoull(given, NULL, 10) : 20261126;
  printf("CK_TEST_SEED=%llu\n", (unsigned long long)seed);
  for (int i = 0; i < ck_isa_count; i++) {
    ck_isa isa = (ck_isa)i;
    if (!(r.sets >> i & 1)) continue;
    if (!ck_isa_is_available(isa)) {
      printf("%-11s not here\n", ck_isa_name(isa));
      continue;
    }
    if (!is_wanted(isa)) {
      printf("%-11s not emulated: this machine has it\n", ck_isa_name(isa));
      continue;
    }
    size_t before = checks;
    expect(ck_test_table_is_filled(isa), isa, "table", 0, 0, 0, 0);
    for (size_t f = 0; f < family_count; f++)
      if (!(r.families >> f & 1)) continue;
      else if (r.has_edges && families[f].edges != NULL) families[f].edges(isa, r.is_product);
      else families[f].check(isa, r.step);
    printf("%-11s %zu checks\n", ck_isa_name(isa), checks - before);
    fflush(stdout);
  }
  printf("%zu of %zu checks failed\n", failures, checks);
  return failures != 0;
}
