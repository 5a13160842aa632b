// 1-bit weights by table lookup: four bits of an output choose one of the 16 sums of four activations, and one vpshufb looks up 16 outputs in each of its
// four lanes, whose inputs are 8 apart, 256 products. No bit is spread, no line of 64 bytes (16 outputs × 32 inputs) transposed.
//
//   dot = 2 · Σ_{bit = 1} x − Σ x. A sum of four uint8 is at most 1,020, 10 bits, so there are two tables, of its lower and of its upper 5 bits. Entries are
//   at most 31, a line has two, so bytes hold four lines, 4 · 2 · 31 = 248; then they are added to 16-bit sums, at most 62 · 512 = 31,744 over a block of
//   512 lines, 16,384 inputs, which multiply-add (1, 32) reads as int16.
//   Instructions a line, 512 products: 3 to split, which all rows of a tile share, and for each row 4 lookups, 4 additions, 1.5 to widen.
#ifndef CK_AVX512_LOOKUP_H
#define CK_AVX512_LOOKUP_H

#include "../gemm/layout.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { ck_widened_lines = 4, ck_lookup_block_lines = 512, ck_most_lookups = 4 };

// Of 32 inputs, entry e of lane j of entries[n][part]: bits 0–4 (part 0) or 5–9 of Σ of the inputs 8 · j + 4 · n + i whose bit i is set in e.
typedef struct ck_sum_tables {
  uint8_t entries[2][2][64];
} ck_sum_tables;

// Tables of `folds` folds of 32 inputs, whose quads lie `stride` bytes apart. Returns Σ x.
CK_INLINE int32_t ck_make_sum_tables(const uint8_t *x, size_t stride, size_t folds, ck_sum_tables *to) {
#define CK_SUBSET(e) (((e) & 1) | ((e) & 2) << 7 | ((e) & 4) << 14 | ((e) & 8) << 21)
  const __m512i subsets =
      _mm512_setr_epi32(CK_SUBSET(0), CK_SUBSET(1), CK_SUBSET(2), CK_SUBSET(3), CK_SUBSET(4), CK_SUBSET(5), CK_SUBSET(6), CK_SUBSET(7), CK_SUBSET(8),
                        CK_SUBSET(9), CK_SUBSET(10), CK_SUBSET(11), CK_SUBSET(12), CK_SUBSET(13), CK_SUBSET(14), CK_SUBSET(15));
#undef CK_SUBSET
  const __m512i quads = ck_quad_columns(), mask = _mm512_set1_epi16(31), ones = _mm512_set1_epi16(1);
  __m512i total = _mm512_setzero_si512();
  for (size_t fold = 0; fold < folds; fold++, x += 8 * stride) {
    CK_UNROLL for (size_t n = 0; n < 2; n++) {
      __m512i sums[4];
      CK_UNROLL for (size_t j = 0; j < 4; j++) {
        sums[j] = _mm512_madd_epi16(_mm512_maddubs_epi16(ck_broadcast4x16(x + (2 * j + n) * stride), subsets), ones);
        total = _mm512_add_epi32(total, sums[j]);
      }
      __m512i low = _mm512_packus_epi32(sums[0], sums[1]), high = _mm512_packus_epi32(sums[2], sums[3]);
      __m512i part0 = _mm512_packus_epi16(_mm512_and_si512(low, mask), _mm512_and_si512(high, mask));
      __m512i part1 = _mm512_packus_epi16(_mm512_srli_epi16(low, 5), _mm512_srli_epi16(high, 5));
      ck_store64(to[fold].entries[n][0], _mm512_permutexvar_epi32(quads, part0));
      ck_store64(to[fold].entries[n][1], _mm512_permutexvar_epi32(quads, part1));
    }
  }
  return _mm_extract_epi32(_mm512_extracti32x4_epi32(total, 3), 3);  // the subset of all
}

// Sums of bytes in 16 bits: `all` has even bytes + 256 · odd bytes, modulo 2¹⁶.
typedef struct ck_wide_sums64 {
  __m512i all, odd;
} ck_wide_sums64;

// Adds up to four lines of R rows × P panels, at most ck_most_lookups. Tables of rows lie `row_tables` apart.
CK_INLINE void ck_look_up_lines(int R, int P, const uint8_t *codes, size_t panel_bytes, size_t lines, const ck_sum_tables *t, size_t row_tables,
                                ck_wide_sums64 s[ck_most_lookups][2]) {
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i bytes[ck_most_lookups][2];
  CK_UNROLL for (int i = 0; i < R * P; i++) bytes[i][0] = bytes[i][1] = _mm512_setzero_si512();
  for (size_t line = 0; line < lines; line++, t++) {
    CK_UNROLL for (int p = 0; p < P; p++) {
      const uint8_t *from = codes + (size_t)p * panel_bytes + line * 64;
      _mm_prefetch((const char *)from + 2048, _MM_HINT_T0);  // beyond the end it does nothing
      __m512i v = ck_load64(from), low = _mm512_and_si512(v, mask), high = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int part = 0; part < 2; part++) {
        __m512i *sum = &bytes[r * P + p][part];
        *sum = _mm512_add_epi8(*sum, _mm512_shuffle_epi8(ck_load64(t[(size_t)r * row_tables].entries[0][part]), low));
        CK_KEEP32(*sum);
        *sum = _mm512_add_epi8(*sum, _mm512_shuffle_epi8(ck_load64(t[(size_t)r * row_tables].entries[1][part]), high));
        CK_KEEP32(*sum);
      }
    }
  }
  CK_UNROLL for (int i = 0; i < R * P; i++) CK_UNROLL for (int part = 0; part < 2; part++) {
    s[i][part].all = _mm512_add_epi16(s[i][part].all, bytes[i][part]);
    s[i][part].odd = _mm512_add_epi16(s[i][part].odd, _mm512_srli_epi16(bytes[i][part], 8));
  }
}

// Part 0 + 32 · part 1, the four lanes added, as int32 in the order of outputs.
CK_INLINE __m512i ck_join_parts(const ck_wide_sums64 s[2]) {
  const __m512i factors = _mm512_set1_epi32(1 | 32 << 16);
  __m512i even0 = _mm512_sub_epi16(s[0].all, _mm512_slli_epi16(s[0].odd, 8)), even1 = _mm512_sub_epi16(s[1].all, _mm512_slli_epi16(s[1].odd, 8));
  __m512i e0 = _mm512_madd_epi16(_mm512_unpacklo_epi16(even0, even1), factors), e1 = _mm512_madd_epi16(_mm512_unpackhi_epi16(even0, even1), factors);
  __m512i o0 = _mm512_madd_epi16(_mm512_unpacklo_epi16(s[0].odd, s[1].odd), factors);
  __m512i o1 = _mm512_madd_epi16(_mm512_unpackhi_epi16(s[0].odd, s[1].odd), factors);
  __m512i q0 = _mm512_unpacklo_epi32(e0, o0), q1 = _mm512_unpackhi_epi32(e0, o0), q2 = _mm512_unpacklo_epi32(e1, o1), q3 = _mm512_unpackhi_epi32(e1, o1);
  __m512i q01 = _mm512_add_epi32(_mm512_shuffle_i32x4(q0, q1, 0x44), _mm512_shuffle_i32x4(q0, q1, 0xee));
  __m512i q23 = _mm512_add_epi32(_mm512_shuffle_i32x4(q2, q3, 0x44), _mm512_shuffle_i32x4(q2, q3, 0xee));
  return _mm512_add_epi32(_mm512_shuffle_i32x4(q01, q23, 0x88), _mm512_shuffle_i32x4(q01, q23, 0xdd));
}

// Σ_{bit = 1} x of R rows × P panels over `lines` lines, added to sums[r · P + p].
CK_INLINE void ck_look_up(int R, int P, const uint8_t *codes, size_t panel_bytes, size_t lines, const ck_sum_tables *t, size_t row_tables,
                          __m512i sums[ck_most_lookups]) {
  for (size_t block = 0; block < lines; block += ck_lookup_block_lines) {
    size_t end = lines - block < ck_lookup_block_lines ? lines : block + ck_lookup_block_lines, line = block;
    ck_wide_sums64 s[ck_most_lookups][2];
    CK_UNROLL for (int i = 0; i < R * P; i++) s[i][0].all = s[i][0].odd = s[i][1].all = s[i][1].odd = _mm512_setzero_si512();
    for (; end - line >= ck_widened_lines; line += ck_widened_lines)
      ck_look_up_lines(R, P, codes + line * 64, panel_bytes, ck_widened_lines, t + line, row_tables, s);
    if (line < end) ck_look_up_lines(R, P, codes + line * 64, panel_bytes, end - line, t + line, row_tables, s);
    CK_UNROLL for (int i = 0; i < R * P; i++) sums[i] = _mm512_add_epi32(sums[i], ck_join_parts(s[i]));
  }
}

CK_TARGET_END

#endif
