// The way of integer gemm for more than a few rows through panels, blocks of rows and segments of K (gemm_many.h).
#if defined(__aarch64__)
#include "gemm_decode.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

void ck_decode_s4__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s4(0, 64, codes, folds, w); }
void ck_decode_s2__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s2(0, 64, codes, folds, w); }
void ck_decode_s1__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s1_by_outputs(0, codes, folds, w); }
void ck_decode_set_s1__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s1_by_outputs(1, codes, folds, w); }
void ck_decode_scaled_s4__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s4(1, 64, codes, folds, w); }
void ck_decode_scaled_s2__neon(const uint8_t *codes, size_t folds, int8_t *w) { ck_decode_s2(1, 64, codes, folds, w); }

void ck_expand__neon(const int8_t *packed, int32_t *multipliers) {
  int32x4_t m[ck_panel_vectors];
  ck_expand_vectors(packed, m);
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) vst1q_s32(multipliers + 4 * i, m[i]);
}

// ---- Pieces: K is cut where a group ends and where a segment ends.

static size_t piece_limit(const ck_many_steps *steps, size_t inputs, size_t group) {
  return ck_gemm_groups(inputs, group) + ck_gemm_segments(inputs, group, steps->bits);
}

// Parts of the workspace, as offsets.
typedef struct parts_sizes {
  size_t multipliers, folds, bytes;
} parts_sizes;

static parts_sizes sizes_of(const ck_many_steps *steps, size_t inputs, size_t group) {
  size_t decoded = steps->decode != NULL ? ck_round_up(inputs, steps->k_step) * ck_panel : 0;
  size_t pieces = group > 0 ? piece_limit(steps, inputs, group) : 0, multipliers = pieces * steps->piece_bytes;
  return (parts_sizes){decoded, decoded + multipliers, ck_round_up(decoded + multipliers + pieces * sizeof(uint16_t), 64)};
}

size_t ck_gemm_many_workspace__neon(const ck_many_steps *steps, const ck_gemm_shape *shape) {
  return sizes_of(steps, shape->inputs, shape->group).bytes;
}

typedef struct parts {
  int8_t *decoded;
  int32_t *multipliers;
  uint16_t *folds;
} parts;

static parts parts_of(const ck_many_steps *steps, size_t inputs, size_t group, void *workspace) {
  parts_sizes sizes = sizes_of(steps, inputs, group);
  uint8_t *first = workspace;
  return (parts){(int8_t *)first, (int32_t *)(void *)(first + sizes.multipliers), (uint16_t *)(void *)(first + sizes.folds)};
}

// The folds of K that end where `fold`'s piece does.
static size_t end_of_piece(size_t fold, size_t folds, size_t group, size_t segment) {
  size_t in_group = (fold * ck_fold / group + 1) * group / ck_fold, in_segment = (fold * ck_fold / segment + 1) * segment / ck_fold;
  size_t end = in_group < in_segment ? in_group : in_segment;
  return end < folds ? end : folds;
}

static void find_pieces(const ck_many_steps *steps, const ck_gemm_weights *w, size_t folds, const parts *p) {
  size_t segment = ck_gemm_segment(w->inputs, w->group, steps->bits), piece = 0;
  for (size_t fold = 0; fold < folds; piece++) {
    size_t end = end_of_piece(fold, folds, w->group, segment);
    p->folds[piece] = (uint16_t)(end - fold);
    fold = end;
  }
}

static void expand_panel(const ck_many_steps *steps, const ck_gemm_weights *w, size_t panel, size_t folds, const parts *p) {
  const int8_t *packed = w->multipliers + panel * ck_gemm_groups(w->inputs, w->group) * ck_panel;
  for (size_t fold = 0, piece = 0; fold < folds; fold += p->folds[piece++])
    steps->expand(packed + fold * ck_fold / w->group * ck_panel, p->multipliers + piece * (steps->piece_bytes / sizeof(int32_t)));
}

// ---- Products

// What a block of rows is multiplied with.
typedef struct panel_of_weights {
  const ck_many_steps *steps;
  const ck_gemm_weights *w;
  const int8_t *units;
  const parts *p;
  size_t panel, folds;
} panel_of_weights;

// From sums of decoded weights to those of codes.
static void correct_sums(const panel_of_weights *b, const ck_gemm_activations *x, const size_t rows[2], int32_t (*sums)[ck_panel]) {
  const int32_t *row_sums = (const int32_t *)(const void *)(x->codes + ck_pairs_of_rows_bytes__neon(x->rows, b->w->inputs));
  const int32x4_t right = vdupq_n_s32(-b->steps->shift);
  for (size_t m = rows[0]; m < rows[1]; m++, sums++)
    CK_UNROLL for (size_t i = 0; i < ck_panel; i += 4) {
      int32x4_t sum = vld1q_s32(*sums + i);
      if (b->w->group == 0 && b->steps->bits == 1) sum = vsubq_s32(vmulq_n_s32(sum, -2), vdupq_n_s32(row_sums[m]));
      else sum = b->steps->bits == 1 ? vnegq_s32(sum) : vshlq_s32(sum, right);
      vst1q_s32(*sums + i, sum);
    }
}

CK_INLINE void end_rows(const panel_of_weights *b, const ck_gemm_activations *x, const ck_gemm_output *y, const size_t rows[2], size_t segment,
                        int is_last, int32_t (*sums)[ck_panel], float (*totals)[ck_panel]) {
  for (size_t m = rows[0]; m < rows[1]; m++) {
    int32x4_t s[ck_panel_vectors];
    CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) s[i] = vld1q_s32(sums[m - rows[0]] + 4 * i);
    ck_end_segment(b->w, x, y, (ck_segment_end){m, b->panel, segment, is_last, x->zero_points[m] - b->steps->zero}, s, totals[m - rows[0]]);
  }
}

// Rows rows[0] ..< rows[1], at most a block.
static void multiply_rows(const panel_of_weights *b, const ck_gemm_activations *x, const ck_gemm_output *y, const size_t rows[2]) {
  int32_t sums[ck_row_block][ck_panel];
  float totals[ck_row_block][ck_panel];
  size_t count = rows[1] - rows[0], segment_folds = ck_gemm_segment(b->w->inputs, b->w->group, b->steps->bits) / ck_fold, piece = 0;
  const uint8_t *codes = x->codes + rows[0] * b->folds * ck_fold;
  if (b->w->group == 0) {
    b->steps->tile(codes, b->units, b->folds, count, sums);
    if (b->steps->decode != NULL) correct_sums(b, x, rows, sums);
    end_rows(b, x, y, rows, 0, 1, sums, totals);
    return;
  }
  size_t piece_numbers = b->steps->piece_bytes / sizeof(int32_t);
  for (size_t fold = 0, segment = 0; fold < b->folds; segment++) {
    size_t end = fold + segment_folds < b->folds ? fold + segment_folds : b->folds, at = fold;
    ck_pieces pieces = {b->p->folds + piece, b->p->multipliers + piece * piece_numbers, 0};
    for (; at < end; pieces.count++) at += b->p->folds[piece++];
    b->steps->grouped_tile(codes + fold * ck_fold * ck_row_block, b->units + fold * ck_fold_bytes, &pieces, count, sums);
    if (b->steps->bits == 1) correct_sums(b, x, rows, sums);
    end_rows(b, x, y, rows, segment, end == b->folds, sums, totals);
    fold = end;
  }
}

void ck_gemm_many__neon(const ck_many_steps *steps, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                        size_t row_begin, size_t row_end, const size_t panels[2], void *workspace) {
  size_t padded = ck_round_up(w->inputs, steps->k_step), panel_bytes = padded * ck_panel / 8 * (size_t)steps->bits;
  size_t folds = ck_round_up(w->inputs, ck_fold) / ck_fold;
  parts p = parts_of(steps, w->inputs, w->group, workspace);
  ck_fn_decode *decode = w->group > 0 ? steps->decode_grouped : steps->decode;
  if (w->group > 0) find_pieces(steps, w, folds, &p);
  for (size_t panel = panels[0]; panel < panels[1]; panel++) {
    const uint8_t *codes = w->codes + panel * panel_bytes;
    panel_of_weights b = {steps, w, decode != NULL ? p.decoded : (const int8_t *)codes, &p, panel, folds};
    if (decode != NULL) decode(codes, padded / ck_fold, p.decoded);
    if (w->group > 0) expand_panel(steps, w, panel, folds, &p);
    for (size_t m = row_begin; m < row_end; m += ck_row_block) {
      const size_t rows[2] = {m, m + ck_row_block < row_end ? m + ck_row_block : row_end};
      multiply_rows(&b, x, y, rows);
    }
  }
}

CK_TARGET_END
#endif
