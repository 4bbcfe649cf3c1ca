/* SPDX-License-Identifier: MIT
 * Big blocks: for the kernel, a few huge pages are far less work than thousands of small ones. */
#ifndef PH_BASE_BIG_H
#define PH_BASE_BIG_H

#include <stddef.h>

#define PH_BIG_BLOCK ((size_t)4 << 20)

/* Says that a block will be filled as a whole. Only advice: it changes nothing but speed. */
void ph_big_advise_block(void *block, size_t size);

static inline void *ph_big_advise(void *block, size_t size) {
  if (size >= PH_BIG_BLOCK && block != NULL) ph_big_advise_block(block, size);
  return block;
}

#endif
