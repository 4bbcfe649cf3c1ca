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

/* The signal that makes a worker thread look at its slot: PH_STOP_SIGNAL_NUMBER, unless the embedding program has said so,
 * before there are pools. 0: none, as the program wants no handler. Then threads look by themselves, at cancellation
 * points, and are woken when they wait: by this eventfd of theirs (-1: no more). */
void ph_threads_stop_by(int number);
int ph_threads_stop_signal(void);
void ph_thread_wake_by(int fd);
/* The signal by which a worker thread is asked what it does; 0, until there is a handler for it: none. */
void ph_threads_inspect_by(int number);
int ph_threads_inspect_signal(void);

/* Worker threads that run now. */
unsigned ph_threads_running(void);
/* How many threads of this process were abandoned and have not ended since. */
unsigned ph_threads_abandoned(void);

#endif
