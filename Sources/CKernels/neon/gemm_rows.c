// Integer gemm for up to 4 rows without dot products, one row after the other on a panel (gemm_rows.h; codes of 4 and 2 bits are made signed here, so that nothing
// has to be taken off). Units meet as in gemm_tiles.c: SMULL and SMLAL, two products in int16, SADALP.
//
// Limit: the one pipe that multiplies, 8 products a cycle, whatever the bits of weights; two rows at once would not fit the registers.
#if defined(__aarch64__)
#include "gemm_rows.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { unit = 4 * ck_panel };

// Sums of 16 outputs, each in two neighbouring halves.
typedef struct row_halves {
  int32x4_t c[8];
} row_halves;

CK_INLINE int8x16_t less(uint8x16_t v, uint8_t offset) { return vreinterpretq_s8_u8(vsubq_u8(v, vdupq_n_u8(offset))); }

// Outputs 4·q … 4·q + 3 times two units of a row.
CK_INLINE void add_units(int q, int8x16_t first, int8x16_t second, const int8_t *x, row_halves *s) {
  int8x16_t a = ck_dup4_s8(x), e = ck_dup4_s8(x + 4);
  int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(first), vget_low_s8(a)), vget_low_s8(second), vget_low_s8(e));
  int16x8_t high = vmlal_high_s8(vmull_high_s8(first, a), second, e);
  s->c[2 * q] = vpadalq_s16(s->c[2 * q], low);
  s->c[2 * q + 1] = vpadalq_s16(s->c[2 * q + 1], high);
}

// 16 inputs.
CK_INLINE void add_step(int bits, const int8_t *x, const uint8_t *codes, row_halves *s) {
  const uint8x16_t low = vdupq_n_u8(bits == 4 ? 15 : 3);
  CK_UNROLL for (int q = 0; q < 4; q++) {
    const uint8_t *at = codes + 16 * q;
    int8x16_t w[4];
    if (bits == 8) CK_UNROLL for (int t = 0; t < 4; t++) w[t] = vld1q_s8((const int8_t *)at + t * unit);
    if (bits == 4) {
      uint8x16_t first = vld1q_u8(at), second = vld1q_u8(at + unit);
      w[0] = less(vandq_u8(first, low), 8), w[1] = less(vshrq_n_u8(first, 4), 8);
      w[2] = less(vandq_u8(second, low), 8), w[3] = less(vshrq_n_u8(second, 4), 8);
    }
    if (bits == 2) {
      uint8x16_t all = vld1q_u8(at);
      w[0] = less(vandq_u8(all, low), 2), w[1] = less(vandq_u8(vshrq_n_u8(all, 2), low), 2);
      w[2] = less(vandq_u8(vshrq_n_u8(all, 4), low), 2), w[3] = less(vshrq_n_u8(all, 6), 2);
    }
    add_units(q, w[0], w[1], x, s);
    add_units(q, w[2], w[3], x + 8, s);
  }
}

CK_INLINE void add_folds(int bits, size_t folds, const int8_t **x, const uint8_t **codes, int32x4_t sums[4]) {
  row_halves s;
  CK_UNROLL for (int i = 0; i < 8; i++) s.c[i] = vdupq_n_s32(0);
  for (size_t left = 2 * folds; left > 0; left--) {
    add_step(bits, *x, *codes, &s);
    *x += 16;
    *codes += 2 * bits * ck_panel;
  }
  CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vpaddq_s32(s.c[2 * q], s.c[2 * q + 1]);
}

// A segment, folds[0] ..< folds[1], of a row × a panel.
CK_INLINE void segment_of_row(int bits, const ck_few_rows_call *f, size_t row, size_t panel, const size_t folds[2], int32x4_t sums[4]) {
  size_t padded = f->folds * ck_fold;
  const int8_t *x = (const int8_t *)f->x->codes + row * padded + folds[0] * ck_fold;
  const uint8_t *codes = f->w->codes + (panel * padded + folds[0] * ck_fold) * ck_panel / 8 * (size_t)bits;
  if (f->w->group == 0) {
    add_folds(bits, folds[1] - folds[0], &x, &codes, sums);
    return;
  }
  CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vdupq_n_s32(0);
  ck_piece p = ck_first_piece(f->w, folds);
  for (const int8_t *multipliers = ck_first_multipliers(f->w, panel, &p); p.fold < folds[1]; ck_next_piece(&p), multipliers += ck_panel) {
    int32x4_t piece[4], m[4];
    add_folds(bits, p.end - p.fold, &x, &codes, piece);
    ck_expand_vectors(multipliers, m);
    CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vmlaq_s32(sums[q], piece[q], m[q]);
  }
}

CK_INLINE void panel_of_row(int bits, const ck_few_rows_call *f, size_t row, size_t panel) {
  float totals[ck_panel];
  size_t segment_folds = ck_segment_folds(f->w, bits, f->folds);
  for (size_t fold = 0, segment = 0; fold < f->folds; fold += segment_folds, segment++) {
    const size_t folds[2] = {fold, fold + segment_folds < f->folds ? fold + segment_folds : f->folds};
    int32x4_t sums[4];
    segment_of_row(bits, f, row, panel, folds, sums);
    ck_end_segment(f->w, f->x, f->y, (ck_segment_end){row, panel, segment, folds[1] == f->folds, f->x->zero_points[row] - 128}, sums, totals);
  }
}

#define ROWS(bits)                                                                                                                           \
  __attribute__((noinline)) static void panel_s##bits(const ck_few_rows_call *f, size_t row, size_t panel) { panel_of_row(bits, f, row, panel); } \
  void ck_gemm_rows_s##bits##__neon(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,       \
                                    size_t row_end, size_t panel_begin, size_t panel_end, void *workspace) {                                 \
    (void)workspace;                                                                                                                         \
    const ck_few_rows_call f = {w, x, y, {NULL}, ck_round_up(w->inputs, ck_fold) / ck_fold};                                                 \
    for (size_t panel = panel_begin; panel < panel_end; panel++)                                                                             \
      for (size_t m = row_begin; m < row_end; m++) panel_s##bits(&f, m, panel);                                                              \
  }
ROWS(8)
ROWS(4)
ROWS(2)

CK_TARGET_END
#endif
