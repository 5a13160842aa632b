// Integer gemm for up to 4 rows by SDOT and UDOT with a unit of the row as lane (neon/gemm_rows.h).
//
// Limits, weights a cycle on Neoverse N1 and V1: 8 bits 2 and 3 loads of 16 weights, 32 and 48; 4 bits 4 operations for 32 weights, 16 and 32; 2 bits 8 for 64, 16
// and 32: one row keeps codes where they lie in their bytes, masked, with a sum for each place, which are shifted once at the end; 2 to 4 rows, and
// groups, where sums of places would have to be put together for each, shift codes, 10 for 64.
#if defined(__aarch64__)
#include "kernels.h"

#include "../neon/gemm_rows.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

enum { unit = 4 * ck_panel, grouped_rows = 2 };

#define UDOT(sum, b, u, lane) vreinterpretq_s32_u32(vdotq_laneq_u32(vreinterpretq_u32_s32(sum), b, u, lane))

CK_INLINE uint8x16_t unsigned_codes(const int8_t *x) { return veorq_u8(vreinterpretq_u8_s8(vld1q_s8(x)), vdupq_n_u8(0x80)); }

// Four units of 8-bit codes, 16 inputs. Two sums of an output, S = 2, take turns.
CK_INLINE void add_s8(int R, int S, const int8_t *const x[], const uint8_t *codes, int32x4_t c[][2][4]) {
  int8x16_t a[ck_few_rows];
  CK_UNROLL for (int r = 0; r < R; r++) a[r] = vld1q_s8(x[r]);
  CK_UNROLL for (int q = 0; q < 4; q++) {
    const int8_t *w = (const int8_t *)codes + 16 * q;
    int8x16_t b[4] = {vld1q_s8(w), vld1q_s8(w + unit), vld1q_s8(w + 2 * unit), vld1q_s8(w + 3 * unit)};
    CK_UNROLL for (int r = 0; r < R; r++) {
      c[r][0][q] = vdotq_laneq_s32(c[r][0][q], b[0], a[r], 0);
      c[r][S - 1][q] = vdotq_laneq_s32(c[r][S - 1][q], b[1], a[r], 1);
      c[r][0][q] = vdotq_laneq_s32(c[r][0][q], b[2], a[r], 2);
      c[r][S - 1][q] = vdotq_laneq_s32(c[r][S - 1][q], b[3], a[r], 3);
    }
  }
}

// Four units of outputs 4·q … 4·q + 3. With 4 rows the fields of one q at a time, since there are no registers for more.
CK_INLINE void add_fields(int R, int S, int q, const uint8x16_t b[4], const uint8x16_t u[ck_few_rows], int32x4_t c[][2][4]) {
  CK_UNROLL for (int r = 0; r < R; r++) {
    c[r][0][q] = UDOT(c[r][0][q], b[0], u[r], 0);
    c[r][S - 1][q] = UDOT(c[r][S - 1][q], b[1], u[r], 1);
    c[r][0][q] = UDOT(c[r][0][q], b[2], u[r], 2);
    c[r][S - 1][q] = UDOT(c[r][S - 1][q], b[3], u[r], 3);
    if (R == 4) CK_KEEP_VECTOR(c[r][0][q]);
  }
  if (R == 4) CK_KEEP_IN_MEMORY();
}

CK_INLINE void add_s4(int R, int S, const int8_t *const x[], const uint8_t *codes, int32x4_t c[][2][4]) {
  uint8x16_t u[ck_few_rows];
  CK_UNROLL for (int r = 0; r < R; r++) u[r] = unsigned_codes(x[r]);
  CK_UNROLL for (int q = 0; q < 4; q++) {
    uint8x16_t first = vld1q_u8(codes + 16 * q), second = vld1q_u8(codes + unit + 16 * q);
    uint8x16_t b[4] = {vandq_u8(first, vdupq_n_u8(15)), vshrq_n_u8(first, 4), vandq_u8(second, vdupq_n_u8(15)), vshrq_n_u8(second, 4)};
    add_fields(R, S, q, b, u, c);
  }
}

CK_INLINE void add_s2(int R, int S, const int8_t *const x[], const uint8_t *codes, int32x4_t c[][2][4]) {
  const uint8x16_t low = vdupq_n_u8(3);
  uint8x16_t u[ck_few_rows];
  CK_UNROLL for (int r = 0; r < R; r++) u[r] = unsigned_codes(x[r]);
  CK_UNROLL for (int q = 0; q < 4; q++) {
    uint8x16_t all = vld1q_u8(codes + 16 * q);
    uint8x16_t b[4] = {vandq_u8(all, low), vandq_u8(vshrq_n_u8(all, 2), low), vandq_u8(vshrq_n_u8(all, 4), low), vshrq_n_u8(all, 6)};
    add_fields(R, S, q, b, u, c);
  }
}

// `folds` of 32 inputs from x and codes on, which go on behind them.
CK_INLINE void add_folds(int bits, int R, int S, size_t folds, const int8_t *x[], const uint8_t **codes, int32x4_t c[][2][4]) {
  do {
    CK_UNROLL for (int half = 0; half < 2; half++) {
      if (bits == 8) add_s8(R, S, x, *codes, c);
      if (bits == 4) add_s4(R, S, x, *codes, c);
      if (bits == 2) add_s2(R, S, x, *codes, c);
      CK_UNROLL for (int r = 0; r < R; r++) x[r] += 16;
      *codes += 2 * bits * ck_panel;
    }
  } while (--folds > 0);
}

// One row of 2-bit codes, added to sums. A sum of codes at bits 2·i is 4ⁱ times what is wanted, less than 255 · 192 · 65,536 / 4 < 2³².
CK_INLINE void add_s2_in_place(size_t folds, const int8_t **x, const uint8_t **codes, int32x4_t sums[ck_panel_vectors]) {
  uint32x4_t c[4][4];
  CK_UNROLL for (int q = 0; q < 4; q++) {
    c[0][q] = vreinterpretq_u32_s32(sums[q]);
    c[1][q] = c[2][q] = c[3][q] = vdupq_n_u32(0);
  }
  do {
    CK_UNROLL for (int half = 0; half < 2; half++, *x += 16, *codes += unit) {
      uint8x16_t u = unsigned_codes(*x);
      CK_UNROLL for (int q = 0; q < 4; q++) {
        uint8x16_t b = vld1q_u8(*codes + 16 * q);
        c[0][q] = vdotq_laneq_u32(c[0][q], vandq_u8(b, vdupq_n_u8(0x03)), u, 0);
        c[1][q] = vdotq_laneq_u32(c[1][q], vandq_u8(b, vdupq_n_u8(0x0C)), u, 1);
        c[2][q] = vdotq_laneq_u32(c[2][q], vandq_u8(b, vdupq_n_u8(0x30)), u, 2);
        c[3][q] = vdotq_laneq_u32(c[3][q], vandq_u8(b, vdupq_n_u8(0xC0)), u, 3);
      }
    }
  } while (--folds > 0);
  CK_UNROLL for (int q = 0; q < 4; q++)
    sums[q] = vreinterpretq_s32_u32(vsraq_n_u32(vsraq_n_u32(vsraq_n_u32(c[0][q], c[1][q], 2), c[2][q], 4), c[3][q], 6));
}

// R rows from `row` on × a panel, all of K.
CK_INLINE void panel_of_rows(int bits, int R, const ck_few_rows_call *f, size_t row, size_t panel) {
  const int S = R <= 2 ? 2 : 1, offset = bits == 8 ? 0 : 1 << (bits - 1);
  size_t padded = f->folds * ck_fold;
  const int8_t *x[ck_few_rows];
  const uint8_t *codes = f->w->codes + panel * padded * ck_panel / 8 * (size_t)bits;
  CK_UNROLL for (int r = 0; r < R; r++) x[r] = (const int8_t *)f->x->codes + (row + (size_t)r) * padded;
  int32x4_t c[ck_few_rows][2][4];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int q = 0; q < 4; q++) c[r][s][q] = vdupq_n_s32(0);
  if (bits == 2 && R == 1) add_s2_in_place(f->folds, &x[0], &codes, c[0][0]);
  else add_folds(bits, R, S, f->folds, x, &codes, c);
  CK_UNROLL for (int r = 0; r < R; r++) {
    size_t m = row + (size_t)r;
    int32x4_t start = vdupq_n_s32(bits == 8 ? 0 : -offset * f->before[m][f->folds]);
    CK_UNROLL for (int q = 0; q < 4; q++) c[r][0][q] = vaddq_s32(S == 2 ? vaddq_s32(c[r][0][q], c[r][1][q]) : c[r][0][q], start);
    ck_end_segment(f->w, f->x, f->y, (ck_segment_end){m, panel, 0, 1, f->x->zero_points[m] - (bits == 8 ? 128 : 0)}, c[r][0], NULL);
  }
}

// A segment, folds fold ..< end, with groups: sums of a piece begin such that they are those of codes.
CK_INLINE void segment_of_rows(int bits, int R, const ck_few_rows_call *f, size_t row, size_t panel, const size_t folds[2], int32x4_t sums[][4]) {
  const int offset = bits == 8 ? 0 : 1 << (bits - 1);
  size_t padded = f->folds * ck_fold;
  const int8_t *x[ck_few_rows];
  const uint8_t *codes = f->w->codes + (panel * padded + folds[0] * ck_fold) * ck_panel / 8 * (size_t)bits;
  CK_UNROLL for (int r = 0; r < R; r++) x[r] = (const int8_t *)f->x->codes + (row + (size_t)r) * padded + folds[0] * ck_fold;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++) sums[r][q] = vdupq_n_s32(0);
  ck_piece p = ck_first_piece(f->w, folds);
  for (const int8_t *multipliers = ck_first_multipliers(f->w, panel, &p); p.fold < folds[1]; ck_next_piece(&p), multipliers += ck_panel) {
    int32x4_t c[grouped_rows][2][4], m[4];
    CK_UNROLL for (int r = 0; r < R; r++) {
      const int32_t *before = f->before[row + (size_t)r];
      int32x4_t start = vdupq_n_s32(bits == 8 ? 0 : offset * (before[p.fold] - before[p.end]));
      CK_UNROLL for (int q = 0; q < 4; q++) c[r][0][q] = start;
    }
    add_folds(bits, R, 1, p.end - p.fold, x, &codes, c);
    ck_expand_vectors(multipliers, m);
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++) sums[r][q] = vmlaq_s32(sums[r][q], c[r][0][q], m[q]);
  }
}

CK_INLINE void grouped_panel_of_rows(int bits, int R, const ck_few_rows_call *f, size_t row, size_t panel) {
  float totals[grouped_rows][ck_panel];
  size_t segment_folds = ck_segment_folds(f->w, bits, f->folds);
  for (size_t fold = 0, segment = 0; fold < f->folds; fold += segment_folds, segment++) {
    const size_t folds[2] = {fold, fold + segment_folds < f->folds ? fold + segment_folds : f->folds};
    int32x4_t sums[grouped_rows][4];
    segment_of_rows(bits, R, f, row, panel, folds, sums);
    CK_UNROLL for (int r = 0; r < R; r++) {
      size_t m = row + (size_t)r;
      const ck_segment_end end = {m, panel, segment, folds[1] == f->folds, f->x->zero_points[m] - (bits == 8 ? 128 : 0)};
      ck_end_segment(f->w, f->x, f->y, end, sums[r], totals[r]);
    }
  }
}

// Σ u before each fold.
static void sum_row(const int8_t *x, size_t folds, int32_t *before) {
  int32_t sum = 0;
  for (size_t fold = 0; fold < folds; fold++, x += ck_fold) {
    before[fold] = sum;
    uint32x4_t u = vdotq_u32(vdotq_u32(vdupq_n_u32(0), unsigned_codes(x), vdupq_n_u8(1)), unsigned_codes(x + 16), vdupq_n_u8(1));
    sum += (int32_t)vaddvq_u32(u);
  }
  before[folds] = sum;
}

#define PANEL(bits, R)                                                                                                                     \
  __attribute__((noinline)) static void panel_s##bits##_##R(const ck_few_rows_call *f, size_t row, size_t panel) {                          \
    panel_of_rows(bits, R, f, row, panel);                                                                                                 \
  }
#define GROUPED_PANEL(bits, R)                                                                                                             \
  __attribute__((noinline)) static void grouped_panel_s##bits##_##R(const ck_few_rows_call *f, size_t row, size_t panel) {                  \
    grouped_panel_of_rows(bits, R, f, row, panel);                                                                                         \
  }
#define ROWS(bits)                                                                                                                         \
  PANEL(bits, 1) PANEL(bits, 2) PANEL(bits, 3) PANEL(bits, 4) GROUPED_PANEL(bits, 1) GROUPED_PANEL(bits, 2)                                 \
  void ck_gemm_rows_s##bits##__dotprod(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,  \
                                       size_t row_end, size_t panel_begin, size_t panel_end, void *workspace) {                            \
    typedef void multiply(const ck_few_rows_call *, size_t, size_t);                                                                       \
    static multiply *const panels[] = {panel_s##bits##_1, panel_s##bits##_2, panel_s##bits##_3, panel_s##bits##_4};                        \
    static multiply *const grouped[] = {grouped_panel_s##bits##_1, grouped_panel_s##bits##_2};                                             \
    ck_few_rows_call f = call_of(bits, w, x, y, workspace);                                                                                \
    size_t most = w->group > 0 ? grouped_rows : ck_few_rows;                                                                               \
    for (size_t panel = panel_begin; panel < panel_end; panel++)                                                                           \
      for (size_t m = row_begin, rows; m < row_end; m += rows) {                                                                           \
        rows = row_end - m < most ? row_end - m : most;                                                                                    \
        (w->group > 0 ? grouped : panels)[rows - 1](&f, m, panel);                                                                         \
      }                                                                                                                                    \
  }

static ck_few_rows_call call_of(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, void *workspace) {
  ck_few_rows_call f = {w, x, y, {NULL}, ck_round_up(w->inputs, ck_fold) / ck_fold};
  int32_t *before = workspace;
  for (size_t m = 0; bits < 8 && m < x->rows; m++, before += f.folds + 1) {
    f.before[m] = before;
    sum_row((const int8_t *)x->codes + m * f.folds * ck_fold, f.folds, before);
  }
  return f;
}

ROWS(8)
ROWS(4)
ROWS(2)

CK_TARGET_END
#endif
