// The canonical layout of N:M sparse weights, panel8: panels of 8 outputs.
//   float32  codes[N8/8][K16/16][8 outputs]: bits 4·j … 4·j + 2 are the input of slot j, less 8 · (j / 4); values[N8/8][K16/2][8 outputs]
//   int8     codes[N8/8][K8/8][8 outputs][2]: slot 0 + 16 · slot 2, slot 1 + 16 · slot 3; values[N8/8][K8/8][2][8 outputs][2]: slots 0 and 1,
//            slots 2 and 3
#ifndef CK_SPARSE_NM_LAYOUT_H
#define CK_SPARSE_NM_LAYOUT_H

#include "sparse_nm.h"

enum {
  ck_nm_panel = 8,      // outputs that lie side by side
  ck_nm_f32_step = 16,  // inputs whose codes are one 32-bit number of each output; K is rounded up to it
};

#define CK_NM_PANEL8 "panel8"
ck_fn_nm_sizes ck_nm_f32_sizes_panel8, ck_nm_s8_sizes_panel8;
ck_fn_nm_f32_pack ck_nm_f32_pack_panel8;
ck_fn_nm_s8_pack ck_nm_s8_pack_panel8;
ck_fn_nm_f32_pack_slots ck_nm_f32_pack_slots_panel8;
ck_fn_nm_s8_pack_slots ck_nm_s8_pack_slots_panel8;
ck_fn_nm_f32_slots ck_nm_f32_slots_panel8;
ck_fn_nm_s8_slots ck_nm_s8_slots_panel8;
ck_fn_nm_f32_unpack ck_nm_f32_unpack_panel8;
ck_fn_nm_s8_unpack ck_nm_s8_unpack_panel8;

// Configurations are made by these macros alone: a field that is missing does not compile.
#define CK_NM_F32_CONFIG(layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel) \
  {layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel}
#define CK_NM_S8_CONFIG(layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel) \
  {layout, n_step, sizes, pack, pack_slots, slots, unpack, kernel}
// Those of panel8.
#define CK_NM_F32_PANEL8(kernel)                                                                                                      \
  CK_NM_F32_CONFIG(CK_NM_PANEL8, ck_nm_panel, ck_nm_f32_sizes_panel8, ck_nm_f32_pack_panel8, ck_nm_f32_pack_slots_panel8,             \
                   ck_nm_f32_slots_panel8, ck_nm_f32_unpack_panel8, kernel)
#define CK_NM_S8_PANEL8(kernel)                                                                                                       \
  CK_NM_S8_CONFIG(CK_NM_PANEL8, ck_nm_panel, ck_nm_s8_sizes_panel8, ck_nm_s8_pack_panel8, ck_nm_s8_pack_slots_panel8,                 \
                  ck_nm_s8_slots_panel8, ck_nm_s8_unpack_panel8, kernel)

#endif
