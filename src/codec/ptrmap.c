/* SPDX-License-Identifier: MIT */
#include "codec/ptrmap.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

#define KEEP ((size_t)1 << 16) /* entries worth keeping between messages */

/* Objects that lie near each other get places near each other (caches like that), those of different 64 KiB regions do
 * not collide in series. */
static size_t place_of(const struct ph_ptrmap *m, const void *key) {
  uint64_t p = (uint64_t)(uintptr_t)key, region = (p >> 16) * 0x9e3779b97f4a7c15u;
  return (size_t)((p >> 4) + (region >> 24)) & (m->size - 1);
}

void ph_ptrmap_deinit(struct ph_ptrmap *m) {
  free(m->entries);
  *m = (struct ph_ptrmap){NULL, 0, 0, 0};
}

void ph_ptrmap_clear(struct ph_ptrmap *m) {
  if (m->count == 0) return;
  if (m->size > KEEP || m->generation == UINT32_MAX) ph_ptrmap_deinit(m);
  m->count = 0;
  m->generation++;
}

/* The entry of the key, or the free one where it belongs. */
static struct ph_ptrmap_entry *find(const struct ph_ptrmap *m, const void *key) {
  for (size_t i = place_of(m, key);; i = (i + 1) & (m->size - 1)) {
    struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key == key || e->key == NULL || e->generation != m->generation) return e;
  }
}

uint32_t ph_ptrmap_get(const struct ph_ptrmap *m, const void *key) {
  if (m->count == 0) return PH_PTRMAP_NONE;
  const struct ph_ptrmap_entry *e = find(m, key);
  return e->key == key && e->generation == m->generation ? e->value : PH_PTRMAP_NONE;
}

static int grow(struct ph_ptrmap *m) {
  struct ph_ptrmap bigger = {NULL, m->size == 0 ? 64 : m->size * 4, m->count, 1};
  bigger.entries = ph_calloc(bigger.size, sizeof *bigger.entries);
  if (bigger.entries == NULL) return -1;
  for (size_t i = 0; i < m->size; i++) {
    const struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key == NULL || e->generation != m->generation) continue;
    *find(&bigger, e->key) = (struct ph_ptrmap_entry){e->key, e->value, 1};
  }
  free(m->entries);
  *m = bigger;
  return 0;
}

int ph_ptrmap_add(struct ph_ptrmap *m, const void *key, uint32_t *value) {
  if (m->generation == 0) m->generation = 1;
  if (m->count * 2 >= m->size && grow(m) != 0) return -1;
  struct ph_ptrmap_entry *e = find(m, key);
  bool present = e->key == key && e->generation == m->generation;
  if (present && e->value != PH_PTRMAP_NONE) {
    *value = e->value;
    return 1;
  }
  if (!present) m->count++;
  *e = (struct ph_ptrmap_entry){key, *value, m->generation};
  return 0;
}

void ph_ptrmap_forget_from(struct ph_ptrmap *m, uint32_t from) {
  for (size_t i = 0; i < m->size; i++) {
    struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key != NULL && e->generation == m->generation && e->value >= from) e->value = PH_PTRMAP_NONE;
  }
}
