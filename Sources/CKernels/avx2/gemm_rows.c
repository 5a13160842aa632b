// Integer gemm for up to 4 rows (8 bits: up to 8), where each weight is used so seldom that decoding it into memory would not pay: weights go
// from the packed codes through registers straight into the sums. For one row the limit is the bandwidth of the codes.
//
//   8 bits      weights and activations widened to int16, _mm256_madd_epi16: exact for the full range. 12 vector operations
//               for 64 weights of one row (3 cycles on 4 ports), 21 bytes a cycle
//   4, 2 bits   stored codes are unsigned (code + 8, code + 2), so they are the unsigned operand of _mm256_maddubs_epi16 and the
//               activations, flipped to x − 128, the signed one: a pair is at most 15 · 128 · 2 = 3,840, 8 of them 30,720. The
//               offset 8 or 2 is taken back by starting each fold at −offset · Σ(x − 128), lane by lane; that start may wrap,
//               the result may not: |Σ code · (x − 128)| ≤ 16 · 8 · 128 = 16,384 a lane (2 bits, 64 of them: 16,384).
//               With x − 128 for x, the zero point is zero − 128.
#if defined(__x86_64__)
#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { most_rows = ck_row_block, fold_units = ck_fold / 4, unit_bytes = ck_panel * 4, k_block_folds = 32, single_pass_ahead = 0 };

// Sums of up to 8 rows × 16 outputs; 8-bit sums lie in two lanes per output until the end.
typedef struct workspace {
  int32_t sums[most_rows][2 * ck_panel];
  float totals[most_rows][ck_panel];
  int32_t zero_points[most_rows];
  int16_t activations[];  // [rows][K32] int16, or int8 followed by [rows][K32/32] pairs of int16
} workspace;

size_t ck_gemm_rows_workspace_bytes__avx2(size_t inputs) {
  return ck_round_up(sizeof(workspace) + most_rows * ck_round_up(inputs, ck_fold) * sizeof(int16_t), 64);
}

// ---- 8 bits

static void widen_activations(const uint8_t *x, size_t count, int16_t *wide) {
  for (size_t i = 0; i < count; i += 16) {
    __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(x + i)));
    _mm256_storeu_si256((__m256i *)(wide + i), v);
  }
}

// The same from an interleaved block of 8 rows.
static void widen_block(const uint8_t *block, size_t count, int16_t *wide) {
  for (size_t k = 0; k < count; k += 4, block += ck_row_block * 4) {
    __m256i low = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)block));
    __m256i high = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(block + 16)));
    int64_t rows[most_rows];
    _mm256_storeu_si256((__m256i *)rows, low);
    _mm256_storeu_si256((__m256i *)(rows + 4), high);
    CK_UNROLL for (size_t r = 0; r < most_rows; r++) memcpy(wide + r * count + k, rows + r, 8);
  }
}

// R rows, up to 2, × a panel. Lanes: output c has (inputs 0, 1) and (inputs 2, 3) of a unit.
// `ahead` bytes further on are fetched into the cache.
CK_INLINE void rows_s8(int R, size_t ahead, const uint8_t *codes, const int16_t *x, size_t stride, const int8_t *multipliers,
                       size_t folds_per_group, size_t fold_in_group, size_t folds, int32_t (*sums)[2 * ck_panel]) {
  __m256i c[2][4];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++)
      c[r][q] = multipliers ? _mm256_setzero_si256() : ck_load(sums[r] + 8 * q);
  for (size_t fold = 0; fold < folds; fold++) {
    CK_UNROLL for (int t = 0; t < fold_units; t++) {
      __m256i a[2];
      if (ahead) _mm_prefetch((const char *)(codes + t * unit_bytes + ahead), _MM_HINT_T0);
      CK_UNROLL for (int r = 0; r < R; r++) a[r] = ck_broadcast8(x + (size_t)r * stride + t * 4);
      CK_UNROLL for (int q = 0; q < 4; q++) {
        __m256i w = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(codes + t * unit_bytes + q * 16)));
        CK_UNROLL for (int r = 0; r < R; r++) {
          c[r][q] = _mm256_add_epi32(c[r][q], _mm256_madd_epi16(a[r], w));
          CK_KEEP(c[r][q]);
        }
      }
    }
    codes += fold_units * unit_bytes;
    x += ck_fold;
    if (multipliers == NULL) continue;
    // Only groups: the sums of one fold times its multipliers (packed order of quads: 0, 2, 1, 3).
    CK_UNROLL for (int q = 0; q < 4; q++) {
      static const int packed_place[4] = {0, 8, 4, 12};
      int32_t four;
      memcpy(&four, multipliers + packed_place[q], 4);
      __m256i m = _mm256_cvtepi8_epi32(_mm_cvtsi32_si128(four));
      m = _mm256_permutevar8x32_epi32(m, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
      CK_UNROLL for (int r = 0; r < R; r++) {
        int32_t *sum = sums[r] + 8 * q;
        ck_store(sum, _mm256_add_epi32(ck_load(sum), _mm256_mullo_epi32(c[r][q], m)));
        c[r][q] = _mm256_setzero_si256();
      }
    }
    if (++fold_in_group == folds_per_group) {
      fold_in_group = 0;
      multipliers += ck_panel;
    }
  }
  if (multipliers != NULL) return;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 4; q++) ck_store(sums[r] + 8 * q, c[r][q]);
}

// Adds the two lanes of each output.
static void join_lanes(int32_t sums[2 * ck_panel]) {
  for (int half = 0; half < 2; half++) {
    __m256i joined = _mm256_hadd_epi32(ck_load(sums + 16 * half), ck_load(sums + 16 * half + 8));
    ck_store(sums + 8 * half, _mm256_permute4x64_epi64(joined, 0xd8));
  }
}

// ---- 4 and 2 bits

// signed_x = x − 128; corrections[fold] = the pair of int16 −offset · Σ(x − 128) over inputs 0, 1 and over inputs 2, 3 of the units.
static void flip_activations(const uint8_t *x, size_t count, int offset_shift, int8_t *signed_x, int32_t *corrections) {
  const __m256i flip = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi8(1);
  for (size_t i = 0; i < count; i += ck_fold) {
    __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(x + i)), flip);
    _mm256_storeu_si256((__m256i *)(signed_x + i), v);
    __m256i pairs = _mm256_maddubs_epi16(ones, v);
    __m128i sum = _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0xb1));
    corrections[i / ck_fold] = _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), _mm_slli_epi16(sum, offset_shift)));
  }
}

// int16 sums over `parts` folds of 32 inputs, then one multiply-add with the multipliers.
CK_INLINE void rows_folded(int R, int bits, int parts, const uint8_t *codes, const int8_t *x, size_t stride, const int32_t *corrections,
                           size_t correction_stride, const int8_t *multipliers, size_t folds_per_group, size_t fold_in_group, size_t folds,
                           int32_t (*sums)[2 * ck_panel]) {
  const int units = 8 / bits;  // in 64 bytes of codes
  const __m256i mask = _mm256_set1_epi8((char)((1 << bits) - 1));
  __m256i m[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
  for (size_t fold = 0; fold < folds; fold += (size_t)parts) {
    __m256i c[ck_few_rows][2];
    for (int part = 0; part < parts; part++) {
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256i start = ck_broadcast4(corrections + (size_t)r * correction_stride + fold + (size_t)part);
        c[r][0] = part == 0 ? start : _mm256_add_epi16(c[r][0], start);
        c[r][1] = part == 0 ? start : _mm256_add_epi16(c[r][1], start);
      }
      CK_UNROLL for (int t = 0; t < fold_units; t += units) {
        __m256i v0 = ck_load(codes), v1 = ck_load(codes + 32);
        CK_UNROLL for (int i = 0; i < units; i++) {
          __m256i w0 = _mm256_srli_epi16(v0, bits * i), w1 = _mm256_srli_epi16(v1, bits * i);
          w0 = _mm256_and_si256(w0, mask);
          w1 = _mm256_and_si256(w1, mask);
          CK_UNROLL for (int r = 0; r < R; r++) {
            __m256i a = ck_broadcast4(x + (size_t)r * stride + (t + i) * 4);
            c[r][0] = _mm256_add_epi16(c[r][0], _mm256_maddubs_epi16(w0, a));
            c[r][1] = _mm256_add_epi16(c[r][1], _mm256_maddubs_epi16(w1, a));
            CK_KEEP(c[r][0]);
            CK_KEEP(c[r][1]);
          }
        }
        codes += unit_bytes;
      }
      x += ck_fold;
    }
    if (multipliers != NULL) {
      ck_expand_multipliers(multipliers, m);
      fold_in_group += (size_t)parts;
      if (fold_in_group == folds_per_group) {
        fold_in_group = 0;
        multipliers += ck_panel;
      }
    }
    CK_UNROLL for (int r = 0; r < R; r++) {
      ck_store(sums[r], _mm256_add_epi32(ck_load(sums[r]), _mm256_madd_epi16(c[r][0], m[0])));
      ck_store(sums[r] + 8, _mm256_add_epi32(ck_load(sums[r] + 8), _mm256_madd_epi16(c[r][1], m[1])));
    }
    CK_KEEP_IN_MEMORY();
  }
}

// ---- One panel through K

// A stretch of folds within one segment, for all rows.
typedef struct stretch {
  const uint8_t *codes;
  const int8_t *multipliers;  // of the first fold's group; null without groups
  size_t folds_per_group, fold_in_group, first_fold, folds, padded_inputs;
} stretch;

// Two rows at a time: 8 accumulators are what the registers hold, and a block of codes is still in L1 for the passes after the first, of
// which the last fetches the next block. (Prefetches past the end of the codes are harmless.)
CK_INLINE void add_s8(size_t rows, const stretch *p, workspace *s) {
  for (size_t r = 0; r < rows; r += 2) {
    const int16_t *x = s->activations + r * p->padded_inputs + p->first_fold * ck_fold;
    size_t ahead = r > 0 && r + 2 >= rows ? k_block_folds * fold_units * unit_bytes : 0;
    if (rows - r > 1) {
      rows_s8(2, ahead, p->codes, x, p->padded_inputs, p->multipliers, p->folds_per_group, p->fold_in_group, p->folds, s->sums + r);
    } else {
      rows_s8(1, ahead, p->codes, x, p->padded_inputs, p->multipliers, p->folds_per_group, p->fold_in_group, p->folds, s->sums + r);
    }
  }
}

CK_INLINE void add_folded(int R, int bits, size_t rows, const stretch *p, workspace *s) {
  const int8_t *x = (const int8_t *)s->activations;
  const int32_t *corrections = (const int32_t *)(x + rows * p->padded_inputs) + p->first_fold;
  size_t correction_stride = p->padded_inputs / ck_fold, wide = 0;
  x += p->first_fold * ck_fold;
  if (bits == 2 && (p->multipliers == NULL || p->folds_per_group % 4 == 0)) {
    wide = p->folds / 4 * 4;
    rows_folded(R, bits, 4, p->codes, x, p->padded_inputs, corrections, correction_stride, p->multipliers, p->folds_per_group, p->fold_in_group,
                wide, s->sums);
  }
  if (wide == p->folds) return;
  // What is left of fewer than 4 folds lies within one group, or all folds are left.
  size_t passed = p->fold_in_group + wide, groups = p->multipliers == NULL ? 0 : passed / p->folds_per_group;
  rows_folded(R, bits, 1, p->codes + wide * (size_t)(ck_fold * ck_panel / 8 * bits), x + wide * ck_fold, p->padded_inputs, corrections + wide,
              correction_stride, p->multipliers == NULL ? NULL : p->multipliers + groups * ck_panel, p->folds_per_group,
              p->multipliers == NULL ? 0 : passed - groups * p->folds_per_group, p->folds - wide, s->sums);
}

CK_INLINE void add_stretch(int bits, size_t rows, const stretch *p, workspace *s) {
  if (bits == 8) {
    add_s8(rows, p, s);
    return;
  }
  switch (rows * 16 + (size_t)bits) {
#define CASE(R)                                              \
  case R * 16 + 4: add_folded(R, 4, R, p, s); break;         \
  case R * 16 + 2: add_folded(R, 2, R, p, s); break;
    CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
  }
}

CK_INLINE void gemm_rows(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel_begin,
                         size_t panel_end, workspace *s) {
  size_t padded = ck_round_up(w->inputs, ck_fold), folds = padded / ck_fold, rows = x->rows;
  size_t segments = ck_gemm_segments(w->inputs, w->group, bits);
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(w->inputs, w->group, bits) / ck_fold;
  size_t block = bits == 8 && rows > 2 ? k_block_folds : folds;  // two passes over codes want them in L1
  size_t fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits), folds_per_group = w->group / ck_fold;
  ck_gemm_activations shifted = *x;
  if (bits == 8 && rows > ck_few_rows) {
    widen_block(x->codes, padded, s->activations);
  } else if (bits == 8) {
    widen_activations(x->codes, rows * padded, s->activations);
  } else {
    int8_t *signed_x = (int8_t *)s->activations;
    flip_activations(x->codes, rows * padded, bits == 4 ? 3 : 1, signed_x, (int32_t *)(signed_x + rows * padded));
    for (size_t m = 0; m < rows; m++) s->zero_points[m] = x->zero_points[m] - 128;
    shifted.zero_points = s->zero_points;
  }
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    for (size_t segment = 0; segment < segments; segment++) {
      size_t begin = segment * segment_folds, end = segment + 1 == segments ? folds : begin + segment_folds;
      memset(s->sums, 0, rows * sizeof s->sums[0]);
      for (size_t fold = begin; fold < end; fold += block) {
        size_t group = w->group == 0 ? 0 : fold / folds_per_group;
        stretch p = {w->codes + (panel * folds + fold) * fold_bytes,
                     w->group == 0 ? NULL : w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + group) * ck_panel,
                     folds_per_group, w->group == 0 ? 0 : fold % folds_per_group, fold, end - fold < block ? end - fold : block, padded};
        add_stretch(bits, rows, &p, s);
      }
      for (size_t m = 0; m < rows; m++) {
        if (bits == 8) join_lanes(s->sums[m]);
        ck_end_segment(w, &shifted, y, m, panel, segment, segment + 1 == segments, ck_load(s->sums[m]), ck_load(s->sums[m] + 8), s->totals[m]);
      }
    }
  }
}

#define GEMM_ROWS(name, bits)                                                                                          \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,         \
            size_t row_end, size_t panel_begin, size_t panel_end, void *space) {                                       \
    (void)row_begin, (void)row_end; /* all of them */                                                                  \
    gemm_rows(bits, w, x, y, panel_begin, panel_end, (workspace *)space);                                              \
  }
GEMM_ROWS(ck_gemm_rows_u8_s8__avx2, 8)
GEMM_ROWS(ck_gemm_rows_u8_s4__avx2, 4)
GEMM_ROWS(ck_gemm_rows_u8_s2__avx2, 2)

CK_TARGET_END
#endif
