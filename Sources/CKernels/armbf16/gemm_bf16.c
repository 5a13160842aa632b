// BF16 × BF16 by BFMMLA: 2 rows × 2 outputs × 4 inputs. Its sums are those of pairs that gemm.h defines beside ck_config_gemm_bf16_bf16: four inputs are two
// steps in order, so any number of rows, any tile and any cut give the same bits.
//
// Weights are panel8x4-bf16, activations blocks of 8 rows (kernels.h): 64 bytes of either are 8 rows or outputs × 4 inputs.
//   many rows  16 outputs × 512 inputs (16 KB) serve all rows while they are in L1, tiles of 8 rows × 8 outputs: 16 sums, 8 loads for 16 BFMMLA.
//   few        up to 8 rows: all inputs at once, 2 rows × 32 outputs, 4 or 6 × 16, 8 × 8. For one row half of what BFMMLA computes is lost, but it takes 16
//              bytes of weights an instruction, which is more than memory brings; BFDOT wants another layout of weights for the same sums.
#if defined(__aarch64__)
#include "../neon/bf16.h"
#include "../neon/epilogue.h"
#include "../float_environment.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_ARMBF16)

enum { half_columns = 8, block_inputs = 512, chunk_rows = 256 };

typedef struct workspace {
  float sums[chunk_rows][ck_panel];
} workspace;

size_t ck_gemm_bf16_workspace__armbf16(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return sizeof(workspace);
}

// Pairs of rows in the block that begins at `row`, of `rows`.
static inline size_t pairs_of(size_t rows, size_t row) { return rows - row < ck_row_block ? (rows - row + 1) / 2 : ck_row_block / 2; }

// ---- Tiles

// Operands of a tile: weights of halves of panels, `half` bytes apart, `steps` blocks of 4 inputs, and where its sums are, rows `width` floats apart.
typedef struct operands {
  const uint8_t *x, *w;
  size_t half, steps, width;
  float *sums;
} operands;

CK_INLINE bfloat16x8_t load8(const uint8_t *p) { return vreinterpretq_bf16_u8(vld1q_u8(p)); }

// P pairs of rows × H halves of panels, added to the sums.
CK_INLINE void tile(int P, int H, const operands *o) {
  const uint8_t *x = o->x, *w = o->w;
  size_t half = o->half, width = o->width;
  float32x4_t c[4][4][half_columns / 2];
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int q = 0; q < half_columns / 2; q++) {
    const float *from = o->sums + 2 * (size_t)p * width + half_columns * h + 2 * q;
    c[p][h][q] = vcombine_f32(vld1_f32(from), vld1_f32(from + width));
  }
  for (size_t t = 0; t < o->steps; t++, x += 16 * P, w += 64) {
    bfloat16x8_t a[4];
    CK_UNROLL for (int p = 0; p < P; p++) a[p] = load8(x + 16 * p);
    CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int q = 0; q < half_columns / 2; q++) {
      bfloat16x8_t b = load8(w + (size_t)h * half + 16 * q);
      CK_UNROLL for (int p = 0; p < P; p++) c[p][h][q] = vbfmmlaq_f32(c[p][h][q], a[p], b);
    }
  }
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int q = 0; q < half_columns / 2; q++) {
    float *to = o->sums + 2 * (size_t)p * width + half_columns * h + 2 * q;
    vst1_f32(to, vget_low_f32(c[p][h][q]));
    vst1_f32(to + width, vget_high_f32(c[p][h][q]));
  }
}

// One panel, or two where there is one pair of rows.
CK_APART void run_tiles(size_t pairs, size_t panels, operands o) {
  switch (pairs * 2 + panels - 1) {
    case 2: tile(1, 2, &o); break;
    case 3: tile(1, 4, &o); break;
    case 4: tile(2, 2, &o); break;
    case 6: tile(3, 2, &o); break;
    default:
      tile(4, 1, &o);
      o.w += o.half, o.sums += half_columns;
      tile(4, 1, &o);
  }
}

// ---- Products

// Rows first ..< first + rows and one or two panels.
static void panels_through_k(const ck_gemm_weights *w, const ck_gemm_activations *x, size_t first, size_t rows, size_t panel, size_t panels,
                             workspace *s) {
  size_t padded = ck_round_up(w->inputs, 4), half = padded * half_columns * sizeof(uint16_t), width = panels * ck_panel;
  size_t block = x->rows <= ck_row_block ? padded : block_inputs;
  memset(s->sums, 0, ck_round_up(rows, 2) * width * sizeof(float));
  for (size_t k = 0; k < padded; k += block) {
    size_t steps = (padded - k < block ? padded - k : block) / 4;
    for (size_t m = 0; m < rows; m += ck_row_block) {
      size_t pairs = pairs_of(x->rows, first + m);
      const uint8_t *at = x->codes + (first + m) * padded * sizeof(uint16_t) + k / 4 * 16 * pairs;
      run_tiles(pairs, panels, (operands){at, w->codes + 2 * half * panel + k * half_columns * sizeof(uint16_t), half, steps, width,
                                          s->sums[0] + m * width});
    }
  }
}

static void finish(const ck_gemm_weights *w, const ck_gemm_output *y, size_t m, size_t panel, const float *sums) {
  float32x4_t v[ck_panel_vectors];
  CK_UNROLL for (int q = 0; q < ck_panel_vectors; q++) v[q] = vld1q_f32(sums + 4 * q);
  ck_finish_row(y, m, panel * ck_panel, ck_panel_columns(w, panel), v);
}

void ck_gemm_bf16_bf16_mmla__armbf16(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                     size_t panel_begin, size_t panel_end, void *space) {
  workspace *s = (workspace *)space;
  uint64_t control = ck_begin_rounding_pairs();
  for (size_t first = row_begin; first < row_end; first += chunk_rows) {
    size_t rows = row_end - first < chunk_rows ? row_end - first : chunk_rows;
    for (size_t panel = panel_begin, panels; panel < panel_end; panel += panels) {
      panels = x->rows <= 2 && panel_end - panel >= 2 ? 2 : 1;
      panels_through_k(w, x, first, rows, panel, panels, s);
      for (size_t m = 0; m < rows; m++)
        for (size_t p = 0; p < panels; p++) finish(w, y, first + m, panel + p, s->sums[m * panels + p]);
    }
  }
  ck_end_rounding_pairs(control);
}

// ---- Activations

CK_INLINE uint16x4_t rounded(const float *from, size_t count) {
  return vshrn_n_u32(ck_rounded_bf16(count >= 4 ? vld1q_f32(from) : ck_load_some(from, count)), 16);
}

// Two rows, or one and zeros, into every `step`th block of 2 × 4.
static void pack_pair(const float *from, size_t stride, int is_whole, size_t inputs, size_t step, uint16_t *to) {
  for (size_t k = 0; k < inputs; k += 4, to += 8 * step) {
    vst1_u16(to, rounded(from + k, inputs - k));
    vst1_u16(to + 4, is_whole ? rounded(from + stride + k, inputs - k) : vdup_n_u16(0));
  }
}

void ck_pack_blocks_bf16__armbf16(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *space) {
  (void)space;
  size_t padded = ck_round_up(x->inputs, 4);
  for (size_t row = row_begin; row < row_end; row += ck_row_block) {
    size_t pairs = pairs_of(x->rows, row);
    uint16_t *block = (uint16_t *)(void *)to->codes + row * padded;
    for (size_t p = 0; p < pairs; p++)
      pack_pair(x->data + (row + 2 * p) * x->stride, x->stride, row + 2 * p + 1 < x->rows, x->inputs, pairs, block + 8 * p);
  }
}

CK_TARGET_END
#endif
