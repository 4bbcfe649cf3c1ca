/* SPDX-License-Identifier: MIT */
#include "codec/ptrmap.h"

#include <stdlib.h>

#define KEEP ((size_t)1 << 16) /* entries worth keeping between messages */

static size_t place_of(const struct ph_ptrmap *m, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
  return (size_t)(h >> 20) & (m->size - 1);
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

uint64_t ph_ptrmap_get(const struct ph_ptrmap *m, const void *key) {
  if (m->count == 0) return PH_PTRMAP_NONE;
  for (size_t i = place_of(m, key);; i = (i + 1) & (m->size - 1)) {
    const struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key == NULL || e->generation != m->generation) return PH_PTRMAP_NONE;
    if (e->key == key) return e->value;
  }
}

static void insert(struct ph_ptrmap *m, const void *key, uint64_t value) {
  size_t i = place_of(m, key);
  while (m->entries[i].key != NULL && m->entries[i].generation == m->generation) {
    if (m->entries[i].key == key) break; /* forgotten before */
    i = (i + 1) & (m->size - 1);
  }
  m->entries[i] = (struct ph_ptrmap_entry){key, value, m->generation};
}

static int grow(struct ph_ptrmap *m) {
  struct ph_ptrmap bigger = {NULL, m->size == 0 ? 64 : m->size * 4, m->count, 1};
  bigger.entries = calloc(bigger.size, sizeof *bigger.entries);
  if (bigger.entries == NULL) return -1;
  for (size_t i = 0; i < m->size; i++) {
    const struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key != NULL && e->generation == m->generation) insert(&bigger, e->key, e->value);
  }
  free(m->entries);
  *m = bigger;
  return 0;
}

int ph_ptrmap_put(struct ph_ptrmap *m, const void *key, uint64_t value) {
  if (m->generation == 0) m->generation = 1;
  if (m->count * 2 >= m->size && grow(m) != 0) return -1;
  insert(m, key, value);
  m->count++;
  return 0;
}

void ph_ptrmap_forget_from(struct ph_ptrmap *m, uint64_t from) {
  for (size_t i = 0; i < m->size; i++) {
    struct ph_ptrmap_entry *e = &m->entries[i];
    if (e->key != NULL && e->generation == m->generation && e->value >= from) e->value = PH_PTRMAP_NONE;
  }
}
