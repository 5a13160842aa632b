// What Linux tells of single cores, in /sys.
#ifndef CK_CORES_H
#define CK_CORES_H

#include <stdbool.h>
#include <stdint.h>

// At most so many cores are asked for.
enum { ck_most_cores = 1024 };

// The number in the file `name` of a core's folder, decimal or hexadecimal; false where there is none. Allocates nothing.
bool ck_core_number(int core, const char *name, uint64_t *number);

#endif
