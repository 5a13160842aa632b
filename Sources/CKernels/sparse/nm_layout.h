// Layouts of N:M sparse weights. The canonical one is panel8: panels of 8 outputs.
//   float32  codes[N8/8][K16/16][8 outputs]: bits 4·j … 4·j + 2 are the input of slot j, less 8 · (j / 4); values[N8/8][K16/2][8 outputs]
//   int8     codes[N8/8][K8/8][8 outputs][2]: slot 0 + 16 · slot 2, slot 1 + 16 · slot 3; values[N8/8][K8/8][2][8 outputs][2]: slots 0 and 1,
//            slots 2 and 3
// panel16, int8 alone, has four slots of an output side by side: codes[N16/16][K16/16][16 outputs][4]: the input of a slot of the first 8 of 16 inputs + 16 · that of
// the second 8; values[N16/16][K8/8][16 outputs][4].
#ifndef CK_SPARSE_NM_LAYOUT_H
#define CK_SPARSE_NM_LAYOUT_H

#include "sparse_nm.h"

enum {
  ck_nm_panel = 8,      // outputs that lie side by side
  ck_nm_panel16 = 16,
  ck_nm_f32_step = 16,  // inputs whose codes are one 32-bit number of each output; K is rounded up to it
};

// Where the int8 weight of a slot and its place are, in panels of 8 or 16 outputs.
typedef struct ck_nm_place {
  size_t value, code;
  int shift;  // of the code's three bits
} ck_nm_place;
static inline ck_nm_place ck_nm_s8_place(size_t panel, size_t groups, size_t n, size_t slot) {
  size_t g = slot / ck_nm_kept, j = slot % ck_nm_kept, at = n / panel * groups + g, lane = n % panel;
  if (panel == ck_nm_panel) return (ck_nm_place){((at * 2 + j / 2) * panel + lane) * 2 + j % 2, (at * panel + lane) * 2 + j % 2, (int)(j / 2) * 4};
  size_t pair = n / panel * ((groups + 1) / 2) + g / 2;
  return (ck_nm_place){(at * panel + lane) * 4 + j, (pair * panel + lane) * 4 + j, (int)(g % 2) * 4};
}

#define CK_NM_PANEL8 "panel8"
#define CK_NM_PANEL16 "panel16"
ck_fn_nm_sizes ck_nm_f32_sizes_panel8, ck_nm_s8_sizes_panel8, ck_nm_s8_sizes_panel16;
ck_fn_nm_f32_pack ck_nm_f32_pack_panel8;
ck_fn_nm_s8_pack ck_nm_s8_pack_panel8, ck_nm_s8_pack_panel16;
ck_fn_nm_f32_pack_slots ck_nm_f32_pack_slots_panel8;
ck_fn_nm_s8_pack_slots ck_nm_s8_pack_slots_panel8, ck_nm_s8_pack_slots_panel16;
ck_fn_nm_f32_slots ck_nm_f32_slots_panel8;
ck_fn_nm_s8_slots ck_nm_s8_slots_panel8, ck_nm_s8_slots_panel16;
ck_fn_nm_f32_unpack ck_nm_f32_unpack_panel8;
ck_fn_nm_s8_unpack ck_nm_s8_unpack_panel8, ck_nm_s8_unpack_panel16;

// Configurations are made by these macros alone: a field that is missing does not compile.
#define CK_NM_F32_CONFIG(layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel, workspace_bytes) \
  {layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel, workspace_bytes}
#define CK_NM_S8_CONFIG(layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel) \
  {layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel}
// Those of panel8.
#define CK_NM_F32_PANEL8(kernel, workspace_bytes)                                                                                     \
  CK_NM_F32_CONFIG(CK_NM_PANEL8, ck_nm_panel, ck_nm_f32_sizes_panel8, ck_nm_f32_pack_panel8, ck_nm_f32_pack_slots_panel8,             \
                   ck_nm_f32_slots_panel8, ck_nm_f32_unpack_panel8, kernel, workspace_bytes)
#define CK_NM_S8_PANEL8(kernel)                                                                                                       \
  CK_NM_S8_CONFIG(CK_NM_PANEL8, ck_nm_panel, ck_nm_s8_sizes_panel8, ck_nm_s8_pack_panel8, ck_nm_s8_pack_slots_panel8,                 \
                  ck_nm_s8_slots_panel8, ck_nm_s8_unpack_panel8, kernel)
#define CK_NM_S8_PANEL16(kernel)                                                                                                      \
  CK_NM_S8_CONFIG(CK_NM_PANEL16, ck_nm_panel16, ck_nm_s8_sizes_panel16, ck_nm_s8_pack_panel16, ck_nm_s8_pack_slots_panel16,           \
                  ck_nm_s8_slots_panel16, ck_nm_s8_unpack_panel16, kernel)
// Kernels that need no scratch memory.
static inline size_t ck_nm_no_workspace(size_t inputs, size_t outputs) {
  (void)inputs, (void)outputs;
  return 0;
}

#endif
