/* SPDX-License-Identifier: MIT */
#include "base/fault.h"

#ifdef PH_FAULTS

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct armed {
  atomic_uint places; /* bit set of enum ph_fault_place; 0: not armed */
  atomic_long until;  /* so many times it goes well; may fall below 0 */
  atomic_long times;  /* so often it fails then */
  atomic_ulong tripped;
  int code;
};

struct table {
  struct armed points[PH_FAULT_COUNT];
};

static struct table own_table, *table = &own_table;
static enum ph_fault_place process_place = PH_FAULT_HOST;
static _Thread_local bool is_worker_thread;

static const char *const places[PH_FAULT_PLACES] = {"host", "thread", "worker", "zygote"};

static const struct point {
  const char *name;
  int code;
  const char *meaning;
} points[PH_FAULT_COUNT] = {
#define X(name, code, meaning) {#name, code, meaning},
    PH_FAULT_POINTS(X)
#undef X
};

void ph_fault_become(enum ph_fault_place place) {
  process_place = place;
}

void ph_fault_become_thread(void) {
  is_worker_thread = true;
}

const char *ph_fault_name(enum ph_fault_point point, const char **meaning) {
  *meaning = points[point].meaning;
  return points[point].name;
}

bool ph_fault_trips(enum ph_fault_point point) {
  struct armed *a = &table->points[point];
  unsigned armed_for = atomic_load_explicit(&a->places, memory_order_acquire);
  if (armed_for == 0 || !(armed_for & 1u << (is_worker_thread ? PH_FAULT_THREAD : process_place))) return false;
  if (atomic_fetch_sub(&a->until, 1) > 1) return false;
  if (atomic_fetch_sub(&a->times, 1) <= 0) {
    atomic_store(&a->places, 0);
    return false;
  }
  atomic_fetch_add(&a->tripped, 1);
  errno = a->code;
  return true;
}

unsigned long ph_fault_tripped(enum ph_fault_point point) {
  return atomic_load(&table->points[point].tripped);
}

/* --- what is to be armed ---------------------------------------------------------------------------------- */

static int find_errno(const char *name) {
  for (int code = 1; code < 134; code++) {
    const char *known = strerrorname_np(code);
    if (known != NULL && strcmp(known, name) == 0) return code;
  }
  return 0;
}

static int find(const char *const *names, size_t stride, int n, const char *name) {
  for (int i = 0; i < n; i++, names = (const char *const *)(const void *)((const char *)names + stride))
    if (strcmp(*names, name) == 0) return i;
  return -1;
}

/* "3", "3+", "3*2". */
static bool read_times(const char *text, long *first, long *times) {
  char *end;
  *first = strtol(text, &end, 10);
  *times = *end == '+' ? LONG_MAX : *end == '*' ? strtol(end + 1, &end, 10) : 1;
  if (*times == LONG_MAX) end++;
  return *first >= 1 && *times >= 1 && *end == '\0';
}

/* Takes what stands behind the last `mark` off the word. */
static char *split(char *word, char mark) {
  char *at = strrchr(word, mark);
  if (at == NULL) return NULL;
  *at = '\0';
  return at + 1;
}

static const char *arm_one(char *word) {
  static char problem[128];
  char whole[96];
  long first = 1, times = 1;
  snprintf(whole, sizeof whole, "%s", word);
  const char *code_name = split(word, '='), *count = split(word, ':'), *name = split(word, '.');
  int place = name != NULL ? find(places, sizeof *places, PH_FAULT_PLACES, word) : PH_FAULT_PLACES;
  int point = find(&points->name, sizeof *points, PH_FAULT_COUNT, name != NULL ? name : word);
  int code = code_name != NULL ? find_errno(code_name) : point >= 0 ? points[point].code : 0;
  const char *wrong = place < 0                                             ? "there is no such place"
                      : point < 0                                           ? "there is no such fault point"
                      : code_name != NULL && code == 0                      ? "there is no such error"
                      : count != NULL && !read_times(count, &first, &times) ? "which time is that"
                                                                            : NULL;
  if (wrong != NULL) {
    snprintf(problem, sizeof problem, "'%s': %s", whole, wrong);
    return problem;
  }
  struct armed *a = &table->points[point];
  a->code = code;
  atomic_store(&a->until, first);
  atomic_store(&a->times, times);
  atomic_store(&a->places, place == PH_FAULT_PLACES ? (1u << PH_FAULT_PLACES) - 1 : 1u << place);
  return NULL;
}

static void disarm(void) {
  for (int i = 0; i < PH_FAULT_COUNT; i++) {
    atomic_store(&table->points[i].places, 0);
    atomic_store(&table->points[i].tripped, 0);
  }
}

const char *ph_fault_arm(const char *text) {
  char copy[512], *rest = copy;
  const char *problem = NULL;
  if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) return "too long";
  disarm();
  for (char *word; problem == NULL && (word = strsep(&rest, ",")) != NULL;)
    if (*word != '\0') problem = arm_one(word);
  if (problem != NULL) disarm();
  return problem;
}

/* Before main, and so before any fork. */
__attribute__((constructor)) static void open_table(void) {
  void *shared = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared != MAP_FAILED) table = shared;
  const char *text = getenv("PARHOST_FAULT"), *problem = text != NULL ? ph_fault_arm(text) : NULL;
  if (problem == NULL) return;
  fprintf(stderr, "parhost: PARHOST_FAULT: %s\n", problem);
  _exit(EXIT_FAILURE);
}

#endif
