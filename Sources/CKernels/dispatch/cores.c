// How many cores work is worth cutting for, where cores differ.
#define _GNU_SOURCE  // sched_getaffinity
#include "cores.h"

#include "instruction_sets.h"

#if defined(__APPLE__) && defined(__aarch64__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#endif

int ck_count_fast_cores(const int *capacities, int count) {
  int largest = 0, fast = 0;
  for (int i = 0; i < count; i++) largest = capacities[i] > largest ? capacities[i] : largest;
  for (int i = 0; i < count; i++) fast += 2 * (int64_t)capacities[i] >= largest;
  return fast;
}

#if defined(__linux__)
bool ck_core_number(int core, const char *name, uint64_t *number) {
  char path[128], text[32];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", core, name);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = 0;
  char *end;
  *number = strtoull(text, &end, 0);
  return end != text;
}
#endif

int ck_fast_cores(void) {
#if defined(__APPLE__) && defined(__aarch64__)
  int count = 0;
  size_t bytes = sizeof count;  // level 0 is the fastest one
  return sysctlbyname("hw.perflevel0.physicalcpu", &count, &bytes, NULL, 0) == 0 ? count : 0;
#elif defined(__linux__)
  int capacities[ck_most_cores], count = 0;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  for (int core = 0; core < CPU_SETSIZE && count < ck_most_cores; core++) {
    if (!CPU_ISSET((size_t)core, &allowed)) continue;
    uint64_t capacity;
    if (!ck_core_number(core, "cpu_capacity", &capacity) || capacity > INT32_MAX) return 0;
    capacities[count++] = (int)capacity;
  }
  return ck_count_fast_cores(capacities, count);
#else
  return 0;
#endif
}
