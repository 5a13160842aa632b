// Layouts of block-sparse weights: strips (float32), quads and safe-quads (int8), as sparse.h describes them, and how they are packed: packing.c.
#ifndef CK_SPARSE_LAYOUT_H
#define CK_SPARSE_LAYOUT_H

#include "sparse.h"

#define CK_SPARSE_STRIPS "strips"
ck_fn_sparse_f32_sizes ck_sparse_f32_sizes_strips;
ck_fn_sparse_f32_pack ck_sparse_f32_pack_strips;
ck_fn_sparse_f32_unpack ck_sparse_f32_unpack_strips;

#define CK_SPARSE_QUADS "quads"
ck_fn_sparse_s8_sizes ck_sparse_s8_sizes_quads;
ck_fn_sparse_s8_pack ck_sparse_s8_pack_quads;
// For kernels that add pairs of products in int16.
#define CK_SPARSE_SAFE_QUADS "safe-quads"
ck_fn_sparse_s8_sizes ck_sparse_s8_sizes_safe_quads;
ck_fn_sparse_s8_pack ck_sparse_s8_pack_safe_quads;
ck_fn_sparse_s8_unpack ck_sparse_s8_unpack_quads;  // of both

// Configurations are made by these macros alone: a field that is missing does not compile.
#define CK_SPARSE_F32_CONFIG(layout, tile, slice_inputs, sizes, pack, unpack, kernel, vector_kernel, workspace_bytes) \
  {layout, tile, slice_inputs, sizes, pack, unpack, kernel, vector_kernel, workspace_bytes}
#define CK_SPARSE_S8_CONFIG(layout, tile, sizes, pack, unpack, kernel, vector_kernel, costs, workspace_bytes, vector_workspace_bytes) \
  {layout, tile, sizes, pack, unpack, kernel, vector_kernel, costs, workspace_bytes, vector_workspace_bytes}

#endif
