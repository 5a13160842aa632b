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

enum {
  k_block = 1024,      // inputs decoded at a time: 32 KB
  row_chunk = ck_row_chunk,
  segment_s8 = 256,    // of 8-bit weights in groups
};

typedef struct workspace {
  int32_t sums[row_chunk][ck_tile_outputs];
  float totals[row_chunk][ck_tile_outputs];
  int32_t multipliers[k_block / ck_fold][ck_tile_outputs];
  int32_t initial[ck_tile_outputs];  // where sums in groups start
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

// Sums of folds, each less 1, end less by Σ multipliers over all folds of the segment.
CK_INLINE void set_initial(weight_kind kind, const product *g) {
  size_t group_folds = g->w->group / ck_fold;
  for (size_t p = 0; p < g->panels; p++) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t fold = g->segment_begin; fold < g->segment_end && kind != kind_s8; fold++)
      sum = _mm512_add_epi32(sum, ck_group_multipliers(g->w, g->panel + p, fold / group_folds));
    ck_store64(g->s->initial + p * ck_panel, sum);
  }
}

// ---- A block of two panels times all rows

CK_INLINE void start_groups(const product *g, size_t rows, int32_t (*sums)[ck_tile_outputs]) {
  __m512i first = ck_load64(g->s->initial), second = ck_load64(g->s->initial + ck_panel);
  for (size_t r = 0; r < rows; r++) {
    ck_store64(sums[r], first);
    ck_store64(sums[r] + ck_panel, second);
  }
}

CK_INLINE void end_rows(weight_kind kind, const product *g, size_t row, size_t rows, int32_t (*sums)[ck_tile_outputs]) {
  for (size_t p = 0; p < g->panels; p++) {
    if (ck_end_only_segment16(g->w, g->x, g->y, row, row + rows, g->panel + p, g->segment == 0 && g->is_last, x_offset_of(kind), sums[0] + p * ck_panel,
                              ck_tile_outputs))
      continue;
    for (size_t r = 0; r < rows; r++)
      ck_end_segment16(g->w, g->x, g->y, row + r, g->panel + p, g->segment, g->is_last, x_offset_of(kind), ck_load64(sums[r] + p * ck_panel),
                       g->s->totals[row + r - g->first] + p * ck_panel);
  }
}

CK_INLINE void add_block(weight_kind kind, int is_grouped, const product *g, size_t begin, size_t end) {
  static const int32_t zero = 0;
  const size_t most_rows = is_grouped ? ck_grouped_tile_rows : ck_tile_rows;
  size_t all = ck_many_folds(g->w->inputs), rows = g->last - g->first, tiles = (rows + most_rows - 1) / most_rows;
  int begins = begin == g->segment_begin, ends = end == g->segment_end;
  ck_tile t = {.x_stride = ck_many_stride(g->w->inputs), .folds = end - begin, .pieces = g->s->pieces,
               .multipliers = (const int32_t(*)[ck_tile_outputs])g->s->multipliers};
  set_weights(kind, g, begin, end, &t);
  if (is_grouped) set_multipliers(kind, g, begin, end);
  if (is_grouped && begins) set_initial(kind, g);
  if (kind != kind_s8) t.start_stride = all + 1;
  for (size_t i = 0; i < tiles; i++) {
    size_t row = g->first + rows * i / tiles, count = g->first + rows * (i + 1) / tiles - row;
    t.x = g->x->codes + row * t.x_stride + begin * ck_fold;
    t.sums = begins && ends ? g->s->sums : g->s->sums + (row - g->first);
    if (is_grouped) {
      if (begins) start_groups(g, count, t.sums);
      if (kind != kind_s8) t.starts = ck_many_starts(g->x, g->w->inputs) + row * (all + 1) + begin;
      (kind == kind_s8 ? ck_grouped_tiles_u8_s8 : ck_grouped_tiles_s8_u8)[g->panels == 2][count](&t);
    } else {
      t.starts = !begins ? NULL : kind == kind_s8 ? &zero : ck_many_starts(g->x, g->w->inputs) + row * (all + 1) + all;
      (kind == kind_s8 ? ck_tiles_u8_s8 : ck_tiles_s8_u8)[g->panels == 2][count](&t);
    }
    if (ends) end_rows(kind, g, row, count, t.sums);
  }
}

CK_INLINE void gemm_blocks(weight_kind kind, int is_grouped, product *g, size_t row_end, size_t panel_end) {
  size_t folds = ck_many_folds(g->w->inputs), segments = ck_gemm_segments(g->w->inputs, g->w->group, bits_of(kind));
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(g->w->inputs, g->w->group, bits_of(kind)) / ck_fold;
  size_t row_begin = g->first, panel_begin = g->panel, block_folds = k_block / ck_fold;
  for (g->first = row_begin; g->first < row_end; g->first = g->last) {
    g->last = row_end - g->first < row_chunk ? row_end : g->first + row_chunk;
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
