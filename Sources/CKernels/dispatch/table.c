#include "dispatch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A row of a set of another architecture has no kernel here.
#define CK_KERNEL(operation, isa) \
  _Static_assert(ck_isa_is_here_##isa, "kernels.inc: " #operation " for " #isa " stands outside of the #if of its architecture");
#define CK_CONFIG(operation, isa) CK_KERNEL(operation, isa)
#include "kernels.inc"

// Rows are ordered by priority: the last one whose features are there wins.
static void fill(ck_kernels *table, ck_isa isa, uint32_t features) {
  table->isa = isa;
  table->features = features;
#define CK_KERNEL(operation_, isa_) \
  if ((ck_isa_features(ck_isa_##isa_) & ~features) == 0) table->operation_ = ck_##operation_##__##isa_;
#define CK_CONFIG(operation_, isa_) \
  if ((ck_isa_features(ck_isa_##isa_) & ~features) == 0) table->operation_ = &ck_##operation_##__##isa_;
#include "kernels.inc"
}

// Of two kernels with the same bits the one that this processor runs faster, where that is not the one of highest priority. Only where no set is asked
// for: a table of a set is what the list says.
static void prefer_faster(ck_kernels *table) {
#if defined(__x86_64__)
  // Emerald Rapids, 256×1024×1024: 86 GFLOP/s by vdpbf16ps, 152 by FMA.
  if (ck_cpu_is_intel() && table->gemm_bf16_bf16 == &ck_gemm_bf16_bf16__avx512bf16) table->gemm_bf16_bf16 = &ck_gemm_bf16_bf16__avx512;
#else
  (void)table;
#endif
}

static ck_kernels tables[ck_isa_count + 1];  // of each set, and of all features of the machine
static char requested_name[64];  // a copy of CK_ISA: the environment may change
static ck_isa_selection selection;
static _Atomic(const ck_kernels *) active;
static atomic_int state;  // 0 tables empty, 1 being filled, 2 filled

static ck_isa best_available(void) {
  ck_isa best = ck_isa_portable;
  for (int i = 0; i < ck_isa_count; i++) {
    if (ck_isa_is_available((ck_isa)i)) best = (ck_isa)i;
  }
  return best;
}

ck_isa_selection ck_select_isa(const char *requested) {
  if (requested == NULL || requested[0] == 0) return (ck_isa_selection){NULL, best_available(), ck_isa_best};
  ck_isa isa;
  if (!ck_isa_named(requested, &isa)) return (ck_isa_selection){requested, best_available(), ck_isa_unknown};
  if (!ck_isa_is_available(isa)) return (ck_isa_selection){requested, best_available(), ck_isa_unavailable};
  return (ck_isa_selection){requested, isa, ck_isa_requested};
}

static void fill_tables_once(void) {
  int empty = 0;
  if (atomic_compare_exchange_strong(&state, &empty, 1)) {
    for (int isa = 0; isa < ck_isa_count; isa++) fill(&tables[isa], (ck_isa)isa, ck_isa_features((ck_isa)isa));
    fill(&tables[ck_isa_count], best_available(), ck_machine_features());
    prefer_faster(&tables[ck_isa_count]);
    const char *requested = getenv("CK_ISA");
    snprintf(requested_name, sizeof requested_name, "%s", requested != NULL ? requested : "");
    selection = ck_select_isa(requested_name);
    atomic_store(&state, 2);
  }
  while (atomic_load(&state) != 2) ck_pause();
}

ck_isa_selection ck_selected_isa(void) {
  fill_tables_once();
  return selection;
}

size_t ck_describe_isa_selection(ck_isa_selection s, char *text, size_t capacity) {
  const char *used = ck_isa_name(s.used);
  if (s.reason == ck_isa_best) return (size_t)snprintf(text, capacity, "%s, the best of this machine", used);
  if (s.reason == ck_isa_requested) return (size_t)snprintf(text, capacity, "%s, as CK_ISA asks", used);
  ck_isa isa;
  size_t length;
  if (s.reason == ck_isa_unavailable && ck_isa_named(s.requested, &isa) && strcmp(ck_isa_architecture(isa), CK_ARCHITECTURE) != 0) {
    length = (size_t)snprintf(text, capacity, "CK_ISA=%s: an instruction set of %s, this machine is %s; available here:", s.requested,
                              ck_isa_architecture(isa), CK_ARCHITECTURE);
  } else {
    const char *problem = s.reason == ck_isa_unknown ? "no such instruction set" : "this machine cannot run it";
    length = (size_t)snprintf(text, capacity, "CK_ISA=%s: %s; available here:", s.requested, problem);
  }
  for (int i = 0; i < ck_isa_count; i++) {
    size_t left = length < capacity ? capacity - length : 0;
    if (ck_isa_is_available((ck_isa)i)) length += (size_t)snprintf(left ? text + length : NULL, left, " %s", ck_isa_name((ck_isa)i));
  }
  return length;
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

const ck_kernels *ck_active_kernels(void) {
  const ck_kernels *table = atomic_load(&active);
  if (table != NULL) return table;
  fill_tables_once();
  const ck_kernels *expected = NULL;
  atomic_compare_exchange_strong(&active, &expected, &tables[selection.reason == ck_isa_requested ? (int)selection.used : (int)ck_isa_count]);
  return atomic_load(&active);
}

bool ck_isa_is_active(ck_isa isa) { return (ck_isa_features(isa) & ~ck_active_kernels()->features) == 0; }

size_t ck_kernel_rows(const ck_kernel_row **rows) {
  static const ck_kernel_row all[] = {
#define CK_KERNEL(operation, isa) {#operation, ck_isa_##isa, "ck_" #operation "__" #isa},
#define CK_CONFIG(operation, isa) {#operation, ck_isa_##isa, "ck_" #operation "__" #isa},
#include "kernels.inc"
  };
  *rows = all;
  return sizeof all / sizeof all[0];
}
