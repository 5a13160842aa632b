// What config.c of this set puts together.
#ifndef CK_DOTPROD_KERNELS_H
#define CK_DOTPROD_KERNELS_H

// ---- N:M
#include "sparse_nm.h"

ck_fn_nm_s8 ck_nm_s8__dotprod;  // sparse_nm.c

#endif
