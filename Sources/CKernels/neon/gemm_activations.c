// Activations of integer gemm: codes of 8 rows at a time in the workspace, made signed, then interleaved (gemm_many.h), or row by row for few rows
// (gemm_rows.h). Making them signed is one operation for 16 codes where quantizing takes 21.
#if defined(__aarch64__)
#include "../gemm/activations.h"

#include "dispatch.h"
#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// x − 128, zeros behind K.
static void make_signed(uint8_t *codes, size_t rows, size_t inputs, size_t padded) {
  for (size_t r = 0; r < rows; r++, codes += padded) {
    size_t k = 0;
    for (; k < inputs; k += 16) vst1q_u8(codes + k, veorq_u8(vld1q_u8(codes + k), vdupq_n_u8(0x80)));  // up to 15 of the padding
    memset(codes + inputs, 0, padded - inputs);
  }
}

static int32_t sum_of_signed(const uint8_t *codes, size_t padded) {
  int32x4_t sum = vdupq_n_s32(0);
  for (size_t k = 0; k < padded; k += 16) sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8((const int8_t *)codes + k)));
  return vaddvq_s32(sum);
}

static void pack_signed(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, uint8_t *workspace, int32_t *sums) {
  size_t padded = ck_round_up(x->inputs, ck_fold);
  for (size_t row = row_begin; row < row_end; row += ck_row_block) {
    size_t rows = row_end - row < ck_row_block ? row_end - row : ck_row_block;
    uint8_t *codes = x->rows <= ck_few_rows ? to->codes + row * padded : workspace;
    ck_codes_of_rows(x, row, rows, codes, padded, to, ck_quantize_rows_u8_f32__neon, ck_quantize_u8_f32__neon);
    make_signed(codes, rows, x->inputs, padded);
    for (size_t r = 0; sums != NULL && r < rows; r++) sums[row + r] = sum_of_signed(codes + r * padded, padded);
    if (x->rows > ck_few_rows) ck_interleave_u8__neon(codes, rows, padded, padded, to->codes + row * padded);
  }
}
void ck_pack_signed_rows__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  pack_signed(x, row_begin, row_end, to, workspace, NULL);
}
void ck_pack_summed_signed_rows__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  pack_signed(x, row_begin, row_end, to, workspace, (int32_t *)(void *)(to->codes + ck_panel16_activation_bytes(x->rows, x->inputs)));
}
size_t ck_summed_signed_rows_bytes__neon(size_t rows, size_t inputs) { return ck_panel16_activation_bytes(rows, inputs) + rows * sizeof(int32_t); }

// Rows 2·i and 2·i + 1, 8 codes of each at a time, `step` bytes from those to the next ones.
static void interleave_pair(const uint8_t *first, const uint8_t *second, size_t padded, uint8_t *to, size_t step) {
  for (size_t k = 0; k < padded; k += 16, to += 2 * step) {
    uint64x2_t a = vreinterpretq_u64_u8(vld1q_u8(first + k)), b = vreinterpretq_u64_u8(vld1q_u8(second + k));
    vst1q_u8(to, vreinterpretq_u8_u64(vzip1q_u64(a, b)));
    vst1q_u8(to + step, vreinterpretq_u8_u64(vzip2q_u64(a, b)));
  }
}

static int32_t sum_of_codes(const uint8_t *codes, size_t padded) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (size_t k = 0; k < padded; k += 16) sum = vpadalq_u16(sum, vpaddlq_u8(vld1q_u8(codes + k)));
  return (int32_t)vaddvq_u32(sum);
}

static void pack_pairs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, uint8_t *codes,
                       int32_t *sums) {
  size_t padded = ck_round_up(x->inputs, ck_fold);
  for (size_t row = row_begin; row < row_end; row += ck_row_block) {
    size_t rows = row_end - row < ck_row_block ? row_end - row : ck_row_block;
    ck_codes_of_rows(x, row, rows, codes, padded, to, ck_quantize_rows_u8_f32__neon, ck_quantize_u8_f32__neon);
    size_t packed = x->rows <= ck_few_rows ? ck_round_up(rows, 2) : ck_row_block;
    for (size_t r = 0; sums != NULL && r < rows; r++) sums[row + r] = sum_of_codes(codes + r * padded, padded);
    memset(codes + rows * padded, 0, (packed - rows) * padded);
    for (size_t r = 0; r < packed; r += 2) {
      uint8_t *pair = to->codes + row * padded + (x->rows <= ck_few_rows ? r * padded : 8 * r);
      interleave_pair(codes + r * padded, codes + (r + 1) * padded, padded, pair, x->rows <= ck_few_rows ? 16 : 8 * ck_row_block);
    }
  }
}

void ck_pack_pairs_of_rows__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  pack_pairs(x, row_begin, row_end, to, workspace, NULL);
}
void ck_pack_summed_pairs_of_rows__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  pack_pairs(x, row_begin, row_end, to, workspace, (int32_t *)(void *)(to->codes + ck_pairs_of_rows_bytes__neon(x->rows, x->inputs)));
}
size_t ck_summed_pairs_of_rows_bytes__neon(size_t rows, size_t inputs) {
  return ck_pairs_of_rows_bytes__neon(rows, inputs) + rows * sizeof(int32_t);
}

size_t ck_pairs_of_rows_bytes__neon(size_t rows, size_t inputs) {
  return ck_round_up(rows, rows <= ck_few_rows ? 2 : ck_row_block) * ck_round_up(inputs, ck_fold);
}

void ck_pack_sign_words__neon(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t words = ck_sign_words(x->inputs);
  for (size_t m = row_begin; m < row_end; m++) {
    const ck_gemm_codes_out row = {to->codes + m * words * sizeof(uint64_t), to->scales, to->zero_points};
    ck_pack_sign_words(x, m, m + 1, &row, ck_binarize_rows_u1_f32__neon);
    uint64_t *all = (uint64_t *)(void *)to->codes + 2 * m * words;
    for (size_t t = words; t-- > 0;) all[2 * t + 1] = all[2 * t] = all[t];
  }
}
size_t ck_sign_word_bytes__neon(size_t rows, size_t inputs) { return 2 * ck_sign_word_bytes(rows, inputs); }

CK_TARGET_END
#endif
