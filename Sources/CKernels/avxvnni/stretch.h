// What the integer gemm of this set shares: a part of a panel, and its multipliers.
#ifndef CK_AVXVNNI_STRETCH_H
#define CK_AVXVNNI_STRETCH_H

#include "../avx2/epilogue.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

// Some folds of a panel, all within one segment.
typedef struct ck_stretch {
  const uint8_t *weights;     // codes, or bytes that were decoded
  const int8_t *multipliers;  // of the first fold's group; null without groups
  size_t group_folds, fold_in_group, folds;
  size_t x_stride;
} ck_stretch;

// Folds begin ..< end of a panel of codes.
CK_INLINE ck_stretch ck_stretch_of(int bits, const ck_gemm_weights *w, size_t panel, size_t begin, size_t end, size_t x_stride) {
  size_t fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits);
  ck_stretch p = {w->codes + panel * ck_panel16_bytes(bits, w->inputs) + begin * fold_bytes, NULL, 1, 0, end - begin, x_stride};
  if (w->group == 0) return p;
  p.group_folds = w->group / ck_fold;
  p.fold_in_group = begin % p.group_folds;
  p.multipliers = w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + begin / p.group_folds) * ck_panel;
  return p;
}

// Multipliers of a group, packed in the order of gemm/layout.h, for outputs 0 … 7 and 8 … 15.
CK_INLINE void ck_load_multipliers(const int8_t *packed, __m256i m[2]) {
  __m128i in_order = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)packed), _MM_SHUFFLE(3, 1, 2, 0));
  m[0] = _mm256_cvtepi8_epi32(in_order);
  m[1] = _mm256_cvtepi8_epi32(_mm_srli_si128(in_order, 8));
}

CK_TARGET_END

#endif
