/* SPDX-License-Identifier: MIT
 * Small blocks for one owner, who knows the size of what it gives back, as a Lua state does.
 *
 * Blocks of one size lie together in a page, pages of all sizes in a chunk; an empty page is used again for any size, an
 * empty chunk goes back to malloc. There is no lock, and no header per block. (After the slab allocator, Bonwick 1994.) */
#ifndef PH_BASE_SLAB_H
#define PH_BASE_SLAB_H

#include <stddef.h>

#include "base/list.h"

#define PH_SLAB_MAX 128u /* bytes: bigger blocks are for malloc */
#define PH_SLAB_STEP 8u
#define PH_SLAB_SIZES (PH_SLAB_MAX / PH_SLAB_STEP)

struct ph_slab {
  struct ph_list room[PH_SLAB_SIZES]; /* pages with a free block, by size */
  struct ph_list empty;               /* pages of no size */
  size_t n_empty;
};

void ph_slab_init(struct ph_slab *s);
/* All blocks must have been given back. */
void ph_slab_deinit(struct ph_slab *s);
/* A block of 1 to PH_SLAB_MAX bytes, aligned to PH_SLAB_STEP; NULL without memory. */
void *ph_slab_get(struct ph_slab *s, size_t size);
/* `size`: as it was asked for. */
void ph_slab_put(struct ph_slab *s, void *block, size_t size);

#endif
