// Integer gemm for more than a few rows, by AVX2 and by AVX512 without VNNI: a panel of 16 outputs × up to 1,024 inputs is decoded once into L1 and
// used for all rows, in tiles. The file that includes this brings the tiles, of up to `tile_rows` rows (4 in AVX2, 8 in AVX512), an enum that it
// defines before.
//
// Products are _mm256_maddubs_epi16, which adds pairs in int16 and saturates. Why nothing saturates here:
//   4 bits  a pair is at most 255 · 8 · 2 = 4,080; 8 of them, one fold of 32 inputs, at most 32,640 < 32,767
//   2 bits  a pair is at most 255 · 2 · 2 = 1,020; 32 of them, a fold of 128 inputs, at most 32,640
//   8 bits  a pair is safe while |w₀ + w₁| ≤ 128 for equal signs (255 · 128 = 32,640). Other pairs, about 2 % of Gaussian
//           weights, are clamped to ±64 here, and the excess (at most 63 · 2 · 255 = 32,130 a pair) is added by a second, sparse
//           pass that works on 8 rows of one output at a time
//   u7 × 8  a pair is at most 127 · 127 · 2 = 32,258
#ifndef CK_AVX2_GEMM_BLOCKS_H
#define CK_AVX2_GEMM_BLOCKS_H

#include "dispatch.h"
#include "epilogue.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum {
  k_block = ck_gemm_block,
  fold_units = ck_fold / 4,
  unit_bytes = ck_panel * 4,
  block_unit_bytes = ck_row_block * 4,
  row_chunk = ck_row_chunk,  // rows whose sums are kept while a panel goes through K
};

// Weights that the dense pass left out, for one output: 4 inputs each. Lists are filled up to an even
// length, at least 2, with zeros: where K is short, most then have the same length, which branch prediction likes.
typedef struct excess_list {
  size_t count;
  uint32_t offsets[k_block / 4];     // of the unit in a block of activations
  int32_t weights[k_block / 4];      // four int8
  int32_t multipliers[k_block / 4];  // a pair of int16
} excess_list;

typedef struct workspace {
  int32_t sums[row_chunk][ck_panel];
  float totals[row_chunk][ck_panel];
  int16_t multipliers[k_block / ck_fold][2][ck_panel];
  int8_t panel[k_block * ck_panel];
  excess_list excesses[ck_panel];
} workspace;

// Tiles: R rows × 16 outputs over `folds` folds; activations x[unit][8][4], weights w[unit][16][4], sums in memory. Sums in int16 over 32 or 128
// inputs, or widened at once.
typedef void tile_function(const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds, int32_t (*sums)[ck_panel]);
static tile_function *const tiles_of_32[tile_rows], *const tiles_of_128[tile_rows], *const tiles_widened[tile_rows];
#define TILE_PARAMETERS (const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds, int32_t (*sums)[ck_panel])

// ---- Decoding a panel

static void decode_s4(const uint8_t *codes, size_t units, int8_t *panel) {
  const __m256i mask = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8);
  for (size_t t = 0; t < units; t += 2, codes += unit_bytes, panel += 2 * unit_bytes) {
    for (int half = 0; half < unit_bytes; half += 32) {
      __m256i v = ck_load(codes + half);
      ck_store(panel + half, _mm256_sub_epi8(_mm256_and_si256(v, mask), eight));
      ck_store(panel + unit_bytes + half, _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(v, 4), mask), eight));
    }
  }
}

static void decode_s2(const uint8_t *codes, size_t units, int8_t *panel) {
  const __m256i mask = _mm256_set1_epi8(3), two = _mm256_set1_epi8(2);
  for (size_t t = 0; t < units; t += 4, codes += unit_bytes, panel += 4 * unit_bytes) {
    for (int half = 0; half < unit_bytes; half += 32) {
      __m256i v = ck_load(codes + half);
      CK_UNROLL for (int i = 0; i < 4; i++)
        ck_store(panel + i * unit_bytes + half, _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(v, 2 * i), mask), two));
    }
  }
}

// 8-bit weights with the weights of unsafe pairs clamped to ±64.
CK_INLINE __m128i safe_weights(__m128i w) {
  __m128i pair_sums = _mm_maddubs_epi16(_mm_set1_epi8(1), w);
  __m128i is_unsafe = _mm_cmpgt_epi16(_mm_abs_epi16(pair_sums), _mm_set1_epi16(128));
  __m128i clamped = _mm_max_epi8(_mm_min_epi8(w, _mm_set1_epi8(64)), _mm_set1_epi8(-64));
  return _mm_blendv_epi8(w, clamped, is_unsafe);
}

// Makes a copied panel safe: clamps the units that the packed weights list, and lists for each output what that took away.
static void split_excess(const ck_gemm_weights *w, size_t panel, size_t first_fold, size_t folds, int8_t *weights,
                         const int16_t (*multipliers)[2][ck_panel], excess_list *lists) {
  size_t blocks = (w->inputs + k_block - 1) / k_block, first_unit = first_fold % (k_block / ck_fold) * fold_units;
  const uint32_t *starts = w->unsafe_starts + (panel * blocks + first_fold * ck_fold / k_block) * ck_panel;
  for (size_t c = 0; c < ck_panel; c++, lists++) {
    lists->count = 0;
    for (uint32_t i = starts[c]; i < starts[c + 1]; i++) {
      size_t unit = w->unsafe_units[i] - first_unit;  // beyond `folds` also where it lies before the first
      if (unit >= folds * fold_units) continue;
      int32_t four;
      memcpy(&four, weights + unit * unit_bytes + c * 4, 4);
      __m128i all = _mm_cvtsi32_si128(four), safe = safe_weights(all);
      four = _mm_cvtsi128_si32(safe);
      memcpy(weights + unit * unit_bytes + c * 4, &four, 4);
      lists->offsets[lists->count] = (uint32_t)(unit * block_unit_bytes);
      lists->weights[lists->count] = _mm_cvtsi128_si32(_mm_sub_epi8(all, safe));
      lists->multipliers[lists->count++] = (int32_t)((uint32_t)(uint16_t)multipliers[unit / fold_units][c / 8][c % 8 * 2] * 0x10001u);
    }
    while (lists->count < 2 || lists->count % 2 == 1) {
      lists->offsets[lists->count] = 0;
      lists->weights[lists->count] = lists->multipliers[lists->count] = 0;
      lists->count++;
    }
  }
}

// ---- The sparse pass of 8-bit weights: 8 rows of one output at a time, then transposed into the sums.

CK_INLINE void transpose8(__m256i v[8]) {
  __m256i a[8], b[8];
  CK_UNROLL for (int i = 0; i < 4; i++) {
    a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  CK_UNROLL for (int i = 0; i < 2; i++) {
    b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
    b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
  }
}

CK_INLINE __m256i excess_products(const uint8_t *x, const excess_list *list, size_t i, int is_grouped) {
  __m256i products = _mm256_maddubs_epi16(ck_load(x + list->offsets[i]), _mm256_set1_epi32(list->weights[i]));
  return _mm256_madd_epi16(products, is_grouped ? _mm256_set1_epi32(list->multipliers[i]) : _mm256_set1_epi16(1));
}

CK_INLINE void add_excess(const uint8_t *x, const excess_list *lists, int is_grouped, int32_t (*sums)[ck_panel]) {
  for (int half = 0; half < 2; half++) {
    __m256i by_output[8];
    CK_UNROLL for (int c = 0; c < 8; c++, lists++) {
      __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
      size_t i = 0;
      do {
        even = _mm256_add_epi32(even, excess_products(x, lists, i, is_grouped));
        odd = _mm256_add_epi32(odd, excess_products(x, lists, i + 1, is_grouped));
        i += 2;
      } while (i < lists->count);
      by_output[c] = _mm256_add_epi32(even, odd);
    }
    transpose8(by_output);
    CK_UNROLL for (int r = 0; r < ck_row_block; r++) ck_store(sums[r] + half * 8, _mm256_add_epi32(ck_load(sums[r] + half * 8), by_output[r]));
  }
}

// ---- One panel through K

typedef enum weight_kind { kind_s8, kind_u7_s8, kind_s4, kind_s2 } weight_kind;
CK_INLINE int bits_of(weight_kind kind) { return kind == kind_s4 ? 4 : kind == kind_s2 ? 2 : 8; }

static void expand_multipliers(const ck_gemm_weights *w, size_t panel, size_t first_fold, size_t folds, workspace *s) {
  for (size_t fold = 0; fold < folds; fold++) {
    __m256i pairs[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    if (w->group != 0) {
      size_t group = (first_fold + fold) * ck_fold / w->group;
      ck_expand_multipliers(w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + group) * ck_panel, pairs);
    }
    ck_store(s->multipliers[fold][0], pairs[0]);
    ck_store(s->multipliers[fold][1], pairs[1]);
  }
}

// Adds the products of folds first_fold ..< first_fold + folds of a panel to the sums of the rows.
CK_INLINE void add_block(weight_kind kind, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel,
                         size_t first_fold, size_t folds, size_t row_begin, size_t row_end, workspace *s) {
  size_t padded = ck_round_up(w->inputs, ck_fold), fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits_of(kind));
  const uint8_t *codes = w->codes + (panel * (padded / ck_fold) + first_fold) * fold_bytes;
  const int8_t *weights = s->panel;
  expand_multipliers(w, panel, first_fold, folds, s);
  if (kind == kind_s4) decode_s4(codes, folds * fold_units, s->panel);
  if (kind == kind_s2) decode_s2(codes, folds * fold_units, s->panel);
  if (kind == kind_s8) {
    memcpy(s->panel, codes, folds * fold_units * unit_bytes);
    split_excess(w, panel, first_fold, folds, s->panel, (const int16_t(*)[2][ck_panel])s->multipliers, s->excesses);
  }
  if (kind == kind_u7_s8) weights = (const int8_t *)codes;
  size_t wide_folds = kind == kind_s2 && w->group % (4 * ck_fold) == 0 ? folds / 4 : 0, narrow_folds = folds - 4 * wide_folds;
  const int16_t(*multipliers)[2][ck_panel] = (const int16_t(*)[2][ck_panel])s->multipliers;
  for (size_t row = row_begin; row < row_end; row += ck_row_block) {
    const uint8_t *block = x->codes + row * padded + first_fold * fold_units * block_unit_bytes;
    int32_t(*sums)[ck_panel] = s->sums + (row - row_begin);
    if (y->type == ck_output_f32)
      for (size_t r = row; r < row_end && r < row + ck_row_block; r++)
        __builtin_prefetch((const float *)y->data + r * y->stride + panel * ck_panel, 1);
    for (size_t part = 0; part < ck_row_block && row + part < row_end; part += tile_rows) {
      size_t rows = row_end - row - part < tile_rows ? row_end - row - part : tile_rows;
      const uint8_t *a = block + part * 4;
      if (kind == kind_s8 || kind == kind_u7_s8) {
        tiles_widened[rows - 1](a, weights, multipliers, folds, sums + part);
        continue;
      }
      if (wide_folds > 0) tiles_of_128[rows - 1](a, weights, multipliers, wide_folds, sums + part);
      if (narrow_folds > 0)
        tiles_of_32[rows - 1](a + wide_folds * 4 * fold_units * block_unit_bytes, weights + wide_folds * 4 * fold_units * unit_bytes,
                              multipliers + wide_folds * 4, narrow_folds, sums + part);
    }
    if (kind == kind_s8 && w->group == 0) add_excess(block, s->excesses, 0, sums);
    if (kind == kind_s8 && w->group != 0) add_excess(block, s->excesses, 1, sums);
  }
}

CK_INLINE void gemm_blocks(weight_kind kind, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,
                           size_t row_end, size_t panel_begin, size_t panel_end, workspace *s) {
  size_t folds = ck_round_up(w->inputs, ck_fold) / ck_fold;
  size_t segments = ck_gemm_segments(w->inputs, w->group, bits_of(kind));
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(w->inputs, w->group, bits_of(kind)) / ck_fold;
  for (size_t first = row_begin; first < row_end; first += row_chunk) {
    size_t last = row_end - first < row_chunk ? row_end : first + row_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      for (size_t segment = 0; segment < segments; segment++) {
        size_t begin = segment * segment_folds, end = segment + 1 == segments ? folds : begin + segment_folds;
        memset(s->sums, 0, ck_round_up(last - first, ck_row_block) * sizeof s->sums[0]);
        for (size_t fold = begin; fold < end; fold += k_block / ck_fold) {
          size_t count = end - fold < k_block / ck_fold ? end - fold : k_block / ck_fold;
          add_block(kind, w, x, y, panel, fold, count, first, last, s);
        }
        if (segments == 1 && ck_end_only_segment(w, x, y, first, last, panel, s->sums)) continue;
        for (size_t m = first; m < last; m++)
          ck_end_segment(w, x, y, m, panel, segment, segment + 1 == segments, ck_load(s->sums[m - first]), ck_load(s->sums[m - first] + 8),
                         s->totals[m - first]);
      }
    }
  }
}

#define GEMM_BLOCKS(name, kind)                                                                                                      \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,      \
            size_t panel_begin, size_t panel_end, void *space) {                                                                     \
    gemm_blocks(kind, w, x, y, row_begin, row_end, panel_begin, panel_end, (workspace *)space);                                      \
  }

CK_TARGET_END

#endif
