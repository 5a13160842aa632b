// Names of arm64 cores: Linux tells their numbers alone. Compiled everywhere, so that tests of any machine read it.
#include <stdio.h>

#include "instruction_sets.h"

// Implementer and part of MIDR_EL1: Arm's technical reference manuals, Linux (arch/arm64/include/asm/cputype.h), util-linux (lscpu-arm.c).
static const struct {
  uint8_t implementer;
  uint16_t part;
  const char *name;
} cores[] = {
    {0x41, 0xD03, "Cortex-A53"}, {0x41, 0xD04, "Cortex-A35"}, {0x41, 0xD05, "Cortex-A55"}, {0x41, 0xD07, "Cortex-A57"}, {0x41, 0xD08, "Cortex-A72"},
    {0x41, 0xD09, "Cortex-A73"}, {0x41, 0xD0A, "Cortex-A75"}, {0x41, 0xD0B, "Cortex-A76"}, {0x41, 0xD0C, "Neoverse N1"},
    {0x41, 0xD0D, "Cortex-A77"}, {0x41, 0xD0E, "Cortex-A76AE"}, {0x41, 0xD40, "Neoverse V1"}, {0x41, 0xD41, "Cortex-A78"},
    {0x41, 0xD42, "Cortex-A78AE"}, {0x41, 0xD44, "Cortex-X1"}, {0x41, 0xD46, "Cortex-A510"}, {0x41, 0xD47, "Cortex-A710"},
    {0x41, 0xD48, "Cortex-X2"}, {0x41, 0xD49, "Neoverse N2"}, {0x41, 0xD4A, "Neoverse E1"}, {0x41, 0xD4B, "Cortex-A78C"},
    {0x41, 0xD4C, "Cortex-X1C"}, {0x41, 0xD4D, "Cortex-A715"}, {0x41, 0xD4E, "Cortex-X3"}, {0x41, 0xD4F, "Neoverse V2"},
    {0x41, 0xD80, "Cortex-A520"}, {0x41, 0xD81, "Cortex-A720"}, {0x41, 0xD82, "Cortex-X4"}, {0x41, 0xD83, "Neoverse V3AE"},
    {0x41, 0xD84, "Neoverse V3"}, {0x41, 0xD85, "Cortex-X925"}, {0x41, 0xD87, "Cortex-A725"}, {0x41, 0xD8E, "Neoverse N3"},
    {0x43, 0x0AF, "ThunderX2"}, {0x46, 0x001, "A64FX"}, {0x48, 0xD01, "Kunpeng 920"}, {0x4E, 0x004, "Carmel"}, {0x51, 0x001, "Oryon"},
    {0x51, 0x802, "Kryo 3XX Gold"}, {0x51, 0x803, "Kryo 3XX Silver"}, {0x51, 0x804, "Kryo 4XX Gold"}, {0x51, 0x805, "Kryo 4XX Silver"},
    {0x61, 0x022, "Apple M1 (Icestorm)"}, {0x61, 0x023, "Apple M1 (Firestorm)"}, {0x61, 0x024, "Apple M1 Pro (Icestorm)"},
    {0x61, 0x025, "Apple M1 Pro (Firestorm)"}, {0x61, 0x028, "Apple M1 Max (Icestorm)"}, {0x61, 0x029, "Apple M1 Max (Firestorm)"},
    {0x61, 0x032, "Apple M2 (Blizzard)"}, {0x61, 0x033, "Apple M2 (Avalanche)"}, {0xC0, 0xAC3, "Ampere-1"}, {0xC0, 0xAC4, "Ampere-1A"},
};

// Both numbers, without variant and revision.
static uint32_t kind_of(uint32_t midr) { return midr & 0xFF00FFF0u; }

static size_t core_name(uint32_t midr, char *name, size_t capacity) {
  const uint32_t implementer = midr >> 24, part = midr >> 4 & 0xFFF;
  for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++)
    if (cores[i].implementer == implementer && cores[i].part == part) return (size_t)snprintf(name, capacity, "%s", cores[i].name);
  return (size_t)snprintf(name, capacity, "arm64 implementer 0x%02x part 0x%03x", (unsigned)implementer, (unsigned)part);
}

enum { most_kinds = 4 };

void ck_arm_cores_name(const uint32_t *midrs, const uint64_t *capacities, size_t count, char *name, size_t capacity) {
  if (capacity == 0) return;
  size_t kinds[most_kinds], kind_count = 0, length = 0;  // the first core of each kind, by falling capacity
  for (size_t core = 0; core < count && kind_count < most_kinds; core++) {
    size_t at = 0;
    while (at < kind_count && kind_of(midrs[kinds[at]]) != kind_of(midrs[core])) at++;
    if (at < kind_count) continue;
    for (kind_count++; at > 0 && capacities[kinds[at - 1]] < capacities[core]; at--) kinds[at] = kinds[at - 1];
    kinds[at] = core;
  }
  name[0] = 0;
  for (size_t i = 0; i < kind_count; i++) {
    if (i > 0 && length + 1 < capacity) length += (size_t)snprintf(name + length, capacity - length, " + ");
    if (length + 1 < capacity) length += core_name(midrs[kinds[i]], name + length, capacity - length);
  }
}
