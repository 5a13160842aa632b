// Activations for more than a few rows, as gemm_many.h describes them. They are quantized into place; where weights have up to 4 bits, one more pass
// makes the codes signed and finds where sums start: about 40 instructions for 256 codes, 1 % of a product with 1,024 outputs.
#if defined(__x86_64__)
#include "../gemm/activations.h"

#include "../avx512/simd.h"
#include "dispatch.h"
#include "gemm_many.h"

// The one place that says with which kernels rows are quantized.
#define QUANTIZE_ROWS ck_quantize_rows_u8_f32__avx2
#define QUANTIZE ck_quantize_u8_f32__avx2

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Sums of the 8 folds of 256 codes, an int32 each. vpsadbw leaves the sum of 8 codes in 16 of 64 bits, so that four of them fit in a register's lanes;
// the sum of a fold is at most 255 · 32 = 8,160.
CK_INLINE __m256i fold_sums(__m512i v[4]) {
  __m512i sums = _mm512_sad_epu8(v[0], _mm512_setzero_si512());
  CK_UNROLL for (int i = 1; i < 4; i++) sums = _mm512_or_si512(sums, _mm512_slli_epi64(_mm512_sad_epu8(v[i], _mm512_setzero_si512()), 16u * (unsigned)i));
  // Halves of 256 bits belong to even and odd folds.
  sums = _mm512_add_epi16(sums, _mm512_shuffle_i64x2(sums, sums, _MM_SHUFFLE(2, 3, 0, 1)));
  __m128i even = _mm512_castsi512_si128(sums), odd = _mm512_extracti32x4_epi32(sums, 2);
  even = _mm_add_epi16(even, _mm_unpackhi_epi64(even, even));
  odd = _mm_add_epi16(odd, _mm_unpackhi_epi64(odd, odd));
  return _mm256_cvtepu16_epi32(_mm_unpacklo_epi16(even, odd));
}

// Makes the codes of a row signed and writes where sums start behind them: starts[fold] = −offset · Σ (code − 128) − 1, starts[folds] = −offset · Σ over all. offset = 2^shift.
static void start_row(uint8_t *codes, size_t inputs, int shift) {
  size_t folds = ck_many_folds(inputs);
  int32_t *starts = (int32_t *)(void *)(codes + folds * ck_fold);
  memset(codes + inputs, 128, folds * ck_fold - inputs);
  __m256i all = _mm256_setzero_si256();
  for (size_t fold = 0; fold < folds; fold += 8, codes += 8 * ck_fold) {
    size_t count = folds - fold < 8 ? folds - fold : 8;
    __m512i v[4];
    CK_UNROLL for (size_t i = 0; i < 4; i++) {
      __mmask64 bytes = count >= 2 * i + 2 ? ~(__mmask64)0 : count == 2 * i + 1 ? 0xFFFFFFFFu : 0;
      v[i] = _mm512_maskz_loadu_epi8(bytes, codes + 64 * i);
      _mm512_mask_storeu_epi8(codes + 64 * i, bytes, _mm512_xor_si512(v[i], _mm512_set1_epi8(-128)));
    }
    __mmask8 lanes = (__mmask8)ck_first_lanes(count);
    __m256i start = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(128 * ck_fold), fold_sums(v)), shift);
    all = _mm256_mask_add_epi32(all, lanes, all, start);
    _mm256_mask_storeu_epi32(starts + fold, lanes, _mm256_sub_epi32(start, _mm256_set1_epi32(1)));
  }
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  starts[folds] = _mm_cvtsi128_si32(four) + _mm_extract_epi32(four, 1);
}

CK_TARGET_END

CK_INLINE void pack_codes(const ck_gemm_source *x, size_t row, size_t rows, size_t stride, const ck_gemm_codes_out *to) {
  ck_codes_of_rows(x, row, rows, to->codes + row * stride, stride, to, QUANTIZE_ROWS, QUANTIZE);
}

void ck_pack_many_rows_s8__avx512vnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  pack_codes(x, row_begin, row_end - row_begin, ck_many_stride(x->inputs, 0), to);
}

// Eight rows at a time, which stay in L1 for the second pass.
static void pack_signed(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, int shift) {
  size_t stride = ck_many_stride(x->inputs, 1);
  for (size_t row = row_begin; row < row_end; row += 8) {
    size_t rows = row_end - row < 8 ? row_end - row : 8;
    pack_codes(x, row, rows, stride, to);
    for (size_t r = 0; r < rows; r++) start_row(to->codes + (row + r) * stride, x->inputs, shift);
  }
}

#define PACK(bits, shift)                                                                                                                     \
  void ck_pack_many_rows_s##bits##__avx512vnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to,        \
                                               void *workspace) {                                                                             \
    (void)workspace;                                                                                                                          \
    pack_signed(x, row_begin, row_end, to, shift);                                                                                            \
  }
PACK(4, 3)
PACK(2, 1)
PACK(1, 0)

size_t ck_many_rows_activation_bytes_s8__avx512vnni(size_t rows, size_t inputs) { return rows * ck_many_stride(inputs, 0); }
size_t ck_many_rows_activation_bytes_s4__avx512vnni(size_t rows, size_t inputs) { return rows * ck_many_stride(inputs, 1); }

#endif
