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

// Where a piece that begins at `fold` ends: at the end of its group or of `end`, that of its segment.
CK_INLINE size_t ck_piece_end(const ck_gemm_weights *w, size_t fold, size_t end) {
  size_t group_end = (fold * ck_fold / w->group + 1) * w->group / ck_fold;
  return group_end < end ? group_end : end;
}
CK_INLINE const int8_t *ck_multipliers_of(const ck_gemm_weights *w, size_t panel, size_t fold) {
  return w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + fold * ck_fold / w->group) * ck_panel;
}

static inline size_t ck_rows_workspace(size_t inputs) {
  return ck_round_up(ck_few_rows * (ck_round_up(inputs, ck_fold) / ck_fold + 1) * sizeof(int32_t), 64);
}

#endif
