// The intrinsics of x86, for all kernels: from the compiler, or emulated in plain C for a machine that lacks them (CK_SIMDE; Scripts/ckernels-check.sh
// with EMULATE). What of the kernels is x86 beside intrinsics is here too, so that emulation replaces it.
#ifndef CK_X86_INTRINSICS_H
#define CK_X86_INTRINSICS_H

#if defined(CK_SIMDE)
#include "emulated_intrinsics.h"  // Tests/CKernelsCheck
#else
#include <immintrin.h>
// vdpbf16ps of integer registers: __m512bh, which the intrinsic takes, is another type with each compiler.
#define CK_DPBF16(sum, x, w) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))
#endif

#endif
