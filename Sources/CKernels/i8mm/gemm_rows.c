// Integer gemm for up to 4 rows by USMMLA and UMMLA: pairs of rows [2][8] meet blocks of 2 outputs × 8 inputs (neon/gemm_rows.h; activations as they are). One
// row is a pair with zeros: an instruction then does what one USDOT would, without sums in halves.
//   What is multiplied is s, as it is stored: code = s for 8 bits, s − 8 and s − 2 for 4 and 2, 2·s − 1 for 1.
//
// Limits, weights a cycle on Neoverse V1 and V2 for one row: 8 bits loads, 9 for 128 weights, 43; 4 bits 4 operations for 32 weights, 32; 2 bits 8 for 64, 32: codes
// stay where they lie in their bytes, masked, with a sum for each place, 8 outputs at a time; 1 bit 2 for 16, 32, the same with eight places and 4 outputs.
// Groups shift 2 and 1 bit instead, since sums of places would have to be put together for each.
#if defined(__aarch64__)
#include "kernels.h"

#include "../neon/gemm_rows.h"

CK_TARGET_BEGIN(CK_TARGET_I8MM)

enum { pair = 16, unit = 128, most_pairs = 2, blocks = ck_panel / 2, fold_units = ck_fold / 8 };

#define UMMLA(sum, u, b) vreinterpretq_s32_u32(vmmlaq_u32(vreinterpretq_u32_s32(sum), u, b))

// Σ code = factor · Σ s − offset · Σ u.
CK_INLINE int32_t offset_of(int bits) { return bits == 8 ? 0 : 1 << (bits - 1); }

// Field i of each byte.
CK_INLINE uint8x16_t field(int bits, uint8x16_t all, int i) {
  uint8x16_t b = i == 0 ? all : vshlq_u8(all, vdupq_n_s8((int8_t)(-bits * i)));
  return (i + 1) * bits == 8 ? b : vandq_u8(b, vdupq_n_u8((uint8_t)((1 << bits) - 1)));
}

// Four units of one pair, the lower or the upper half of bytes of 1-bit codes.
CK_INLINE void add_half_bytes(int is_upper, const uint8_t *x, const uint8_t *codes, int32x4_t c[blocks]) {
  const int8x16_t down = vdupq_n_s8(is_upper ? -4 : 0);
  CK_UNROLL for (int q = 0; q < blocks; q++) {
    uint8x16_t all = vshlq_u8(vld1q_u8(codes + 16 * q), down);
    CK_UNROLL for (int i = 0; i < fold_units; i++) c[q] = UMMLA(c[q], vld1q_u8(x + i * pair), field(1, all, i));
  }
}

// `units` units of P pairs, 8 / bits.
CK_INLINE void add_bytes(int bits, int units, int P, const uint8_t *const x[], const uint8_t *codes, int32x4_t c[][blocks]) {
  CK_UNROLL for (int q = 0; q < blocks; q++) {
    uint8x16_t all = vld1q_u8(codes + 16 * q);
    CK_UNROLL for (int i = 0; i < units; i++)
      CK_UNROLL for (int p = 0; p < P; p++) {
        uint8x16_t u = vld1q_u8(x[p] + i * pair);
        c[p][q] = bits == 8 ? vusmmlaq_s32(c[p][q], u, vreinterpretq_s8_u8(all)) : UMMLA(c[p][q], u, field(bits, all, i));
      }
  }
}

// `folds` of 32 inputs from x and codes on, which go on behind them. A fold of 1-bit codes is half of their bytes, the upper one where *is_upper.
CK_INLINE void add_folds(int bits, int P, size_t folds, const uint8_t *x[], const uint8_t **codes, int *is_upper, int32x4_t c[][blocks]) {
  const int units = bits == 1 ? fold_units : 8 / bits;
  do {
    CK_UNROLL for (int done = 0; done < fold_units; done += units) {
      if (bits == 1) add_half_bytes(*is_upper, x[0], *codes, c[0]);
      else add_bytes(bits, units, P, x, *codes, c);
      CK_UNROLL for (int p = 0; p < P; p++) x[p] += units * pair;
      if (bits != 1 || *is_upper) *codes += unit;
      if (bits == 1) *is_upper ^= 1;
    }
  } while (--folds > 0);
}

// Blocks of a pair as 16 sums of each row.
CK_INLINE void rows_of_blocks(int R, const int32x4_t c[blocks], int32x4_t rows[2][4]) {
  CK_UNROLL for (int i = 0; i < 4; i++) {
    int64x2_t left = vreinterpretq_s64_s32(c[2 * i]), right = vreinterpretq_s64_s32(c[2 * i + 1]);
    rows[0][i] = vreinterpretq_s32_s64(vzip1q_s64(left, right));
    if (R == 2) rows[1][i] = vreinterpretq_s32_s64(vzip2q_s64(left, right));
  }
}

// Σ code of all K from Σ s.
CK_INLINE void correct(int bits, int32_t sum_of_u, int32x4_t sums[4]) {
  if (bits == 1) CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vaddq_s32(sums[q], sums[q]);
  if (bits < 8) CK_UNROLL for (int q = 0; q < 4; q++) sums[q] = vsubq_s32(sums[q], vdupq_n_s32(offset_of(bits) * sum_of_u));
}

CK_INLINE const uint8_t *pair_of_rows(const ck_few_rows_call *f, size_t row, size_t fold) {
  return f->x->codes + row * f->folds * ck_fold + 2 * fold * ck_fold;
}

// Rows row ..< row + 2·P, those that exist, × a panel, all of K.
CK_INLINE void end_pair(int bits, const ck_few_rows_call *f, size_t row, size_t panel, int32x4_t rows[2][4]) {
  for (size_t r = 0; r < 2 && row + r < f->x->rows; r++) {
    size_t m = row + r;
    correct(bits, bits < 8 ? f->before[m][2 * f->folds] : 0, rows[r]);
    ck_end_segment(f->w, f->x, f->y, (ck_segment_end){m, panel, 0, 1, f->x->zero_points[m]}, rows[r], NULL);
  }
}

CK_INLINE void panel_of_pairs(int bits, int P, const ck_few_rows_call *f, size_t row, size_t panel) {
  const uint8_t *x[most_pairs], *codes = f->w->codes + panel * ck_panel16x8_bytes(bits, f->w->inputs);
  int32x4_t c[most_pairs][blocks];
  int is_upper = 0;
  CK_UNROLL for (int p = 0; p < P; p++) x[p] = pair_of_rows(f, row + 2 * (size_t)p, 0);
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int q = 0; q < blocks; q++) c[p][q] = vdupq_n_s32(0);
  add_folds(bits, P, f->folds, x, &codes, &is_upper, c);
  CK_UNROLL for (int p = 0; p < P; p++) {
    int32x4_t rows[2][4];
    rows_of_blocks(2, c[p], rows);
    end_pair(bits, f, row + 2 * (size_t)p, panel, rows);
  }
}

// 2 and 1 bit in place: sums of field i are 2^(bits · i) times what is wanted, less than 255 · 192 · 65,536 / 4 < 2³². `at_once` blocks from `first` on; `c` are
// those of each field.
CK_INLINE void add_in_place(int bits, int units, int at_once, const uint8_t *x, const uint8_t *codes, uint32x4_t c[8][blocks]) {
  CK_UNROLL for (int q = 0; q < at_once; q++) {
    uint8x16_t all = vld1q_u8(codes + 16 * q);
    CK_UNROLL for (int i = 0; i < units; i++)
      c[i][q] = vmmlaq_u32(c[i][q], vld1q_u8(x + i * pair), vandq_u8(all, vdupq_n_u8((uint8_t)(((1 << bits) - 1) << bits * i))));
  }
}
CK_INLINE void blocks_in_place(int bits, int at_once, const ck_few_rows_call *f, const uint8_t *x, const uint8_t *codes, int32x4_t sums[]) {
  const int units = 8 / bits;
  uint32x4_t c[8][blocks];
  CK_UNROLL for (int i = 0; i < units; i++) CK_UNROLL for (int q = 0; q < at_once; q++) c[i][q] = vdupq_n_u32(0);
  size_t all_units = f->folds * fold_units;
  for (size_t left = all_units / (size_t)units; left > 0; left--, x += units * pair, codes += unit) add_in_place(bits, units, at_once, x, codes, c);
  if (all_units % (size_t)units != 0) add_in_place(bits, fold_units, at_once, x, codes, c);
  CK_UNROLL for (int q = 0; q < at_once; q++) {
    uint32x4_t sum = c[0][q];
    CK_UNROLL for (int i = 1; i < units; i++) sum = vaddq_u32(sum, vshlq_u32(c[i][q], vdupq_n_s32(-bits * i)));
    sums[q] = vreinterpretq_s32_u32(sum);
  }
}
CK_INLINE void panel_in_place(int bits, const ck_few_rows_call *f, size_t row, size_t panel) {
  const int at_once = bits == 2 ? 4 : 2;
  const uint8_t *codes = f->w->codes + panel * ck_panel16x8_bytes(bits, f->w->inputs);
  int32x4_t c[blocks], rows[2][4];
  for (int first = 0; first < blocks; first += at_once) blocks_in_place(bits, at_once, f, pair_of_rows(f, row, 0), codes + 16 * first, c + first);
  rows_of_blocks(2, c, rows);
  end_pair(bits, f, row, panel, rows);
}

// ---- Groups: a pair at a time, of which R rows are there

// Where sums of a piece begin: at −offset · Σ u, [r₀ r₀ r₁ r₁].
CK_INLINE int32x4_t start_of_piece(int bits, const int32_t *before, size_t fold, size_t end) {
  int32x2_t sums = vmul_n_s32(vsub_s32(vld1_s32(before + 2 * end), vld1_s32(before + 2 * fold)), -offset_of(bits));
  return vzip1q_s32(vcombine_s32(sums, sums), vcombine_s32(sums, sums));
}

CK_INLINE void segment_of_pair(int bits, int R, const ck_few_rows_call *f, size_t row, size_t panel, const size_t folds[2], int32x4_t sums[2][4]) {
  const uint8_t *x[1] = {pair_of_rows(f, row, folds[0])};
  // Segments begin at multiples of 256 inputs, so at the lowest field of bytes.
  const uint8_t *codes = f->w->codes + panel * ck_panel16x8_bytes(bits, f->w->inputs) + folds[0] * ck_fold * ck_panel / 8 * (size_t)bits;
  int is_upper = 0;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++) sums[r][q] = vdupq_n_s32(0);
  ck_piece p = ck_first_piece(f->w, folds);
  for (const int8_t *multipliers = ck_first_multipliers(f->w, panel, &p); p.fold < folds[1]; ck_next_piece(&p), multipliers += ck_panel) {
    int32x4_t c[1][blocks], rows[2][4], m[4], start = bits < 8 ? start_of_piece(bits, f->before[row], p.fold, p.end) : vdupq_n_s32(0);
    CK_UNROLL for (int q = 0; q < blocks; q++) c[0][q] = bits == 1 ? vdupq_n_s32(0) : start;
    add_folds(bits, 1, p.end - p.fold, x, &codes, &is_upper, c);
    if (bits == 1) CK_UNROLL for (int q = 0; q < blocks; q++) c[0][q] = vaddq_s32(vaddq_s32(c[0][q], c[0][q]), start);
    rows_of_blocks(R, c[0], rows);
    ck_expand_vectors(multipliers, m);
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++) sums[r][q] = vmlaq_s32(sums[r][q], rows[r][q], m[q]);
  }
}

CK_INLINE void grouped_panel_of_pair(int bits, int R, const ck_few_rows_call *f, size_t row, size_t panel) {
  float totals[2][ck_panel];
  size_t segment_folds = ck_segment_folds(f->w, bits, f->folds);
  for (size_t fold = 0, segment = 0; fold < f->folds; fold += segment_folds, segment++) {
    const size_t folds[2] = {fold, fold + segment_folds < f->folds ? fold + segment_folds : f->folds};
    int32x4_t sums[2][4];
    segment_of_pair(bits, R, f, row, panel, folds, sums);
    CK_UNROLL for (int r = 0; r < R; r++) {
      size_t m = row + (size_t)r;
      ck_end_segment(f->w, f->x, f->y, (ck_segment_end){m, panel, segment, folds[1] == f->folds, f->x->zero_points[m]}, sums[r], totals[r]);
    }
  }
}

// ---- Σ u before each fold

// Of the rows of a pair in turn.
static void sum_pair(const uint8_t *x, size_t folds, int32_t *before) {
  int32x2_t sums = vdup_n_s32(0);
  for (size_t fold = 0; fold < folds; fold++, before += 2) {
    uint32x4_t u = vdupq_n_u32(0);
    CK_UNROLL for (int i = 0; i < fold_units; i++, x += pair) u = vdotq_u32(u, vld1q_u8(x), vdupq_n_u8(1));
    vst1_s32(before, sums);
    sums = vadd_s32(sums, vreinterpret_s32_u32(vget_low_u32(vpaddq_u32(u, u))));
  }
  vst1_s32(before, sums);
}

static ck_few_rows_call call_of(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, void *workspace) {
  ck_few_rows_call f = {w, x, y, {NULL}, ck_round_up(w->inputs, ck_fold) / ck_fold};
  int32_t *before = workspace;
  for (size_t m = 0; bits < 8 && m < x->rows; m += 2, before += 2 * (f.folds + 1)) {
    sum_pair(pair_of_rows(&f, m, 0), f.folds, before);
    f.before[m] = before;
    f.before[m + 1] = before + 1;
  }
  return f;
}

#define PANEL(name, call) \
  __attribute__((noinline)) static void name(const ck_few_rows_call *f, size_t row, size_t panel) { call; }
// `two`: the function for two pairs at once, or again that for one.
#define ROWS(bits, two, pairs_at_once)                                                                                                 \
  PANEL(grouped_panel_s##bits##_1, grouped_panel_of_pair(bits, 1, f, row, panel))                                                      \
  PANEL(grouped_panel_s##bits##_2, grouped_panel_of_pair(bits, 2, f, row, panel))                                                      \
  void ck_gemm_rows_s##bits##__i8mm(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, \
                                    size_t row_end, size_t panel_begin, size_t panel_end, void *workspace) {                           \
    (void)row_begin, (void)row_end; /* so few rows are not cut */                                                                      \
    const ck_few_rows_call f = call_of(bits, w, x, y, workspace);                                                                      \
    for (size_t panel = panel_begin; panel < panel_end; panel++)                                                                       \
      for (size_t m = 0, pairs; m < x->rows; m += 2 * pairs) {                                                                         \
        pairs = w->group == 0 && x->rows - m > 2 ? pairs_at_once : 1;                                                                  \
        if (w->group > 0) (x->rows - m > 1 ? grouped_panel_s##bits##_2 : grouped_panel_s##bits##_1)(&f, m, panel);                     \
        else (pairs == 2 ? two : panel_s##bits##_1)(&f, m, panel);                                                                     \
      }                                                                                                                                \
  }
PANEL(panel_s8_1, panel_of_pairs(8, 1, f, row, panel))
PANEL(panel_s8_2, panel_of_pairs(8, 2, f, row, panel))
PANEL(panel_s4_1, panel_of_pairs(4, 1, f, row, panel))
PANEL(panel_s4_2, panel_of_pairs(4, 2, f, row, panel))
PANEL(panel_s2_1, panel_in_place(2, f, row, panel))
PANEL(panel_s1_1, panel_in_place(1, f, row, panel))
ROWS(8, panel_s8_2, 2)
ROWS(4, panel_s4_2, 2)
ROWS(2, panel_s2_1, 1)
ROWS(1, panel_s1_1, 1)

CK_TARGET_END
#endif
