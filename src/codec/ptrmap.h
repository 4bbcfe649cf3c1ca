/* SPDX-License-Identifier: MIT
 * Pointer -> number, open addressing, emptied in constant time by a generation count; entries made since a mark can
 * be taken back. */
#ifndef PH_CODEC_PTRMAP_H
#define PH_CODEC_PTRMAP_H

#include <stddef.h>
#include <stdint.h>

struct ph_ptrmap_entry {
  const void *key;
  uint64_t value;
  uint32_t generation;
};

struct ph_ptrmap {
  struct ph_ptrmap_entry *entries;
  size_t size, count; /* size: a power of two */
  uint32_t generation;
};

#define PH_PTRMAP_NONE UINT64_MAX

void ph_ptrmap_deinit(struct ph_ptrmap *m);
void ph_ptrmap_clear(struct ph_ptrmap *m);
/* The number of a key, PH_PTRMAP_NONE when unknown. */
uint64_t ph_ptrmap_get(const struct ph_ptrmap *m, const void *key);
/* -1 without memory. The key must be unknown. */
int ph_ptrmap_put(struct ph_ptrmap *m, const void *key, uint64_t value);
/* Forgets the entries whose number is `from` or above (their numbers become PH_PTRMAP_NONE). */
void ph_ptrmap_forget_from(struct ph_ptrmap *m, uint64_t from);

#endif
