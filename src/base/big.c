/* SPDX-License-Identifier: MIT */
#include "base/big.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((uintptr_t)2 << 20)

void ph_big_advise_block(void *block, size_t size) {
  uintptr_t start = ((uintptr_t)block + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1),
            end = ((uintptr_t)block + size) & ~(HUGE_PAGE - 1);
  int saved = errno;
  if (start < end) madvise((void *)start, end - start, MADV_HUGEPAGE);
  errno = saved;
}
