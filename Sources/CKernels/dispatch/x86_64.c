// The features of an x86 processor: CPUID, XGETBV.
#include "instruction_sets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <string.h>

// A feature needs all its bits of CPUID leaves 1 and 7 (Intel SDM volume 2A, CPUID) and of XCR0 (volume 1, 13.3).
typedef struct requirement {
  uint32_t feature;
  uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_1_eax, xcr0;
} requirement;

enum { xcr0_ymm = 1 << 1 | 1 << 2, xcr0_zmm = xcr0_ymm | 1 << 5 | 1 << 6 | 1 << 7 };

static const requirement requirements[] = {
    {ck_feature_avx2, 1u << 12 /* FMA */ | 1u << 28 /* AVX */ | 1u << 29 /* F16C */, 1u << 5, 0, 0, xcr0_ymm},
    {ck_feature_avxvnni, 0, 0, 0, 1u << 4, xcr0_ymm},
    {ck_feature_avx512, 0, 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */, 0, 0, xcr0_zmm},
    {ck_feature_avx512vnni, 0, 0, 1u << 11, 0, xcr0_zmm},
    {ck_feature_avx512bf16, 0, 0, 0, 1u << 5, xcr0_zmm},
    {ck_feature_avx512vbmi, 0, 0, 1u << 1, 0, xcr0_zmm},
    {ck_feature_avx512vpopcntdq, 0, 0, 1u << 14, 0, xcr0_zmm},
};

static uint32_t xgetbv0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

uint32_t ck_detected_features(void) {
  uint32_t a, b, c, d, found = 0;
  requirement machine = {0, 0, 0, 0, 0, 0};
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27 /* OSXSAVE */)) return 0;
  machine.leaf1_ecx = c;
  machine.xcr0 = xgetbv0();
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    machine.leaf7_ebx = b;
    machine.leaf7_ecx = c;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) machine.leaf7_1_eax = a;
  }
  for (size_t i = 0; i < sizeof requirements / sizeof requirements[0]; i++) {
    const requirement *needed = &requirements[i];
    uint32_t missing = (needed->leaf1_ecx & ~machine.leaf1_ecx) | (needed->leaf7_ebx & ~machine.leaf7_ebx) |
                       (needed->leaf7_ecx & ~machine.leaf7_ecx) | (needed->leaf7_1_eax & ~machine.leaf7_1_eax) | (needed->xcr0 & ~machine.xcr0);
    if (missing == 0) found |= needed->feature;
  }
  return found;
}

bool ck_cpu_is_intel(void) {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0, &a, &b, &c, &d) && b == 0x756E6547u /* Genu */ && d == 0x49656E69u /* ineI */ && c == 0x6C65746Eu /* ntel */;
}

void ck_cpu_name(char *name, size_t capacity) {
  uint32_t words[13] = {0};
  uint32_t a, b, c, d;
  if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
      uint32_t *w = words + 4 * leaf;
      __get_cpuid(0x80000002u + leaf, w, w + 1, w + 2, w + 3);
    }
  }
  const char *text = (const char *)words;
  while (*text == ' ') text++;
  size_t length = strlen(text);
  while (length > 0 && text[length - 1] == ' ') length--;
  if (capacity == 0) return;
  if (length > capacity - 1) length = capacity - 1;
  memcpy(name, text, length);
  name[length] = 0;
}

#endif
