// The reference of BF16 × BF16: the definition in gemm.h, spelled out.
#include <float.h>
#include <math.h>

#include "../gemm/activations.h"
#include "dispatch.h"
#include "epilogue.h"
#include "../float_environment.h"

CK_NO_CONTRACTION

static float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

// fma(x, w, sum), flushed where it is tiny after rounding to 24 bits. Numbers below FLT_MIN have fewer, so FLT_MIN itself may be rounded from what is
// still tiny: asked of the same step times 2⁶⁴, where nothing is subnormal. (That may overflow or be a NaN where factors are large; then |result| is 0.)
static float step(float x, float w, float sum) {
  float result = fmaf(x, w, sum);
  if (!(fabsf(result) <= FLT_MIN)) return result;
  float scaled = fmaf(x * 0x1p64f, w, sum * 0x1p64f);
  return fabsf(scaled) < FLT_MIN * 0x1p64f ? copysignf(0, scaled) : result;
}

static float number(uint16_t pattern) { return flushed(ck_f32_from_bf16(pattern)); }

CK_APART float sum_of(const ck_gemm_weights *w, const uint16_t *x, size_t padded, size_t n) {
  const uint16_t *values = (const uint16_t *)(const void *)w->codes;
  float sum = 0;
  for (size_t k = 0; k < padded; k += 2) {
    sum = step(number(x[k + 1]), number(values[ck_panel16x2_place(padded, n, k + 1)]), sum);
    sum = step(number(x[k]), number(values[ck_panel16x2_place(padded, n, k)]), sum);
  }
  return sum;
}

static void gemm(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(w->inputs, 2), end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++)
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      uint64_t control = ck_begin_default_floats();
      float sum = sum_of(w, (const uint16_t *)(const void *)x->codes + m * padded, padded, n);
      ck_end_default_floats(control);
      put(y, m, n, sum);
    }
}

// Activations: BF16 patterns [M][K2], K2 is K rounded up to 2.
static void pack_activations(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_bf16_rows(x, row_begin, row_end, to, ck_round_bf16_f32__portable);
}

static size_t no_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return 0;
}

const ck_gemm_config ck_gemm_bf16_bf16__portable =
    CK_GEMM_CONFIG(CK_PANEL16_PAIRS, 16, ck_panel, 1, 2, 0, ck_row_chunk, 0, gemm, ck_panel16x2_sizes, ck_panel16x2_pack, ck_panel16x2_unpack,
                   ck_bf16_activation_bytes, pack_activations, no_workspace);
