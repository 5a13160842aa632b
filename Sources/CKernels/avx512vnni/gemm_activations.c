// Activations for more than a few rows, as gemm_many.h describes them. Where weights have up to 4 bits, one more pass
// makes the codes signed and finds where sums start: about 40 instructions for 256 codes, less than 1 % of a product with 1,024 outputs.
#if defined(__x86_64__)
#include "../gemm/activations.h"

#include "../avx512/simd.h"
#include "dispatch.h"
#include "gemm_many.h"

// The one place that says with which kernels rows are quantized.
#define QUANTIZE_ROWS ck_quantize_rows_u8_f32__avx512
#define QUANTIZE ck_quantize_u8_f32__avx512

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Sums of the 8 folds of 256 codes, an int32 each. vpsadbw leaves the sum of 8 codes in 16 of 64 bits, so that four of them fit in a register's
// lanes; the sum of a fold is at most 255 · 32 = 8,160.
CK_INLINE __m256i fold_sums(__m512i v[4]) {
  __m512i sums = _mm512_sad_epu8(v[0], _mm512_setzero_si512());
  CK_UNROLL for (unsigned i = 1; i < 4; i++)
    sums = _mm512_or_si512(sums, _mm512_slli_epi64(_mm512_sad_epu8(v[i], _mm512_setzero_si512()), 16 * i));
  // Halves of 256 bits belong to even and odd folds.
  sums = _mm512_add_epi16(sums, _mm512_shuffle_i64x2(sums, sums, _MM_SHUFFLE(2, 3, 0, 1)));
  __m128i even = _mm512_castsi512_si128(sums), odd = _mm512_extracti32x4_epi32(sums, 2);
  even = _mm_add_epi16(even, _mm_unpackhi_epi64(even, even));
  odd = _mm_add_epi16(odd, _mm_unpackhi_epi64(odd, odd));
  return _mm256_cvtepu16_epi32(_mm_unpacklo_epi16(even, odd));
}

CK_INLINE __mmask64 first_bytes(size_t count) { return count >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1; }

// Up to 256 codes of a row become signed, with zeros behind them up to `padded`; −offset · Σ of their folds, whose `lanes` exist, less 1, goes to
// starts, and itself is returned.
CK_INLINE __m256i start_codes(const uint8_t *codes, size_t count, size_t padded, __mmask8 lanes, int shift, uint8_t *to, int32_t *starts) {
  const __m512i zero = _mm512_set1_epi8(-128);
  __m512i v[4];
  CK_UNROLL for (size_t i = 0; i < 4; i++) {
    v[i] = zero;
    if (count <= 64 * i) continue;
    v[i] = _mm512_mask_loadu_epi8(zero, first_bytes(count - 64 * i), codes + 64 * i);
    _mm512_mask_storeu_epi8(to + 64 * i, first_bytes(padded - 64 * i), _mm512_xor_si512(v[i], zero));
  }
  __m256i start = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(128 * ck_fold), fold_sums(v)), shift);
  _mm256_mask_storeu_epi32(starts, lanes, _mm256_sub_epi32(start, _mm256_set1_epi32(1)));
  return start;
}

// Makes the codes of a row signed and writes where sums start behind them: starts[fold] = −offset · Σ (code − 128) − 1, starts[folds] = −offset · Σ
// over all. offset = 2^shift.
static void start_row(const uint8_t *codes, size_t inputs, int shift, uint8_t *to) {
  size_t folds = ck_many_folds(inputs), k = 0;
  int32_t *starts = (int32_t *)(void *)(to + folds * ck_fold), *all = starts + folds;
  __m256i sums = _mm256_setzero_si256();
  for (; inputs - k >= 256; k += 256, starts += 8) sums = _mm256_add_epi32(sums, start_codes(codes + k, 256, 256, 0xFF, shift, to + k, starts));
  if (k < inputs) {  // folds that do not exist are zeros, so their sums too
    __mmask8 lanes = (__mmask8)ck_first_lanes(folds - k / ck_fold);
    sums = _mm256_add_epi32(sums, start_codes(codes + k, inputs - k, folds * ck_fold - k, lanes, shift, to + k, starts));
  }
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  *all = _mm_cvtsi128_si32(four) + _mm_extract_epi32(four, 1);
}

CK_TARGET_END

void ck_pack_many_rows_s8__avx512vnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t stride = ck_many_stride(x->inputs, 0);
  ck_codes_of_rows(x, row_begin, row_end - row_begin, to->codes + row_begin * stride, stride, to, QUANTIZE_ROWS, QUANTIZE);
}

// Eight rows at a time, which stay in L1 for the second pass. (Codes quantized in place would have to be padded up to the stride.)
static void pack_signed(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, uint8_t *workspace, int shift) {
  size_t stride = ck_many_stride(x->inputs, 1), padded = ck_round_up(x->inputs, ck_fold);
  for (size_t row = row_begin; row < row_end; row += ck_packed_rows) {
    size_t rows = row_end - row < ck_packed_rows ? row_end - row : ck_packed_rows;
    ck_codes_of_rows(x, row, rows, workspace, padded, to, QUANTIZE_ROWS, QUANTIZE);
    for (size_t r = 0; r < rows; r++) start_row(workspace + r * padded, x->inputs, shift, to->codes + (row + r) * stride);
  }
}

#define PACK(bits, shift)                                                                                                                     \
  void ck_pack_many_rows_s##bits##__avx512vnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to,        \
                                               void *workspace) {                                                                             \
    pack_signed(x, row_begin, row_end, to, workspace, shift);                                                                                  \
  }
PACK(4, 3)
PACK(2, 1)
PACK(1, 0)

size_t ck_many_rows_activation_bytes_s8__avx512vnni(size_t rows, size_t inputs) { return rows * ck_many_stride(inputs, 0); }
size_t ck_many_rows_activation_bytes_s4__avx512vnni(size_t rows, size_t inputs) { return rows * ck_many_stride(inputs, 1); }

#endif
