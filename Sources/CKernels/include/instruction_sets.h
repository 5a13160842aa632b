// Instruction sets as sets of CPU features, and which of them this CPU and operating system allow.
#ifndef CK_INSTRUCTION_SETS_H
#define CK_INSTRUCTION_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// Features that kernels ask for. x86: a bit means that the processor has the instructions (CPUID) and that the operating system saves their registers
// (XGETBV). arm64: that the operating system says so of all cores (AT_HWCAP; sysctl on Apple's systems).
enum {
  ck_feature_avx2 = 1 << 0,              // AVX2, FMA and F16C, which came together (Haswell, Zen)
  ck_feature_avxvnni = 1 << 1,           // vpdpbusd with 256 bits, VEX-coded
  ck_feature_avx512 = 1 << 2,            // AVX512 F, BW, DQ and VL
  ck_feature_avx512vnni = 1 << 3,        // vpdpbusd with 512 bits
  ck_feature_avx512bf16 = 1 << 4,        // vdpbf16ps
  ck_feature_avx512vbmi = 1 << 5,        // vpermb
  ck_feature_avx512vpopcntdq = 1 << 6,   // vpopcntq
  ck_feature_neon = 1 << 16,             // Advanced SIMD of ARMv8.0
  ck_feature_dotprod = 1 << 17,          // sdot, udot
  ck_feature_i8mm = 1 << 18,             // usmmla, ummla, usdot
  ck_feature_armbf16 = 1 << 19,          // bfmmla, bfdot
};

// The list of instruction sets: CK_SET(name, architecture, features, target), by ascending priority. A set is the closed union of its features:
// what it builds on is spelled out. `target` is what its kernels are compiled for. To add one: a row here, its folder, rows of kernels.inc.
//   portable    C11 alone, the readable reference
//   avx2        Haswell, Zen
//   avxvnni     Alder Lake, Meteor Lake, Zen 5; no part of the sets below
//   avx512      Skylake-X
//   avx512vnni  Cascade Lake, Ice Lake
//   avx512bf16  Zen 4, Sapphire Rapids
//   neon        every arm64: Cortex-A72 (Raspberry Pi 4, Graviton 1)
//   dotprod     Cortex-A76 (Raspberry Pi 5), Neoverse N1 (Graviton 2, Ampere Altra), Apple A13 to A14, M1
//   i8mm        Neoverse V1 and V2 (Graviton 3, 4), Apple A15 and M2 or later, Cortex-A510 or later
//   armbf16     the same processors, since ARMv8.6 asks for both
#define CK_EACH_SET(CK_SET)                                                                                                                       \
  CK_SET(portable, any, 0, "")                                                                                                                    \
  CK_SET(avx2, x86_64, ck_feature_avx2, CK_TARGET_AVX2)                                                                                           \
  CK_SET(avxvnni, x86_64, ck_feature_avx2 | ck_feature_avxvnni, CK_TARGET_AVXVNNI)                                                                \
  CK_SET(avx512, x86_64, ck_feature_avx2 | ck_feature_avx512, CK_TARGET_AVX512)                                                                   \
  CK_SET(avx512vnni, x86_64, ck_feature_avx2 | ck_feature_avx512 | ck_feature_avx512vnni, CK_TARGET_AVX512VNNI)                                   \
  CK_SET(avx512bf16, x86_64,                                                                                                                      \
         ck_feature_avx2 | ck_feature_avx512 | ck_feature_avx512vnni | ck_feature_avx512bf16 | ck_feature_avx512vbmi | ck_feature_avx512vpopcntdq, \
         CK_TARGET_AVX512BF16)                                                                                                                    \
  CK_SET(neon, arm64, ck_feature_neon, CK_TARGET_NEON)                                                                                            \
  CK_SET(dotprod, arm64, ck_feature_neon | ck_feature_dotprod, CK_TARGET_DOTPROD)                                                                 \
  CK_SET(i8mm, arm64, ck_feature_neon | ck_feature_dotprod | ck_feature_i8mm, CK_TARGET_I8MM)                                                     \
  CK_SET(armbf16, arm64, ck_feature_neon | ck_feature_dotprod | ck_feature_i8mm | ck_feature_armbf16, CK_TARGET_ARMBF16)

#define CK_TARGET_AVX2 "avx2,fma,f16c"
#define CK_TARGET_AVXVNNI "avx2,fma,f16c,avxvnni"
#define CK_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
#define CK_TARGET_AVX512VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define CK_TARGET_AVX512BF16 \
  "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx512vbmi,avx512vpopcntdq"

#define CK_TARGET_NEON "+simd"
// ARMv8.2 is what gcc's intrinsics ask for; it adds nothing that compilers use in these kernels.
#define CK_TARGET_DOTPROD "arch=armv8.2-a+dotprod"
#define CK_TARGET_I8MM "arch=armv8.2-a+dotprod+i8mm"
#define CK_TARGET_ARMBF16 "arch=armv8.2-a+dotprod+i8mm+bf16"

typedef enum ck_isa {
#define CK_SET(name, architecture, features, target) ck_isa_##name,
  CK_EACH_SET(CK_SET)
#undef CK_SET
  ck_isa_count
} ck_isa;

// Whether a set is one of the architecture that this is compiled for: kernels.inc may have rows of these alone.
#define CK_IS_HERE_any 1
#if defined(__x86_64__)
#define CK_IS_HERE_x86_64 1
#else
#define CK_IS_HERE_x86_64 0
#endif
#if defined(__aarch64__)
#define CK_IS_HERE_arm64 1
#else
#define CK_IS_HERE_arm64 0
#endif
enum {
#define CK_SET(name, architecture, features, target) ck_isa_is_here_##name = CK_IS_HERE_##architecture,
  CK_EACH_SET(CK_SET)
#undef CK_SET
};
// The architecture that this is compiled for, as the sets name it.
#define CK_ARCHITECTURE (CK_IS_HERE_x86_64 ? "x86_64" : CK_IS_HERE_arm64 ? "arm64" : "another")

// Name of an instruction set as CK_ISA spells it ("portable", "avx2", …).
const char *_Nonnull ck_isa_name(ck_isa isa);
// Its processors, "any", "x86_64" or "arm64", and its features.
const char *_Nonnull ck_isa_architecture(ck_isa isa);
uint32_t ck_isa_features(ck_isa isa);

// Finds the instruction set called `name`; false if there is none.
bool ck_isa_named(const char *_Nonnull name, ck_isa *_Nonnull isa);

// The features of this machine, and those of its processor alone: fewer where the kernels were compiled for emulation (x86_intrinsics.h).
uint32_t ck_machine_features(void);
uint32_t ck_detected_features(void);

// Whether this machine has all features of `isa`.
bool ck_isa_is_available(ck_isa isa);

// Whether the processor is Intel's, whose vdpbf16ps (Cooper Lake to Emerald Rapids) takes two cycles where two vfmadd231ps take one.
bool ck_cpu_is_intel(void);

// Model name of the processor, zero-terminated, at most `capacity` bytes; empty where the processor does not tell.
void ck_cpu_name(char *_Nonnull name, size_t capacity);

// Tells the processor that a loop waits for another thread.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
