// BF16 × BF16 by FMA, with the definition of gemm.h: fma(odd), then fma(even), MXCSR set to flush subnormals around the sums. The bits are those of
// `vdpbf16ps`, which has been compared with this on random and on special patterns.
//
// Activations are rounded to BF16 and kept as float32, the inputs of a pair exchanged, [M][K2]: so the order of the sums is ascending, and tiles
// are those of gemm_half.c. Weights, panel16x2, are widened by one shift (even inputs) and one mask (odd).
//   many rows  a panel is widened once into L1. Limit: multiply-adds.
//   few        up to 4 rows, widened in registers, 64 bytes for 4·R multiply-adds: bytes are the limit. R rows × P panels keep 8 to 12 sums.
#if defined(__x86_64__)
#include "float_tiles.h"
#include "kernels.h"
#include "scalar.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

// Eight pairs of inputs: the even and the odd of 8 outputs.
CK_INLINE __m256 even_inputs(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
CK_INLINE __m256 odd_inputs(__m256i pairs) { return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int32_t)0xFFFF0000u))); }

CK_INLINE const uint8_t *panel_of(const ck_gemm_weights *w, size_t panel) {
  return w->codes + panel * ck_round_up(w->inputs, 2) * ck_panel * sizeof(uint16_t);
}

// ---- Few rows

// R rows × P panels from `panel` on; sums[r * P + p].
CK_INLINE void few_rows(int R, int P, const ck_gemm_weights *w, const float *x, size_t panel, float (*sums)[ck_panel]) {
  size_t padded = ck_round_up(w->inputs, 2);
  const uint8_t *at = panel_of(w, panel);
  __m256 c[4][4][2];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) c[r][p][0] = c[r][p][1] = _mm256_setzero_ps();
  for (size_t k = 0; k < padded; k += 2, at += 64) {
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int half = 0; half < 2; half++) {
      __m256i pairs = ck_load(at + (size_t)p * padded * ck_panel * sizeof(uint16_t) + 32 * half);
      __m256 odd = odd_inputs(pairs), even = even_inputs(pairs);
      CK_UNROLL for (int r = 0; r < R; r++)
        c[r][p][half] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + (size_t)r * padded + k), odd, c[r][p][half]);
      CK_UNROLL for (int r = 0; r < R; r++)
        c[r][p][half] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + (size_t)r * padded + k + 1), even, c[r][p][half]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int half = 0; half < 2; half++)
    _mm256_store_ps(sums[r * P + p] + 8 * half, c[r][p][half]);
}

typedef void few_rows_fn(const ck_gemm_weights *w, const float *x, size_t panel, float (*sums)[ck_panel]);
#define FEW_ROWS(R, P) \
  CK_APART void few_rows_##R##x##P(const ck_gemm_weights *w, const float *x, size_t panel, float (*sums)[ck_panel]) { few_rows(R, P, w, x, panel, sums); }
FEW_ROWS(1, 4)
FEW_ROWS(1, 1)
FEW_ROWS(2, 2)
FEW_ROWS(2, 1)
FEW_ROWS(3, 1)
FEW_ROWS(4, 1)

static void gemm_few(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel_begin, size_t panel_end,
                     ck_float_workspace *s) {
  static few_rows_fn *const wide[] = {few_rows_1x4, few_rows_2x2, few_rows_3x1, few_rows_4x1};
  static few_rows_fn *const narrow[] = {few_rows_1x1, few_rows_2x1, few_rows_3x1, few_rows_4x1};
  static const size_t widths[] = {4, 2, 1, 1};
  for (size_t panel = panel_begin, count; panel < panel_end; panel += count) {
    int is_wide = panel_end - panel >= widths[x->rows - 1];
    count = is_wide ? widths[x->rows - 1] : 1;
    uint64_t control = ck_begin_flushing_floats();
    (is_wide ? wide : narrow)[x->rows - 1](w, (const float *)(const void *)x->codes, panel, s->sums);
    ck_end_default_floats(control);
    for (size_t r = 0; r < x->rows; r++)
      for (size_t p = 0; p < count; p++) ck_finish_float_row(w, y, r, panel + p, s->sums[r * count + p]);
  }
}

// ---- Many rows

static void widen_panel(const uint8_t *from, size_t count, float (*panel)[ck_panel]) {
  for (size_t k = 0; k < count; k += 2, from += 64) {
    CK_UNROLL for (int half = 0; half < 2; half++) {
      __m256i pairs = ck_load(from + 32 * half);
      _mm256_store_ps(panel[k] + 8 * half, odd_inputs(pairs));
      _mm256_store_ps(panel[k + 1] + 8 * half, even_inputs(pairs));
    }
  }
}

static void gemm_panel(const ck_gemm_weights *w, const float *x, size_t panel, size_t rows, ck_float_workspace *s) {
  size_t padded = ck_round_up(w->inputs, 2);
  memset(s->sums, 0, rows * sizeof s->sums[0]);
  for (size_t first = 0; first < padded; first += ck_float_block) {
    size_t count = padded - first < ck_float_block ? padded - first : ck_float_block;
    widen_panel(panel_of(w, panel) + first * ck_panel * sizeof(uint16_t), count, s->panel);
    for (size_t m = 0; m < rows; m += ck_tile_rows)
      ck_run_float_tile(rows - m < ck_tile_rows ? rows - m : ck_tile_rows, x + m * padded + first, padded, (const float(*)[ck_panel])s->panel, count,
                        s->sums + m);
  }
}

void ck_gemm_bf16_bf16_fma__avx2(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                 size_t panel_begin, size_t panel_end, void *space) {
  ck_float_workspace *s = (ck_float_workspace *)space;
  if (x->rows <= ck_few_rows) {
    gemm_few(w, x, y, panel_begin, panel_end, s);
    return;
  }
  const float *values = (const float *)(const void *)x->codes;
  size_t padded = ck_round_up(w->inputs, 2);
  for (size_t first = row_begin; first < row_end; first += ck_float_chunk) {
    size_t rows = row_end - first < ck_float_chunk ? row_end - first : ck_float_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      uint64_t control = ck_begin_flushing_floats();
      gemm_panel(w, values + first * padded, panel, rows, s);
      ck_end_default_floats(control);
      for (size_t m = 0; m < rows; m++) ck_finish_float_row(w, y, first + m, panel, s->sums[m]);
    }
  }
}

// ---- Activations

// Numbers rounded to BF16, as round.c does, in float32.
CK_INLINE __m256i rounded(__m256i bits) {
  __m256 x = _mm256_castsi256_ps(bits);
  __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  return _mm256_and_si256(_mm256_blendv_epi8(sum, quiet, is_nan), _mm256_set1_epi32((int32_t)0xFFFF0000u));
}

void ck_pack_exchanged_bf16__avx2(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  (void)workspace;
  size_t padded = ck_round_up(x->inputs, 2);
  for (size_t m = row_begin; m < row_end; m++) {
    const float *from = x->data + m * x->stride;
    uint32_t *row = (uint32_t *)(void *)to->codes + m * padded;
    size_t k = 0;
    for (; k + 8 <= x->inputs; k += 8)
      _mm256_storeu_si256((__m256i *)(void *)(row + k), _mm256_shuffle_epi32(rounded(_mm256_loadu_si256((const __m256i *)(const void *)(from + k))), 0xB1));
    for (; k < padded; k++) row[k ^ 1] = k < x->inputs ? (uint32_t)ck_bf16_from_f32(from[k]) << 16 : 0;
  }
}

CK_TARGET_END
#endif
