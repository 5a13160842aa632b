// Packing of activations, shared as text: each instruction set instantiates these with kernels of its own, so that nothing shared calls one.
#ifndef CK_GEMM_ACTIVATIONS_H
#define CK_GEMM_ACTIVATIONS_H

#include <string.h>

#include "gemm.h"
#include "layout.h"
#include "quantize.h"
#include "round.h"

// Codes of some rows, row-major, `stride` bytes apart with zeros behind K; scales and zero points.
CK_INLINE void ck_codes_of_rows(const ck_gemm_source *x, size_t row, size_t rows, uint8_t *codes, size_t stride, const ck_gemm_codes_out *to,
                                ck_fn_quantize_rows_u8_f32 *quantize_rows, ck_fn_quantize_u8_f32 *quantize) {
  const float *from = x->data + row * x->stride;
  if (x->fixed_scale == 0) {
    quantize_rows(from, rows, x->inputs, x->stride, x->highest, codes, stride, to->scales + row, to->zero_points + row);
    return;
  }
  for (size_t r = 0; r < rows; r++, from += x->stride, codes += stride) {
    quantize(from, x->inputs, 1.0f / x->fixed_scale, x->fixed_zero_point, 0, x->highest, codes);
    memset(codes + x->inputs, 0, stride - x->inputs);
    to->scales[row + r] = x->fixed_scale;
    to->zero_points[row + r] = x->fixed_zero_point;
  }
}

// Activations of panel16x4: row-major for few rows, else interleaved in blocks of 8, by way of 8 · K32 bytes of workspace.
CK_INLINE void ck_pack_panel16_activations(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace,
                                           ck_fn_quantize_rows_u8_f32 *quantize_rows, ck_fn_quantize_u8_f32 *quantize,
                                           ck_fn_interleave_u8 *interleave) {
  size_t padded = ck_round_up(x->inputs, ck_fold);
  for (size_t row = row_begin; row < row_end; row += ck_row_block) {
    size_t rows = row_end - row < ck_row_block ? row_end - row : ck_row_block;
    uint8_t *block = to->codes + row * padded;
    if (x->rows <= ck_few_rows) {
      ck_codes_of_rows(x, row, rows, block, padded, to, quantize_rows, quantize);
      continue;
    }
    ck_codes_of_rows(x, row, rows, workspace, padded, to, quantize_rows, quantize);
    interleave(workspace, rows, padded, padded, block);
  }
}

// Bits and scales of signs.
CK_INLINE void ck_pack_signs(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to,
                             ck_fn_binarize_rows_u1_f32 *binarize_rows) {
  size_t row_bytes = ck_round_up(x->inputs, ck_fold) / 8;
  binarize_rows(x->data + row_begin * x->stride, row_end - row_begin, x->inputs, x->stride, to->codes + row_begin * row_bytes, to->scales + row_begin);
  for (size_t m = row_begin; m < row_end && x->fixed_scale != 0; m++) to->scales[m] = x->fixed_scale;
}

// BF16 patterns of rows, [M][K2], K2 is K rounded up to 2; the padding is zero.
CK_INLINE void ck_pack_bf16_rows(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, ck_fn_round_bf16_f32 *round) {
  size_t padded = ck_round_up(x->inputs, 2);
  for (size_t m = row_begin; m < row_end; m++) {
    uint16_t *row = (uint16_t *)(void *)to->codes + m * padded;
    if (padded > x->inputs) row[x->inputs] = 0;
    round(x->data + m * x->stride, row, x->inputs);
  }
}
static inline size_t ck_bf16_activation_bytes(size_t rows, size_t inputs) { return rows * ck_round_up(inputs, 2) * sizeof(uint16_t); }

// The same as words of 64 inputs, [M][K64/8].
CK_INLINE void ck_pack_sign_words(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to,
                                  ck_fn_binarize_rows_u1_f32 *binarize_rows) {
  size_t row_bytes = ck_sign_words(x->inputs) * sizeof(uint64_t);
  if (row_bytes * 8 == ck_round_up(x->inputs, ck_fold)) {
    ck_pack_signs(x, row_begin, row_end, to, binarize_rows);
    return;
  }
  for (size_t m = row_begin; m < row_end; m++) {
    uint8_t *row = to->codes + m * row_bytes;
    memset(row + row_bytes - 4, 0, 4);  // a row of bits is padded to 32 inputs
    binarize_rows(x->data + m * x->stride, 1, x->inputs, x->stride, row, to->scales + m);
    if (x->fixed_scale != 0) to->scales[m] = x->fixed_scale;
  }
}
static inline size_t ck_sign_word_bytes(size_t rows, size_t inputs) { return rows * ck_sign_words(inputs) * sizeof(uint64_t); }

static inline size_t ck_panel16_activation_bytes(size_t rows, size_t inputs) {
  return (rows <= ck_few_rows ? rows : ck_round_up(rows, ck_row_block)) * ck_round_up(inputs, ck_fold);
}
static inline size_t ck_panel16_pack_workspace(size_t inputs) { return ck_row_block * ck_round_up(inputs, ck_fold); }
static inline size_t ck_row_major_activation_bytes(size_t rows, size_t inputs) { return rows * ck_round_up(inputs, ck_fold); }
static inline size_t ck_sign_activation_bytes(size_t rows, size_t inputs) { return rows * ck_round_up(inputs, ck_fold) / 8; }
static inline size_t ck_no_activation_bytes(size_t rows, size_t inputs) {
  (void)rows, (void)inputs;
  return 0;
}
// Where floats are read as they are.
static inline void ck_pack_nothing(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)x, (void)row_begin, (void)row_end, (void)to, (void)workspace;
}

#endif
