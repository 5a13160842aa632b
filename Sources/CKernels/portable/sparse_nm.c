// The reference of the N:M family: one stored weight after the other.
#include "../sparse/nm_layout.h"
#include "dispatch.h"

#include "scalar.h"

CK_NO_CONTRACTION

static void write_output(const ck_sparse_output *y, size_t m, size_t n, float value) {
  y->data[m * y->stride + n] = y->relu && value < 0.0f ? 0.0f : value;
}

static void nm_f32(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                                  size_t panel_begin, size_t panel_end, void *workspace) {
  (void)workspace;
  size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step;
  for (size_t n = panel_begin * ck_nm_panel; n < panel_end * ck_nm_panel && n < w->outputs; n++) {
    const uint32_t *codes = w->codes + n / 8 * steps * 8 + n % 8;
    const float *values = w->values + n / 8 * steps * 64 + n % 8;
    for (size_t m = row_begin; m < row_end; m++) {
      const float *row = x->data + m * x->stride;
      float sum = 0;
      for (size_t slot = 0; slot < steps * 8; slot++) {
        size_t k = slot / 4 * ck_nm_group + (codes[slot / 8 * 8] >> (4 * (slot % 8)) & 7);
        sum += values[slot * 8] * (k < w->inputs ? row[k] : 0.0f);
      }
      write_output(y, m, n, y->bias != NULL ? sum + y->bias[n] : sum);
    }
  }
}

static void nm_s8(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                                   size_t panel_begin, size_t panel_end) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group;
  for (size_t n = panel_begin * ck_nm_panel; n < panel_end * ck_nm_panel && n < w->outputs; n++) {
    for (size_t m = row_begin; m < row_end; m++) {
      const uint8_t *row = x->codes + m * x->stride;
      int32_t sum = 0;
      for (size_t g = 0; g < groups; g++) {
        size_t at = n / 8 * groups + g;
        const uint8_t *codes = w->codes + (at * 8 + n % 8) * 2;
        for (size_t j = 0; j < ck_nm_kept; j++)
          sum += row[g * ck_nm_group + (codes[j % 2] >> (j / 2 * 4) & 7)] * w->values[((at * 2 + j / 2) * 8 + n % 8) * 2 + j % 2];
      }
      float value = x->scales[m] * w->scales[n] * (float)(sum - x->zero_points[m] * w->sums[n]);
      write_output(y, m, n, y->bias != NULL ? value + y->bias[n] : value);
    }
  }
}

const ck_nm_f32_config ck_spmm_f32_f32_nm__portable = CK_NM_F32_PANEL8(nm_f32, ck_nm_no_workspace);
const ck_nm_s8_config ck_spmm_f32_u8_s8nm__portable = CK_NM_S8_PANEL8(nm_s8);
