/* SPDX-License-Identifier: MIT
 * Workers: receive, decode, protected call, encode, send. The same for every kind of worker. */
#ifndef PH_VM_WORKER_H
#define PH_VM_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/link.h"
#include "pool/pool.h"
#include "vm/inspect.h"
#include "vm/vm.h"

struct ph_worker_place {
  uint32_t index;   /* 0-based */
  int externs;      /* LUA_NOREF without */
  struct ph_vm *vm; /* NULL, or of a process what ph_worker_warm_up gave before it was forked */
  lua_State *L;     /* NULL, or with start method "fork" a coroutine of the state that was there: see ph_vm_become_worker */
  struct ph_pool *pool; /* of a worker that is a thread, else NULL */
  /* Of a thread: called when there is nothing to do; true when it has done or waited for something else. */
  bool (*idle)(lua_State *L, struct ph_link *link);
  ph_inspect_state *inspect; /* who tells what the worker is doing */
};

/* The state of a worker process, made before it is forked: with what each of them needs. NULL without memory. */
struct ph_vm *ph_worker_warm_up(void);

/* A worker's life on a link, from its first frame to STOP or the end of the host. Opens a state of its own unless the place
 * has one, and closes it unless that is a copy. Gives the exit code. */
int ph_worker_run(struct ph_link *link, const struct ph_worker_place *place);

/* Runs one task at once in the calling thread, in a fresh state, and adds its records to the pool, whose
 * configuration this is. Takes the task. -1 without memory for a state, or for the records. */
int ph_worker_run_here(struct ph_client *c, const struct ph_pool_config *config, struct ph_task *task, struct ph_err *err);

/* In a worker thread that waits: runs one task of the worker's own pool on top of the one that waits. False: there is none
 * that was wished, or tasks lie too deep on each other already. */
bool ph_worker_help(lua_State *L, const struct ph_help_wish *wish);
/* Before waiting: the worker is handed nothing. */
void ph_worker_waits(void);
/* Behind helping and waiting: what waited goes on. */
void ph_worker_helped(void);
/* Who this thread is, for people: the task, "pool#id", or the program. */
void ph_worker_describe(char *text, size_t size);
/* May this thread, a worker that waits, run another task on top? */
bool ph_worker_can_help(void);
/* The pool whose worker this thread is, or NULL. */
struct ph_pool *ph_worker_pool(void);
/* Its side of its link, or NULL. */
const struct ph_link *ph_worker_link(void);

/* `open` is called with `arg` as a light userdata in the state of every worker to come, before its setup; what it raises
 * is a failure of that. For the embedding program, before there are workers and the zygote. */
void ph_worker_on_open(lua_CFunction open, void *arg);

#endif
