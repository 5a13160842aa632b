// Integer gemm for up to 8 rows without VNNI: codes go through registers, all rows × 16 outputs at a time, no panel is decoded and no pair listed.
//
//   8 bits      weights and activations are widened to int16, vpmaddwd is exact: |sum| ≤ 255 · 127 · 65,536 < 2³¹. 64 products of a row take 4
//               operations, and 2 that all rows share
//   4, 2 bits   stored codes are unsigned (code + 8, code + 2); sums in int16 of 32 or 128 inputs begin at −8 · Σ x, −2 · Σ x, and wrap on their way to
//               at most 255 · 8 · 2 · 8 = 255 · 2 · 2 · 32 = 32,640. 64 products of a row take 2 operations, and 1.5 (4 bits) or 1.75 that all share;
//               a fold 2 a row
//
// Limit: one row, bandwidth (4 and 8 bits), 15 operations for 256 products (2 bits); many, operations of 512 bits, two a cycle: 8 rows of 4 bits 156 for 4,096
// products. AVX2's rows took 4 at a time, three operations a cycle: 48 for 512 products of 4 bits and 4 rows.
#if defined(__x86_64__)
#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { most_rows = ck_few_rows_avx512, fold_units = ck_fold / 4, line_bytes = 64, prefetch_bytes = 2048, span_folds = 4 };

// ---- Activations as a kernel wants them, made from panel16x4 in each call: 8 bits [rows][K32] int16; else bytes, and a pair of int16 where the sums of a fold
// begin.

typedef struct few_rows {
  const uint8_t *codes;  // of 4 inputs: 4 or 8 bytes
  size_t unit, row;      // bytes between units and between rows
  const int32_t *starts;
  size_t folds;
} few_rows;

size_t ck_gemm_rows_workspace_bytes__avx512(size_t inputs) { return ck_round_up(most_rows * ck_round_up(inputs, ck_fold) * sizeof(int16_t), 64); }

static few_rows packed_rows(const ck_gemm_activations *x, size_t inputs) {
  size_t padded = ck_round_up(inputs, ck_fold), is_row_major = x->rows <= ck_few_rows;
  return (few_rows){x->codes, is_row_major ? 4 : 4 * ck_row_block, is_row_major ? padded : 4, NULL, padded / ck_fold};
}

static few_rows widened_rows(const ck_gemm_activations *x, size_t inputs, int16_t *to) {
  few_rows from = packed_rows(x, inputs);
  size_t padded = from.folds * ck_fold;
  for (size_t r = 0; r < x->rows; r++)
    for (size_t k = 0; k < padded; k++) to[r * padded + k] = from.codes[r * from.row + k / 4 * from.unit + k % 4];
  return (few_rows){(const uint8_t *)to, 8, 2 * padded, NULL, from.folds};
}

static few_rows rows_with_starts(int bits, const ck_gemm_activations *x, size_t inputs, int32_t *starts) {
  few_rows rows = packed_rows(x, inputs);
  for (size_t r = 0; r < x->rows; r++)
    for (size_t fold = 0; fold < rows.folds; fold++) {
      uint32_t low = 0, high = 0;
      const uint8_t *codes = rows.codes + r * rows.row + fold * fold_units * rows.unit;
      for (size_t i = 0; i < fold_units; i++, codes += rows.unit) low += codes[0] + (uint32_t)codes[1], high += codes[2] + (uint32_t)codes[3];
      starts[r * rows.folds + fold] = (int32_t)((-low << (bits - 1) & 0xFFFF) | -high << (bits - 1) << 16);
    }
  rows.starts = starts;
  return rows;
}

// ---- Products

// Some folds of a panel within a segment.
typedef struct stretch {
  const uint8_t *weights;
  const int8_t *multipliers;  // of the first fold's group
  size_t group_folds, fold_in_group, first, last;
} stretch;

// Multipliers of a group, in the order of outputs.
CK_INLINE __m512i load_multipliers(const int8_t *packed) {
  return _mm512_cvtepi8_epi32(_mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)packed), _MM_SHUFFLE(3, 1, 2, 0)));
}

// int32 pairs of outputs 0 … 7 and of 8 … 15, each added.
CK_INLINE __m512i join_pairs(const __m512i c[2]) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_add_epi32(_mm512_permutex2var_epi32(c[0], even, c[1]), _mm512_permutex2var_epi32(c[0], _mm512_add_epi32(even, _mm512_set1_epi32(1)), c[1]));
}

CK_INLINE void rows_s8(int R, int is_grouped, const stretch *p, const few_rows *x, __m512i sums[most_rows]) {
  const uint8_t *w = p->weights, *codes = x->codes + p->first * fold_units * x->unit;
  const int8_t *multipliers = p->multipliers;
  size_t left = p->group_folds - p->fold_in_group;
  __m512i c[most_rows][2];
  CK_UNROLL for (int r = 0; r < R; r++) c[r][0] = c[r][1] = sums[r] = _mm512_setzero_si512();
  for (size_t fold = p->first; fold < p->last; fold++) {
    for (int t = 0; t < fold_units; t++, w += line_bytes, codes += x->unit) {
      _mm_prefetch((const char *)w + prefetch_bytes, _MM_HINT_T0);  // beyond the end it does nothing
      __m512i weights[2];
      CK_UNROLL for (int half = 0; half < 2; half++) weights[half] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(w + 32 * half)));
      CK_UNROLL for (int r = 0; r < R; r++) {
        int64_t four;
        memcpy(&four, codes + (size_t)r * x->row, sizeof four);
        __m512i a = _mm512_set1_epi64(four);
        CK_UNROLL for (int half = 0; half < 2; half++) {
          c[r][half] = _mm512_add_epi32(c[r][half], _mm512_madd_epi16(a, weights[half]));
          CK_KEEP32(c[r][half]);
        }
      }
    }
    if (!is_grouped || (--left > 0 && fold + 1 < p->last)) continue;
    __m512i m = load_multipliers(multipliers);
    multipliers += ck_panel;
    left = p->group_folds;
    CK_UNROLL for (int r = 0; r < R; r++) {
      sums[r] = _mm512_add_epi32(sums[r], _mm512_mullo_epi32(join_pairs(c[r]), m));
      c[r][0] = c[r][1] = _mm512_setzero_si512();
    }
  }
  CK_UNROLL for (int r = 0; r < R && !is_grouped; r++) sums[r] = join_pairs(c[r]);
}

CK_INLINE void add_line(int bits, int R, const uint8_t *w, const uint8_t *codes, size_t unit, size_t row, __m512i c[most_rows]) {
  const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1));
  _mm_prefetch((const char *)w + prefetch_bytes, _MM_HINT_T0);
  __m512i v = ck_load64(w);
  CK_UNROLL for (int u = 0; u < 8 / bits; u++, codes += unit) {
    __m512i weights = _mm512_and_si512(u == 0 ? v : _mm512_srl_epi16(v, _mm_cvtsi32_si128(bits * u)), mask);
    CK_UNROLL for (int r = 0; r < R; r++) {
      c[r] = _mm512_add_epi16(c[r], _mm512_maddubs_epi16(ck_broadcast4x16(codes + (size_t)r * row), weights));
      CK_KEEP32(c[r]);
    }
  }
}

// 4 and 2 bits. Sums of int16 are added up after each fold, or after four, where 2 bits and their groups allow.
CK_INLINE void rows_bits(int bits, int R, int is_grouped, const stretch *p, const few_rows *x, __m512i sums[most_rows]) {
  const __m512i pairs = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
  const uint8_t *w = p->weights, *codes = x->codes + p->first * fold_units * x->unit;
  const int8_t *multipliers = p->multipliers;
  const size_t span = bits == 2 ? span_folds : 1;
  size_t left = p->group_folds - p->fold_in_group, end;
  __m512i m = _mm512_set1_epi16(1);
  CK_UNROLL for (int r = 0; r < R; r++) sums[r] = _mm512_setzero_si512();
  for (size_t fold = p->first; fold < p->last; fold = end) {
    if (is_grouped && (left == p->group_folds || fold == p->first)) {
      m = _mm512_shuffle_epi8(load_multipliers(multipliers), pairs);
      multipliers += ck_panel;
    }
    size_t most = is_grouped && left < span ? left : span;
    end = p->last - fold < most ? p->last : fold + most;
    __m512i c[most_rows];
    CK_UNROLL for (int r = 0; r < R; r++) c[r] = _mm512_setzero_si512();
    for (size_t f = fold; f < end; f++) {
      CK_UNROLL for (int r = 0; r < R; r++) c[r] = _mm512_add_epi16(c[r], ck_broadcast4x16(x->starts + (size_t)r * x->folds + f));
      CK_UNROLL for (int line = 0; line < bits; line++, w += line_bytes, codes += (size_t)(8 / bits) * x->unit)
        add_line(bits, R, w, codes, x->unit, x->row, c);
    }
    CK_UNROLL for (int r = 0; r < R; r++) sums[r] = _mm512_add_epi32(sums[r], _mm512_madd_epi16(c[r], m));
    left = is_grouped ? left - (end - fold) : 1;
    if (left == 0) left = p->group_folds;
  }
}

// All segments of a panel.
CK_INLINE void rows_panel(int bits, int R, int is_grouped, const ck_gemm_weights *w, const ck_gemm_activations *x, const few_rows *rows,
                          const ck_gemm_output *y, size_t panel) {
  size_t fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits), segments = ck_gemm_segments(w->inputs, w->group, bits);
  size_t segment_folds = segments == 1 ? rows->folds : ck_gemm_segment(w->inputs, w->group, bits) / ck_fold;
  const uint8_t *weights = w->codes + panel * ck_panel16_bytes(bits, w->inputs);
  const int8_t *multipliers = is_grouped ? w->multipliers + panel * ck_gemm_groups(w->inputs, w->group) * ck_panel : NULL;
  float totals[most_rows][ck_panel];
  memset(totals, 0, (size_t)R * sizeof totals[0]);  // gcc does not see that the first segment writes them
  for (size_t segment = 0; segment < segments; segment++) {
    size_t first = segment * segment_folds, last = segment + 1 == segments ? rows->folds : first + segment_folds;
    stretch p = {weights + first * fold_bytes, multipliers, 1, 0, first, last};
    if (is_grouped) {
      p.group_folds = w->group / ck_fold;
      p.fold_in_group = first % p.group_folds;
      p.multipliers += first / p.group_folds * ck_panel;
    }
    __m512i sums[most_rows];
    if (bits == 8) rows_s8(R, is_grouped, &p, rows, sums);
    else rows_bits(bits, R, is_grouped, &p, rows, sums);
    CK_UNROLL for (int r = 0; r < R; r++)
      ck_end_segment16(w, x, y, (size_t)r, panel, segment, segment + 1 == segments, 0, sums[r], totals[r]);
  }
}

typedef void panel_function(const ck_gemm_weights *w, const ck_gemm_activations *x, const few_rows *rows, const ck_gemm_output *y, size_t panel);
#define PANEL(bits, R, is_grouped)                                                                                                               \
  static void panel_##bits##_##R##_##is_grouped(const ck_gemm_weights *w, const ck_gemm_activations *x, const few_rows *rows, const ck_gemm_output *y, \
                                                size_t panel) {                                                                                  \
    rows_panel(bits, R, is_grouped, w, x, rows, y, panel);                                                                                       \
  }
#define PANELS(bits, is_grouped)                                                                                                             \
  PANEL(bits, 1, is_grouped) PANEL(bits, 2, is_grouped) PANEL(bits, 3, is_grouped) PANEL(bits, 4, is_grouped) PANEL(bits, 5, is_grouped)      \
  PANEL(bits, 6, is_grouped) PANEL(bits, 7, is_grouped) PANEL(bits, 8, is_grouped)                                                          \
  static panel_function *const panels_##bits##_##is_grouped[most_rows] = {                                                                   \
      panel_##bits##_1_##is_grouped, panel_##bits##_2_##is_grouped, panel_##bits##_3_##is_grouped, panel_##bits##_4_##is_grouped,            \
      panel_##bits##_5_##is_grouped, panel_##bits##_6_##is_grouped, panel_##bits##_7_##is_grouped, panel_##bits##_8_##is_grouped};
PANELS(8, 0) PANELS(8, 1) PANELS(4, 0) PANELS(4, 1) PANELS(2, 0) PANELS(2, 1)

#define GEMM(bits, rows_made)                                                                                                                   \
  void ck_gemm_rows_s##bits##__avx512(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,         \
                                      size_t row_end, size_t panel_begin, size_t panel_end, void *workspace) {                                  \
    (void)row_begin, (void)row_end;                                                                                                             \
    const few_rows rows = rows_made;                                                                                                            \
    panel_function *one = (w->group == 0 ? panels_##bits##_0 : panels_##bits##_1)[x->rows - 1];                                                 \
    for (size_t panel = panel_begin; panel < panel_end; panel++) one(w, x, &rows, y, panel);                                                    \
  }
GEMM(8, widened_rows(x, w->inputs, workspace))
GEMM(4, rows_with_starts(4, x, w->inputs, workspace))
GEMM(2, rows_with_starts(2, x, w->inputs, workspace))

CK_TARGET_END

#endif
