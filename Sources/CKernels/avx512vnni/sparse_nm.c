// int8 N:M weights: for 16 outputs vpshufb picks, from 8 codes of a row that all lanes hold, the four that each output keeps, and vpdpbusd multiplies and
// adds them: 64 stored weights, 128 of the dense matrix, in two operations.
//
// Layout panel16: values[N16/16][K8/8][16 outputs][4 slots]; codes[N16/16][K16/16][16 outputs][4 slots]: bits 0 … 2 the input of the slot in the first 8 of
// 16 inputs, bits 4 … 6 in the second. vpshufb reads bits 0 … 3 and 7 of a byte, so that the first needs no decoding and the second a shift, whatever it
// brings into bits 4 … 6 (bit 3 of the byte above, which lands in bit 7, is 0).
//
// vpdpbusd is exact: 255 · 127 · 32,768 stored weights < 2³¹.
//
// Limit: on Intel vpshufb takes port 5, so that vpdpbusd is left with port 0: 64 stored weights a cycle, the rate of dense int8 weights. The 8 codes come by
// a broadcasting load, the shift and the weights serve all rows of a tile: 12, whose sums are as many chains. One row is bound by bytes: 0.75 a weight of
// the dense matrix.
#if defined(__x86_64__)

#include "../avx512/simd.h"
#include "../gemm/layout.h"
#include "../sparse/nm_layout.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum {
  panel_outputs = ck_nm_panel16,
  most_rows = 12,
  block_pairs = 128,        // of groups of 8 inputs: 24 KB of weights and 12 rows of X stay in L1 while the rows pass
  l2_bytes = 512 << 10,     // of codes, rows at a time while all weights pass
};

// The part of K that a call passes, in pairs of groups.
typedef struct k_range {
  size_t begin, end, groups;  // groups: of all K
} k_range;

CK_INLINE __m512i broadcast_eight(const uint8_t *p) {
  int64_t v;
  memcpy(&v, p, 8);
  return _mm512_set1_epi64(v);
}

// Adds one group of 8 inputs, of H panels and R rows; `pick` says which.
CK_INLINE void add_group(int R, int H, const uint8_t *const x[most_rows / 3], size_t stride, size_t at, const __m512i pick[4], const int8_t *const values[4],
                         __m512i c[most_rows][4]) {
  CK_UNROLL for (int h = 0; h < H; h++) {
    __m512i w = ck_load64(values[h]);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i chosen = _mm512_shuffle_epi8(broadcast_eight(x[r / 3] + (size_t)(r % 3) * stride + at), pick[h]);
      c[r][h] = _mm512_dpbusd_epi32(c[r][h], chosen, w);
      CK_KEEP32(c[r][h]);
    }
  }
}

// Brings the sums of 16 outputs of one row to Y, or keeps them in Y's memory while K goes on.
CK_INLINE void write_sums(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, int is_last, size_t m, size_t n, __m512i sum) {
  __mmask16 lanes = ck_first_lanes(w->outputs - n);
  float *to = y->data + m * y->stride + n;
  if (!is_last) {
    _mm512_mask_storeu_epi32(to, lanes, sum);
    return;
  }
  __m512i zero = _mm512_mullo_epi32(_mm512_set1_epi32(x->zero_points[m]), _mm512_maskz_loadu_epi32(lanes, w->sums + n));
  __m512 scale = _mm512_mul_ps(_mm512_set1_ps(x->scales[m]), _mm512_maskz_loadu_ps(lanes, w->scales + n));
  __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, zero)), scale);
  if (y->bias != NULL) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, y->bias + n));
  if (y->relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);
  _mm512_mask_storeu_ps(to, lanes, v);
}

// H panels for R rows.
CK_INLINE void tile(int R, int H, const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t panel) {
  const size_t pairs = (k.groups + 1) / 2, whole = k.end < k.groups / 2 ? k.end : k.groups / 2;
  const uint8_t *codes[4], *rows[most_rows / 3];
  const int8_t *values[4];
  size_t stride = x->stride;
  CK_UNROLL for (int i = 0; i < (R + 2) / 3; i++) {
    rows[i] = x->codes + (m + 3 * (size_t)i) * stride;
    __asm__("" : "+r"(rows[i]));
  }
  __m512i c[most_rows][4];
  CK_UNROLL for (int h = 0; h < H; h++) {
    size_t n = (panel + (size_t)h) * panel_outputs;
    codes[h] = w->codes + ((panel + (size_t)h) * pairs + k.begin) * 64;
    values[h] = w->values + ((panel + (size_t)h) * k.groups + 2 * k.begin) * 64;
    CK_UNROLL for (int r = 0; r < R; r++)
      c[r][h] = k.begin == 0 ? _mm512_setzero_si512()
                             : _mm512_maskz_loadu_epi32(ck_first_lanes(w->outputs - n), y->data + (m + (size_t)r) * y->stride + n);
  }
  for (size_t pair = k.begin; pair < whole; pair++) {
    __m512i pick[4];
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = ck_load64(codes[h]);
    add_group(R, H, rows, stride, pair * 16, pick, values, c);
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = _mm512_srli_epi32(pick[h], 4), values[h] += 64;
    add_group(R, H, rows, stride, pair * 16 + 8, pick, values, c);
    CK_UNROLL for (int h = 0; h < H; h++) codes[h] += 64, values[h] += 64;
  }
  if (whole < k.end) {  // half a pair
    __m512i pick[4];
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = ck_load64(codes[h]);
    add_group(R, H, rows, stride, whole * 16, pick, values, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int h = 0; h < H; h++)
      write_sums(w, x, y, k.end == pairs, m + (size_t)r, (panel + (size_t)h) * panel_outputs, c[r][h]);
}

typedef void tile_function(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t panel);
#define TILE(R, H)                                                                                                                    \
  static void tile_##R##_##H(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t panel) { \
    tile(R, H, w, x, y, k, m, panel);                                                                                                 \
  }
#define EACH(ITEM, H) ITEM(1, H) ITEM(2, H) ITEM(3, H) ITEM(4, H) ITEM(5, H) ITEM(6, H)
#define REST(ITEM, H) ITEM(7, H) ITEM(8, H) ITEM(9, H) ITEM(10, H) ITEM(11, H) ITEM(12, H)
#define NAME(R, H) tile_##R##_##H,
EACH(TILE, 1) REST(TILE, 1) TILE(1, 4) TILE(2, 4)
static tile_function *const tiles[most_rows + 1] = {NULL, EACH(NAME, 1) REST(NAME, 1)};

// One or two rows: 4 panels at a time are as many chains as vpdpbusd needs.
static void few_rows(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t m, size_t rows, size_t panel, size_t panel_end) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group;
  k_range all = {0, (groups + 1) / 2, groups};
  for (; panel + 4 <= panel_end; panel += 4) (rows == 1 ? tile_1_4 : tile_2_4)(w, x, y, all, m, panel);
  for (; panel < panel_end; panel++) tiles[rows](w, x, y, all, m, panel);
}

void ck_nm_s8__avx512vnni(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                          size_t panel_begin, size_t panel_end) {
  if (row_end - row_begin <= 2) {
    few_rows(w, x, y, row_begin, row_end - row_begin, panel_begin, panel_end);
    return;
  }
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, pairs = (groups + 1) / 2;
  size_t chunk = l2_bytes / w->inputs / most_rows * most_rows;
  if (chunk < 4 * most_rows) chunk = 4 * most_rows;
  for (size_t m = row_begin; m < row_end; m += chunk) {
    size_t last = row_end - m < chunk ? row_end : m + chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++)
      for (size_t first = 0; first < pairs; first += block_pairs) {
        k_range k = {first, pairs - first < block_pairs ? pairs : first + block_pairs, groups};
        for (size_t row = m; row < last; row += most_rows) tiles[last - row < most_rows ? last - row : most_rows](w, x, y, k, row, panel);
      }
  }
}

CK_TARGET_END

#endif
