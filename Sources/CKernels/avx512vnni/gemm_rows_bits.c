// Gemm with weights of 4, 2 and 1 bits for up to 8 rows: codes are cut out in registers and go into vpdpbusd at once, no panel is decoded to memory.
// Stored codes are unsigned (code + 8, code + 2, or the bit), so they are the unsigned operand and x − 128 the signed one, which the instruction
// broadcasts from memory itself. The offset is taken back by Σ (x − 128) of the row, which packing sums; the zero point becomes zero − 128.
//
//   A line, 64 bytes, holds U = 8 / bits units of 16 outputs × 4 inputs. Only every S-th is shifted down: the others stay where they are in their
//   bytes, an AND each, and have sums of their own, S for each output, which are shifted once at the end, exactly, since each is a multiple of its
//   2^(bits · i). No sum leaves int32: (2^bits − 1) · 2^(bits · i) · 128 ≤ 240 · 128, times 65,536 inputs 2,013,265,920 < 2³¹.
//   A line costs U + U / S − 1 instructions for decoding and U for each row, on ports that do two a cycle. S is as large as 24 sums allow.
//   1 bit: byte 16 · j + c of a line is inputs 8 · j … 8 · j + 7 of output c; two shuffles bring the four bytes of an output side by side, so that bit
//   b of a line is a unit with the inputs b, 8 + b, 16 + b, 24 + b.
//
// Limit: one row, the bandwidth of the codes where a core's cache does not hold them (4 and 2 bits; with 1 bit, 18 instructions a line); many, two
// products a cycle less the decoding: of 18 instructions for 8 rows of 4 bits 16 are products, 89 % of the peak.
#if defined(__x86_64__)
#include "gemm_rows.h"
#include "gemm_rows_bits.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { most_scales = 8 };

// R rows × P panels × S sums over all lines.
CK_INLINE void add_lines(int bits, int R, int stride, int P, int S, const uint8_t *codes, size_t panel_bytes, const uint8_t *x,
                         __m512i c[ck_most_tile_panels][ck_most_few_rows][most_scales]) {
  const int U = 8 / bits;
  for (const uint8_t *end = codes + panel_bytes; codes != end; codes += ck_line_bytes, x += U * stride * 4) {
    __m512i v[ck_most_tile_panels];
    size_t ahead = ck_codes_ahead((size_t)(end - codes), P, panel_bytes);
    CK_UNROLL for (int p = 0; p < P; p++) v[p] = ck_load_line(bits, codes + (size_t)p * panel_bytes, ahead);
    CK_UNROLL for (int i = 0; i < U; i++) {
      __m512i unit[ck_most_tile_panels];
      CK_UNROLL for (int p = 0; p < P; p++) unit[p] = ck_unit_of_line(bits, v[p], i, i % S);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m512i a = ck_broadcast4x16(x + (i * stride + r) * 4);
        CK_UNROLL for (int p = 0; p < P; p++) c[p][r][i % S] = _mm512_dpbusd_epi32(c[p][r][i % S], unit[p], a);
      }
    }
  }
}

// Σ code · (x − 128) of a row and panel from its sums.
CK_INLINE __m512i join_scales(int bits, int S, const __m512i c[most_scales], int32_t total) {
  __m512i sum = c[0], all = _mm512_set1_epi32(total);
  CK_UNROLL for (int i = 1; i < S; i++) sum = _mm512_add_epi32(sum, _mm512_srai_epi32(c[i], (unsigned)(bits * i)));
  if (bits == 1) return _mm512_sub_epi32(_mm512_slli_epi32(sum, 1), all);
  return _mm512_sub_epi32(sum, _mm512_slli_epi32(all, (unsigned)(bits - 1)));
}

CK_INLINE void channel_panels(int bits, int R, int stride, int P, int S, const ck_gemm_weights *w, const ck_gemm_activations *x,
                              const ck_gemm_output *y, size_t panel) {
  size_t panel_bytes = ck_panel16_bytes(bits, w->inputs);
  ck_few_rows_codes parts = ck_few_rows_parts(x->codes, (size_t)R, w->inputs);
  __m512i c[ck_most_tile_panels][ck_most_few_rows][most_scales];
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < S; i++) c[p][r][i] = _mm512_setzero_si512();
  add_lines(bits, R, stride, P, S, w->codes + panel * panel_bytes, panel_bytes, parts.codes, c);
  ck_tile_sums s;
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) ck_store64(s.sums[p][r], join_scales(bits, S, c[p][r], parts.totals[r]));
  ck_end_tile__avx512vnni(w, x, y, bits, panel, (size_t)P, 0, &s);
}

// Tiles by width and rows. Two panels, so that a broadcast serves two products (loads are fewer than two a cycle); four where there are chains to be
// had; up to 24 sums in registers.
CK_INLINE void channel(int bits, int R, int stride, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel,
                       size_t panel_end) {
  const int U = 8 / bits, most = 12 / R, S = U <= most ? U : most >= 4 ? 4 : most >= 2 ? 2 : 1, P = 16 / (R * S) >= 4 ? 4 : 2;
  for (; panel_end - panel >= (size_t)P; panel += (size_t)P) channel_panels(bits, R, stride, P, S, w, x, y, panel);
  for (; panel < panel_end; panel++) channel_panels(bits, R, stride, 1, S, w, x, y, panel);
}

#define CHANNEL(name, bits)                                                                                                              \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, size_t panel_end) {          \
    CK_SWITCH_FEW_ROWS(x->rows, CHANNEL_S##bits)                                                                                         \
  }
#define CHANNEL_S4(R, stride) channel(4, R, stride, w, x, y, panel, panel_end)
#define CHANNEL_S2(R, stride) channel(2, R, stride, w, x, y, panel, panel_end)
#define CHANNEL_S1(R, stride) channel(1, R, stride, w, x, y, panel, panel_end)
CHANNEL(ck_channel_rows_s4__avx512vnni, 4)
CHANNEL(ck_channel_rows_s2__avx512vnni, 2)
CHANNEL(ck_channel_rows_s1__avx512vnni, 1)

CK_TARGET_END
#endif
