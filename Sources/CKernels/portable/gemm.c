// The reference of the gemm family: each output is its formula.
#include <math.h>
#include <string.h>

#include "../gemm/activations.h"
#include "dispatch.h"
#include "epilogue.h"
#include "scalar.h"

CK_NO_CONTRACTION

// Code of row m, input k: row-major.
static int32_t activation(const ck_gemm_activations *x, size_t padded, size_t m, size_t k) { return x->codes[m * padded + k]; }

static void gemm(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end) {
  size_t padded = ck_round_up(w->inputs, ck_fold), segment = ck_gemm_segment(w->inputs, w->group, bits);
  size_t end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++) {
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      float total = 0;
      for (size_t first = 0; first < w->inputs; first += segment) {
        int32_t sum = 0;
        for (size_t k = first; k < w->inputs && k < first + segment; k++)
          sum += (activation(x, padded, m, k) - x->zero_points[m]) * ck_panel16_code(bits, w, n, k) * (w->group == 0 ? 1 : ck_panel16_multiplier(w, n, k / w->group));
        if (y->type == ck_output_s32) ((int32_t *)y->data)[m * y->stride + n] = sum;
        total = first == 0 ? (float)sum : total + (float)sum;
      }
      if (y->type != ck_output_s32) put(y, m, n, total * (x->scales[m] * w->scales[n]));
    }
  }
}

#define GEMM(name, bits)                                                                                                                  \
  static void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,   \
                   size_t panel_begin, size_t panel_end, void *workspace) {                                                              \
    (void)workspace;                                                                                                                      \
    gemm(bits, w, x, y, row_begin, row_end, panel_begin, panel_end);                                                                      \
  }
GEMM(gemm_s8, 8)
GEMM(gemm_s4, 4)
GEMM(gemm_s2, 2)
GEMM(gemm_s1, 1)

static void gemm_signs(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                       size_t panel_begin, size_t panel_end, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(w->inputs, ck_fold), end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++) {
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      int32_t different = 0;
      for (size_t k = 0; k < w->inputs; k++) different += (x->codes[m * (padded / 8) + k / 8] >> k % 8 & 1) ^ (ck_panel16_code(1, w, n, k) > 0);
      int32_t sum = (int32_t)w->inputs - 2 * different;
      if (y->type == ck_output_s32) ((int32_t *)y->data)[m * y->stride + n] = sum;
      else put(y, m, n, (float)sum * (x->scales[m] * w->scales[n]));
    }
  }
}

void ck_binarize_rows_u1_f32__portable(const float *x, size_t rows, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8;
  for (size_t m = 0; m < rows; m++, x += stride, bits += row_bytes) {
    float s[8] = {0};
    memset(bits, 0, row_bytes);
    for (size_t k = 0; k < columns; k++) {
      bits[k / 8] |= (uint8_t)((x[k] >= 0.0f) << k % 8);
      s[k % 8] += fabsf(x[k]);
    }
    scales[m] = (((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) / (float)columns;
  }
}

void ck_interleave_u8__portable(const uint8_t *codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *block) {
  for (size_t k = 0; k < padded_inputs; k++)
    for (size_t r = 0; r < ck_row_block; r++) block[(k / 4 * ck_row_block + r) * 4 + k % 4] = r < rows ? codes[r * stride + k] : 0;
}

typedef float widen(uint16_t);

static void gemm_half(widen *value, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,
                      size_t row_end, size_t panel_begin, size_t panel_end) {
  const uint16_t *values = (const uint16_t *)(const void *)w->codes;
  size_t end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++) {
    const float *row = (const float *)(const void *)x->codes + m * x->stride;
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      float sum = 0;
      for (size_t k = 0; k < w->inputs; k++) sum += row[k] * value(values[(n / ck_panel * w->inputs + k) * ck_panel + n % ck_panel]);
      put(y, m, n, sum);
    }
  }
}

#define GEMM_HALF(name, widen)                                                                                                            \
  static void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,     \
                   size_t panel_begin, size_t panel_end, void *workspace) {                                                                \
    (void)workspace;                                                                                                                       \
    gemm_half(widen, w, x, y, row_begin, row_end, panel_begin, panel_end);                                                                 \
  }
GEMM_HALF(gemm_f16, ck_f32_from_f16)
GEMM_HALF(gemm_bf16, ck_f32_from_bf16)

// ---- Configurations: activations are row-major for any number of rows.

static void pack_codes(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(x->inputs, ck_fold);
  ck_codes_of_rows(x, row_begin, row_end - row_begin, to->codes + row_begin * padded, padded, to, ck_quantize_rows_u8_f32__portable,
                   ck_quantize_u8_f32__portable);
}

static void pack_signs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  ck_pack_signs(x, row_begin, row_end, to, ck_binarize_rows_u1_f32__portable);
}

static size_t no_workspace(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return 0;
}

#define CODES(bits, kernel)                                                                                                                      \
  CK_GEMM_CONFIG(CK_PANEL16, bits, ck_panel, 1, ck_fold, 0, ck_row_chunk, 0, kernel, ck_panel16_sizes_s##bits, ck_panel16_pack_s##bits,           \
                 ck_panel16_unpack_s##bits, ck_row_major_activation_bytes, pack_codes, no_workspace)
#define HALF(kernel)                                                                                                                             \
  CK_GEMM_CONFIG(CK_PANEL16_HALF, 16, ck_panel, 1, 1, 0, ck_row_chunk, ck_gemm_reads_floats, kernel, ck_panel16_sizes_half, ck_panel16_pack_half, \
                 ck_panel16_unpack_half, ck_no_activation_bytes, ck_pack_nothing, no_workspace)

const ck_gemm_config ck_gemm_u8_s8__portable = CODES(8, gemm_s8), ck_gemm_u7_s8__portable = CODES(8, gemm_s8),
                     ck_gemm_u8_s4__portable = CODES(4, gemm_s4), ck_gemm_u8_s2__portable = CODES(2, gemm_s2),
                     ck_gemm_u8_s1__portable = CODES(1, gemm_s1), ck_gemm_f32_f16__portable = HALF(gemm_f16),
                     ck_gemm_f32_bf16__portable = HALF(gemm_bf16),
                     ck_gemm_u1_s1__portable = CK_GEMM_CONFIG(CK_PANEL16, 1, ck_panel, 1, ck_fold, 0, ck_row_chunk, 0, gemm_signs, ck_panel16_sizes_s1,
                                                              ck_panel16_pack_s1, ck_panel16_unpack_s1, ck_sign_activation_bytes, pack_signs,
                                                              no_workspace);
