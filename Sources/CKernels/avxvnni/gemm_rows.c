// Gemm with weights of 4 and 2 bits for up to 8 rows, by vpdpbusd of 256 bits: codes go through registers, 4 rows × 16 outputs at a time, no panel is
// decoded. Stored codes are unsigned (code + 8, code + 2), so they are the unsigned operand and x − 128 the signed one, and nothing is subtracted from a
// code; packing sums x − 128 of each fold of 32 inputs ("starts"), which takes the offset back, and 128 · Σ weights makes activations x again.
//
//   A line of 64 bytes holds U = 8 / bits units of 16 outputs × 4 inputs. Only every S-th is shifted down: the others stay where they are in their bytes,
//   an AND each, and have sums of their own, S for each output, which are shifted once at the end, exactly, since each is a multiple of its 2^(bits · i).
//   No sum leaves int32: (2^bits − 1) · 2^(bits · i) · 128 ≤ 240 · 128, times 65,536 inputs 2,013,265,920 < 2³¹; in groups the segments of gemm.h hold.
//   Operations a line: U + U / S − 1 to decode each half, U products for each half and row; three a cycle, products two. 16 registers: S · rows ≤ 4.
//
// Limit: one row, bandwidth; 4 rows, the products: 16 of 22 operations (4 bits), 32 of 46 (2 bits).
#if defined(__x86_64__)
#include "../gemm/activations.h"
#include "dispatch.h"
#include "kernels.h"
#include "stretch.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

enum { tile_rows = 4, block_folds = 32, line_bytes = 64, most_sums = 4, prefetch_bytes = 2048 };

// ---- Activations: row-major as for more rows (kernels.h), but x − 128, zeros behind K, and starts[rows][folds + 1]: −2^(bits − 1) · Σ (x − 128) of each
// fold, and of all.

static inline size_t folds_of(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold; }

// Of row m. Only packing writes them.
static inline int32_t *starts_of(const uint8_t *codes, size_t rows, size_t inputs, size_t m) {
  return (int32_t *)(void *)((uint8_t *)(uintptr_t)codes + rows * ck_row_stride__avxvnni(inputs)) + m * (folds_of(inputs) + 1);
}

size_t ck_few_rows_activation_bytes__avxvnni(size_t rows, size_t inputs) {
  return rows * (ck_row_stride__avxvnni(inputs) + (folds_of(inputs) + 1) * sizeof(int32_t));
}

CK_INLINE void pack_few_rows(int bits, const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to) {
  size_t stride = ck_row_stride__avxvnni(x->inputs), folds = folds_of(x->inputs);
  const __m256i flip = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi8(1);
  uint8_t *codes = to->codes + row_begin * stride;
  ck_codes_of_rows(x, row_begin, row_end - row_begin, codes, stride, to, ck_quantize_rows_u8_f32__avx2, ck_quantize_u8_f32__avx2);
  for (size_t m = row_begin; m < row_end; m++, codes += stride) {
    int32_t *starts = starts_of(to->codes, x->rows, x->inputs, m), all = 0;
    memset(codes + x->inputs, 0x80, folds * ck_fold - x->inputs);
    for (size_t fold = 0; fold < folds; fold++) {
      __m256i v = _mm256_xor_si256(ck_load(codes + fold * ck_fold), flip), sums = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), ones, v);
      ck_store(codes + fold * ck_fold, v);
      __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
      sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
      starts[fold] = -(1 << (bits - 1)) * _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
      all += starts[fold];
    }
    starts[folds] = all;
  }
}

// ---- Products

// Sums of each output side by side: S that differ by their shift, and as many chains of those that 8 are under way.
typedef struct tile_sums {
  __m256i of[tile_rows][2][most_sums];
} tile_sums;

// In groups they are joined at the end of each, and the next group's are under way meanwhile.
CK_INLINE int sums_of(int R, int is_grouped) { return R == 1 && !is_grouped ? 4 : R <= 2 || (R == 3 && !is_grouped) ? 2 : 1; }
CK_INLINE int scales_of(int bits, int R, int is_grouped) {
  int U = 8 / bits, most = sums_of(R, is_grouped);
  return U < most ? U : most;
}

// Unit u of half a line, whose units before were asked for.
CK_INLINE __m256i unit_of(int bits, int S, int u, __m256i *v) {
  if (u > 0 && u % S == 0) {
    *v = _mm256_srli_epi16(*v, bits * S);
    CK_KEEP(*v);
  }
  return _mm256_and_si256(*v, _mm256_set1_epi8((char)(((1 << bits) - 1) << (bits * (u % S)))));
}

// Adds the products of a line of codes and R rows. Three rows have 12 sums, which leave no registers for both halves at once.
CK_INLINE void add_line(int bits, int R, int S, int sums, int line, const uint8_t *codes, const uint8_t *x, size_t x_stride, tile_sums *c) {
  const int U = 8 / bits, together = R * sums == 6 ? 1 : 2;
  _mm_prefetch((const char *)codes + prefetch_bytes, _MM_HINT_T0);  // beyond the end it does nothing
  CK_UNROLL for (int first = 0; first < 2; first += together) {
    if (together == 1) CK_KEEP_IN_MEMORY();  // activations are read twice: compilers would keep them on the stack
    __m256i v[2];
    CK_UNROLL for (int half = first; half < first + together; half++) v[half] = ck_load(codes + 32 * half);
    CK_UNROLL for (int u = 0; u < U; u++) {
      __m256i unit[2];
      CK_UNROLL for (int half = first; half < first + together; half++) unit[half] = unit_of(bits, S, u, &v[half]);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256i a = ck_broadcast4(x + (size_t)r * x_stride + 4 * u);
        CK_UNROLL for (int half = first; half < first + together; half++) {
          __m256i *sum = &c->of[r][half][(line * U + u) % sums];
          *sum = _mm256_dpbusd_avx_epi32(*sum, unit[half], a);
          CK_KEEP(*sum);
        }
      }
    }
  }
}

// The sum of a row and half; its parts begin anew.
CK_INLINE __m256i joined(int bits, int S, int sums, __m256i c[most_sums]) {
  __m256i sum = c[0];
  CK_UNROLL for (int i = 0; i < sums; i++) {
    if (i > 0) sum = _mm256_add_epi32(sum, i % S > 0 ? _mm256_srai_epi32(c[i], bits * (i % S)) : c[i]);
    c[i] = _mm256_setzero_si256();
  }
  return sum;
}

CK_INLINE void add_to(int32_t *sums, __m256i v) { ck_store(sums, _mm256_add_epi32(ck_load(sums), v)); }

// Adds the products of R rows to their sums: Σ stored code · (x − 128) without groups, Σ multiplier · Σ code · (x − 128) with.
CK_INLINE void tile(int bits, int R, int is_grouped, const ck_stretch *p, const uint8_t *x, const int32_t *starts, size_t row_starts,
                    int32_t (*sums)[ck_panel]) {
  const int S = scales_of(bits, R, is_grouped), count = sums_of(R, is_grouped);
  const uint8_t *codes = p->weights;
  const int8_t *multipliers = p->multipliers;
  size_t left = p->group_folds - p->fold_in_group;
  tile_sums c;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++) CK_UNROLL for (int i = 0; i < count; i++)
    c.of[r][half][i] = _mm256_setzero_si256();
  int is_first = 1;  // fold of a group
  for (size_t fold = 0; fold < p->folds; fold++) {
    CK_UNROLL for (int r = 0; r < R && is_grouped; r++) {
      __m256i start = ck_broadcast4(starts + (size_t)r * row_starts + fold);
      CK_UNROLL for (int half = 0; half < 2; half++) c.of[r][half][0] = is_first ? start : _mm256_add_epi32(c.of[r][half][0], start);
    }
    CK_UNROLL for (int line = 0; line < bits; line++, codes += line_bytes, x += 4 * (8 / bits))
      add_line(bits, R, S, count, line, codes, x, p->x_stride, &c);
    if (!is_grouped) continue;
    is_first = 0;
    if (--left > 0 && fold + 1 < p->folds) continue;
    __m256i m[2];
    ck_load_multipliers(multipliers, m);
    multipliers += ck_panel;
    left = p->group_folds;
    is_first = 1;
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++)
      add_to(sums[r] + 8 * half, _mm256_mullo_epi32(joined(bits, S, count, c.of[r][half]), m[half]));
  }
  if (is_grouped) return;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++)
    add_to(sums[r] + 8 * half, joined(bits, S, count, c.of[r][half]));
}

typedef void tile_function(const ck_stretch *p, const uint8_t *x, const int32_t *starts, size_t row_starts, int32_t (*sums)[ck_panel]);
#define TILE(bits, R, is_grouped)                                                                                                                 \
  static void tile_##bits##_##R##_##is_grouped(const ck_stretch *p, const uint8_t *x, const int32_t *starts, size_t row_starts,                     \
                                               int32_t (*sums)[ck_panel]) {                                                                       \
    tile(bits, R, is_grouped, p, x, starts, row_starts, sums);                                                                                    \
  }
#define TILES(bits, is_grouped) TILE(bits, 1, is_grouped) TILE(bits, 2, is_grouped) TILE(bits, 3, is_grouped) TILE(bits, 4, is_grouped)
TILES(4, 0) TILES(4, 1) TILES(2, 0) TILES(2, 1)
#define NAMES(bits, is_grouped) {tile_##bits##_1_##is_grouped, tile_##bits##_2_##is_grouped, tile_##bits##_3_##is_grouped, tile_##bits##_4_##is_grouped}
static tile_function *const tiles[2][2][tile_rows] = {{NAMES(4, 0), NAMES(4, 1)}, {NAMES(2, 0), NAMES(2, 1)}};

// 2 bits: 8 rows as 3, 3, 2 304 GOP/s, as 4, 4 275; 4 bits: 8 rows as 4, 4 276, 6 rows as 4, 2 273, as 3, 3 213 (4096 × 4096, Sapphire Rapids).
static inline size_t rows_at_once(int bits, const ck_gemm_weights *w) { return bits == 2 && w->group == 0 ? 3 : tile_rows; }

// Folds begin ..< end of a panel for all rows.
static void add_rows(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, size_t panel, size_t begin, size_t end,
                     int32_t (*sums)[ck_panel]) {
  size_t folds = folds_of(w->inputs), stride = ck_row_stride__avxvnni(w->inputs);
  const size_t most = rows_at_once(bits, w);
  for (size_t row = 0; row < x->rows; row += most) {
    size_t rows = x->rows - row < most ? x->rows - row : most;
    ck_stretch p = ck_stretch_of(bits, w, panel, begin, end, stride);
    tiles[bits == 2][w->group != 0][rows - 1](&p, x->codes + row * stride + begin * ck_fold, starts_of(x->codes, x->rows, w->inputs, row) + begin, folds + 1, sums + row);
  }
}

// The offsets of codes (without groups) and activations: from sums of stored codes · (x − 128) to those of codes · x.
static void restore(const ck_gemm_weights *w, const ck_gemm_activations *x, size_t panel, size_t segment, int32_t (*sums)[ck_panel]) {
  size_t folds = folds_of(w->inputs);
  const int32_t *weights = w->sums + segment * ck_round_up(w->outputs, ck_panel) + panel * ck_panel;
  for (size_t r = 0; r < x->rows; r++) {
    int32_t start = w->group == 0 ? starts_of(x->codes, x->rows, w->inputs, r)[folds] : 0;
    CK_UNROLL for (int half = 0; half < 2; half++)
      add_to(sums[r] + 8 * half, _mm256_add_epi32(_mm256_set1_epi32(start), _mm256_slli_epi32(ck_load(weights + 8 * half), 7)));
  }
}

static void gemm(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel_begin, size_t panel_end) {
  _Alignas(32) int32_t sums[ck_few_rows_avxvnni][ck_panel];
  _Alignas(32) float totals[ck_few_rows_avxvnni][ck_panel];
  size_t folds = folds_of(w->inputs), segments = ck_gemm_segments(w->inputs, w->group, bits);
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(w->inputs, w->group, bits) / ck_fold;
  size_t block = x->rows <= rows_at_once(bits, w) ? folds : block_folds;  // a second tile finds the codes in L1
  for (size_t panel = panel_begin; panel < panel_end; panel++)
    for (size_t segment = 0; segment < segments; segment++) {
      size_t begin = segment * segment_folds, end = segment + 1 == segments ? folds : begin + segment_folds;
      memset(sums, 0, x->rows * sizeof sums[0]);
      for (size_t fold = begin; fold < end; fold += block) add_rows(bits, w, x, panel, fold, end - fold < block ? end : fold + block, sums);
      restore(w, x, panel, segment, sums);
      if (segments == 1 && ck_end_only_segment(w, x, y, 0, x->rows, panel, sums)) continue;
      for (size_t m = 0; m < x->rows; m++)
        ck_end_segment(w, x, y, m, panel, segment, segment + 1 == segments, ck_load(sums[m]), ck_load(sums[m] + 8), totals[m]);
    }
}

#define GEMM(bits)                                                                                                                             \
  void ck_gemm_rows_s##bits##__avxvnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,        \
                                       size_t row_end, size_t panel_begin, size_t panel_end, void *space) {                                    \
    (void)row_begin, (void)row_end, (void)space;                                                                                               \
    gemm(bits, w, x, y, panel_begin, panel_end);                                                                                               \
  }                                                                                                                                            \
  void ck_pack_few_rows_s##bits##__avxvnni(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *space) { \
    (void)space;                                                                                                                               \
    pack_few_rows(bits, x, row_begin, row_end, to);                                                                                            \
  }
GEMM(4)
GEMM(2)

CK_TARGET_END
#endif
