// N:M sparse weights: for each slot a permutation picks, for 8 outputs at a time, the input that each of them keeps from 4 or 8 inputs that lie
// in a register, for one multiply-add of 8 stored weights (16 of the dense matrix).
//
//   float32   a permutation and a multiply-add, which share ports: 16 weights in 2 operations where a dense product does 8 in 1.
//             The permutations are decoded once (a shift) and the weights loaded once for up to 6 rows of X.
//   int8      vpshufb picks bytes and widens them to 16 bits with zeros, madd multiplies 2 slots at a time: exact over the full range. 6
//             operations do 32 stored weights (64 of the dense matrix), where an exact dense product takes 4 for 32.
//
// One row is bound by bytes: 2.25 a weight of the dense matrix in float32 and 0.75 in int8.
#if defined(__x86_64__)
#include "../x86_intrinsics.h"
#include <string.h>

#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

// Sums wait in the outputs' own memory until all of K has passed: the first `count` of 8, as float or as int32.
CK_INLINE void store_sums(float *to, size_t count, __m256 v) {
  if (count >= 8) {
    _mm256_storeu_ps(to, v);
  } else {
    float all[8];
    _mm256_storeu_ps(all, v);
    memcpy(to, all, count * sizeof(float));
  }
}

CK_INLINE __m256 load_sums(const float *from, size_t count) {
  if (count >= 8) return _mm256_loadu_ps(from);
  float all[8] = {0};
  memcpy(all, from, count * sizeof(float));
  return _mm256_loadu_ps(all);
}

CK_INLINE void write_outputs(const ck_sparse_output *y, float *to, size_t n, size_t count, __m256 v) {
  if (y->bias != NULL) v = _mm256_add_ps(v, load_sums(y->bias + n, count));
  if (y->relu) v = _mm256_max_ps(_mm256_setzero_ps(), v);  // the second operand where one is NaN, and −0
  store_sums(to, count, v);
}

enum { most_rows = 6 };  // of X at a time: their sums, two permutations and their weights fill 16 registers

// Rows of X that the L2 cache holds (256 KB) while all weights pass, which come from memory in one go.
static size_t rows_at_once(size_t row_bytes) {
  size_t rows = (256 << 10) / row_bytes / most_rows * most_rows;
  return rows < 4 * most_rows ? 4 * most_rows : rows;
}

// The part of K that a call passes: [begin, end) in steps of 16 inputs or groups of 8, of `all`.
typedef struct k_range {
  size_t begin, end, all;
} k_range;


// Row r of 6, as an address that needs two registers for rows 0 to 2 and a third for rows 3 to 5.
#define ck_row(r, first, fourth, stride) ((r) < 3 ? (first) + (size_t)(r) * (stride) : (fourth) + (size_t)((r)-3) * (stride))

// ---- float32

// 16 inputs, 8 slots: H panels of 8 outputs for R rows of X, each `stride` numbers behind the one before.
CK_INLINE void add_step_f32(int R, int H, int group, const uint32_t *const codes[4], const float *const values[4], const float *x,
                            size_t stride, __m256 c[most_rows][4]) {
  __m256i shifted[4];
  CK_UNROLL for (int h = 0; h < H; h++) shifted[h] = ck_load(codes[h]);
  CK_UNROLL for (int part = 0; part < 16; part += 8) {
    CK_UNROLL for (int h = 0; h < H; h++) {
      // Registers hold the permutations of 2 slots at a time: more would be spilled.
      CK_UNROLL for (int pair = 0; pair < 2; pair++) {
        const int slot = part / 2 + 2 * pair, from = group == 4 ? part + 4 * pair : part;
        __m256i first = _mm256_srli_epi32(shifted[h], 4 * slot), second = _mm256_srli_epi32(shifted[h], 4 * slot + 4);
        __m256 w0 = _mm256_loadu_ps(values[h] + 8 * slot), w1 = _mm256_loadu_ps(values[h] + 8 * slot + 8);
        CK_UNROLL for (int r = 0; r < R; r++) {
          const float *row = ck_row(r, x, x + 3 * stride, stride) + from;
          __m256 a0, a1;
          if (group == 4) {
            __m256 four = _mm256_broadcast_ps((const __m128 *)row);
            a0 = _mm256_permutevar_ps(four, first);
            a1 = _mm256_permutevar_ps(four, second);
          } else {
            __m256 eight = _mm256_loadu_ps(row);
            a0 = _mm256_permutevar8x32_ps(eight, first);
            a1 = _mm256_permutevar8x32_ps(eight, second);
          }
          c[r][h] = _mm256_fmadd_ps(a0, w0, c[r][h]);
          c[r][h] = _mm256_fmadd_ps(a1, w1, c[r][h]);
        }
      }
    }
  }
}

CK_INLINE void tile_f32(int R, int H, int group, const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, k_range k, size_t m,
                        size_t panel) {
  size_t whole = w->inputs / ck_nm_f32_step, last = k.end < whole ? k.end : whole;
  const uint32_t *codes[4];
  const float *values[4], *row = x->data + m * x->stride;
  float *to = y->data + m * y->stride + panel * 8;
  size_t left = w->outputs - panel * 8;
  __m256 c[most_rows][4];
  CK_UNROLL for (int h = 0; h < H; h++) {
    codes[h] = w->codes + ((panel + (size_t)h) * k.all + k.begin) * 8;
    values[h] = w->values + ((panel + (size_t)h) * k.all + k.begin) * 64;
    CK_UNROLL for (int r = 0; r < R; r++)
        c[r][h] = k.begin == 0 ? _mm256_setzero_ps() : load_sums(to + (size_t)r * y->stride + h * 8, left - (size_t)h * 8);
  }
  for (size_t step = k.begin; step < last; step++) {
    add_step_f32(R, H, group, codes, values, row + step * 16, x->stride, c);
    CK_UNROLL for (int h = 0; h < H; h++) codes[h] += 8, values[h] += 64;
  }
  if (whole < k.end) {
    float rest[most_rows][16] = {{0}};
    CK_UNROLL for (int r = 0; r < R; r++) memcpy(rest[r], row + (size_t)r * x->stride + whole * 16, (w->inputs - whole * 16) * sizeof(float));
    add_step_f32(R, H, group, codes, values, rest[0], 16, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    CK_UNROLL for (int h = 0; h < H; h++) {
      float *place = to + (size_t)r * y->stride + h * 8;
      if (k.end < k.all) {
        store_sums(place, left - (size_t)h * 8, c[r][h]);
      } else {
        write_outputs(y, place, (panel + (size_t)h) * 8, left - (size_t)h * 8, c[r][h]);
      }
    }
  }
}

// One panel with all rows, most_rows at a time.
CK_INLINE void panel_f32(int group, const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, k_range k, size_t row_begin,
                         size_t row_end, size_t panel) {
  size_t m = row_begin;
  for (; m + most_rows <= row_end; m += most_rows) tile_f32(most_rows, 1, group, w, x, y, k, m, panel);
#define CASE(R) case R: tile_f32(R, 1, group, w, x, y, k, m, panel); break;
  switch (row_end - m) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) }
#undef CASE
}

static void panel_f32_of_4(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, k_range k, size_t row_begin, size_t row_end,
                           size_t panel) {
  panel_f32(4, w, x, y, k, row_begin, row_end, panel);
}
static void panel_f32_of_8(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, k_range k, size_t row_begin, size_t row_end,
                           size_t panel) {
  panel_f32(8, w, x, y, k, row_begin, row_end, panel);
}

// A multiply-add takes 4 cycles and each output is one chain of them, so one or two rows need 4 panels at a time.
CK_INLINE void few_rows_f32(int R, int group, const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, k_range k, size_t m,
                            size_t panel_begin, size_t panel_end) {
  size_t panel = panel_begin;
  for (; panel + 4 <= panel_end; panel += 4) tile_f32(R, 4, group, w, x, y, k, m, panel);
  for (; panel < panel_end; panel++) tile_f32(R, 1, group, w, x, y, k, m, panel);
}

void ck_nm_f32__avx2(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                              size_t panel_begin, size_t panel_end, void *workspace) {
  (void)workspace;
  size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, rows = row_end - row_begin;
  if (rows <= 2) {
    k_range all = {0, steps, steps};
    if (rows == 1 && w->group == 4) few_rows_f32(1, 4, w, x, y, all, row_begin, panel_begin, panel_end);
    if (rows == 1 && w->group == 8) few_rows_f32(1, 8, w, x, y, all, row_begin, panel_begin, panel_end);
    if (rows == 2 && w->group == 4) few_rows_f32(2, 4, w, x, y, all, row_begin, panel_begin, panel_end);
    if (rows == 2 && w->group == 8) few_rows_f32(2, 8, w, x, y, all, row_begin, panel_begin, panel_end);
    return;
  }
  // A panel's weights for 512 inputs are 9 KB, 6 rows of X 12 KB: both stay in L1 while the rows pass.
  const size_t block = 512 / ck_nm_f32_step, chunk = rows_at_once(w->inputs * sizeof(float));
  for (size_t m = row_begin; m < row_end; m += chunk) {
    size_t last = row_end - m < chunk ? row_end : m + chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      for (size_t first = 0; first < steps; first += block) {
        k_range k = {first, steps - first < block ? steps : first + block, steps};
        if (w->group == 4) {
          panel_f32_of_4(w, x, y, k, m, last, panel);
        } else {
          panel_f32_of_8(w, x, y, k, m, last, panel);
        }
      }
    }
  }
}

// ---- int8

// H panels of 8 outputs for R rows.
CK_INLINE void tile_s8(int R, int H, const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t panel) {
  const __m256i nibbles = _mm256_set1_epi16(15), zero_above = _mm256_set1_epi16((short)0x8000);
  const uint8_t *row = x->codes + m * x->stride;
  float *to = y->data + m * y->stride + panel * 8;
  size_t left = w->outputs - panel * 8;
  __m256i c[most_rows][2];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int h = 0; h < H; h++)
      c[r][h] = k.begin == 0 ? _mm256_setzero_si256()
                             : _mm256_castps_si256(load_sums(to + (size_t)r * y->stride + h * 8, left - (size_t)h * 8));
  for (size_t g = k.begin; g < k.end; g++) {
    CK_UNROLL for (int h = 0; h < H; h++) {
      size_t at = (panel + (size_t)h) * k.all + g;
      // For each output two 16-bit places: the byte to pick, and 0x80 for a zero above it.
      __m256i code = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(w->codes + at * 16)));
      __m256i first = _mm256_or_si256(_mm256_and_si256(code, nibbles), zero_above);
      __m256i second = _mm256_or_si256(_mm256_srli_epi16(code, 4), zero_above);
      __m256i w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w->values + at * 32)));
      __m256i w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w->values + at * 32 + 16)));
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256i eight = ck_broadcast8(ck_row(r, row, row + 3 * x->stride, x->stride) + g * ck_nm_group);
        c[r][h] = _mm256_add_epi32(c[r][h], _mm256_madd_epi16(_mm256_shuffle_epi8(eight, first), w0));
        c[r][h] = _mm256_add_epi32(c[r][h], _mm256_madd_epi16(_mm256_shuffle_epi8(eight, second), w1));
      }
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    CK_UNROLL for (int h = 0; h < H; h++) {
      float *place = to + (size_t)r * y->stride + h * 8;
      size_t n = (panel + (size_t)h) * 8, count = left - (size_t)h * 8;
      if (k.end < k.all) {
        store_sums(place, count, _mm256_castsi256_ps(c[r][h]));
        continue;
      }
      __m256i sums = _mm256_castps_si256(load_sums((const float *)(w->sums + n), count));
      __m256i sum = _mm256_sub_epi32(c[r][h], _mm256_mullo_epi32(_mm256_set1_epi32(x->zero_points[m + (size_t)r]), sums));
      __m256 scale = _mm256_mul_ps(_mm256_set1_ps(x->scales[m + (size_t)r]), load_sums(w->scales + n, count));
      write_outputs(y, place, n, count, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
    }
  }
}

static void panel_s8(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t row_begin, size_t row_end,
                     size_t panel) {
  size_t m = row_begin;
  for (; m + most_rows <= row_end; m += most_rows) tile_s8(most_rows, 1, w, x, y, k, m, panel);
#define CASE(R) case R: tile_s8(R, 1, w, x, y, k, m, panel); break;
  switch (row_end - m) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) }
#undef CASE
}

void ck_nm_s8__avx2(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                               size_t panel_begin, size_t panel_end) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, panel = panel_begin;
  if (row_end - row_begin == 1) {
    k_range all = {0, groups, groups};
    for (; panel + 2 <= panel_end; panel += 2) tile_s8(1, 2, w, x, y, all, row_begin, panel);
    for (; panel < panel_end; panel++) tile_s8(1, 1, w, x, y, all, row_begin, panel);
    return;
  }
  // A panel's weights for 2,048 inputs are 12 KB, as are 6 rows of X.
  const size_t block = 2048 / ck_nm_group, chunk = rows_at_once(w->inputs);
  for (size_t m = row_begin; m < row_end; m += chunk) {
    size_t last = row_end - m < chunk ? row_end : m + chunk;
    for (panel = panel_begin; panel < panel_end; panel++) {
      for (size_t first = 0; first < groups; first += block) {
        k_range k = {first, groups - first < block ? groups : first + block, groups};
        panel_s8(w, x, y, k, m, last, panel);
      }
    }
  }
}

CK_TARGET_END
#endif
