/* SPDX-License-Identifier: MIT */
#ifndef PH_BASE_MEMFD_H
#define PH_BASE_MEMFD_H

#include <sys/types.h>

/* ftruncate of a file in memory, under a limit on the size of files (ulimit -f), too: then it fails, and nothing more. 0, or
 * -1 with errno. */
int ph_memfd_resize(int memfd, off_t size);

#endif
