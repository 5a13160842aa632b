// What the i8mm kernels are and how they want their operands.
#if defined(__aarch64__)

// ---- N:M
#include "../sparse/nm_layout.h"
#include "dispatch.h"
#include "kernels.h"

const ck_nm_s8_config ck_spmm_f32_u8_s8nm__i8mm = CK_NM_S8_PANEL16(ck_nm_s8__i8mm);

#endif
