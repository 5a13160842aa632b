// Float32 activations times FP16 or BF16 weights, by the tiles of float_tiles.h, in the default floating-point environment.
#if defined(__aarch64__)
#include "float_tiles.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

size_t ck_gemm_float_workspace__neon(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return ck_round_up(sizeof(ck_float_workspace), 64);
}

// ---- Few rows

#define DIRECT_SUMS(name, widening) \
  CK_APART void name(const ck_float_product *g, size_t rows, int is_wide, size_t panel) { ck_direct_sums(widening, g, rows, is_wide, panel); }
DIRECT_SUMS(direct_f16, ck_widen_f16)
DIRECT_SUMS(direct_f16_scaled, ck_widen_f16_scaled)
DIRECT_SUMS(direct_bf16, ck_widen_bf16)

// Whether all |x| < 2¹⁶: x · 2¹¹² is exact then.
static int can_be_scaled(const float *x, size_t rows, size_t stride, size_t inputs) {
  const uint32_t *bits = (const uint32_t *)(const void *)x;
  uint32_t largest = 0;
  for (size_t r = 0; r < rows; r++)
    for (size_t k = 0; k < inputs; k++) {
      uint32_t magnitude = bits[r * stride + k] & 0x7FFFFFFFu;
      largest = magnitude > largest ? magnitude : largest;
    }
  return largest < (127u + 16) << 23;
}

static int is_any_marked(const ck_gemm_weights *w, size_t panel, size_t count) {
  int any = 0;
  for (size_t p = panel; p < panel + count; p++) any |= ck_panel16_is_marked(w, p);
  return any;
}

static void gemm_few(int is_bf16, const ck_float_product *g, const ck_gemm_output *y, size_t rows, size_t panel_begin, size_t panel_end) {
  size_t width = ck_direct_width(rows);
  int is_scaled = !is_bf16 && can_be_scaled(g->x, rows, g->stride, g->inputs);
  for (size_t panel = panel_begin, count; panel < panel_end; panel += count) {
    int is_wide = panel_end - panel >= width;
    count = is_wide ? width : 1;
    uint64_t control = ck_begin_default_floats();
    if (is_bf16) {
      direct_bf16(g, rows, is_wide, panel);
    } else if (is_scaled && !is_any_marked(g->w, panel, count)) {
      direct_f16_scaled(g, rows, is_wide, panel);
    } else {
      direct_f16(g, rows, is_wide, panel);
    }
    ck_end_default_floats(control);
    for (size_t r = 0; r < rows; r++)
      for (size_t p = 0; p < count; p++) ck_finish_float_row(g->w, y, r, panel + p, g->s->sums[r * count + p]);
  }
}

// ---- Many rows

CK_APART void widen(int is_bf16, const uint8_t *from, size_t count, float (*panel)[ck_panel]) {
  if (is_bf16) {
    ck_widen_panel(ck_widen_bf16, from, count, panel);
  } else {
    ck_widen_panel(ck_widen_f16, from, count, panel);
  }
}

static void panel_through_k(int is_bf16, const ck_float_product *g, size_t first_row, size_t rows, size_t panel) {
  ck_float_workspace *s = g->s;
  const uint8_t *from = g->w->codes + panel * ck_panel_bytes(is_bf16 ? ck_widen_bf16 : ck_widen_f16, g->inputs);
  memset(s->sums, 0, rows * sizeof s->sums[0]);
  for (size_t k = 0; k < g->inputs; k += ck_float_block) {
    size_t count = g->inputs - k < ck_float_block ? g->inputs - k : ck_float_block;
    widen(is_bf16, from + k * ck_panel * sizeof(uint16_t), count, s->panel);
    for (size_t m = 0, height; m < rows; m += height) {
      height = ck_tile_height(rows - m);
      ck_run_float_tile(height, g->x + (first_row + m) * g->stride + k, g->stride, (const float(*)[ck_panel])s->panel, count, s->sums + m);
    }
  }
}

static void gemm_half(int is_bf16, const ck_float_product *g, const ck_gemm_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                      size_t panel_end) {
  for (size_t first = row_begin; first < row_end; first += ck_float_chunk) {
    size_t rows = row_end - first < ck_float_chunk ? row_end - first : ck_float_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      uint64_t control = ck_begin_default_floats();
      panel_through_k(is_bf16, g, first, rows, panel);
      ck_end_default_floats(control);
      for (size_t m = 0; m < rows; m++) ck_finish_float_row(g->w, y, first + m, panel, g->s->sums[m]);
    }
  }
}

#define GEMM_HALF(name, is_bf16)                                                                                                           \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,            \
            size_t panel_begin, size_t panel_end, void *space) {                                                                          \
    ck_float_product g = {w, (const float *)(const void *)x->codes, x->stride, w->inputs, (ck_float_workspace *)space};                   \
    if (x->rows <= ck_few_rows) {                                                                                                         \
      gemm_few(is_bf16, &g, y, x->rows, panel_begin, panel_end);                                                                          \
    } else {                                                                                                                              \
      gemm_half(is_bf16, &g, y, row_begin, row_end, panel_begin, panel_end);                                                              \
    }                                                                                                                                     \
  }
GEMM_HALF(ck_gemm_half_f16__neon, 0)
GEMM_HALF(ck_gemm_half_bf16__neon, 1)

CK_TARGET_END
#endif
