// The reference of the gemm family: each output is its formula.
#include "gemm.h"

#include <math.h>
#include <string.h>

#include "scalar.h"

#pragma clang fp contract(off)

// Code of row m, input k in either layout of ck_gemm_activations.
static int32_t activation(const ck_gemm_activations *x, size_t padded, size_t m, size_t k) {
  if (x->rows <= ck_few_rows) return x->codes[m * padded + k];
  return x->codes[((m / ck_row_block * (padded / 4) + k / 4) * ck_row_block + m % ck_row_block) * 4 + k % 4];
}

// Bit of output n, input k.
static int weight_bit(const ck_gemm_weights *w, size_t padded, size_t n, size_t k) {
  return w->codes[(n / ck_panel * (padded / 8) + k / 8) * ck_panel + n % ck_panel] >> k % 8 & 1;
}

// Code of output n, input k: 16 outputs × 4 inputs are a unit, 8 / bits units share their bytes.
static int32_t weight(int bits, const ck_gemm_weights *w, size_t padded, size_t n, size_t k) {
  if (bits == 1) return 2 * weight_bit(w, padded, n, k) - 1;
  size_t panel_bytes = padded * ck_panel / 8 * (size_t)bits, units = 8 / (size_t)bits;
  uint8_t byte = w->codes[n / ck_panel * panel_bytes + k / 4 / units * 64 + 4 * (n % ck_panel) + k % 4];
  if (bits == 8) return (int8_t)byte;
  return (byte >> (k / 4 % units * (size_t)bits) & ((1 << bits) - 1)) - (1 << (bits - 1));
}

static int32_t multiplier(const ck_gemm_weights *w, size_t n, size_t k) {
  if (w->group == 0) return 1;
  size_t c = n % ck_panel, place = c / 4 == 1 ? c + 4 : c / 4 == 2 ? c - 4 : c;
  return w->multipliers[(n / ck_panel * ck_gemm_groups(w->inputs, w->group) + k / w->group) * ck_panel + place];
}

static float finish(const ck_gemm_output *y, size_t n, float value) {
  if (y->bias != NULL) value += y->bias[n];
  if (y->relu) value = value < 0.0f ? 0.0f : value;
  return value;
}

static int32_t requantize(const ck_gemm_output *y, float value, int32_t lowest, int32_t highest) {
  value *= y->inverse_scale;
  int32_t code = 0;
  if (value == value) {
    value = value > 16777216.0f ? 16777216.0f : value < -16777216.0f ? -16777216.0f : value;
    code = ck_rint_even(value) + y->zero_point;
  }
  return code < lowest ? lowest : code > highest ? highest : code;
}

static void put(const ck_gemm_output *y, size_t m, size_t n, float value) {
  size_t at = m * y->stride + n;
  value = finish(y, n, value);
  if (y->type == ck_output_f32) ((float *)y->data)[at] = value;
  if (y->type == ck_output_u8) ((uint8_t *)y->data)[at] = (uint8_t)requantize(y, value, 0, 255);
  if (y->type == ck_output_s8) ((int8_t *)y->data)[at] = (int8_t)requantize(y, value, -127, 127);
}

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
          sum += (activation(x, padded, m, k) - x->zero_points[m]) * weight(bits, w, padded, n, k) * multiplier(w, n, k);
        if (y->type == ck_output_s32) ((int32_t *)y->data)[m * y->stride + n] = sum;
        total = first == 0 ? (float)sum : total + (float)sum;
      }
      if (y->type != ck_output_s32) put(y, m, n, total * (x->scales[m] * w->scales[n]));
    }
  }
}

#define GEMM(name, bits)                                                                                                         \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,  \
            size_t panel_begin, size_t panel_end, void *workspace) {                                                             \
    (void)workspace;                                                                                                             \
    gemm(bits, w, x, y, row_begin, row_end, panel_begin, panel_end);                                                             \
  }
GEMM(ck_gemm_u8_s8__portable, 8)
GEMM(ck_gemm_u7_s8__portable, 8)
GEMM(ck_gemm_u8_s4__portable, 4)
GEMM(ck_gemm_u8_s2__portable, 2)
GEMM(ck_gemm_u8_s1__portable, 1)

void ck_gemm_u1_s1__portable(const ck_gemm_weights *w, const ck_bit_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                             size_t panel_begin, size_t panel_end, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(w->inputs, ck_fold), end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++) {
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      int32_t different = 0;
      for (size_t k = 0; k < w->inputs; k++) different += (x->bits[m * (padded / 8) + k / 8] >> k % 8 & 1) ^ weight_bit(w, padded, n, k);
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

static void gemm_half(widen *value, const ck_half_weights *w, const float *x, size_t stride, const ck_gemm_output *y, size_t row_begin,
                      size_t row_end, size_t panel_begin, size_t panel_end) {
  size_t end = panel_end * ck_panel < w->outputs ? panel_end * ck_panel : w->outputs;
  for (size_t m = row_begin; m < row_end; m++) {
    for (size_t n = panel_begin * ck_panel; n < end; n++) {
      float sum = 0;
      for (size_t k = 0; k < w->inputs; k++)
        sum += x[m * stride + k] * value(w->values[(n / ck_panel * w->inputs + k) * ck_panel + n % ck_panel]);
      put(y, m, n, sum);
    }
  }
}

#define GEMM_HALF(name, widen)                                                                                                           \
  void name(const ck_half_weights *w, const float *x, size_t rows, size_t stride, const ck_gemm_output *y, size_t row_begin,             \
            size_t row_end, size_t panel_begin, size_t panel_end, void *workspace) {                                                     \
    (void)rows, (void)workspace;                                                                                                         \
    gemm_half(widen, w, x, stride, y, row_begin, row_end, panel_begin, panel_end);                                                       \
  }
GEMM_HALF(ck_gemm_f32_f16__portable, ck_f32_from_f16)
GEMM_HALF(ck_gemm_f32_bf16__portable, ck_f32_from_bf16)
