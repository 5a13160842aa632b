// Loops that are compiled twice, for the baseline and for AVX2, whose vectors are twice as wide. Without FMA both give the same bits. The
// instruction set in use (dispatch.h) decides which of them runs, in each call.
#ifndef CTRAINING_CLONES_H
#define CTRAINING_CLONES_H

#include "dispatch.h"

#define CK_BODY static inline __attribute__((always_inline)) void

#if defined(__x86_64__)
static inline bool ck_clones_are_wide(void) { return ck_isa_is_active(ck_isa_avx2); }

// Defines `name` as name_body.
#define CK_CLONES(name, parameters, arguments)                                                                   \
  __attribute__((target("avx2"))) static void name##_avx2 parameters { name##_body arguments; }                  \
  void name parameters {                                                                                         \
    if (ck_clones_are_wide()) name##_avx2 arguments; else name##_body arguments;                                 \
  }
#else
static inline bool ck_clones_are_wide(void) { return false; }

#define CK_CLONES(name, parameters, arguments) \
  void name parameters { name##_body arguments; }
#endif

#endif
