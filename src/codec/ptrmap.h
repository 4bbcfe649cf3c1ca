/* SPDX-License-Identifier: MIT
 * Pointer -> number, open addressing, emptied in constant time by a generation count; entries made since a mark can
 * be taken back. */
#ifndef PH_CODEC_PTRMAP_H
#define PH_CODEC_PTRMAP_H

#include <stddef.h>
#include <stdint.h>

struct ph_ptrmap_entry {
  const void *key;
  uint32_t value;
  uint32_t generation;
};

struct ph_ptrmap {
  struct ph_ptrmap_entry *entries;
  size_t size, count; /* size: a power of two */
  uint32_t generation;
};

#define PH_PTRMAP_NONE UINT32_MAX

void ph_ptrmap_deinit(struct ph_ptrmap *m);
void ph_ptrmap_clear(struct ph_ptrmap *m);
/* The number of a key, PH_PTRMAP_NONE when unknown. */
uint32_t ph_ptrmap_get(const struct ph_ptrmap *m, const void *key);
/* 1: the key was known, *value is its number now; 0: it got the number *value; -1 without memory. */
int ph_ptrmap_add(struct ph_ptrmap *m, const void *key, uint32_t *value);
/* Forgets the entries whose number is `from` or above. */
void ph_ptrmap_forget_from(struct ph_ptrmap *m, uint32_t from);

#endif
