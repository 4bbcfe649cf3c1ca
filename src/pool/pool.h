/* SPDX-License-Identifier: MIT
 * The executor core: queue, hand-out, accounting and end of tasks, for every kind of worker.
 *
 *   submit -> intake -> queue -> slot of a worker -> link ... worker ... link -> done records -> take_done
 *
 * A pool belongs to the thread that made it (the owner). Who submits and takes what is done is a client: the owner, and
 * guests, which are other threads of this process. A dispatcher thread keeps the work going while the owner computes;
 * while the owner waits, the owner does that itself and the dispatcher sleeps (dispatch.c); a guest that waits leaves it to
 * them. Locks: `lock` guards everything but the intake list (`intake_lock`), the blobs (`blob_lock`) and the published done
 * records (`done_lock` of each client); these are held for a few instructions only and taken inside `lock`, never around it.
 * Nothing here knows Lua. */
#ifndef PH_POOL_POOL_H
#define PH_POOL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"

struct ph_pool;
struct ph_client;
struct ph_link;
struct ph_backend;

/* How a task (or one item of it) ended. */
enum ph_outcome {
  PH_DONE_OK,        /* bytes: the results */
  PH_DONE_ERROR,     /* bytes: error value, traceback */
  PH_DONE_CANCELLED, /* source */
  PH_DONE_TIMEOUT,   /* limit_ns: the timeout, 0: the deadline */
  PH_DONE_DIED,      /* pid, exit_code or signal_number, max_rss */
  PH_DONE_MEMORY,    /* limit: the memory limit in bytes */
  PH_DONE_LOST,      /* no memory for the message of the task, or of the result */
  PH_DONE_BROKEN,    /* the pool is broken: see ph_pool_broken */
};

struct ph_task_options {
  int32_t priority;    /* higher first */
  uint32_t retries;    /* runs after a worker's death */
  int64_t timeout_ns;  /* of the execution of one item; PH_NEVER: none */
  int64_t deadline;    /* absolute, queued or running; PH_NEVER: none */
  size_t memory_limit; /* bytes, 0: the pool's */
};

enum ph_task_state { PH_TASK_QUEUED, PH_TASK_HANDED, PH_TASK_ENDED };

struct ph_task;

/* What a task has whose options are not the defaults. */
struct ph_task_special {
  struct ph_task *task;
  struct ph_heap_node deadline; /* in pool->deadlines */
  struct ph_heap_node rank;     /* in the queue, when it has a priority */
  struct ph_task_options options;
};

/* One message on its way, with its bytes. Made by the owner, then the pool's until its last record is done. Two lines of a
 * cache, as three threads come by. */
struct ph_task {
  struct ph_list node; /* intake, queue, the worker's handed list, or the unrecorded ones */
  struct ph_task *next_in_map;
  uint64_t id;                     /* the owner's name for it; also the submission index of seeds */
  struct ph_client *client;        /* who gets the records */
  struct ph_worker *worker;        /* while handed */
  struct ph_task_special *special; /* or NULL: see ph_task_options */
  uint32_t next_item;              /* the first that has no reply yet */
  uint32_t count;                  /* items */
  int64_t tag;                     /* the owner's: comes back in every record, like the next three */
  uint32_t label, site, place;
  uint32_t n_blobs;
  uint32_t len;
  uint8_t state;
  uint8_t slot;
  uint8_t stop;      /* enum ph_stop-like source when a forced stop was asked for, else 0 */
  uint8_t flags;     /* PH_TASK_* */
  int64_t submitted; /* 0: unknown */
  uint8_t *apart;    /* the payload, when it is a block of its own; malloc'ed */
  uint8_t outcome;   /* once it has ended without a record */
  atomic_uchar refs; /* the pool's; that of a worker's link while the payload is under way; an abandoned thread's */
  uint32_t blobs[];  /* n_blobs numbers, then len bytes of payload unless that is apart */
};

extern const struct ph_task_options ph_task_defaults;

static inline const struct ph_task_options *ph_task_options(const struct ph_task *t) {
  return t->special != NULL ? &t->special->options : &ph_task_defaults;
}

enum {
  PH_TASK_CHUNK = 1,     /* payload: function message, then one message per item */
  PH_TASK_STAR = 2,      /* an item is one array of arguments */
  PH_TASK_TIMED_OUT = 4, /* the item that runs */
  PH_TASK_EXPIRED = 8,   /* its deadline has passed: every item that is left */
  PH_TASK_CONSTANT = 16, /* of a chunk: the function has no state, decoded once it serves every item */
  PH_TASK_SPARE = 32,    /* its memory will do for any small task */
  PH_TASK_LOGGED = 128,  /* behind the payload: job log and keys (joblog.h) */
  PH_TASK_TRACED = 64,   /* and behind that: a note (task_trace.h) */
};

static inline uint8_t *ph_task_bytes(struct ph_task *t) {
  return t->apart != NULL ? t->apart : (uint8_t *)(t->blobs + t->n_blobs);
}

/* Sources of a cancellation, as vm/vm.h's enum ph_stop numbers them. */
enum { PH_SOURCE_EXPLICIT = 1, PH_SOURCE_DEADLINE, PH_SOURCE_GROUP, PH_SOURCE_SHUTDOWN, PH_SOURCE_SIGNAL };

struct ph_pool_config {
  char name[64];
  unsigned max_workers, min_workers;
  int64_t idle_timeout_ns, grace_ns;        /* PH_NEVER: no idle timeout */
  uint64_t max_tasks_per_worker, max_queue; /* 0: no limit */
  unsigned max_restarts;
  bool break_on_death;
  bool has_initializer;
  bool seeded;
  uint64_t seed;
  size_t memory_limit;
  const void *setup; /* body of the first message to each worker; copied */
  size_t setup_len;
  const void *backend_options; /* borrowed during ph_pool_new */
};

static inline size_t ph_task_memory_limit(const struct ph_task *t, const struct ph_pool_config *c) {
  size_t own = ph_task_options(t)->memory_limit;
  return own != 0 ? own : c->memory_limit;
}

/* One ended item. Lies in a ph_buf of records: of a success only the fields up to `big`, of others the whole struct;
 * then `len` bytes, padded to 8. */
struct ph_done {
  uint64_t id;
  int64_t tag;
  uint32_t label, site, place;
  uint32_t item;
  uint8_t outcome; /* enum ph_outcome */
  uint8_t last;    /* the task has no more records */
  uint8_t source;
  uint8_t reserved;
  size_t len;
  uint8_t *big; /* malloc'ed bytes instead of inline ones, or NULL; the taker frees them */
  /* not of a success: */
  uint32_t worker; /* 1-based, 0: none had it */
  int32_t pid;     /* or thread id */
  int32_t exit_code, signal_number;
  int64_t run_ns, limit, max_rss;
};

static inline size_t ph_done_head(const struct ph_done *d) {
  return d->outcome == PH_DONE_OK ? offsetof(struct ph_done, worker) : sizeof *d;
}

static inline size_t ph_done_stride(const struct ph_done *d) {
  return ph_done_head(d) + (d->big != NULL ? 0 : (d->len + 7) / 8 * 8);
}

enum ph_submit_result { PH_SUBMIT_OK, PH_SUBMIT_FULL, PH_SUBMIT_CLOSED, PH_SUBMIT_BROKEN };

/* No workers at all: the owner runs its tasks itself. */
extern const struct ph_backend ph_backend_inline;

struct ph_pool *ph_pool_new(const struct ph_backend *backend, const struct ph_pool_config *config, struct ph_err *err);
/* Only when ph_pool_finished, or to kill everything that is left: blocks until the workers are gone. */
void ph_pool_free(struct ph_pool *p);
/* What is left of a freed pool, blobs and configuration, stays for who has a reference: threads that were abandoned. */
void ph_pool_ref(struct ph_pool *p);
void ph_pool_unref(struct ph_pool *p);

/* Gives a task with room for the payload, options at their defaults; NULL without memory. */
struct ph_task *ph_task_new(struct ph_client *c, size_t payload, size_t n_blobs);
/* The same around a malloc'ed payload, which it takes when it does not give NULL. */
struct ph_task *ph_task_new_around(struct ph_client *c, uint8_t *payload, size_t len, size_t n_blobs);
/* Once, before it is submitted. -1 without memory. */
int ph_task_set_options(struct ph_task *t, const struct ph_task_options *options);
void ph_task_unref(struct ph_task *t);
/* The first of `n` numbers in a row, for tasks and their items. */
uint64_t ph_pool_take_ids(struct ph_pool *p, uint64_t n);
/* Takes the task when it gives PH_SUBMIT_OK. */
enum ph_submit_result ph_client_submit(struct ph_client *c, struct ph_task *task);
/* An errno, once, when the dispatcher could not be started: the pool then works while the owner submits or waits. It is
 * tried again with each submit. */
int ph_pool_trouble(struct ph_pool *p);
/* Would a submit be refused? For the moment before encoding. */
enum ph_submit_result ph_pool_admits(struct ph_pool *p);
/* For whoever was refused, for want of room, and tries again: its next wait ends when there is room, or the pool has closed,
 * which may be so at once. */
void ph_client_seek_room(struct ph_client *c);
/* Of a guest: no task of its own is left; of the owner: none at all. */
bool ph_client_is_idle(struct ph_client *c);

/* The number for a blob, -1: put it into the message (too many, too big). */
int64_t ph_pool_intern_blob(struct ph_pool *p, const uint8_t hash[16], const void *bytes, size_t len);

/* Finds the bytes of a blob, for who interned it and for threads that run a task which names it. */
int ph_pool_blob(struct ph_pool *p, uint64_t number, const void **bytes, size_t *len);

/* The setup failed in a run of the owner's own: breaks the pool with this error message (encoded). */
void ph_pool_fail_setup(struct ph_pool *p, const void *error, size_t len);

/* True when it will not run (or is being stopped, with `force`); a record follows. */
bool ph_pool_cancel(struct ph_pool *p, uint64_t id, bool force, int64_t grace_ns, uint8_t source);
/* 1 running, 0 not begun, -1 unknown (ended). */
int ph_pool_task_state(struct ph_pool *p, uint64_t id);
/* What the owner has noted of an unsettled task. False: it is none. */
bool ph_pool_task_texts(struct ph_pool *p, uint64_t id, uint32_t *label, uint32_t *site);

void ph_pool_close(struct ph_pool *p, bool cancel_pending);
/* Closes, cancels what waits, and asks what runs to stop: politely with the pool's grace, or SIGKILL at once. */
void ph_pool_terminate(struct ph_pool *p, bool hard);
bool ph_pool_finished(struct ph_pool *p);
void ph_pool_warm_up(struct ph_pool *p, unsigned n);

/* --- helping: a worker thread that waits inside a task runs others meanwhile ------------------------------- */

/* A task that has begun in the worker that asked; its replies go over the worker's link as ever. */
struct ph_help {
  unsigned slot;
  uint64_t memory_limit;
  uint32_t first, count, flags;
  const struct ph_task *task;
};

/* From now on the worker is handed nothing, and what was handed to it has been taken back: it is to skip that. */
void ph_pool_waits(struct ph_pool *p, uint32_t worker, const struct ph_link *link);
/* What to look for, in this order, among the tasks that have not begun. */
struct ph_help_wish {
  uint64_t id;              /* this one; 0: none in particular */
  struct ph_client *client; /* the newest of this client, or NULL */
  bool any;                 /* the oldest there is */
};
/* `link` is the asking worker's: it may have been abandoned. False: there is none. */
bool ph_pool_help(struct ph_pool *p, uint32_t worker, const struct ph_link *link, const struct ph_help_wish *wish,
                  struct ph_help *help);
/* The task that waited goes on: the worker is handed tasks again. */
void ph_pool_helped(struct ph_pool *p, uint32_t worker, const struct ph_link *link);

/* --- clients: each belongs to one thread ------------------------------------------------------------------- */

/* The owner's, which lives as long as the pool. */
struct ph_client *ph_pool_owner(struct ph_pool *p);
/* Every open pool of this process has a number. Gives a client of the pool, which lives until it is closed, or NULL: with
 * err, or without a kind in it when there is no such pool any more. */
struct ph_client *ph_client_open(uint64_t pool_number, struct ph_err *err);
/* What the client has submitted goes on, unheard. Not for the owner's. */
void ph_client_close(struct ph_client *c);
uint64_t ph_pool_number(const struct ph_pool *p);
struct ph_pool *ph_client_pool(const struct ph_client *c);
const struct ph_pool_config *ph_pool_config_of(const struct ph_pool *p);
bool ph_pool_is_open(struct ph_pool *p);

/* Swaps the records that are ready into `records` (emptied first), which has room for one. Gives whether there are any. */
bool ph_client_take_done(struct ph_client *c, struct ph_buf *records);
/* Are there records that have not been taken? */
bool ph_client_has_done(struct ph_client *c);
/* The client's tasks whose last record is not published yet. */
uint64_t ph_client_outstanding(struct ph_client *c);
/* Adds a record for a task that the client runs itself (inline). -1 without memory. */
int ph_client_add_done(struct ph_client *c, struct ph_task *t, struct ph_done *done, const void *bytes);

/* Waiting: begin gives false when there is no need to wait (records are ready). Between begin and end the client polls
 * `fd`, at the longest until *deadline. */
bool ph_client_wait_begin(struct ph_client *c, int64_t *deadline);
void ph_client_wait_end(struct ph_client *c);
/* Of the owner, which has waited in vain for a while: are the pool's descriptors still its own? */
void ph_client_look(struct ph_client *c);
int ph_client_fd(const struct ph_client *c);
/* For a client that sleeps elsewhere: between begin and end the pool goes on by itself, and makes `poll_fd` readable when
 * there are records; false: there are already. The descriptor is the client's, -1: there is none. */
bool ph_client_poll_begin(struct ph_client *c);
void ph_client_poll_end(struct ph_client *c);
int ph_client_poll_fd(struct ph_client *c);
/* Short wait without sleeping, when that has paid lately; true when records are ready. */
bool ph_client_spin(struct ph_client *c);

enum ph_pool_state { PH_POOL_OPEN, PH_POOL_CLOSED, PH_POOL_BROKEN };

/* Why the pool is broken: outcome DIED (of the initializer, or too many), ERROR with bytes (the initializer raised),
 * or kind/message of err. NULL while it is not. The bytes live as long as the pool. */
struct ph_broken {
  bool initializer;
  struct ph_err err;
  struct ph_done death;
  uint8_t *error_bytes;
  size_t error_len;
};
const struct ph_broken *ph_pool_broken(struct ph_pool *p);

struct ph_pool_stats {
  unsigned workers, idle, busy;
  uint64_t queued, running, completed, failed, cancelled, retried, restarts, abandoned;
  double wait_ms[2], run_ms[2]; /* p50, p99; NaN while unknown */
};
void ph_pool_stats(struct ph_pool *p, struct ph_pool_stats *stats);
/* A task that has failed is submitted once more: it counts as retried, not as failed. */
void ph_pool_count_retry(struct ph_pool *p);
/* Tasks whose last record is not published yet, running ones among them. Cheap. */
uint64_t ph_pool_outstanding(struct ph_pool *p);
uint64_t ph_pool_running(struct ph_pool *p);
/* Items that were ever submitted. Cheap. */
uint64_t ph_pool_submitted(struct ph_pool *p);

struct ph_worker_info {
  uint32_t index;
  pid_t pid, tid;    /* of a process (0: not known yet), of a thread */
  const char *state; /* "starting", "idle", "busy", "stopping" */
  uint64_t tasks;
  uint64_t task_id; /* 0: none */
  int64_t since;
};
/* Fills up to `n`, gives how many there are. */
unsigned ph_pool_workers(struct ph_pool *p, struct ph_worker_info *infos, unsigned n);

#endif
