// Integer gemm for more than a few rows with VNNI: weights of every width cost one vpdpbusd for 64 products (gemm_tiles.c, gemm_tiles_grouped.c).
// 8-bit weights are read as they are packed. Those of up to 4 bits the tile of the first rows decodes, two panels × up to 1,024 inputs at a time, for
// the tiles of all other rows; 1.5 to 2 operations for 64 weights, less than 1 % with 256 rows.
//
// Measured on Sapphire Rapids, of the peak, quantizing by AVX2 (6 to 7 %) included: 256 × 1024 × 1024 8 bits 87 %, 4, 2 and 1 bits 82 to 84 %; groups of
// 32, whose limit is 89 %, 4 bits 71 %; 8 bits in groups of 32 66 %, of 128 77 %. 16 × 4096 × 4096: 8 bits 86 %, 4 and 2 bits 81 %, 4 bits in groups of
// 32 60 %. What did not pay: fetching lines of outputs or activations ahead (1 to 3 % slower), blocks of 512 inputs, 14 × 32 tiles (clang spills
// addresses: 60 %), decoding apart from the first tile.
#if defined(__x86_64__)
#include "../avx512/epilogue.h"
#include "gemm_decode.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

typedef enum weight_kind { kind_s8, kind_s4, kind_s2, kind_s1 } weight_kind;
CK_INLINE ck_weight_source source_of(weight_kind kind) {
  return kind == kind_s8 ? ck_weights_s8 : kind == kind_s4 ? ck_codes_s4 : kind == kind_s2 ? ck_codes_s2 : ck_codes_s1;
}
CK_INLINE int bits_of(weight_kind kind) { return kind == kind_s8 ? 8 : kind == kind_s4 ? 4 : kind == kind_s2 ? 2 : 1; }
// What activations are less than their codes.
CK_INLINE int32_t x_offset_of(weight_kind kind) { return kind == kind_s8 ? 0 : 128; }

// Whether ck_zero_pair serves.
CK_INLINE int is_pair_exact(weight_kind kind, const ck_gemm_weights *w) { return kind != kind_s8 || w->group != 0 || w->inputs <= ck_pair_inputs_s8; }

enum {
  block_folds = ck_block_inputs / ck_fold,
  block_segments_s8 = block_folds / ck_segment_folds_s8,
  row_chunk = ck_row_chunk,
  group_steps = row_chunk / ck_tall_tile_rows,
};

typedef struct workspace {
  int32_t sums[row_chunk][ck_tile_outputs];
  float totals[row_chunk][ck_tile_outputs];
  int32_t multipliers[block_folds][ck_tile_outputs];
  int32_t zeros[row_chunk], weight_sums[block_segments_s8][ck_tile_outputs], initial[ck_tile_outputs];  // where sums start, see ck_tile
  uint8_t pieces[block_folds];
  uint8_t panels[ck_tile_panels][ck_block_inputs * ck_panel];
} workspace;

size_t ck_gemm_blocks_workspace_bytes__avx512vnni(const ck_gemm_shape *shape, size_t rows) {
  (void)rows;
  size_t product = ck_round_up(sizeof(workspace), 64), packing = ck_many_packing_bytes(shape->inputs);
  return packing > product ? packing : product;
}

// Where a call is: rows first ..< last, panels of them, and of K a segment (8-bit weights in groups: all K), both in folds.
typedef struct product {
  const ck_gemm_weights *w;
  const ck_gemm_activations *x;
  const ck_gemm_output *y;
  workspace *s;
  size_t first, last, tiles;  // tiles of so many rows
  size_t group, group_end;     // panels that go through K side by side,
  size_t panel, panels, step;  // of them, some at a time
  size_t panel_end;
  size_t segment, segment_begin, segment_end;
  int is_last;
} product;

// ---- What the tiles of a block share

CK_INLINE size_t fold_bytes_of(weight_kind kind) { return (size_t)(ck_fold * ck_panel / 8 * bits_of(kind)); }
CK_INLINE const uint8_t *codes_at(weight_kind kind, const product *g, size_t panel, size_t fold) {
  return g->w->codes + (panel * ck_many_folds(g->w->inputs) + fold) * fold_bytes_of(kind);
}

// The tiles of a block fetch the weights of the next, a little at a time: L3 gives a core less than a tile takes.
CK_INLINE void set_next(weight_kind kind, const product *g, size_t begin, size_t end, ck_tile *t) {
  size_t all = ck_many_folds(g->w->inputs), panel = g->panel + g->panels, from = begin;
  if (panel >= g->group_end) {
    panel = end < all ? g->group : g->group_end;
    from = end < all ? end : 0;
  }
  t->next = codes_at(kind, g, g->panel, 0);
  t->next_stride = t->next_step = 0;
  if (panel >= g->panel_end) return;
  size_t folds = all - from < block_folds ? all - from : block_folds, steps = g->tiles * t->folds * (ck_fold_units / 2);
  t->next = codes_at(kind, g, panel, from);
  t->next_stride = panel + 1 < g->panel_end ? all * fold_bytes_of(kind) : 0;
  t->next_step = (folds * fold_bytes_of(kind) + steps - 1) / steps;
  if (t->next_step > 64) t->next_step = 64;
}

// Multipliers as vpdpwssd wants them. 8 bits: a row for each piece, whose folds are counted in s->pieces; else one for each fold. Sums of folds, each
// less 1, are less by Σ multipliers.
CK_INLINE void set_multipliers(weight_kind kind, const product *g, size_t begin, size_t end) {
  const __m512i low = _mm512_set1_epi32(0xFFFF);
  size_t group_folds = g->w->group / ck_fold, group = begin / group_folds, group_end = (group + 1) * group_folds, row = 0;
  __m512i sums[ck_tile_panels] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t fold = begin, next; fold < end; fold = next, row++) {
    next = fold + 1;
    if (kind == kind_s8) {
      size_t segment_end = (fold / ck_segment_folds_s8 + 1) * ck_segment_folds_s8, last = segment_end < end ? segment_end : end;
      next = group_end < last ? group_end : last;
      g->s->pieces[row] = (uint8_t)(next - fold);
    }
    for (size_t p = 0; p < g->panels; p++) {
      __m512i m = ck_group_multipliers(g->w, g->panel + p, group), pair = _mm512_and_si512(m, low);
      if (kind == kind_s8) pair = _mm512_or_si512(pair, _mm512_slli_epi32(m, 24));
      else sums[p] = _mm512_add_epi32(sums[p], m);
      ck_store64(g->s->multipliers[row] + p * ck_panel, pair);
    }
    if (next == group_end) {
      group++;
      group_end += group_folds;
    }
  }
  CK_UNROLL for (size_t p = 0; p < ck_tile_panels; p++) ck_store64(g->s->initial + p * ck_panel, sums[p]);
}

// What corrects the sums of folds begin ..< end by zero points, of a segment of K or, for 8-bit weights in groups, of up to four.
CK_INLINE void set_starts(weight_kind kind, int is_grouped, const product *g, size_t begin, size_t end) {
  int has_pieces = is_grouped && kind == kind_s8;
  size_t segment = has_pieces ? begin / ck_segment_folds_s8 : g->segment;
  size_t last = has_pieces ? (end + ck_segment_folds_s8 - 1) / ck_segment_folds_s8 : segment + 1;
  for (size_t p = 0; p < g->panels; p++) {
    for (size_t i = segment; i < last; i++) {
      __m512i all = ck_load64(g->w->sums + i * ck_round_up(g->w->outputs, ck_panel) + (g->panel + p) * ck_panel);
      __m512i pairs = _mm512_or_si512(_mm512_and_si512(all, _mm512_set1_epi32(127)), _mm512_slli_epi32(_mm512_srai_epi32(all, 7), 16));
      ck_store64(g->s->weight_sums[i - segment] + p * ck_panel, is_pair_exact(kind, g->w) ? pairs : _mm512_setzero_si512());
    }
  }
}

// ---- A block of two panels times all rows

// What ck_zero_pair could not hold.
static void subtract_zeros(const product *g, size_t row, size_t rows, int32_t (*sums)[ck_tile_outputs]) {
  for (size_t r = 0; r < rows; r++)
    for (size_t p = 0; p < g->panels; p++)
      ck_store64(sums[r] + p * ck_panel, ck_subtract_zero16(g->w, g->x, row + r, g->panel + p, g->segment, 0, ck_load64(sums[r] + p * ck_panel)));
}

static void end_rows(const product *g, size_t row, size_t rows, int32_t (*sums)[ck_tile_outputs], float (*totals)[ck_tile_outputs]) {
  int is_first = g->segment == 0;
  const ck_row_sums16 from = {sums[0], NULL, ck_tile_outputs, row, row + rows, g->panel, g->panels};
  if (is_first && g->is_last && ck_end_rows16(g->w, g->x, g->y, &from)) return;
  for (size_t r = 0; r < rows; r++)
    for (size_t p = 0; p < g->panels; p++)
      ck_end_sums16(g->w, g->x, g->y, row + r, g->panel + p, is_first, g->is_last, ck_load64(sums[r] + p * ck_panel),
                    totals[r] + p * ck_panel);
}

static void end_totals(const product *g, size_t row, size_t rows, float (*totals)[ck_tile_outputs]) {
  const ck_row_sums16 from = {NULL, totals[0], ck_tile_outputs, row, row + rows, g->panel, g->panels};
  if (ck_end_rows16(g->w, g->x, g->y, &from)) return;
  for (size_t r = 0; r < rows; r++)
    for (size_t p = 0; p < g->panels; p++)
      ck_end_total16(g->w, g->x, g->y, row + r, g->panel + p, _mm512_loadu_ps(totals[r] + p * ck_panel));
}

// Rows row ..< row + rows of a block.
CK_INLINE void add_rows(weight_kind kind, int is_grouped, const product *g, size_t begin, size_t end, size_t row, size_t rows, ck_tile *t) {
  size_t folds = ck_many_folds(g->w->inputs), at = row - g->first, place = (g->panel - g->group) / g->step * ck_tall_tile_rows + at;
  int has_pieces = is_grouped && kind == kind_s8, begins = begin == g->segment_begin, ends = end == g->segment_end;
  t->x = g->x->codes + row * t->x_stride + begin * ck_fold;
  t->zeros = begins || has_pieces ? g->s->zeros + at : NULL;
  t->sums = begins && ends ? g->s->sums : g->s->sums + place;
  if (has_pieces && folds > ck_segment_folds_s8) t->totals = g->s->totals + (begins && ends ? 0 : place);
  // The tile of the first rows decodes.
  ck_weight_source source = kind == kind_s8 || at == 0 ? source_of(kind) : ck_weights_u8;
  t->w = kind == kind_s8 || at == 0 ? codes_at(kind, g, g->panel, begin) : g->s->panels[0];
  t->w_stride = kind == kind_s8 || at == 0 ? folds * fold_bytes_of(kind) : sizeof g->s->panels[0];
  if (is_grouped) ck_grouped_tiles[source][g->panels == 2][rows](t);
  else ck_tiles[source][g->panels == 2][rows](t);
  t->next += t->folds * (ck_fold_units / 2) * t->next_step;
  if (!ends) return;
  if (!is_pair_exact(kind, g->w)) subtract_zeros(g, row, rows, t->sums);
  if (t->totals != NULL) end_totals(g, row, rows, t->totals);
  else end_rows(g, row, rows, t->sums, g->s->totals + place);
}

// Folds begin ..< end for all rows of the chunk.
CK_INLINE void add_block(weight_kind kind, int is_grouped, const product *g, size_t begin, size_t end) {
  size_t folds = ck_many_folds(g->w->inputs), rows = g->last - g->first;
  ck_tile t = {.x_stride = ck_many_stride(g->w->inputs, kind != kind_s8), .folds = end - begin, .decoded = g->s->panels,
               .decoded_mask = g->tiles > 1 ? ~(size_t)0 : 0, .initial = g->s->initial, .pieces = g->s->pieces,
               .weight_sums = (const int32_t(*)[ck_tile_outputs])g->s->weight_sums,
               .multipliers = (const int32_t(*)[ck_tile_outputs])g->s->multipliers,
               .starts = (folds - begin) * ck_fold + (is_grouped ? begin : folds) * sizeof(int32_t), .begins_totals = begin == 0};
  set_next(kind, g, begin, end, &t);
  if (is_grouped) set_multipliers(kind, g, begin, end);
  if (begin == g->segment_begin || (is_grouped && kind == kind_s8)) set_starts(kind, is_grouped, g, begin, end);
  for (size_t i = 0; i < g->tiles; i++) {
    size_t row = rows * i / g->tiles;
    add_rows(kind, is_grouped, g, begin, end, g->first + row, rows * (i + 1) / g->tiles - row, &t);
  }
}

// All K of a group of panels.
CK_INLINE void add_panels(weight_kind kind, int is_grouped, product *g) {
  size_t folds = ck_many_folds(g->w->inputs), segments = is_grouped && kind != kind_s8 ? ck_gemm_segments(g->w->inputs, g->w->group, 4) : 1;
  for (g->segment = 0; g->segment < segments; g->segment++) {
    g->is_last = g->segment + 1 == segments;
    g->segment_begin = g->segment * (ck_gemm_segment(g->w->inputs, g->w->group, 4) / ck_fold);
    g->segment_end = g->is_last ? folds : g->segment_begin + ck_gemm_segment(g->w->inputs, g->w->group, 4) / ck_fold;
    for (size_t begin = g->segment_begin; begin < g->segment_end; begin += block_folds)
      for (g->panel = g->group; g->panel < g->group_end; g->panel += g->panels) {
        g->panels = g->group_end - g->panel < g->step ? 1 : g->step;
        add_block(kind, is_grouped, g, begin, g->segment_end - begin < block_folds ? g->segment_end : begin + block_folds);
      }
  }
}

// Cuts the rows of a chunk into tiles, and chooses how many panels go side by side. Where one tile of one panel holds all rows, nothing has to be
// decoded for another, and activations of a block stay in L1 for some panels.
CK_INLINE size_t set_tiles(weight_kind kind, int is_grouped, product *g) {
  size_t rows = g->last - g->first, most = is_grouped ? ck_grouped_tile_rows : ck_tile_rows;
  int is_tall = rows > most && rows <= ck_tall_tile_rows && kind != kind_s8;
  g->tiles = is_tall ? 1 : (rows + most - 1) / most;
  g->step = is_tall ? 1 : ck_tile_panels;
  return g->tiles == 1 ? g->step * group_steps : g->step;
}

CK_INLINE void gemm_blocks(weight_kind kind, int is_grouped, product *g, size_t row_end, size_t panel_begin) {
  for (; g->first < row_end; g->first = g->last) {
    g->last = row_end - g->first < row_chunk ? row_end : g->first + row_chunk;
    size_t rows = g->last - g->first, group = set_tiles(kind, is_grouped, g);
    for (size_t i = 0; i < rows; i++) g->s->zeros[i] = ck_zero_pair(g->x->zero_points[g->first + i] - x_offset_of(kind));
    for (g->group = panel_begin; g->group < g->panel_end; g->group = g->group_end) {
      g->group_end = g->panel_end - g->group < group ? g->panel_end : g->group + group;
      add_panels(kind, is_grouped, g);
    }
  }
}

#define GEMM_BLOCKS(bits)                                                                                                                      \
  void ck_gemm_blocks_s##bits##__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, \
                                            size_t row_end, size_t panel_begin, size_t panel_end, void *space) {                               \
    product g = {.w = w, .x = x, .y = y, .s = space, .first = row_begin, .panel_end = panel_end};                                              \
    if (w->group == 0) gemm_blocks(kind_s##bits, 0, &g, row_end, panel_begin);                                                                 \
    else gemm_blocks(kind_s##bits, 1, &g, row_end, panel_begin);                                                                               \
  }
GEMM_BLOCKS(8)
GEMM_BLOCKS(4)
GEMM_BLOCKS(2)
GEMM_BLOCKS(1)

CK_TARGET_END
#endif
