// Before and after the products of up to 8 rows: packs their activations (gemm_rows.h), that is, quantizes them row by row, then interleaves, flips
// signs and sums each fold of 32 inputs, for weights that want it; and ends the sums of a tile. Limit: the quantizing, which reads each float twice.
#if defined(__x86_64__)
#include "../gemm/activations.h"
#include "dispatch.h"
#include "gemm_rows_bits.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

size_t ck_few_rows_activation_bytes__avx512vnni(size_t rows, size_t inputs) {
  size_t stride = ck_few_rows_stride(rows), padded = ck_round_up(inputs, ck_fold);
  return ck_round_up(stride * (padded + (padded / ck_fold + 1) * sizeof(int32_t)) + (rows == 1 ? padded : 0), 64);
}

// Packing: the codes of all rows, row-major; one needs none. One row of 1-bit weights: its tables.
size_t ck_few_rows_workspace_bytes__avx512vnni(const ck_gemm_shape *shape, size_t rows) {
  return ck_round_up(rows == 1 ? ck_lookup_row_bytes__avx512vnni(shape->inputs) : ck_few_rows_stride(rows) * ck_round_up(shape->inputs, ck_fold), 64);
}

// to[t][stride][4] from row-major codes.
static void interleave(const uint8_t *codes, size_t stride, size_t padded, uint8_t *to) {
  if (stride == 8) {
    ck_interleave_u8__avx2(codes, 8, padded, padded, to);
    return;
  }
  for (size_t k = 0; k < padded; k += 16) {
    __m128i a = _mm_loadu_si128((const __m128i *)(codes + k)), b = _mm_loadu_si128((const __m128i *)(codes + padded + k));
    __m128i low = _mm_unpacklo_epi32(a, b), high = _mm_unpackhi_epi32(a, b);
    __m128i *out = (__m128i *)(to + k * stride);
    if (stride == 2) {
      _mm_storeu_si128(out, low);
      _mm_storeu_si128(out + 1, high);
      continue;
    }
    __m128i c = _mm_loadu_si128((const __m128i *)(codes + 2 * padded + k)), d = _mm_loadu_si128((const __m128i *)(codes + 3 * padded + k));
    __m128i low2 = _mm_unpacklo_epi32(c, d), high2 = _mm_unpackhi_epi32(c, d);
    _mm_storeu_si128(out, _mm_unpacklo_epi64(low, low2));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi64(low, low2));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi64(high, high2));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi64(high, high2));
  }
}

// x − 128 in the order of bit_codes: byte 4·b + i of a fold is input 8·i + b, which lies in quad 2·i + b / 4. Two folds at a time.
static void order_by_bits(const uint8_t *codes, size_t bytes, uint8_t *to) {
  const __m512i flip = _mm512_set1_epi8((char)0x80), quads = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const __m512i columns = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  for (size_t i = 0; i < bytes; i += 2 * ck_fold) {
    __mmask16 lanes = ck_first_lanes((bytes - i) / 4);
    __m512i v = _mm512_permutexvar_epi32(quads, _mm512_maskz_loadu_epi32(lanes, codes + i));
    CK_KEEP32(v);  // clang would make more instructions of the two
    _mm512_mask_storeu_epi32(to + i, lanes, _mm512_xor_si512(_mm512_shuffle_epi8(v, columns), flip));
  }
}

// The lowest `stride` sums.
CK_INLINE void store_sums(size_t stride, int32_t *to, __m256i sums) {
  if (stride == 8) _mm256_storeu_si256((__m256i *)to, sums);
  else if (stride == 4) _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(sums));
  else if (stride == 2) _mm_storel_epi64((__m128i *)to, _mm256_castsi256_si128(sums));
  else *to = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums));
}

// Flips the signs of interleaved codes unless they are flipped, and sums each fold: starts = −Σ · 2^shift + bias.
CK_INLINE void sum_folds(size_t stride, int is_flipped, int shift, int32_t bias, size_t folds, const ck_few_rows_codes *x) {
  const __m256i flip = _mm256_set1_epi8(is_flipped ? 0 : (char)0x80), ones = _mm256_set1_epi8(1);
  __m256i total = _mm256_setzero_si256();
  for (size_t fold = 0; fold < folds; fold++) {
    uint8_t *codes = x->codes + fold * ck_fold * stride;
    __m256i sum = _mm256_setzero_si256();
    CK_UNROLL for (size_t i = 0; i < stride * ck_fold; i += 32) {
      __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(codes + i)), flip);
      if (!is_flipped) _mm256_storeu_si256((__m256i *)(codes + i), v);
      sum = _mm256_dpbusd_epi32(sum, ones, v);
    }
    // Lanes are rows, as often as they fit.
    if (stride <= 4) sum = _mm256_add_epi32(sum, _mm256_permute4x64_epi64(sum, 0x4e));
    if (stride <= 2) sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0x4e));
    if (stride == 1) sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0xb1));
    total = _mm256_add_epi32(total, sum);
    store_sums(stride, x->starts + fold * stride, _mm256_sub_epi32(_mm256_set1_epi32(bias), _mm256_sll_epi32(sum, _mm_cvtsi32_si128(shift))));
  }
  store_sums(stride, x->totals, total);
}

CK_INLINE void pack_few_rows(int bits, const ck_gemm_source *x, const ck_gemm_codes_out *to, void *workspace) {
  size_t rows = x->rows, stride = ck_few_rows_stride(rows), padded = ck_round_up(x->inputs, ck_fold), folds = padded / ck_fold;
  ck_few_rows_codes parts = ck_few_rows_parts(to->codes, rows, x->inputs);
  uint8_t *codes = stride > 1 ? workspace : bits == 1 ? parts.row : parts.codes;
  ck_codes_of_rows(x, 0, rows, codes, padded, to, ck_quantize_rows_u8_f32__avx512, ck_quantize_u8_f32__avx512);
  for (size_t r = 0; r < rows; r++) memset(codes + r * padded + x->inputs, 128, padded - x->inputs);
  if (bits == 1) order_by_bits(codes, padded * stride, stride > 1 ? codes : parts.codes);
  if (bits == 1 && stride == 1) memset(codes + x->inputs, 0, padded - x->inputs);  // tables are made of x, not of x − 128
  if (stride > 1) interleave(codes, stride, padded, parts.codes);
  if (bits == 8) return;
  const int shift = bits == 4 ? 3 : bits == 2 ? 1 : 0;
  switch (stride) {
    case 1: sum_folds(1, bits == 1, shift, bits == 4 ? -1 : 0, folds, &parts); break;
    case 2: sum_folds(2, bits == 1, shift, bits == 4 ? -1 : 0, folds, &parts); break;
    case 4: sum_folds(4, bits == 1, shift, bits == 4 ? -1 : 0, folds, &parts); break;
    default: sum_folds(8, bits == 1, shift, bits == 4 ? -1 : 0, folds, &parts); break;
  }
}

#define PACK_FEW_ROWS(bits)                                                                                                                \
  void ck_pack_few_rows_s##bits##__avx512vnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to,     \
                                              void *workspace) {                                                                           \
    (void)row_begin, (void)row_end; /* all of them */                                                                                      \
    pack_few_rows(bits, x, to, workspace);                                                                                                 \
  }
PACK_FEW_ROWS(8)
PACK_FEW_ROWS(4)
PACK_FEW_ROWS(2)
PACK_FEW_ROWS(1)

// ---- The end of a tile

void ck_end_tile__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, int bits, size_t panel, size_t panels,
                             size_t segment, ck_tile_sums *s) {
  int is_last = segment + 1 == ck_gemm_segments(w->inputs, w->group, bits), offset = bits == 8 ? 0 : 128;
  for (size_t p = 0; p < panels; p++)
    for (size_t m = 0; m < x->rows; m++)
      ck_end_segment16(w, x, y, m, panel + p, segment, is_last, offset, ck_load64(s->sums[p][m]), s->totals[p][m]);
}

CK_TARGET_END
#endif
