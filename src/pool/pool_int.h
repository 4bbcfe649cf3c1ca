/* SPDX-License-Identifier: MIT
 * Inside of the executor core: shared by the files of pool/ only. Everything here wants pool->lock to be held,
 * unless it says otherwise. */
#ifndef PH_POOL_POOL_INT_H
#define PH_POOL_POOL_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "pool/link.h"
#include "pool/pool.h"
#include "pool/tally.h"
#include "pool/wire.h"

enum ph_worker_state { PH_WORKER_STARTING, PH_WORKER_READY, PH_WORKER_STOPPING, PH_WORKER_GONE };

/* One worker as its pool sees it. */
struct ph_worker {
  struct ph_pool *pool;
  uint32_t index; /* 0-based, its place in pool->workers */
  uint8_t state;
  bool bell_watched;
  bool retire;     /* takes no more tasks, stops when it has none */
  bool was_killed; /* by us: its death says nothing about the task */
  bool waits;      /* a task of it waits, and helps: it is handed nothing */
  bool touched;    /* read from or written to since the last look at its bell */
  int64_t poked;   /* when it was last asked what it does */
  pid_t pid;       /* of a process, else 0 */
  struct ph_link link;
  struct ph_list handed; /* struct ph_task, in the order of handing out */
  unsigned n_handed;
  struct ph_task *slots[PH_LINK_SLOTS];
  uint64_t slots_used;      /* bit set; a revoked slot stays in use until the worker has skipped it */
  struct ph_buf sent_blobs; /* bit set by blob number */
  struct ph_task *lent;     /* a big payload on its way from where it lies (a reference), from `lent_at` on */
  size_t lent_at;
  struct ph_buf backlog; /* other bytes that found no room in the ring: behind the lent ones */
  size_t backlog_at;
  uint64_t tasks;         /* items replied */
  uint64_t started_tasks; /* tasks handed out and not taken back */
  int64_t since;          /* of its state: idle or busy */
  int64_t spawned;
  int64_t kill_at;  /* when a stop that was asked for turns into a signal; PH_NEVER: none */
  int64_t grace_ns; /* that led to kill_at */
  int64_t deaf_at;  /* its bell is gone: when it is to be gone as well; PH_NEVER */
  bool terminated;  /* SIGTERM was sent, SIGKILL is next */
  void *backend_data;
};

struct ph_blob {
  uint8_t hash[16];
  size_t len;
  uint8_t bytes[];
};

#define PH_BLOB_BYTES_MAX ((size_t)64 << 20)

/* What differs between kinds of workers. All are called with the lock held and never block. */
struct ph_backend {
  const char *name;
  bool starts_in_crowds; /* several workers at once start sooner than one by one */
  int (*open)(struct ph_pool *p, struct ph_err *err);
  /* Starts a worker for w->link: 0; -1 at once, or ph__worker_spawn_failed later. */
  int (*spawn)(struct ph_pool *p, struct ph_worker *w, struct ph_err *err);
  /* Makes the running code look at the stop word of its slot. */
  void (*interrupt)(struct ph_pool *p, struct ph_worker *w);
  void (*kill)(struct ph_pool *p, struct ph_worker *w, bool hard);
  /* Or NULL. A worker has been told to leave, and its end will be news. */
  void (*expect_end)(struct ph_pool *p);
  pid_t (*thread_id)(const struct ph_worker *w); /* or NULL: workers are processes */
  /* Makes the running code look at its question, unless it sleeps somewhere; asleep: in any case. Or NULL. */
  void (*poke)(struct ph_pool *p, struct ph_worker *w, bool asleep);
  /* Reports what happened to workers through ph__worker_*; called when the watched descriptor is readable, and by the
   * next pump when p->poll_soon is set. */
  void (*poll)(struct ph_pool *p);
  /* Are the descriptors that it has watched still its own? Or NULL: no need to know. */
  bool (*is_intact)(struct ph_pool *p);
  /* Or NULL. Some of the pool's descriptors are not: what is not, must not be touched any more. */
  void (*bereave)(struct ph_pool *p);
  /* May block: ends what is left. */
  void (*close)(struct ph_pool *p);
};

/* What waits: by priority, and FIFO within one. Tasks without a priority, nearly all, are in the plain list. */
struct ph_queue {
  struct ph_list plain, ranked; /* in the order in which they came: without, and with a priority */
  struct ph_heap urgent, lazy;  /* those with one above and below 0 */
  size_t count;
};

/* Tasks that are over and whose memory is used again. They go the way of the records, so who submits need not share
 * malloc's lock with who ends tasks. */
struct ph_spares {
  struct ph_task *first, *last; /* by next_in_map */
  size_t count;
};
#define PH_SPARE_SIZE 168u /* bytes of each: a malloc'ed block of 176 */

/* Whoever submits. What is not atomic is guarded by the pool's lock, `done` and `spares` by done_lock, `own_spares` belongs
 * to the client's thread. */
struct ph_client {
  struct ph_pool *pool;
  struct ph_client *next_dirty;
  bool is_dirty; /* has staged records */
  bool closed;   /* nobody takes records any more; goes with its last task */
  bool waiting;
  bool seeks_room; /* is in the list of those */
  bool has_room;   /* has been told so since its last wait */
  struct ph_client *next_seeker;
  bool is_guest;        /* or the owner, whose loop polls the pool itself */
  struct ph_buf staged; /* done records of this pump, published at its end */
  uint64_t staged_ends; /* tasks whose last record is among them */
  atomic_uint_least64_t outstanding;
  int fd; /* rung when records are published; -1: the owner has none until ph_client_poll_fd */

  pthread_mutex_t done_lock;
  struct ph_buf done;
  struct ph_spares staged_spares, spares, own_spares;
  atomic_bool has_done;
};

struct ph_pool {
  atomic_uint refs;
  uint64_t number;
  struct ph_pool *next_open; /* of the process (client.c) */
  atomic_uint_least64_t last_id;
  const struct ph_backend *backend;
  void *backend_data;
  struct ph_pool_config config;
  uint8_t *setup;

  pthread_mutex_t lock;
  uint8_t state; /* enum ph_pool_state */
  struct ph_broken broken;
  struct ph_queue queue;
  struct ph_task **map; /* by id: the tasks that are queued or handed */
  size_t map_size, n_tasks;
  struct ph_heap deadlines;
  struct ph_list unrecorded;  /* tasks that have ended, without memory for their records so far */
  struct ph_worker **workers; /* config.max_workers places, NULL: free */
  unsigned n_workers;
  unsigned restarts_in_row;
  uint64_t n_handed;
  int64_t now;        /* of the pump that is under way, 0: it has not looked yet; PH_NEVER: there is none */
  int64_t next_timer; /* when ph__check_timers has something to do */
  int64_t steal_at;
  int64_t spawn_retry_at; /* after a failed start, while other workers go on */
  bool terminating;
  bool poll_soon;
  bool submits; /* this pump is part of a submit: others may follow at once */
  bool over;    /* freed by its owner: only guests look at it now */
  struct ph_client owner;
  struct ph_client *dirty;   /* clients with staged records */
  struct ph_client *seekers; /* that wait for room in the queue */
  unsigned waiting_guests;
  uint64_t completed, failed, cancelled, retried, restarts, abandoned;
  struct ph_histogram wait_times, run_times;
  bool has_priorities; /* some task had one: early handed ones may have to give way */
  int64_t average_run; /* ns, exponentially weighted; -1 unknown */

  pthread_mutex_t intake_lock;
  struct ph_list intake;
  atomic_size_t n_intake;
  atomic_uint_least64_t outstanding;

  /* Blobs: written under blob_lock, read by whoever hands out; published by the submit that names them. */
  pthread_mutex_t blob_lock;
  uint32_t n_blobs; /* grows when its blob is in place */
  size_t blob_bytes;
  uint32_t *blob_map; /* open addressing, number + 1 */
  uint32_t blob_map_size;

  /* The dispatcher (dispatch.c). */
  pthread_t dispatcher;
  pthread_cond_t wake_dispatcher;
  atomic_bool has_dispatcher; /* written with the lock */
  bool quit, driving, owner_waiting;
  bool owner_asleep;           /* between begin and end of its wait */
  atomic_int dispatcher_error; /* why it could not be started, until that is told */
  bool dispatcher_failed;
  atomic_bool asleep; /* the dispatcher, until it is signalled */
  bool news; /* a task has ended or a worker has gone since the owner last began to wait: it has to look again first */
  atomic_uint owner_activity; /* counts the owner's pumps */
  int epoll_fd, kick_fd;      /* -1 once they are somebody else's */
  bool bereft;                /* of descriptors, by other code of this process */
  atomic_bool hungry;         /* a task that is submitted now could begin at once */
  atomic_bool busy;           /* every worker has short tasks in hand: a few more may gather before they are handed out */
  int spin_credit;
  unsigned spin_skipped;

  struct { /* in the trace: what was written last */
    int64_t when;
    uint64_t queued, running;
  } counters;
  struct ph_pool_tally tally; /* for --stats; parts of it are filled in when it is asked for */
  struct {
    unsigned busy;                 /* workers with work, */
    int64_t seen, last, last_full; /* at this time; the last with any, and with all of them */
  } work;
  struct ph_blob *blobs[PH_BLOBS_MAX]; /* last: n_blobs of them are there, the memory of the others is not touched */
};

/* queue.c */
int ph__queue_put(struct ph_queue *q, struct ph_task *t, bool in_front);
void ph__queue_remove(struct ph_queue *q, struct ph_task *t);
struct ph_task *ph__queue_first(const struct ph_queue *q);

/* schedule.c */
void ph__pump(struct ph_pool *p);
/* What ph_now gave during this pump. */
int64_t ph__pool_now(struct ph_pool *p);
/* Takes a handed task that has not begun back from its worker; false when it has begun. */
bool ph__revoke(struct ph_task *t);
/* A worker that has work in hand (the slot's memory says it has begun): its running task, or NULL. */
struct ph_task *ph__running_task(struct ph_worker *w);
/* A task that is in no list waits again, in front of what came later. */
void ph__requeue(struct ph_pool *p, struct ph_task *t);
/* A handed task that has not begun goes back to the queue, in front of what came later. False: it has begun. */
bool ph__take_back(struct ph_pool *p, struct ph_task *t);
/* Puts a task that is in no list into a slot of the worker; `claim`: HANDED or STARTED. */
void ph__put_into_slot(struct ph_worker *w, struct ph_task *t, unsigned slot, enum ph_claim claim);
void ph__take_intake(struct ph_pool *p);
void ph__flush_backlog(struct ph_worker *w);
/* Bytes that wait for room in the ring. */
size_t ph__backlog(const struct ph_worker *w);
void ph__drop_backlog(struct ph_worker *w);
/* Copies a frame into the ring, or its rest into the backlog. -1 without memory. */
int ph__write_frame(struct ph_worker *w, const struct ph_frame *frame, const void *head, size_t head_len, const void *body,
                    size_t body_len);

/* reply.c */
void ph__read_replies(struct ph_worker *w);
/* Ends the next item of a handed task; with the last one, or without memory for its record, the task leaves its worker. */
void ph__finish(struct ph_task *t, struct ph_done *done, const void *bytes);
/* One record with this outcome for every item that is left; frees the task. It must be in no queue. */
void ph__finish_rest(struct ph_pool *p, struct ph_task *t, enum ph_outcome outcome, uint8_t source);
void ph__publish(struct ph_pool *p);
/* Tries again what found no memory. */
void ph__record_ended(struct ph_pool *p);
/* The limit that an outcome speaks of: nanoseconds (0: the deadline) or bytes. */
int64_t ph__limit_of(const struct ph_pool *p, const struct ph_task *t, uint8_t outcome);
/* Fills in what comes from the task, counts, and appends a record to the staged ones of its client. Without memory for its
 * bytes it becomes one of PH_DONE_LOST; -1 without memory for that. */
int ph__stage(struct ph_pool *p, struct ph_task *t, struct ph_done *done, const void *bytes);

/* client.c */
/* -1 without memory. With room for a record in each buffer, and in what they are swapped with, records come through one by
 * one when there is no memory for more. */
int ph__client_init(struct ph_client *c, struct ph_pool *p);
void ph__client_deinit(struct ph_client *c);
void ph__free_client(struct ph_client *c);
/* A block of PH_SPARE_SIZE bytes for a task; NULL without memory. */
struct ph_task *ph__take_spare(struct ph_client *c);
void ph__give_spare(struct ph_spares *to, struct ph_task *t);
/* Empties `from`. Frees what would be too many. */
void ph__move_spares(struct ph_spares *to, struct ph_spares *from);
/* Frees records that nobody takes. */
void ph__drop_records(struct ph_buf *records);
/* Calls `see` with every open pool of the process, with the list of them locked. */
void ph__pools_each(void (*see)(void *ud, struct ph_pool *p), void *ud);
void ph__pool_enter(struct ph_pool *p);
void ph__pool_leave(struct ph_pool *p);
/* Behind publishing: lets a guest that waits know. */
void ph__client_ring(struct ph_client *c);
/* Lets all who seek room know when there is some, or never will be. */
void ph__tell_seekers(struct ph_pool *p);
/* Breaks the pool because its setup raised this (encoded) error. */
void ph__setup_failed(struct ph_pool *p, const void *error, size_t len);
void ph__release_slot(struct ph_worker *w, unsigned slot);

/* worker_life.c */
struct ph_worker *ph__worker_start(struct ph_pool *p);
void ph__worker_started(struct ph_worker *w, pid_t pid);
void ph__worker_spawn_failed(struct ph_worker *w, int error);
struct ph_exit {
  int exit_code, signal_number; /* exit_code -1: by signal */
  int64_t max_rss;
};
void ph__worker_gone(struct ph_worker *w, const struct ph_exit *how);
/* For a worker that goes on to exist: it must not begin anything any more. The tasks that it has begun fail like those of
 * a dead one; they are given in `begun` (room for PH_LINK_SLOTS), each with a reference. Gives their number. */
unsigned ph__worker_disown(struct ph_worker *w, struct ph_task **begun);
void ph__worker_stop(struct ph_worker *w);
void ph__worker_corrupt(struct ph_worker *w);
void ph__break(struct ph_pool *p);
bool ph__is_to_stop(const struct ph_task *t);
void ph__kill_later(struct ph_worker *w, int64_t grace_ns);
void ph__stop_task(struct ph_task *t, uint8_t source, int64_t grace_ns);
void ph__check_timers(struct ph_pool *p, int64_t now);
void ph__set_timer(struct ph_pool *p, int64_t when);

/* dispatch.c */
int ph__dispatch_open(struct ph_pool *p, struct ph_err *err);
void ph__dispatch_close(struct ph_pool *p);
int ph__watch(struct ph_pool *p, int fd, void *tag, struct ph_err *err);
int ph__watch_backend(struct ph_pool *p, int fd, struct ph_err *err);
/* With an epoll that is the pool's. */
bool ph__still_watches_backend(struct ph_pool *p, int fd);
/* Ends the dispatcher thread; the descriptors stay open until ph__dispatch_close. */
void ph__dispatch_stop(struct ph_pool *p);
void ph__unwatch(struct ph_pool *p, int fd);
/* descriptors.c: for who waits in vain. */
void ph__look_at_descriptors(struct ph_pool *p);

/* Somebody else has changed what the owner waits for. */
void ph__wake_owner(struct ph_pool *p);
/* After the owner has changed something: sees to it that somebody acts on it. Takes and leaves the lock itself. */
void ph__nudge(struct ph_pool *p, bool submits);
/* Unlocks, for whoever is neither the owner nor the dispatcher: a submit that found the lock taken has its turn. */
void ph__let_go(struct ph_pool *p);

/* task_trace.c: of these, the first and the last two need no task with a note. */
/* Bytes of the payload but for the note, if there is one. */
size_t ph__len_without_note(struct ph_task *t);
void ph__note_handed(struct ph_task *t);
void ph__note_retry(struct ph_task *t);
/* A task that ends without having run. */
void ph__trace_dropped(struct ph_task *t, enum ph_outcome outcome);
/* The worker that was running it is gone. */
void ph__trace_gone(struct ph_worker *w, struct ph_task *t, uint8_t outcome, const struct ph_exit *how);
void ph__trace_exit(const struct ph_worker *w, const struct ph_exit *how);
void ph__trace_pool(const struct ph_pool *p, const char *what);
/* When they have changed; not more than once in a millisecond, but for the last, of a pool that ends. */
void ph__trace_counters(struct ph_pool *p, bool is_last);

/* tally.c: where ph_counted. A worker has begun (1) or gone (-1); an item has ended; workers have got or lost work; the pool
 * ends. */
void ph__tally_worker(struct ph_pool *p, int change);
void ph__tally_item(struct ph_pool *p, struct ph_task *t, const struct ph_done *done);
void ph__tally_work(struct ph_pool *p);
void ph__tally_keep(struct ph_pool *p);

/* pool.c */
uint64_t ph__count_running(struct ph_pool *p);
/* In its bounded queue. */
bool ph__has_room(const struct ph_pool *p);
/* Ends every task that has not begun. What is in the intake comes later. */
void ph__end_waiting(struct ph_pool *p, enum ph_outcome outcome, uint8_t source);

/* task.c: the map of tasks; -1 without memory. */
int ph__map_grow(struct ph_pool *p);
struct ph_task *ph__map_find(struct ph_pool *p, uint64_t id);
void ph__map_remove(struct ph_pool *p, struct ph_task *t);
void ph__map_add(struct ph_pool *p, struct ph_task *t);

#endif
