// 8-bit weights with VNNI: _mm512_dpbusd_epi32 adds four products of uint8 and int8 to an int32 lane, exactly for all inputs, so that
// neither safe weights nor a second pass are needed. A unit of 16 outputs × 4 inputs is one register.
//
//   blocks   8 rows × 32 outputs: 16 sums; 2 loads of weights and 8 broadcasts serve 16 products. Limit on Zen 4, whose 512-bit
//            product takes a cycle: 128 operations a cycle.
//   rows     one product for 64 bytes of weights: bandwidth is the limit. Four sums per row hide the latency of the product.
//
// Weights of 4 and 2 bits gain nothing: folded in int16 they take 17 instructions of 256 bits, 4 a cycle, for 16 products of 256 bits,
// 2 a cycle, and the multipliers of groups would cost extra. Groups of 8-bit weights stay with AVX2 as well.
#if defined(__x86_64__)
#include "../avx2/epilogue.h"
#include "../gemm/activations.h"
#include "dispatch.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { unit_bytes = ck_panel * 4, block_unit_bytes = ck_row_block * 4, row_sums = 4 };

CK_INLINE __m512i broadcast4(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}

CK_INLINE void finish(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel, __m512i sums) {
  ck_end_segment(w, x, y, m, panel, 0, 1, _mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1), NULL);
}

// R rows of a block × `panels` panels from `panel` on; activations x[unit][8][4].
CK_INLINE void tile(int R, int panels, const ck_gemm_weights *w, const uint8_t *x, size_t units, size_t panel, __m512i c[2][ck_row_block]) {
  const uint8_t *codes = w->codes + panel * units * unit_bytes, *next = codes + units * unit_bytes;
  CK_UNROLL for (int p = 0; p < panels; p++) CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = _mm512_setzero_si512();
  for (size_t t = 0; t < units; t++) {
    __m512i w0 = _mm512_load_si512(codes + t * unit_bytes), w1 = panels == 2 ? _mm512_load_si512(next + t * unit_bytes) : w0;
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i a = broadcast4(x + t * block_unit_bytes + r * 4);
      c[0][r] = _mm512_dpbusd_epi32(c[0][r], a, w0);
      if (panels == 2) c[1][r] = _mm512_dpbusd_epi32(c[1][r], a, w1);
    }
  }
}

CK_INLINE void block_of(int R, int panels, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row, size_t rows,
                        size_t panel, size_t units) {
  __m512i c[2][ck_row_block];
  tile(R, panels, w, x->codes + row * units * 4, units, panel, c);
  CK_UNROLL for (int p = 0; p < panels; p++) CK_UNROLL for (int r = 0; r < R; r++)
      if ((size_t)r < rows) finish(w, x, y, row + (size_t)r, panel + (size_t)p, c[p][r]);
}

static void gemm_blocks(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                        size_t panel_begin, size_t panel_end) {
  size_t units = ck_round_up(w->inputs, ck_fold) / 4;
  for (size_t panel = panel_begin; panel < panel_end; panel += 2) {
    int is_pair = panel + 1 < panel_end;
    for (size_t row = row_begin; row < row_end; row += ck_row_block) {
      size_t rows = row_end - row < ck_row_block ? row_end - row : ck_row_block;
      if (rows > 4) {
        if (is_pair) block_of(8, 2, w, x, y, row, rows, panel, units); else block_of(8, 1, w, x, y, row, rows, panel, units);
      } else {
        if (is_pair) block_of(4, 2, w, x, y, row, rows, panel, units); else block_of(4, 1, w, x, y, row, rows, panel, units);
      }
    }
  }
}

// Up to 4 rows, row-major activations; units is a multiple of 8, so of row_sums.
CK_INLINE void rows_of(int R, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, size_t units) {
  const uint8_t *codes = w->codes + panel * units * unit_bytes;
  __m512i c[ck_few_rows][row_sums];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < row_sums; i++) c[r][i] = _mm512_setzero_si512();
  for (size_t t = 0; t < units; t += row_sums) {
    CK_UNROLL for (int i = 0; i < row_sums; i++) {
      __m512i weights = _mm512_load_si512(codes + (t + (size_t)i) * unit_bytes);
      CK_UNROLL for (int r = 0; r < R; r++)
          c[r][i] = _mm512_dpbusd_epi32(c[r][i], broadcast4(x->codes + ((size_t)r * units + t + (size_t)i) * 4), weights);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++)
      finish(w, x, y, (size_t)r, panel, _mm512_add_epi32(_mm512_add_epi32(c[r][0], c[r][1]), _mm512_add_epi32(c[r][2], c[r][3])));
}

static void gemm_rows(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel_begin, size_t panel_end) {
  size_t units = ck_round_up(w->inputs, ck_fold) / 4;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    switch (x->rows) {
      case 1: rows_of(1, w, x, y, panel, units); break;
      case 2: rows_of(2, w, x, y, panel, units); break;
      case 3: rows_of(3, w, x, y, panel, units); break;
      default: rows_of(4, w, x, y, panel, units); break;
    }
  }
}

static void gemm_u8_s8(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                       size_t panel_begin, size_t panel_end, void *workspace) {
  if (w->group != 0) ck_gemm_u8_s8__avx2.kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
  else if (x->rows <= ck_few_rows) gemm_rows(w, x, y, panel_begin, panel_end);
  else gemm_blocks(w, x, y, row_begin, row_end, panel_begin, panel_end);
}

// Activations of 7 bits are activations of 8 bits here, but groups have a faster kernel.
static void gemm_u7_s8(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                       size_t panel_begin, size_t panel_end, void *workspace) {
  if (w->group != 0) ck_gemm_u7_s8__avx2.kernel(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
  else gemm_u8_s8(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);
}

CK_TARGET_END

static void pack_codes(const ck_gemm_source *x, size_t row_begin, size_t row_end, const ck_gemm_codes_out *to, void *workspace) {
  ck_gemm_u8_s8__avx2.pack_activations(x, row_begin, row_end, to, workspace);
}
static size_t workspace_bytes(const ck_gemm_shape *shape, size_t rows) { return ck_gemm_u8_s8__avx2.workspace_bytes(shape, rows); }

#define CODES(needs, kernel)                                                                                                             \
  CK_GEMM_CONFIG(CK_PANEL16, 8, ck_panel, ck_row_block, ck_fold, ck_few_rows, ck_row_chunk, needs, kernel, ck_panel16_sizes_s8,          \
                 ck_panel16_pack_s8, ck_panel16_unpack_s8, ck_panel16_activation_bytes, pack_codes, workspace_bytes)
const ck_gemm_config ck_gemm_u8_s8__avx512vnni = CODES(ck_gemm_needs_unsafe_pairs, gemm_u8_s8);
const ck_gemm_config ck_gemm_u7_s8__avx512vnni = CODES(0, gemm_u7_s8);

#endif
