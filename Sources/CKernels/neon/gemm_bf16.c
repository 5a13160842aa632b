// BF16 × BF16 by FMLA, with the definition of gemm.h: fma(odd), then fma(even), subnormals flushed by FPCR.FZ. Activations are rounded to BF16 and kept as
// float32, the inputs of a pair exchanged, [M][K2]: so the order of the sums is ascending, and tiles are those of float_tiles.h.
//
// FZ flushes what is below 2⁻¹²⁶ before rounding, the definition what is after: they differ where a step rounds up to 2⁻¹²⁶. A processor that flushes a
// result sets FPSR.UFC, so where that is clear behind a tile the bits are those of the definition. Else, which needs sums that are tiny as a whole, the tile
// is computed again by careful_step, 10 operations for one. FPSR is read once for a tile or for all of K.
#if defined(__aarch64__)
#include <float.h>

#include "bf16.h"
#include "float_tiles.h"
#include "scalar.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// ---- Steps that are flushed after rounding, with FZ clear

CK_INLINE float32x4_t flushed(float32x4_t x) {
  uint32x4_t is_tiny = vcaltq_f32(x, vdupq_n_f32(FLT_MIN)), sign = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x80000000u));
  return vbslq_f32(is_tiny, vreinterpretq_f32_u32(sign), x);
}

// As `step` of portable/gemm_bf16.c.
CK_INLINE float32x4_t careful_step(float32x4_t sum, float32x4_t x, float32x4_t w) {
  float32x4_t up = vdupq_n_f32(0x1p64f), result = vfmaq_f32(sum, x, w), scaled = vfmaq_f32(vmulq_f32(sum, up), vmulq_f32(x, up), w);
  uint32x4_t is_tiny = vandq_u32(vcaleq_f32(result, vdupq_n_f32(FLT_MIN)), vcaltq_f32(scaled, vdupq_n_f32(FLT_MIN * 0x1p64f)));
  uint32x4_t sign = vandq_u32(vreinterpretq_u32_f32(scaled), vdupq_n_u32(0x80000000u));
  return vbslq_f32(is_tiny, vreinterpretq_f32_u32(sign), result);
}

CK_APART void careful_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  for (size_t r = 0; r < rows; r++)
    for (size_t q = 0; q < ck_panel; q += 4) {
      float32x4_t sum = vld1q_f32(sums[r] + q);
      for (size_t k = 0; k < inputs; k++) sum = careful_step(sum, vdupq_n_f32(x[r * stride + k]), flushed(vld1q_f32(w[k] + q)));
      vst1q_f32(sums[r] + q, sum);
    }
}

// ---- Tiles

static void run_careful_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  uint64_t control = ck_begin_default_floats();
  careful_tile(rows, x, stride, w, inputs, sums);
  ck_end_default_floats(control);
}

static void run_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  float before[ck_tile_rows][ck_panel];
  memcpy(before, sums, rows * sizeof before[0]);
  ck_run_float_tile(rows, x, stride, w, inputs, sums);
  if (!ck_has_flushed()) return;
  memcpy(sums, before, rows * sizeof before[0]);
  run_careful_tile(rows, x, stride, w, inputs, sums);
  ck_has_flushed();  // what it did is no reason to doubt the next tile
}

CK_APART void widen(const uint8_t *from, size_t count, float (*panel)[ck_panel]) { ck_widen_panel(ck_widen_bf16_odd, from, count, panel); }

typedef void tile_fn(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]);

static void panel_through_k(tile_fn *tile, const ck_float_product *g, size_t first_row, size_t rows, size_t panel) {
  ck_float_workspace *s = g->s;
  const uint8_t *from = g->w->codes + panel * ck_panel_bytes(ck_widen_bf16_odd, g->inputs);
  memset(s->sums, 0, rows * sizeof s->sums[0]);
  for (size_t k = 0; k < g->inputs; k += ck_float_block) {
    size_t count = g->inputs - k < ck_float_block ? g->inputs - k : ck_float_block;
    widen(from + k * ck_panel * sizeof(uint16_t), count, s->panel);
    for (size_t m = 0, height; m < rows; m += height) {
      height = ck_tile_height(rows - m);
      tile(height, g->x + (first_row + m) * g->stride + k, g->stride, (const float(*)[ck_panel])s->panel, count, s->sums + m);
    }
  }
}

// ---- Few rows

CK_APART void direct_sums(const ck_float_product *g, size_t rows, int is_wide, size_t panel) {
  ck_direct_sums(ck_widen_bf16_odd, g, rows, is_wide, panel);
}

static void finish(const ck_float_product *g, const ck_gemm_output *y, size_t rows, size_t panel, const float *sums, size_t step) {
  for (size_t r = 0; r < rows; r++) ck_finish_float_row(g->w, y, r, panel, sums + r * step);
}

static void gemm_few(const ck_float_product *g, const ck_gemm_output *y, size_t rows, size_t panel_begin, size_t panel_end) {
  size_t width = ck_direct_width(rows);
  for (size_t panel = panel_begin, count; panel < panel_end; panel += count) {
    int is_wide = panel_end - panel >= width;
    count = is_wide ? width : 1;
    uint64_t control = ck_begin_flushing_floats();
    direct_sums(g, rows, is_wide, panel);
    int has_flushed = ck_has_flushed();
    ck_end_flushing_floats(control);
    for (size_t p = 0; p < count; p++) {
      if (has_flushed) panel_through_k(run_careful_tile, g, 0, rows, panel + p);
      finish(g, y, rows, panel + p, g->s->sums[has_flushed ? 0 : p], has_flushed ? ck_panel : count * ck_panel);
    }
  }
}

// ---- All

void ck_gemm_bf16_bf16_fma__neon(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                 size_t panel_begin, size_t panel_end, void *space) {
  size_t padded = ck_round_up(w->inputs, 2);
  ck_float_product g = {w, (const float *)(const void *)x->codes, padded, padded, (ck_float_workspace *)space};
  if (x->rows <= ck_few_rows) {
    gemm_few(&g, y, x->rows, panel_begin, panel_end);
    return;
  }
  for (size_t first = row_begin; first < row_end; first += ck_float_chunk) {
    size_t rows = row_end - first < ck_float_chunk ? row_end - first : ck_float_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      uint64_t control = ck_begin_flushing_floats();
      panel_through_k(run_tile, &g, first, rows, panel);
      ck_end_flushing_floats(control);
      for (size_t m = 0; m < rows; m++) ck_finish_float_row(w, y, first + m, panel, g.s->sums[m]);
    }
  }
}

// ---- Activations

// Rounded, subnormals flushed.
CK_INLINE uint32x4_t rounded(float32x4_t x) {
  uint32x4_t bits = vandq_u32(ck_rounded_bf16(x), vdupq_n_u32(0xFFFF0000u)), exponent = vandq_u32(bits, vdupq_n_u32(0x7F800000u));
  return vbslq_u32(vceqzq_u32(exponent), vandq_u32(bits, vdupq_n_u32(0x80000000u)), bits);
}

void ck_pack_exchanged_bf16__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(x->inputs, 2);
  for (size_t m = row_begin; m < row_end; m++) {
    const float *from = x->data + m * x->stride;
    uint32_t *row = (uint32_t *)(void *)to->codes + m * padded;
    size_t k = 0;
    for (; k + 4 <= x->inputs; k += 4) vst1q_u32(row + k, vrev64q_u32(rounded(vld1q_f32(from + k))));
    for (; k < padded; k += 2) vst1_u32(row + k, vget_low_u32(vrev64q_u32(rounded(ck_load_some(from + k, x->inputs - k < 2 ? 1 : 2)))));
  }
}

CK_TARGET_END
#endif
