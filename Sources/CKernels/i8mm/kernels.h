// What config.c of this set puts together.
#ifndef CK_I8MM_KERNELS_H
#define CK_I8MM_KERNELS_H

// ---- N:M
#include "sparse_nm.h"

ck_fn_nm_s8 ck_nm_s8__i8mm;  // sparse_nm.c: more than 16 rows, dotprod's for fewer

#endif
