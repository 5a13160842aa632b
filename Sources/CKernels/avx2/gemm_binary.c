// Gemm with 1-bit weights by table lookup (as T-MAC, Wei 2024, but exact): four bits of an output choose one of 16 sums of four
// activations, and one _mm256_shuffle_epi8 looks up 2 × 16 outputs at once, 128 products. No weight is ever decoded or multiplied.
//
//   u8 × s1  dot = 2 · Σ_{bit = 1} x − Σ x. A sum of four uint8 does not fit in a byte, so there are two tables, of the low and of
//            the high four bits of x: an entry is at most 4 · 15 = 60, four of them, one fold of 32 inputs, at most 240. Then bytes
//            are added to 16-bit sums, at most 15 · 1,024 = 15,360 over a block of 1,024 inputs (groups: see there).
//   u1 × s1  dot = K − 2 · popcount(a xor w). An entry is the population count of four bits: the xor is in the table. Sixteen a
//            fold and lane, 8 folds at most 128; at most 1,024 over a block.
//
// Instructions per 512 products and row: 20 (u8) and 8 (u1), and 6 that split the codes, shared by the rows of a tile.
#if defined(__x86_64__)
#include "epilogue.h"
#include "dispatch.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum {
  block_folds = ck_gemm_block / ck_fold,
  fold_bytes = ck_fold * ck_panel / 8,
  byte_rows = 2,      // rows in a tile: 4 sums of 16 bits each and 4 vectors of indices in 16 registers
  bit_rows = 4,
  panel_chunk = 128,  // panels that share the tables of a block of inputs; sums of all are kept
  bit_folds = 8,      // folds whose counts are added as bytes
};

typedef struct byte_workspace {
  uint8_t tables[byte_rows][block_folds][2][4][32];  // low and high four bits; in the order of the indices below
  int32_t row_sums[byte_rows][block_folds];          // Σ x of each fold
  int32_t sums[panel_chunk][byte_rows][ck_panel];
  float totals[panel_chunk][byte_rows][ck_panel];
} byte_workspace;

typedef struct bit_workspace {
  uint8_t tables[bit_rows][block_folds][4][32];
  int32_t counts[panel_chunk][bit_rows][ck_panel];
} bit_workspace;

size_t ck_gemm_binary_workspace_bytes__avx2(void) {
  return ck_round_up(sizeof(byte_workspace) > sizeof(bit_workspace) ? sizeof(byte_workspace) : sizeof(bit_workspace), 64);
}

// The 128 indices of four bits in a fold of a panel. Codes are [K/8][16] bytes: index 0 has inputs 0–3 in its low and 8–11 in its
// high lane, index 1 inputs 4–7 and 12–15; 2 and 3 the same for inputs 16–31.
CK_INLINE void split_codes(const uint8_t *codes, __m256i index[4]) {
  const __m256i mask = _mm256_set1_epi8(15);
  CK_UNROLL for (int half = 0; half < 2; half++) {
    __m256i v = ck_load(codes + 32 * half);
    index[2 * half] = _mm256_and_si256(v, mask);
    index[2 * half + 1] = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
  }
}

// Sums of bytes in 16 bits. `all` has even bytes + 256 · odd bytes, modulo 2¹⁶: one instruction less than separating both.
typedef struct wide_sums {
  __m256i all, odd;
} wide_sums;

CK_INLINE void widen_bytes(wide_sums *s, __m256i bytes) {
  s->all = _mm256_add_epi16(s->all, bytes);
  s->odd = _mm256_add_epi16(s->odd, _mm256_srli_epi16(bytes, 8));
}

// Adds the two lanes: outputs 0, 2, …, 14 and 1, 3, …, 15 as int16.
CK_INLINE void join_lanes(wide_sums s, __m128i *even, __m128i *odd) {
  __m256i evens = _mm256_sub_epi16(s.all, _mm256_slli_epi16(s.odd, 8));
  *even = _mm_add_epi16(_mm256_castsi256_si128(evens), _mm256_extracti128_si256(evens, 1));
  *odd = _mm_add_epi16(_mm256_castsi256_si128(s.odd), _mm256_extracti128_si256(s.odd, 1));
}

// out[q] = a · low + b · high for outputs 4·q … 4·q + 3, `factors` the int16 pair (a, b).
CK_INLINE void combine(wide_sums low, wide_sums high, int32_t factors, __m128i out[4]) {
  __m128i even_low, odd_low, even_high, odd_high, pair = _mm_set1_epi32(factors);
  join_lanes(low, &even_low, &odd_low);
  join_lanes(high, &even_high, &odd_high);
  __m128i e0 = _mm_madd_epi16(_mm_unpacklo_epi16(even_low, even_high), pair), e1 = _mm_madd_epi16(_mm_unpackhi_epi16(even_low, even_high), pair);
  __m128i o0 = _mm_madd_epi16(_mm_unpacklo_epi16(odd_low, odd_high), pair), o1 = _mm_madd_epi16(_mm_unpackhi_epi16(odd_low, odd_high), pair);
  out[0] = _mm_unpacklo_epi32(e0, o0);
  out[1] = _mm_unpackhi_epi32(e0, o0);
  out[2] = _mm_unpacklo_epi32(e1, o1);
  out[3] = _mm_unpackhi_epi32(e1, o1);
}

CK_INLINE void add4(int32_t *sums, __m128i v) { _mm_store_si128((__m128i *)sums, _mm_add_epi32(_mm_load_si128((const __m128i *)sums), v)); }

// ---- u8 × s1

// tables[half][2·h + n], entry j of lane l: Σ of the inputs 16·h + 8·l + 4·n + i whose bit i is set in j. Returns Σ x.
CK_INLINE int32_t make_byte_tables(const uint8_t *x, size_t stride, uint8_t tables[2][4][32]) {
  const __m256i place = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i mask = _mm256_set1_epi8(15), lane = _mm256_setr_epi32(0, 0, 0, 0, 0x08080808, 0x08080808, 0x08080808, 0x08080808);
  __m128i sum = _mm_setzero_si128();
  for (int h = 0; h < 2; h++) {
    int32_t groups[4];
    for (int t = 0; t < 4; t++) memcpy(&groups[t], x + (size_t)(4 * h + t) * stride, 4);
    __m128i four = _mm_loadu_si128((const __m128i *)groups);
    sum = _mm_add_epi32(sum, _mm_sad_epu8(four, _mm_setzero_si128()));
    __m256i v = _mm256_broadcastsi128_si256(four), low = _mm256_and_si256(v, mask), high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
    for (int n = 0; n < 2; n++) {
      __m256i low_sum = _mm256_setzero_si256(), high_sum = _mm256_setzero_si256();
      CK_UNROLL for (int i = 0; i < 4; i++) {
        __m256i bit = _mm256_set1_epi8((char)(1 << i)), is_clear = _mm256_cmpeq_epi8(_mm256_and_si256(place, bit), _mm256_setzero_si256());
        // A place with its top bit set looks up 0.
        __m256i from = _mm256_or_si256(_mm256_add_epi8(lane, _mm256_set1_epi8((char)(4 * n + i))), is_clear);
        low_sum = _mm256_add_epi8(low_sum, _mm256_shuffle_epi8(low, from));
        high_sum = _mm256_add_epi8(high_sum, _mm256_shuffle_epi8(high, from));
      }
      ck_store(tables[0][2 * h + n], low_sum);
      ck_store(tables[1][2 * h + n], high_sum);
    }
  }
  return _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 2);
}

// Tables of folds first_fold ..< first_fold + folds of `rows` rows from row m on.
static void fill_byte_tables(const ck_gemm_activations *x, size_t padded, size_t m, size_t rows, size_t first_fold, size_t folds, byte_workspace *s) {
  int is_row_major = x->rows <= ck_few_rows;
  size_t stride = is_row_major ? 4 : ck_row_block * 4;  // bytes between units
  for (size_t r = 0; r < rows; r++) {
    size_t block = (m + r) / ck_row_block * ck_row_block, row = (m + r) % ck_row_block;
    const uint8_t *from = is_row_major ? x->codes + (m + r) * padded : x->codes + block * padded + row * 4;
    for (size_t fold = 0; fold < folds; fold++)
      s->row_sums[r][fold] = make_byte_tables(from + (first_fold + fold) * (ck_fold / 4) * stride, stride, s->tables[r][fold]);
  }
}

// Sums of bytes over one fold for row r: low and high four bits of the activations.
CK_INLINE void look_up_fold(const byte_workspace *s, int r, size_t fold, const __m256i index[4], __m256i bytes[2]) {
  CK_UNROLL for (int half = 0; half < 2; half++) {
    const uint8_t(*table)[32] = s->tables[r][fold][half];
    bytes[half] = _mm256_shuffle_epi8(ck_load(table[0]), index[0]);
    CK_UNROLL for (int i = 1; i < 4; i++) bytes[half] = _mm256_add_epi8(bytes[half], _mm256_shuffle_epi8(ck_load(table[i]), index[i]));
  }
}

CK_INLINE int32_t row_sum(const byte_workspace *s, int r, size_t begin, size_t end) {
  int32_t sum = 0;
  for (size_t fold = begin; fold < end; fold++) sum += s->row_sums[r][fold];
  return sum;
}

// Adds R rows × 16 outputs over the first `folds` folds of the block to `sums`.
CK_INLINE void byte_tile(int R, const uint8_t *codes, size_t folds, const byte_workspace *s, int32_t (*sums)[ck_panel]) {
  wide_sums low[byte_rows], high[byte_rows];
  CK_UNROLL for (int r = 0; r < R; r++) low[r].all = low[r].odd = high[r].all = high[r].odd = _mm256_setzero_si256();
  for (size_t fold = 0; fold < folds; fold++, codes += fold_bytes) {
    __m256i index[4], bytes[2];
    split_codes(codes, index);
    CK_UNROLL for (int r = 0; r < R; r++) {
      look_up_fold(s, r, fold, index, bytes);
      widen_bytes(&low[r], bytes[0]);
      widen_bytes(&high[r], bytes[1]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    __m128i twice[4], x = _mm_set1_epi32(row_sum(s, r, 0, folds));
    combine(low[r], high[r], 2 | 32 << 16, twice);
    CK_UNROLL for (int q = 0; q < 4; q++) add4(sums[r] + 4 * q, _mm_sub_epi32(twice[q], x));
  }
}

// Multipliers of a panel as int16 for outputs 0, 2, …, 14 and 1, 3, …, 15.
CK_INLINE __m256i multipliers_by_parity(const int8_t *packed) {
  const __m128i place = _mm_setr_epi8(0, 2, 8, 10, 4, 6, 12, 14, 1, 3, 9, 11, 5, 7, 13, 15);
  return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(_mm_load_si128((const __m128i *)packed), place));
}

// Adds the two lanes: outputs 0, 2, …, 14 and 1, 3, …, 15 in one vector.
CK_INLINE __m256i by_parity(wide_sums s) {
  __m256i even = _mm256_sub_epi16(s.all, _mm256_slli_epi16(s.odd, 8));
  return _mm256_add_epi16(_mm256_permute2x128_si256(even, s.odd, 0x20), _mm256_permute2x128_si256(even, s.odd, 0x31));
}

// The end of the folds from `begin` on that are summed at once: up to 4 of a group, 128 inputs.
CK_INLINE size_t chunk_end(size_t begin, size_t folds, size_t left_in_group) {
  size_t count = left_in_group < 4 ? left_in_group : 4;
  return count < folds - begin ? begin + count : folds;
}

// The same with groups of `group_folds` folds, of which the block begins with fold `fold_in_group` of the first one. Up to 4 folds of
// a group, 128 inputs, are summed in 16 bits: |Σ x · code| ≤ 255 · 128 = 32,640; what wraps on the way there does not matter.
CK_INLINE void byte_tile_grouped(int R, const uint8_t *codes, size_t folds, const int8_t *multipliers, size_t group_folds, size_t fold_in_group,
                                 const byte_workspace *s, int32_t (*sums)[ck_panel]) {
  const __m256i high_mask = _mm256_set1_epi16(0x0ff0);
  __m256i c[byte_rows][2];  // outputs 0, 2, 4, 6, 1, 3, 5, 7 and 8, 10, …
  CK_UNROLL for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm256_setzero_si256();
  for (size_t begin = 0, end; begin < folds; begin = end) {
    wide_sums wide[byte_rows];
    end = group_folds == 1 ? begin + 1 : chunk_end(begin, folds, group_folds - fold_in_group);
    CK_UNROLL for (int r = 0; r < R; r++) wide[r].all = wide[r].odd = _mm256_setzero_si256();
    for (size_t fold = begin; fold < end; fold++, codes += fold_bytes) {
      __m256i index[4], bytes[2];
      split_codes(codes, index);
      CK_UNROLL for (int r = 0; r < R; r++) {
        look_up_fold(s, r, fold, index, bytes);
        widen_bytes(&wide[r], bytes[0]);
        wide[r].all = _mm256_add_epi16(wide[r].all, _mm256_slli_epi16(bytes[1], 4));
        wide[r].odd = _mm256_add_epi16(wide[r].odd, _mm256_and_si256(_mm256_srli_epi16(bytes[1], 4), high_mask));
      }
    }
    __m256i m = multipliers_by_parity(multipliers);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m256i sum = _mm256_sub_epi16(_mm256_slli_epi16(by_parity(wide[r]), 1), _mm256_set1_epi16((int16_t)row_sum(s, r, begin, end)));
      __m256i low = _mm256_mullo_epi16(sum, m), high = _mm256_mulhi_epi16(sum, m);
      c[r][0] = _mm256_add_epi32(c[r][0], _mm256_unpacklo_epi16(low, high));
      c[r][1] = _mm256_add_epi32(c[r][1], _mm256_unpackhi_epi16(low, high));
    }
    fold_in_group += end - begin;
    if (fold_in_group < group_folds) continue;
    fold_in_group = 0;
    multipliers += ck_panel;
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++) {
    __m128i even = _mm256_castsi256_si128(c[r][half]), odd = _mm256_extracti128_si256(c[r][half], 1);
    add4(sums[r] + 8 * half, _mm_unpacklo_epi32(even, odd));
    add4(sums[r] + 8 * half + 4, _mm_unpackhi_epi32(even, odd));
  }
}

// Adds a block of inputs to the sums of one panel.
CK_INLINE void add_byte_block(int R, const ck_gemm_weights *w, size_t panel, size_t first_fold, size_t folds, const byte_workspace *s,
                              int32_t (*sums)[ck_panel]) {
  size_t all_folds = ck_round_up(w->inputs, ck_fold) / ck_fold, group_folds = w->group / ck_fold;
  const uint8_t *codes = w->codes + (panel * all_folds + first_fold) * fold_bytes;
  if (w->group == 0) {
    byte_tile(R, codes, folds, s, sums);
    return;
  }
  const int8_t *multipliers = w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + first_fold / group_folds) * ck_panel;
  if (group_folds == 1) byte_tile_grouped(R, codes, folds, multipliers, 1, 0, s, sums);  // loops over one fold disappear
  else byte_tile_grouped(R, codes, folds, multipliers, group_folds, first_fold % group_folds, s, sums);
}

static void byte_panels(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t rows,
                        size_t panel_begin, size_t panel_end, byte_workspace *s) {
  size_t padded = ck_round_up(w->inputs, ck_fold), folds = padded / ck_fold;
  size_t segments = ck_gemm_segments(w->inputs, w->group, 1);
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(w->inputs, w->group, 1) / ck_fold;  // whole blocks
  for (size_t first = 0, segment = 0; first < folds; first += block_folds) {
    size_t count = folds - first < block_folds ? folds - first : block_folds;
    int is_last = first + count == folds, ends_segment = is_last || first + count == (segment + 1) * segment_folds;
    if (first == segment * segment_folds) memset(s->sums, 0, (panel_end - panel_begin) * sizeof s->sums[0]);
    fill_byte_tables(x, padded, m, rows, first, count, s);
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      int32_t(*sums)[ck_panel] = s->sums[panel - panel_begin];
      if (rows == 1) add_byte_block(1, w, panel, first, count, s, sums);
      else add_byte_block(byte_rows, w, panel, first, count, s, sums);
      if (!ends_segment) continue;
      for (size_t r = 0; r < rows; r++)
        ck_end_segment(w, x, y, m + r, panel, segment, is_last, ck_load(sums[r]), ck_load(sums[r] + 8), s->totals[panel - panel_begin][r]);
    }
    segment += (size_t)ends_segment;
  }
}

void ck_gemm_binary__avx2(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                         size_t panel_begin, size_t panel_end, void *workspace) {
  for (size_t panel = panel_begin; panel < panel_end; panel += panel_chunk) {
    size_t last = panel_end - panel < panel_chunk ? panel_end : panel + panel_chunk;
    for (size_t m = row_begin; m < row_end; m += byte_rows)
      byte_panels(w, x, y, m, row_end - m < byte_rows ? row_end - m : byte_rows, panel, last, (byte_workspace *)workspace);
  }
}

// ---- u1 × s1

// tables[i] entry j: the bits in which j differs from the four activation bits of index i.
CK_INLINE void make_bit_tables(const uint8_t *bits, uint8_t tables[4][32]) {
  const __m256i count = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m256i place = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m256i mask = _mm256_set1_epi8(15), lane = _mm256_setr_epi32(0, 0, 0, 0, 0x01010101, 0x01010101, 0x01010101, 0x01010101);
  __m256i v = ck_broadcast4(bits);
  CK_UNROLL for (int half = 0; half < 2; half++) {
    __m256i octets = _mm256_shuffle_epi8(v, _mm256_add_epi8(lane, _mm256_set1_epi8((char)(2 * half))));
    __m256i low = _mm256_and_si256(octets, mask), high = _mm256_and_si256(_mm256_srli_epi16(octets, 4), mask);
    ck_store(tables[2 * half], _mm256_shuffle_epi8(count, _mm256_xor_si256(low, place)));
    ck_store(tables[2 * half + 1], _mm256_shuffle_epi8(count, _mm256_xor_si256(high, place)));
  }
}

// Different bits of R rows × 16 outputs over `folds` folds, added to `counts`.
CK_INLINE void bit_tile(int R, const uint8_t *codes, size_t folds, bit_workspace *s, int32_t (*counts)[ck_panel]) {
  wide_sums wide[bit_rows];
  CK_UNROLL for (int r = 0; r < R; r++) wide[r].all = wide[r].odd = _mm256_setzero_si256();
  for (size_t first = 0; first < folds; first += bit_folds) {
    size_t end = folds - first < bit_folds ? folds : first + bit_folds;
    __m256i bytes[bit_rows];
    CK_UNROLL for (int r = 0; r < R; r++) bytes[r] = _mm256_setzero_si256();
    for (size_t fold = first; fold < end; fold++, codes += fold_bytes) {
      __m256i index[4];
      split_codes(codes, index);
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < 4; i++)
        bytes[r] = _mm256_add_epi8(bytes[r], _mm256_shuffle_epi8(ck_load(s->tables[r][fold][i]), index[i]));
    }
    CK_UNROLL for (int r = 0; r < R; r++) widen_bytes(&wide[r], bytes[r]);
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    wide_sums none = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    __m128i four[4];
    combine(wide[r], none, 1, four);
    CK_UNROLL for (int q = 0; q < 4; q++) add4(counts[r] + 4 * q, four[q]);
  }
}

static void bit_panels(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t rows,
                       size_t panel_begin, size_t panel_end, bit_workspace *s) {
  size_t folds = ck_round_up(w->inputs, ck_fold) / ck_fold;
  memset(s->counts, 0, (panel_end - panel_begin) * sizeof s->counts[0]);
  for (size_t first = 0; first < folds; first += block_folds) {
    size_t count = folds - first < block_folds ? folds - first : block_folds;
    for (size_t r = 0; r < rows; r++)
      for (size_t fold = 0; fold < count; fold++)
        make_bit_tables(x->codes + ((m + r) * folds + first + fold) * (ck_fold / 8), s->tables[r][fold]);
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      const uint8_t *codes = w->codes + (panel * folds + first) * fold_bytes;
      int32_t(*counts)[ck_panel] = s->counts[panel - panel_begin];
      if (rows == bit_rows) {
        bit_tile(bit_rows, codes, count, s, counts);
      } else {
        if (rows == 1) bit_tile(1, codes, count, s, counts);
        if (rows == 2) bit_tile(2, codes, count, s, counts);
        if (rows == 3) bit_tile(3, codes, count, s, counts);
      }
    }
  }
  const __m256i inputs = _mm256_set1_epi32((int32_t)w->inputs);
  for (size_t panel = panel_begin; panel < panel_end; panel++)
    for (size_t r = 0; r < rows; r++) {
      const int32_t *counts = s->counts[panel - panel_begin][r];
      __m256i s0 = _mm256_sub_epi32(inputs, _mm256_slli_epi32(ck_load(counts), 1));
      __m256i s1 = _mm256_sub_epi32(inputs, _mm256_slli_epi32(ck_load(counts + 8), 1));
      ck_finish_integers(w, x, y, m + r, panel, s0, s1, NULL);
    }
}

void ck_gemm_signs__avx2(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                         size_t panel_begin, size_t panel_end, void *workspace) {
  for (size_t panel = panel_begin; panel < panel_end; panel += panel_chunk) {
    size_t last = panel_end - panel < panel_chunk ? panel_end : panel + panel_chunk;
    for (size_t m = row_begin; m < row_end; m += bit_rows)
      bit_panels(w, x, y, m, row_end - m < bit_rows ? row_end - m : bit_rows, panel, last, (bit_workspace *)workspace);
  }
}

// ---- Signs

void ck_binarize_rows_u1_f32__avx2(const float *x, size_t rows, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8;
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)), zero = _mm256_setzero_ps();
  for (size_t m = 0; m < rows; m++, x += stride, bits += row_bytes) {
    __m256 sums = zero;
    memset(bits + columns / 8, 0, row_bytes - columns / 8);
    for (size_t k = 0; k < columns; k += 8) {
      float last[8] = {0};
      size_t left = columns - k;
      if (left < 8) memcpy(last, x + k, left * sizeof(float));
      __m256 v = _mm256_loadu_ps(left < 8 ? last : x + k);
      int mask = _mm256_movemask_ps(_mm256_cmp_ps(v, zero, _CMP_GE_OQ));
      bits[k / 8] = (uint8_t)(left < 8 ? mask & ((1 << left) - 1) : mask);
      sums = _mm256_add_ps(sums, _mm256_and_ps(v, magnitude));
    }
    float lanes[8];
    _mm256_storeu_ps(lanes, sums);
    scales[m] = (((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))) / (float)columns;
  }
}

CK_TARGET_END
#endif
