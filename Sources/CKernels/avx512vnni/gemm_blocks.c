// Integer gemm for more than a few rows with VNNI. Weights of up to 4 bits are decoded to bytes, two panels × up to k_block inputs at a time, into L1, and
// are then used for all rows of a chunk; 8-bit weights are read as they are packed. So weights of every width cost one vpdpbusd for 64 products
// (gemm_tiles.c, gemm_tiles_grouped.c). Decoding takes 1.5 to 2 operations for 64 weights, 1 % with 256 rows.
#if defined(__x86_64__)
#include "../avx512/epilogue.h"
#include "gemm_decode.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

typedef enum weight_kind { kind_s8, kind_s4, kind_s2, kind_s1 } weight_kind;
CK_INLINE int bits_of(weight_kind kind) { return kind == kind_s8 ? 8 : kind == kind_s4 ? 4 : kind == kind_s2 ? 2 : 1; }
// What activations are less than their codes.
CK_INLINE int32_t x_offset_of(weight_kind kind) { return kind == kind_s8 ? 0 : 128; }

// Whether ck_zero_pair serves.
CK_INLINE int is_pair_exact(weight_kind kind, const ck_gemm_weights *w) { return kind != kind_s8 || w->group != 0 || w->inputs <= ck_pair_inputs_s8; }

enum {
  k_block = 1024,      // inputs decoded at a time: 32 KB
  row_chunk = ck_row_chunk,
};

typedef struct workspace {
  int32_t sums[row_chunk][ck_tile_outputs];
  float totals[row_chunk][ck_tile_outputs];
  int32_t multipliers[k_block / ck_fold][ck_tile_outputs];
  int32_t zeros[row_chunk], weight_sums[ck_tile_outputs], initial[ck_tile_outputs];  // where sums start, see ck_tile
  uint8_t pieces[64];
  uint8_t panels[ck_tile_panels][k_block * ck_panel];
} workspace;

size_t ck_gemm_blocks_workspace_bytes__avx512vnni(const ck_gemm_shape *shape, size_t rows) {
  (void)shape, (void)rows;
  return ck_round_up(sizeof(workspace), 64);
}

typedef struct product {
  const ck_gemm_weights *w;
  const ck_gemm_activations *x;
  const ck_gemm_output *y;
  workspace *s;
  size_t first, last;               // rows
  size_t panel, panels;
  size_t segment, segment_begin, segment_end;  // folds
  int is_last;
} product;

// ---- What the tiles of a block share

// Weights of folds begin ..< end of the panels as bytes.
CK_INLINE void set_weights(weight_kind kind, const product *g, size_t begin, size_t end, ck_tile *t) {
  size_t fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits_of(kind)), panel_bytes = ck_many_folds(g->w->inputs) * fold_bytes;
  const uint8_t *codes = g->w->codes + g->panel * panel_bytes + begin * fold_bytes;
  t->w = kind == kind_s8 ? codes : g->s->panels[0];
  t->w_stride = kind == kind_s8 ? panel_bytes : sizeof g->s->panels[0];
  for (size_t p = 0; p < g->panels && kind != kind_s8; p++, codes += panel_bytes) {
    if (kind == kind_s4) ck_decode_s4(codes, end - begin, g->s->panels[p]);
    if (kind == kind_s2) ck_decode_s2(codes, end - begin, g->s->panels[p]);
    if (kind == kind_s1) ck_decode_s1(codes, end - begin, g->s->panels[p]);
  }
}

// Multipliers as vpdpwssd wants them. 8 bits: a row for each piece, whose folds are counted in s->pieces; else one for each fold.
CK_INLINE void set_multipliers(weight_kind kind, const product *g, size_t begin, size_t end) {
  size_t group_folds = g->w->group / ck_fold, row = 0;
  for (size_t fold = begin; fold < end; row++) {
    size_t next = kind == kind_s8 ? (fold / group_folds + 1) * group_folds : fold + 1;
    if (next > end) next = end;
    for (size_t p = 0; p < g->panels; p++) {
      __m512i m = ck_group_multipliers(g->w, g->panel + p, fold / group_folds);
      __m512i high = kind == kind_s8 ? _mm512_slli_epi32(m, 24) : _mm512_setzero_si512();
      ck_store64(g->s->multipliers[row] + p * ck_panel, _mm512_or_si512(_mm512_and_si512(m, _mm512_set1_epi32(0xFFFF)), high));
    }
    if (kind == kind_s8) g->s->pieces[row] = (uint8_t)(next - fold);
    fold = next;
  }
}

// Where the sums of a segment start. Sums of folds, each less 1, end less by Σ multipliers over all folds of the segment.
CK_INLINE void set_starts(weight_kind kind, int is_grouped, const product *g) {
  const int32_t *sums = g->w->sums + g->segment * ck_round_up(g->w->outputs, ck_panel) + g->panel * ck_panel;
  for (size_t p = 0; p < g->panels; p++) {
    __m512i all = ck_load64(sums + p * ck_panel), initial = _mm512_setzero_si512();
    __m512i pairs = _mm512_or_si512(_mm512_and_si512(all, _mm512_set1_epi32(127)), _mm512_slli_epi32(_mm512_srai_epi32(all, 7), 16));
    ck_store64(g->s->weight_sums + p * ck_panel, is_pair_exact(kind, g->w) ? pairs : _mm512_setzero_si512());
    for (size_t fold = g->segment_begin; is_grouped && kind != kind_s8 && fold < g->segment_end; fold++)
      initial = _mm512_add_epi32(initial, ck_group_multipliers(g->w, g->panel + p, fold * ck_fold / g->w->group));
    ck_store64(g->s->initial + p * ck_panel, initial);
  }
}

// ---- A block of two panels times all rows

// What ck_zero_pair could not hold.
static void subtract_zeros(const product *g, size_t row, size_t rows, int32_t (*sums)[ck_tile_outputs]) {
  for (size_t r = 0; r < rows; r++)
    for (size_t p = 0; p < g->panels; p++)
      ck_store64(sums[r] + p * ck_panel, ck_subtract_zero16(g->w, g->x, row + r, g->panel + p, g->segment, 0, ck_load64(sums[r] + p * ck_panel)));
}

static void end_rows(const product *g, size_t row, size_t rows, int32_t (*sums)[ck_tile_outputs]) {
  int is_first = g->segment == 0;
  const ck_row_sums16 from = {sums[0], ck_tile_outputs, row, row + rows, g->panel, g->panels};
  if (is_first && g->is_last && ck_end_only_sums16(g->w, g->x, g->y, &from)) return;
  for (size_t r = 0; r < rows; r++)
    for (size_t p = 0; p < g->panels; p++)
      ck_end_sums16(g->w, g->x, g->y, row + r, g->panel + p, is_first, g->is_last, ck_load64(sums[r] + p * ck_panel),
                    g->s->totals[row + r - g->first] + p * ck_panel);
}

CK_INLINE void add_block(weight_kind kind, int is_grouped, const product *g, size_t begin, size_t end) {
  static const int32_t zero = 0;
  const size_t most_rows = is_grouped ? ck_grouped_tile_rows : ck_tile_rows;
  size_t all = ck_many_folds(g->w->inputs), rows = g->last - g->first, tiles = (rows + most_rows - 1) / most_rows;
  int begins = begin == g->segment_begin, ends = end == g->segment_end;
  ck_tile t = {.x_stride = ck_many_stride(g->w->inputs), .folds = end - begin, .weight_sums = g->s->weight_sums, .initial = g->s->initial,
               .starts = &zero, .start_stride = kind == kind_s8 ? 0 : all + 1,
               .multipliers = (const int32_t(*)[ck_tile_outputs])g->s->multipliers, .pieces = g->s->pieces};
  const int32_t *starts = ck_many_starts(g->x, g->w->inputs) + (is_grouped ? begin : all);
  set_weights(kind, g, begin, end, &t);
  if (is_grouped) set_multipliers(kind, g, begin, end);
  if (begins) set_starts(kind, is_grouped, g);
  for (size_t i = 0; i < tiles; i++) {
    size_t row = g->first + rows * i / tiles, count = g->first + rows * (i + 1) / tiles - row;
    t.x = g->x->codes + row * t.x_stride + begin * ck_fold;
    t.sums = begins && ends ? g->s->sums : g->s->sums + (row - g->first);
    t.zeros = begins ? g->s->zeros + (row - g->first) : NULL;
    if (kind != kind_s8) t.starts = starts + row * (all + 1);
    if (is_grouped) (kind == kind_s8 ? ck_grouped_tiles_u8_s8 : ck_grouped_tiles_s8_u8)[g->panels == 2][count](&t);
    else (kind == kind_s8 ? ck_tiles_u8_s8 : ck_tiles_s8_u8)[g->panels == 2][count](&t);
    if (ends && !is_pair_exact(kind, g->w)) subtract_zeros(g, row, count, t.sums);
    if (ends) end_rows(g, row, count, t.sums);
  }
}

CK_INLINE void gemm_blocks(weight_kind kind, int is_grouped, product *g, size_t row_end, size_t panel_end) {
  size_t folds = ck_many_folds(g->w->inputs), segments = ck_gemm_segments(g->w->inputs, g->w->group, bits_of(kind));
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(g->w->inputs, g->w->group, bits_of(kind)) / ck_fold;
  size_t row_begin = g->first, panel_begin = g->panel, block_folds = k_block / ck_fold;
  for (g->first = row_begin; g->first < row_end; g->first = g->last) {
    g->last = row_end - g->first < row_chunk ? row_end : g->first + row_chunk;
    for (size_t m = g->first; m < g->last; m++) g->s->zeros[m - g->first] = ck_zero_pair(g->x->zero_points[m] - x_offset_of(kind));
    for (g->panel = panel_begin; g->panel < panel_end; g->panel += g->panels) {
      g->panels = panel_end - g->panel < ck_tile_panels ? 1 : ck_tile_panels;
      for (g->segment = 0; g->segment < segments; g->segment++) {
        g->is_last = g->segment + 1 == segments;
        g->segment_begin = g->segment * segment_folds;
        g->segment_end = g->is_last ? folds : g->segment_begin + segment_folds;
        for (size_t begin = g->segment_begin; begin < g->segment_end; begin += block_folds)
          add_block(kind, is_grouped, g, begin, g->segment_end - begin < block_folds ? g->segment_end : begin + block_folds);
      }
    }
  }
}

#define GEMM_BLOCKS(bits)                                                                                                                      \
  void ck_gemm_blocks_s##bits##__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, \
                                            size_t row_end, size_t panel_begin, size_t panel_end, void *space) {                               \
    product g = {.w = w, .x = x, .y = y, .s = space, .first = row_begin, .panel = panel_begin};                                                \
    if (w->group == 0) gemm_blocks(kind_s##bits, 0, &g, row_end, panel_end);                                                                   \
    else gemm_blocks(kind_s##bits, 1, &g, row_end, panel_end);                                                                                 \
  }
GEMM_BLOCKS(8)
GEMM_BLOCKS(4)
GEMM_BLOCKS(2)
GEMM_BLOCKS(1)

CK_TARGET_END
#endif
