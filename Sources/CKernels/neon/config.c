// What the NEON kernels are and how they want their operands. Constants stand here, with the processor and the model that they were found by.
#if defined(__aarch64__)

#include "../gemm/activations.h"
#include "../sparse/layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Codes

// ---- 1 bit

// ---- 16-bit floats

// ---- Sparse

// ---- N:M
const ck_nm_f32_config ck_spmm_f32_f32_nm__neon = CK_NM_F32_PANEL8(ck_nm_f32__neon, ck_nm_f32_workspace_bytes__neon);
const ck_nm_s8_config ck_spmm_f32_u8_s8nm__neon = CK_NM_S8_PANEL8(ck_nm_s8__neon);

// ---- Convolution

const ck_conv2d_config ck_conv2d_f32__neon = CK_CONV2D_CONFIG(ck_conv2d__neon, ck_conv2d_workspace_bytes__neon);

#endif
