#include "dispatch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

// A row fills its member in the table of its own set and of every later one; rows are ordered, so the last one wins.
static void fill(ck_kernels *table, ck_isa isa) {
  table->isa = isa;
#define CK_KERNEL(operation_, isa_) \
  if (ck_isa_##isa_ <= isa) table->operation_ = ck_##operation_##__##isa_;
#include "kernels.inc"
#undef CK_KERNEL
}

static ck_kernels tables[ck_isa_count];
static _Atomic(const ck_kernels *) active;
static atomic_int state;  // 0 tables empty, 1 being filled, 2 filled

static void fill_tables_once(void) {
  int empty = 0;
  if (atomic_compare_exchange_strong(&state, &empty, 1)) {
    for (int isa = 0; isa < ck_isa_count; isa++) fill(&tables[isa], (ck_isa)isa);
    atomic_store(&state, 2);
  }
  while (atomic_load(&state) != 2) {
  }
}

const ck_kernels *ck_kernels_of(ck_isa isa) {
  fill_tables_once();
  return ck_isa_is_available(isa) ? &tables[isa] : NULL;
}

bool ck_use_isa(ck_isa isa) {
  const ck_kernels *table = ck_kernels_of(isa);
  if (table == NULL) return false;
  atomic_store(&active, table);
  return true;
}

static ck_isa first_choice(void) {
  const char *forced = getenv("CK_ISA");
  ck_isa isa = ck_isa_portable;
  if (forced == NULL || forced[0] == 0) {
    for (int i = 0; i < ck_isa_count; i++) {
      if (ck_isa_is_available((ck_isa)i)) isa = (ck_isa)i;
    }
    return isa;
  }
  bool known = ck_isa_named(forced, &isa);
  if (known && ck_isa_is_available(isa)) return isa;
  fprintf(stderr, "CK_ISA=%s: %s; available here:", forced, known ? "this machine cannot run it" : "no such instruction set");
  for (int i = 0; i < ck_isa_count; i++) {
    if (ck_isa_is_available((ck_isa)i)) fprintf(stderr, " %s", ck_isa_name((ck_isa)i));
  }
  fputc('\n', stderr);
  exit(78);  // EX_CONFIG of sysexits.h
}

const ck_kernels *ck_active_kernels(void) {
  const ck_kernels *table = atomic_load(&active);
  if (table != NULL) return table;
  fill_tables_once();
  const ck_kernels *expected = NULL;
  atomic_compare_exchange_strong(&active, &expected, &tables[first_choice()]);
  return atomic_load(&active);
}

size_t ck_kernel_rows(const ck_kernel_row **rows) {
  static const ck_kernel_row all[] = {
#define CK_KERNEL(operation, isa) {#operation, ck_isa_##isa, "ck_" #operation "__" #isa},
#include "kernels.inc"
#undef CK_KERNEL
  };
  *rows = all;
  return sizeof all / sizeof all[0];
}
