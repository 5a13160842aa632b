// One row × 1-bit weights by table lookup: four bits of an output choose one of the 16 sums of four activations, and one vpshufb looks up 16 outputs in each
// of its four lanes, whose inputs are 8 apart, 256 products. No bit is spread, no line transposed (gemm_rows_bits.c: 18 instructions a line for one row).
//
//   dot = 2 · Σ_{bit = 1} x − Σ x. A sum of four uint8 is at most 1,020, 10 bits, so there are two tables, of its lower and of its upper 5 bits. Entries are
//   at most 31, a line has two, so bytes hold four lines, 4 · 2 · 31 = 248; then they are added to 16-bit sums, at most 62 · 512 = 31,744 over a block of
//   512 lines, 16,384 inputs, which multiply-add (1, 32) reads as int16.
//   Instructions a line, 512 products: 3 to split, 4 lookups, 4 additions, 1.5 to widen: 12.5, where vpdpbusd of masked bits has 18. Limit: two instructions
//   a cycle on Intel, 512 · 2 / 12.5 operations each; one of the two ports does all lookups.
//   Tables cost 16 cycles for 32 inputs and every call makes them, so that few panels keep to vpdpbusd.
#if defined(__x86_64__)
#include "gemm_rows_bits.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { widened_lines = 4, block_lines = 512, pair_panels = 2 };

// Of 32 inputs, entry e of lane j of tables[n][part]: bits 0–4 (part 0) or 5–9 of Σ of the inputs 8 · j + 4 · n + i whose bit i is set in e.
typedef struct tables {
  uint8_t entries[2][2][64];
} tables;

static void make_tables(const uint8_t *x, size_t folds, tables *to) {
#define SUBSET(e) (((e) & 1) | ((e) & 2) << 7 | ((e) & 4) << 14 | ((e) & 8) << 21)
  const __m512i subsets = _mm512_setr_epi32(SUBSET(0), SUBSET(1), SUBSET(2), SUBSET(3), SUBSET(4), SUBSET(5), SUBSET(6), SUBSET(7), SUBSET(8), SUBSET(9),
                                            SUBSET(10), SUBSET(11), SUBSET(12), SUBSET(13), SUBSET(14), SUBSET(15));
#undef SUBSET
  const __m512i quads = ck_quad_columns(), mask = _mm512_set1_epi16(31);
  for (size_t fold = 0; fold < folds; fold++, x += ck_fold) {
    CK_UNROLL for (int n = 0; n < 2; n++) {
      __m512i sums[4];
      CK_UNROLL for (int j = 0; j < 4; j++) sums[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ck_broadcast4x16(x + 8 * j + 4 * n), subsets);
      __m512i low = _mm512_packus_epi32(sums[0], sums[1]), high = _mm512_packus_epi32(sums[2], sums[3]);
      __m512i part0 = _mm512_packus_epi16(_mm512_and_si512(low, mask), _mm512_and_si512(high, mask));
      __m512i part1 = _mm512_packus_epi16(_mm512_srli_epi16(low, 5), _mm512_srli_epi16(high, 5));
      ck_store64(to[fold].entries[n][0], _mm512_permutexvar_epi32(quads, part0));
      ck_store64(to[fold].entries[n][1], _mm512_permutexvar_epi32(quads, part1));
    }
  }
}

// Sums of bytes in 16 bits: `all` has even bytes + 256 · odd bytes, modulo 2¹⁶.
typedef struct wide_sums {
  __m512i all, odd;
} wide_sums;

// Adds up to four lines of P panels.
CK_INLINE void add_lines(int P, const uint8_t *codes, size_t panel_bytes, size_t lines, const tables *t, wide_sums s[pair_panels][2]) {
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i bytes[pair_panels][2];
  CK_UNROLL for (int p = 0; p < P; p++) bytes[p][0] = bytes[p][1] = _mm512_setzero_si512();
  for (size_t line = 0; line < lines; line++, t++) {
    CK_UNROLL for (int p = 0; p < P; p++) {
      const uint8_t *from = codes + (size_t)p * panel_bytes + line * ck_line_bytes;
      _mm_prefetch((const char *)from + ck_line_prefetch, _MM_HINT_T0);
      __m512i v = ck_load64(from), low = _mm512_and_si512(v, mask), high = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
      CK_UNROLL for (int part = 0; part < 2; part++) {
        bytes[p][part] = _mm512_add_epi8(bytes[p][part], _mm512_shuffle_epi8(ck_load64(t->entries[0][part]), low));
        bytes[p][part] = _mm512_add_epi8(bytes[p][part], _mm512_shuffle_epi8(ck_load64(t->entries[1][part]), high));
      }
    }
  }
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int part = 0; part < 2; part++) {
    s[p][part].all = _mm512_add_epi16(s[p][part].all, bytes[p][part]);
    s[p][part].odd = _mm512_add_epi16(s[p][part].odd, _mm512_srli_epi16(bytes[p][part], 8));
  }
}

// Part 0 + 32 · part 1, the four lanes added, as int32 in the order of outputs.
CK_INLINE __m512i join_parts(const wide_sums s[2]) {
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

CK_INLINE void lookup_panels(int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, int32_t row_sum,
                             const tables *t) {
  size_t panel_bytes = ck_panel16_bytes(1, w->inputs), lines = panel_bytes / ck_line_bytes;
  const uint8_t *codes = w->codes + panel * panel_bytes;
  __m512i sums[pair_panels];
  CK_UNROLL for (int p = 0; p < P; p++) sums[p] = _mm512_setzero_si512();
  for (size_t block = 0; block < lines; block += block_lines) {
    size_t end = lines - block < block_lines ? lines : block + block_lines, line = block;
    wide_sums s[pair_panels][2];
    CK_UNROLL for (int p = 0; p < P; p++) s[p][0].all = s[p][0].odd = s[p][1].all = s[p][1].odd = _mm512_setzero_si512();
    for (; end - line >= widened_lines; line += widened_lines) add_lines(P, codes + line * ck_line_bytes, panel_bytes, widened_lines, t + line, s);
    if (line < end) add_lines(P, codes + line * ck_line_bytes, panel_bytes, end - line, t + line, s);
    CK_UNROLL for (int p = 0; p < P; p++) sums[p] = _mm512_add_epi32(sums[p], join_parts(s[p]));
  }
  ck_tile_sums result;
  CK_UNROLL for (int p = 0; p < P; p++) {
    // Σ code · x, and less 128 · Σ code, as ck_end_tile expects.
    __m512i sum = _mm512_sub_epi32(_mm512_slli_epi32(sums[p], 1), _mm512_set1_epi32(row_sum));
    __m512i codes_sum = ck_load64(w->sums + (panel + (size_t)p) * ck_panel);
    ck_store64(result.sums[p][0], _mm512_sub_epi32(sum, _mm512_slli_epi32(codes_sum, 7)));
  }
  ck_end_tile__avx512vnni(w, x, y, 1, panel, (size_t)P, 0, &result);
}

size_t ck_lookup_row_bytes__avx512vnni(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold * sizeof(tables); }

void ck_lookup_row_s1__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, size_t panel_end, void *workspace) {
  ck_few_rows_codes parts = ck_few_rows_parts(x->codes, 1, w->inputs);
  tables *t = workspace;
  make_tables(parts.row, ck_round_up(w->inputs, ck_fold) / ck_fold, t);
  int32_t row_sum = parts.totals[0] + 128 * (int32_t)w->inputs;
  for (; panel_end - panel >= pair_panels; panel += pair_panels) lookup_panels(pair_panels, w, x, y, panel, row_sum, t);
  if (panel < panel_end) lookup_panels(1, w, x, y, panel, row_sum, t);
}

CK_TARGET_END
#endif
