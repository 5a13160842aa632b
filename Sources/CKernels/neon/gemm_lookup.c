// W1A8 for up to 4 rows, one after the other, by table: of four inputs the 16 sums of subsets, their lowest five bits and the rest (0 … 1,020 = 32 · 31 + 28) as 32
// bytes, so that TBL adds four weights of 16 outputs in two operations, and eight of either fit in a byte (8 · 31 < 256). Tables are made once in a call, 8 bytes an
// input; two panels share their loads.
//
// Limit: 32 inputs × 32 outputs take 32 TBL, 28 additions, 16 operations for indices and 8 to widen: 24 weights a cycle on Neoverse N1; V1 has two pipes for TBL, 27.
// UDOT with masks, which N1 does at 16, would need a layout of its own.
#if defined(__aarch64__)
#include "gemm_rows.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { table_bytes = 32, most_panels = 2, folds_at_once = 256 };  // 256 · 8 · 31 < 65,536

// Tables of a row, x − 128 as packed, and Σ x before each fold. What is behind K has clear bits, which add nothing, but counts 128 in the sums.
static void make_tables(const int8_t *x, size_t folds, uint8_t *tables, int32_t *before) {
  static const uint16_t first[8] = {0, 0xFFFF, 0, 0xFFFF, 0, 0xFFFF, 0, 0xFFFF}, second[8] = {0, 0, 0xFFFF, 0xFFFF, 0, 0, 0xFFFF, 0xFFFF},
                        third[8] = {0, 0, 0, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF};
  const uint16x8_t masks[3] = {vld1q_u16(first), vld1q_u16(second), vld1q_u16(third)};
  int32_t sum = 0;
  for (size_t k = 0; k < folds * ck_fold; k += 4, tables += table_bytes) {
    if (k % ck_fold == 0) before[k / ck_fold] = sum;
    uint16_t u[4];
    for (size_t i = 0; i < 4; i++) u[i] = (uint16_t)(x[k + i] + 128);
    uint16x8_t low = vandq_u16(vdupq_n_u16(u[0]), masks[0]);
    low = vaddq_u16(low, vandq_u16(vdupq_n_u16(u[1]), masks[1]));
    low = vaddq_u16(low, vandq_u16(vdupq_n_u16(u[2]), masks[2]));
    uint16x8_t high = vaddq_u16(low, vdupq_n_u16(u[3]));
    vst1q_u8(tables, vandq_u8(vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high)), vdupq_n_u8(31)));
    vst1q_u8(tables + 16, vcombine_u8(vshrn_n_u16(low, 5), vshrn_n_u16(high, 5)));
    sum += u[0] + u[1] + u[2] + u[3];
  }
  before[folds] = sum;
}

// A fold of P panels: bytes of low and high parts, added to sums in int16.
CK_INLINE void add_fold(int P, const uint8_t *tables, const uint8_t *const codes[most_panels], uint16x8_t low[][2], uint16x8_t high[][2]) {
  uint8x16_t all[most_panels], l[most_panels], h[most_panels];
  CK_UNROLL for (int t = 0; t < 8; t++, tables += table_bytes) {
    uint8x16_t table_low = vld1q_u8(tables), table_high = vld1q_u8(tables + 16);
    CK_UNROLL for (int p = 0; p < P; p++) {
      if (t % 2 == 0) all[p] = vld1q_u8(codes[p] + 8 * t);
      uint8x16_t index = t % 2 == 0 ? vandq_u8(all[p], vdupq_n_u8(15)) : vshrq_n_u8(all[p], 4);
      uint8x16_t part_low = vqtbl1q_u8(table_low, index), part_high = vqtbl1q_u8(table_high, index);
      l[p] = t == 0 ? part_low : vaddq_u8(l[p], part_low);
      h[p] = t == 0 ? part_high : vaddq_u8(h[p], part_high);
    }
    if (t % 2 == 1) CK_KEEP_IN_MEMORY();  // the next tables wait there: all at once are too many
  }
  CK_UNROLL for (int p = 0; p < P; p++) {
    low[p][0] = vaddw_u8(low[p][0], vget_low_u8(l[p]));
    low[p][1] = vaddw_high_u8(low[p][1], l[p]);
    high[p][0] = vaddw_u8(high[p][0], vget_low_u8(h[p]));
    high[p][1] = vaddw_high_u8(high[p][1], h[p]);
  }
}

// Σ x over the set bits of folds folds[0] ..< folds[1], of 16 outputs of P panels.
CK_INLINE void sums_of_piece(int P, const uint8_t *tables, const uint8_t *const panels[most_panels], const size_t folds[2], int32x4_t sums[][4]) {
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < 4; q++) sums[p][q] = vdupq_n_s32(0);
  for (size_t fold = folds[0]; fold < folds[1];) {
    uint16x8_t low[most_panels][2], high[most_panels][2];
    CK_UNROLL for (int p = 0; p < P; p++) low[p][0] = low[p][1] = high[p][0] = high[p][1] = vdupq_n_u16(0);
    size_t end = folds[1] - fold < folds_at_once ? folds[1] : fold + folds_at_once;
    for (; fold < end; fold++) {
      const uint8_t *codes[most_panels];
      CK_UNROLL for (int p = 0; p < P; p++) codes[p] = panels[p] + fold * ck_fold / 8 * ck_panel;
      add_fold(P, tables + fold * ck_fold / 4 * table_bytes, codes, low, high);
    }
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < 4; q++) {
      uint16x4_t l = q % 2 == 0 ? vget_low_u16(low[p][q / 2]) : vget_high_u16(low[p][q / 2]);
      uint16x4_t h = q % 2 == 0 ? vget_low_u16(high[p][q / 2]) : vget_high_u16(high[p][q / 2]);
      sums[p][q] = vaddq_s32(sums[p][q], vreinterpretq_s32_u32(vaddw_u16(vshll_n_u16(h, 5), l)));
    }
  }
}

// A row, its tables and its sums.
typedef struct row_of_tables {
  const ck_gemm_weights *w;
  const ck_gemm_activations *x;
  const ck_gemm_output *y;
  const uint8_t *tables;
  const int32_t *before;
  size_t row, folds;
} row_of_tables;

// Σ x · code = 2 · Σ of set bits − Σ x.
CK_INLINE void code_sums(const row_of_tables *t, const size_t folds[2], int32x4_t sums[4]) {
  size_t behind = folds[1] == t->folds ? t->folds * ck_fold - t->w->inputs : 0;
  int32x4_t sum_of_x = vdupq_n_s32(t->before[folds[1]] - t->before[folds[0]] - 128 * (int32_t)behind);
  CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vsubq_s32(vaddq_s32(sums[q], sums[q]), sum_of_x);
}

// A segment with groups.
CK_INLINE void grouped_segment(int P, const row_of_tables *t, const uint8_t *const codes[], size_t panel, const size_t folds[2], int32x4_t sums[][4]) {
  size_t groups = ck_gemm_groups(t->w->inputs, t->w->group);
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < 4; q++) sums[p][q] = vdupq_n_s32(0);
  ck_piece i = ck_first_piece(t->w, folds);
  for (const int8_t *multipliers = ck_first_multipliers(t->w, panel, &i); i.fold < folds[1]; ck_next_piece(&i), multipliers += ck_panel) {
    const size_t piece_folds[2] = {i.fold, i.end};
    int32x4_t piece[most_panels][4], m[4];
    sums_of_piece(P, t->tables, codes, piece_folds, piece);
    CK_UNROLL for (int p = 0; p < P; p++) {
      code_sums(t, piece_folds, piece[p]);
      ck_expand_vectors(multipliers + (size_t)p * groups * ck_panel, m);
      CK_UNROLL for (int q = 0; q < 4; q++) sums[p][q] = vmlaq_s32(sums[p][q], piece[p][q], m[q]);
    }
  }
}

// P panels from `panel` on.
CK_INLINE void panels_of_row(int P, const row_of_tables *t, size_t panel) {
  const ck_gemm_weights *w = t->w;
  const uint8_t *codes[most_panels];
  float totals[most_panels][ck_panel];
  size_t segment_folds = ck_segment_folds(w, 1, t->folds);
  CK_UNROLL for (int p = 0; p < P; p++) codes[p] = w->codes + (panel + (size_t)p) * t->folds * ck_fold / 8 * ck_panel;
  for (size_t fold = 0, segment = 0; fold < t->folds; fold += segment_folds, segment++) {
    int32x4_t sums[most_panels][4];
    const size_t folds[2] = {fold, fold + segment_folds < t->folds ? fold + segment_folds : t->folds};
    if (w->group > 0) {
      grouped_segment(P, t, codes, panel, folds, sums);
    } else {
      sums_of_piece(P, t->tables, codes, folds, sums);
      CK_UNROLL for (int p = 0; p < P; p++) code_sums(t, folds, sums[p]);
    }
    CK_UNROLL for (int p = 0; p < P; p++) {
      const ck_segment_end end = {t->row, panel + (size_t)p, segment, folds[1] == t->folds, t->x->zero_points[t->row]};
      ck_end_segment(w, t->x, t->y, end, sums[p], totals[p]);
    }
  }
}
__attribute__((noinline)) static void one_panel(const row_of_tables *t, size_t panel) { panels_of_row(1, t, panel); }
__attribute__((noinline)) static void two_panels(const row_of_tables *t, size_t panel) { panels_of_row(2, t, panel); }

size_t ck_gemm_lookup_workspace__neon(size_t inputs) {
  size_t padded = ck_round_up(inputs, ck_fold);
  return padded / 4 * table_bytes + ck_round_up((padded / ck_fold + 1) * sizeof(int32_t), 64);
}

void ck_gemm_lookup_s1__neon(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                             size_t panel_begin, size_t panel_end, void *workspace) {
  size_t folds = ck_round_up(w->inputs, ck_fold) / ck_fold;
  uint8_t *tables = workspace;
  int32_t *before = (int32_t *)(void *)(tables + folds * ck_fold / 4 * table_bytes);
  for (size_t m = row_begin; m < row_end; m++) {
    make_tables((const int8_t *)x->codes + m * folds * ck_fold, folds, tables, before);
    const row_of_tables t = {w, x, y, tables, before, m, folds};
    size_t panel = panel_begin;
    for (; panel + most_panels <= panel_end; panel += most_panels) two_panels(&t, panel);
    for (; panel < panel_end; panel++) one_panel(&t, panel);
  }
}

CK_TARGET_END
#endif
