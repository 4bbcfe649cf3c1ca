/* SPDX-License-Identifier: MIT
 * malloc and its kin, as C code here calls them: they fail when a test wants it (base/fault.h). Given back with free. */
#ifndef PH_BASE_MEM_H
#define PH_BASE_MEM_H

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"

static inline void *ph_malloc(size_t size) {
  return PH_FAULT(alloc) ? NULL : malloc(size);
}

static inline void *ph_calloc(size_t n, size_t size) {
  return PH_FAULT(alloc) ? NULL : calloc(n, size);
}

static inline void *ph_realloc(void *block, size_t size) {
  return PH_FAULT(alloc) ? NULL : realloc(block, size);
}

#endif
