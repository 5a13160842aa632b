// What the ways of integer gemm for up to ck_few_rows rows share on arm64: codes go from memory through registers into the sums.
//
// Activations: [M][K32] (i8mm: pairs of rows, [M/2][K32/8][2][8], as they are), x − 128, zeros behind K. Codes of 4 and 2 bits are multiplied as they are
// stored, code + offset, by u = x, so that a fold's sum is larger by offset · Σ u. Σ u over all folds before each one is found once in a call. (Behind K
// u = 128 meets the code 0, offset: what is added is taken off again.)
#ifndef CK_NEON_GEMM_ROWS_H
#define CK_NEON_GEMM_ROWS_H

#include "gemm_many.h"

// What a range of panels is multiplied with.
typedef struct ck_few_rows_call {
  const ck_gemm_weights *w;
  const ck_gemm_activations *x;
  const ck_gemm_output *y;
  const int32_t *before[ck_few_rows];  // Σ u of a row over the folds before each, folds + 1 of them (i8mm: of two rows in turn); few bits
  size_t folds;
} ck_few_rows_call;

// Folds of a segment of K.
CK_INLINE size_t ck_segment_folds(const ck_gemm_weights *w, int bits, size_t folds) {
  return w->group == 0 ? folds : ck_gemm_segment(w->inputs, w->group, bits) / ck_fold;
}

// The way through the pieces of a segment: from `fold` to `end`, where a group ends or the segment, without a division for each.
typedef struct ck_piece {
  size_t fold, end, group_end, group_folds, segment_end;
} ck_piece;

CK_INLINE ck_piece ck_first_piece(const ck_gemm_weights *w, const size_t folds[2]) {
  size_t group_folds = w->group / ck_fold, group_end = (folds[0] / group_folds + 1) * group_folds;
  return (ck_piece){folds[0], group_end < folds[1] ? group_end : folds[1], group_end, group_folds, folds[1]};
}
// Multipliers of the first piece; those of the next group follow.
CK_INLINE const int8_t *ck_first_multipliers(const ck_gemm_weights *w, size_t panel, const ck_piece *p) {
  return w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + p->fold / p->group_folds) * ck_panel;
}
CK_INLINE void ck_next_piece(ck_piece *p) {
  p->fold = p->end;
  p->group_end += p->group_folds;
  p->end = p->group_end < p->segment_end ? p->group_end : p->segment_end;
}

static inline size_t ck_rows_workspace(size_t inputs) {
  return ck_round_up(ck_few_rows * (ck_round_up(inputs, ck_fold) / ck_fold + 1) * sizeof(int32_t), 64);
}

#endif
