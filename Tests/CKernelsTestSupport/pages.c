// Anonymous mappings are no part of C11.
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "CKernelsTestSupport.h"

static size_t inner_bytes(size_t bytes, size_t page) { return bytes == 0 ? page : (bytes + page - 1) / page * page; }

void *ck_test_map_between_guards(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = inner_bytes(bytes, page);
  char *all = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return NULL;
  return mprotect(all + page, inner, PROT_READ | PROT_WRITE) == 0 ? all + page : NULL;
}

size_t ck_test_mapped_bytes(size_t bytes) { return inner_bytes(bytes, (size_t)sysconf(_SC_PAGESIZE)); }

void ck_test_unmap_between_guards(void *memory, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  munmap((char *)memory - page, inner_bytes(bytes, page) + 2 * page);
}
