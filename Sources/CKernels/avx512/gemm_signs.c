// W1A1 without vpopcntq: K − 2 · popcount(a xor w), words of 64 inputs of 8 outputs, counted after Harley and Seal: eight numbers are added bit by bit, by
// carries, before the bits of what is left are counted through a table of four bits (Muła, Kurz, Lemire 2018).
//
// Exact: a lane counts at most K ≤ 65,536 bits. Limit: for 8 words 8 xors, 14 vpternlog (a sum and a carry each for 7 additions) and 8 operations of the
// count, 30 of 512 bits on two ports: 546 operations of the product a cycle. A table of four bits for every word, as in AVX2, takes two vpshufb of 512 bits
// a word, which port 5 alone has: 512.
#if defined(__x86_64__)
#include "kernels.h"
#include "signs.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { tile_rows = 4, block_words = 8 };

// Set bits of each 64.
CK_INLINE __m512i count_bits(__m512i v) {
  const __m512i counts = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4)), mask = _mm512_set1_epi8(15);
  __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(v, mask));
  __m512i high = _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(v, 4), mask));
  return _mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512());
}

// Adds a and b to the numbers whose bits are `*sum`, place by place; the carries are returned.
CK_INLINE __m512i add_carry(__m512i *sum, __m512i a, __m512i b) {
  __m512i carry = _mm512_ternarylogic_epi64(*sum, a, b, 0xE8);
  *sum = _mm512_ternarylogic_epi64(*sum, a, b, 0x96);
  return carry;
}

// Different bits of R rows and eight outputs, whose words lie `ck_panel` words apart.
CK_INLINE void count_rows(int R, const uint64_t *bits, const uint64_t *from, size_t words, __m512i counts[tile_rows]) {
  __m512i ones[tile_rows], twos[tile_rows], fours[tile_rows];
  CK_UNROLL for (int r = 0; r < R; r++) counts[r] = ones[r] = twos[r] = fours[r] = _mm512_setzero_si512();
  size_t t = 0;
  for (; t + block_words <= words; t += block_words) {
    CK_UNROLL for (int r = 0; r < R; r++) {
      const uint64_t *a = bits + (size_t)r * words + t, *w = from + t * ck_panel;
      __m512i carries[2];
      CK_UNROLL for (int i = 0; i < 2; i++, a += 4, w += 4 * ck_panel) {
        __m512i first = add_carry(&ones[r], ck_different(a, ck_load64(w)), ck_different(a + 1, ck_load64(w + ck_panel)));
        __m512i second = add_carry(&ones[r], ck_different(a + 2, ck_load64(w + 2 * ck_panel)), ck_different(a + 3, ck_load64(w + 3 * ck_panel)));
        carries[i] = add_carry(&twos[r], first, second);
      }
      counts[r] = _mm512_add_epi64(counts[r], count_bits(add_carry(&fours[r], carries[0], carries[1])));
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    counts[r] = _mm512_add_epi64(_mm512_slli_epi64(counts[r], 1), count_bits(fours[r]));
    counts[r] = _mm512_add_epi64(_mm512_slli_epi64(counts[r], 1), count_bits(twos[r]));
    counts[r] = _mm512_add_epi64(_mm512_slli_epi64(counts[r], 1), count_bits(ones[r]));
  }
  for (; t < words; t++) {
    CK_UNROLL for (int r = 0; r < R; r++)
      counts[r] = _mm512_add_epi64(counts[r], count_bits(ck_different(bits + (size_t)r * words + t, ck_load64(from + t * ck_panel))));
  }
}

CK_INLINE void tile(int R, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t panel) {
  size_t words = ck_sign_words(w->inputs);
  const uint64_t *bits = (const uint64_t *)(const void *)x->codes + row * words, *from = (const uint64_t *)(const void *)w->codes + panel * words * ck_panel;
  __m512i even[tile_rows], odd[tile_rows];
  count_rows(R, bits, from, words, even);
  count_rows(R, bits, from + 8, words, odd);
  CK_UNROLL for (int r = 0; r < R; r++) ck_finish_signs(w, x, y, row + (size_t)r, panel, even[r], odd[r]);
}

void ck_gemm_signs__avx512(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                           size_t panel_begin, size_t panel_end, void *space) {
  (void)space;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    size_t row = row_begin;
    for (; row + tile_rows <= row_end; row += tile_rows) tile(tile_rows, w, x, y, row, panel);
    switch (row_end - row) {
      case 1: tile(1, w, x, y, row, panel); break;
      case 2: tile(2, w, x, y, row, panel); break;
      case 3: tile(3, w, x, y, row, panel); break;
    }
  }
}

CK_TARGET_END
#endif
