// What weights of 4, 2 and 1 bits without and with groups share for few rows: how units of 16 outputs × 4 inputs are cut out of a line of 64 bytes.
#ifndef CK_AVX512VNNI_GEMM_ROWS_BITS_H
#define CK_AVX512VNNI_GEMM_ROWS_BITS_H

#include "gemm_rows.h"

enum { ck_line_bytes = 64 };

typedef void ck_fn_few_rows(const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x, const ck_gemm_output *_Nonnull y, size_t panel,
                            size_t panel_end);
ck_fn_few_rows ck_channel_rows_s4__avx512vnni, ck_channel_rows_s2__avx512vnni, ck_channel_rows_s1__avx512vnni;

// One row of 1 bit by tables, which take ck_lookup_row_bytes__avx512vnni of the workspace; worth it from ck_lookup_panels panels on (see gemm_rows_lookup.c).
enum { ck_lookup_panels = 8, ck_lookup_inputs = 128 };
void ck_lookup_row_s1__avx512vnni(const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x, const ck_gemm_output *_Nonnull y, size_t panel,
                      size_t panel_end, void *_Nonnull workspace);
size_t ck_lookup_row_bytes__avx512vnni(size_t inputs);

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Bytes 16 · j + c become 4 · c + j.
CK_INLINE __m512i ck_bytes_by_output(__m512i v) {
  const __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  v = _mm512_permutexvar_epi32(ck_quad_columns(), v);
  CK_KEEP32(v);  // clang would make nine instructions of the two
  return _mm512_shuffle_epi8(v, bytes);
}

CK_INLINE __m512i ck_load_line(int bits, const uint8_t *_Nonnull codes, size_t ahead) {
  _mm_prefetch((const char *)codes + ahead, _MM_HINT_T0);  // beyond the end it does nothing
  __m512i v = ck_load64(codes);
  return bits == 1 ? ck_bytes_by_output(v) : v;
}

// Unit i of a line, its codes times 2^(bits · scale); scale ≤ i.
CK_INLINE __m512i ck_unit_of_line(int bits, __m512i v, int i, int scale) {
  const __m512i mask = _mm512_set1_epi8((char)(((1 << bits) - 1) << (bits * scale)));
  return _mm512_and_si512(i == scale ? v : _mm512_srl_epi16(v, _mm_cvtsi32_si128(bits * (i - scale))), mask);
}

CK_TARGET_END
#endif
