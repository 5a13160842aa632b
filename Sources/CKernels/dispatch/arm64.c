// The features of an arm64 processor, as the operating system tells them: those that all cores have, where cores differ.
#include "instruction_sets.h"

#if defined(__aarch64__)

#if defined(__APPLE__)
#include <sys/sysctl.h>

static bool has(const char *name) {
  int value = 0;
  size_t bytes = sizeof value;
  return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 && value != 0;
}

uint32_t ck_detected_features(void) {
  uint32_t found = ck_feature_neon;  // a part of every arm64 that Apple's systems run on
  if (has("hw.optional.arm.FEAT_DotProd")) found |= ck_feature_dotprod;
  if (has("hw.optional.arm.FEAT_I8MM")) found |= ck_feature_i8mm;
  if (has("hw.optional.arm.FEAT_BF16")) found |= ck_feature_armbf16;
  return found;
}

// "Apple M2"; where only the model of the machine is told, that: "iPhone15,2".
void ck_cpu_name(char *name, size_t capacity) {
  if (capacity == 0) return;
  size_t bytes = capacity;
  if (sysctlbyname("machdep.cpu.brand_string", name, &bytes, NULL, 0) == 0 && bytes > 1) return;
  bytes = capacity;
  if (sysctlbyname("hw.machine", name, &bytes, NULL, 0) != 0) name[0] = 0;
}

#elif defined(__linux__)
#include <sys/auxv.h>
#include <unistd.h>

#include "cores.h"

// Bits of AT_HWCAP and AT_HWCAP2 (Linux, Documentation/arch/arm64/elf_hwcaps.rst). Linux sets one when every core that it has started has the feature.
enum { hwcap_asimd = 1 << 1, hwcap_cpuid = 1 << 11, hwcap_asimddp = 1 << 20, hwcap2_i8mm = 1 << 13, hwcap2_bf16 = 1 << 14 };
#if defined(HWCAP_ASIMDDP) && defined(HWCAP2_BF16)
_Static_assert(hwcap_asimd == HWCAP_ASIMD && hwcap_cpuid == HWCAP_CPUID && hwcap_asimddp == HWCAP_ASIMDDP, "AT_HWCAP");
_Static_assert(hwcap2_i8mm == HWCAP2_I8MM && hwcap2_bf16 == HWCAP2_BF16, "AT_HWCAP2");
#endif

uint32_t ck_detected_features(void) {
  unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  uint32_t found = 0;
  if (first & hwcap_asimd) found |= ck_feature_neon;
  if (first & hwcap_asimddp) found |= ck_feature_dotprod;
  if (second & hwcap2_i8mm) found |= ck_feature_i8mm;
  if (second & hwcap2_bf16) found |= ck_feature_armbf16;
  return found;
}

// Identification registers of all cores, and how fast the system rates them.
static size_t read_cores(uint32_t midrs[ck_most_cores], uint64_t capacities[ck_most_cores]) {
  size_t count = 0;
  long cores = sysconf(_SC_NPROCESSORS_CONF);
  for (int core = 0; core < cores && core < ck_most_cores; core++) {
    uint64_t midr;
    if (!ck_core_number(core, "regs/identification/midr_el1", &midr)) continue;
    if (!ck_core_number(core, "cpu_capacity", &capacities[count])) capacities[count] = 0;
    midrs[count++] = (uint32_t)midr;
  }
  // Without /sys: Linux lets a program read the register of the core that it runs on.
  if (count == 0 && (getauxval(AT_HWCAP) & hwcap_cpuid)) {
    uint64_t midr;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    midrs[0] = (uint32_t)midr;
    capacities[0] = 0;
    count = 1;
  }
  return count;
}

void ck_cpu_name(char *name, size_t capacity) {
  uint32_t midrs[ck_most_cores];
  uint64_t capacities[ck_most_cores];
  size_t count = read_cores(midrs, capacities);
  ck_arm_cores_name(midrs, capacities, count, name, capacity);
}

#else  // another system: what every arm64 has

uint32_t ck_detected_features(void) { return ck_feature_neon; }

void ck_cpu_name(char *name, size_t capacity) {
  if (capacity > 0) name[0] = 0;
}

#endif

bool ck_cpu_is_intel(void) { return false; }

#endif
