/* SPDX-License-Identifier: MIT
 * Many structs of one size for one owner: memory comes from malloc, and goes back, by pages. As slab.h, but for bigger
 * blocks, and nothing else in their pages. With a sanitizer, each comes from malloc, which is watched. */
#ifndef PH_BASE_CELLS_H
#define PH_BASE_CELLS_H

#include <stddef.h>

#include "base/list.h"

struct ph_cells {
  struct ph_list room; /* pages with a free cell */
  size_t size;
};

/* `size`: a multiple of 8, up to 1000. */
void ph_cells_init(struct ph_cells *c, size_t size);
/* NULL without memory. When the last one has been given back, a page at most is left. */
void *ph_cells_get(struct ph_cells *c);
void ph_cells_put(struct ph_cells *c, void *cell);
/* All must have been given back. */
void ph_cells_deinit(struct ph_cells *c);

#endif
