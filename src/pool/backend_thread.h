/* SPDX-License-Identifier: MIT
 * Workers as threads of this process. */
#ifndef PH_POOL_BACKEND_THREAD_H
#define PH_POOL_BACKEND_THREAD_H

#include <stdint.h>

#include "pool/link.h"

struct ph_pool;
struct ph_backend;
extern const struct ph_backend ph_backend_thread;

/* What a worker's thread runs, to its end. It may read the blobs of the pool and nothing else of it. */
typedef int ph_thread_main(struct ph_link *link, struct ph_pool *pool, uint32_t index);

/* ph_pool_config.backend_options of this backend. */
struct ph_thread_start {
  ph_thread_main *main;
};

/* Worker threads that run now. */
unsigned ph_threads_running(void);
/* How many threads of this process were abandoned and have not ended since. */
unsigned ph_threads_abandoned(void);

#endif
