/* SPDX-License-Identifier: MIT
 * The one worker loop: receive, decode, protected call, encode, send. The same for every kind of worker. */
#ifndef PH_VM_WORKER_H
#define PH_VM_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/link.h"
#include "pool/pool.h"
#include "vm/vm.h"

/* A worker's life on a link, from its first frame to STOP or the end of the host. `index` is 0-based. Opens and closes
 * a state of its own, unless `vm` is given (start method "fork": the state that was there). The exit code. */
int ph_worker_run(struct ph_link *link, uint32_t index, struct ph_vm *vm, int externs);

/* Runs one task at once in the calling thread, in a fresh state, and adds its records to the pool. `setup` as in
 * ph_pool_config. -1 without memory for a state. Takes the task. */
int ph_worker_run_here(struct ph_pool *p, struct ph_task *task, const void *setup, size_t setup_len, struct ph_err *err);

/* Finds the bytes of a blob of the pool, for ph_worker_run_here. */
int ph_pool_blob(struct ph_pool *p, uint64_t number, const void **bytes, size_t *len);

/* Installs the handler that interrupts running tasks; once per process. */
void ph_worker_install_handler(void);

#endif
