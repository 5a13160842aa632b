// NEON in short. Kernel files include this and open a target of their own.
#ifndef CK_NEON_SIMD_H
#define CK_NEON_SIMD_H

#include <arm_neon.h>
#include <string.h>

#include "instruction_sets.h"

CK_NO_CONTRACTION  // float epilogues give the bits of the portable kernels

// Keeps a value in its vector register as written, as CK_KEEP does on x86.
#define CK_KEEP_VECTOR(v) __asm__("" : "+w"(v))
// Ends a step of an unrolled loop: the sum is there, and no load of the next step comes earlier. Compilers that are told no processor would else hoist
// loads and products until registers run out.
#define CK_END_STEP(sum) __asm__ volatile("" : "+w"(sum) : : "memory")

CK_TARGET_BEGIN(CK_TARGET_NEON)

// Four bytes of any alignment, in all lanes. (Clang would take half of them, since the other is the same, and extract upper halves of what they meet.)
CK_INLINE int8x16_t ck_dup4_s8(const void *p) {
  int8x16_t v = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)p));
  CK_KEEP_VECTOR(v);
  return v;
}

CK_TARGET_END

#endif
