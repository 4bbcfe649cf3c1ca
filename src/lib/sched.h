/* SPDX-License-Identifier: MIT
 * The scheduler of a Lua state: tasks, the tree of cancel scopes, the ready queue, timers. One per state, made when
 * module `async` is loaded; belongs to the state's thread. This file knows who has to run and who is cancelled;
 * task_run.c runs them, task_lib.c and scope_lib.c are what Lua sees.
 *
 *   scope tree:  the root scope of a run
 *                  <- root scope of a task <- scopes opened in it, the innermost last <- (group) <- root scope of a child
 * ...
 *
 * A cancelled scope makes everything inside of it *effective*, but for what a shield protects: whoever parks there
 * gets the cancellation signal, every time until the scope is left. */
#ifndef PH_LIB_SCHED_H
#define PH_LIB_SCHED_H

#include <lauxlib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cells.h"
#include "base/heap.h"
#include "base/list.h"
#include "loop/watchdog.h"
#include "vm/vm.h"

/* Slots of a task's table; the first four are those of futures (lua/futures/future.lua). */
enum {
  TASK_STATE = 1,
  TASK_VALUE,     /* unsettled: the struct sched_task */
  TASK_COUNT,     /* before it has parked for the first time: the function; then the coroutine */
  TASK_CALLBACKS, /* who waits for it */
  TASK_NUMBER,
  TASK_ARGS, /* from here, until it begins */
};
enum { STATE_PENDING = 1, STATE_RUNNING, STATE_DONE, STATE_FAILED, STATE_CANCELLED };

enum sched_kind { SCOPE_PLAIN, SCOPE_TASK, SCOPE_GROUP };

struct sched_scope {
  struct sched_scope *parent;
  struct ph_list inside;    /* the scopes whose parent it is */
  struct ph_list beside;    /* their links */
  struct sched_task *owner; /* whose scope it is; NULL: that of plain code */
  int signal;               /* registry reference of what is raised; LUA_NOREF: not made yet */
  uint8_t kind, source;     /* enum ph_stop: why it was cancelled, 0: it was not */
  bool effective, shield;
};

/* A scope that Lua holds: a full userdata. Closed: parent and owner are gone. */
extern const char sched_box_mark;
struct sched_box {
  struct sched_scope scope;
  const char *mark; /* sched_box_mark */
  struct ph_heap_node deadline;
  lua_State *co;      /* the generator that it was opened in; NULL: not in a generator */
  unsigned live;      /* groups: children that have not ended */
  uint8_t watched;    /* WATCH_...: which ends of children Lua hears of */
  bool open, yielded; /* yielded: the innermost one of a generator that has yielded */
};

enum sched_state { TASK_HELD, TASK_READY, TASK_RUNS, TASK_PARKED, TASK_ENDED };
enum sched_wake { WAKE_EVENT, WAKE_TIMER, WAKE_CANCEL, WAKE_THROW, WAKE_POLL };

struct sched_task {
  struct sched_scope root;
  struct sched_scope *scope; /* the innermost one */
  struct ph_list queue;      /* in `ready`, `pollers` or `sleepers` */
  struct ph_heap_node timer;
  lua_State *co;        /* NULL: not begun */
  lua_State *parked_in; /* the coroutine that parks: co, or a generator in it */
  int anchor;           /* of its table: its place in `anchors` */
  uint16_t nargs;
  uint8_t state, wake;
  bool masked, lively, shown, start_on_cancel; /* lively: something outside of the tasks will wake it */
  uint32_t outcome : 8;                        /* STATE_... when it has ended */
  uint32_t born : 24;                          /* the scheduler's turn when it was created */
  struct task_trace *trace;                    /* what is to be told of it; NULL: nobody watches */
};

/* A run: of plain code as long as none is on. Those of tasks that a worker thread runs while it waits lie on top. */
struct sched_run {
  struct sched_run *outer;
  const void *place;        /* the task of a pool that it is in, see ph_run_current */
  struct sched_scope *root; /* of plain code: own_root */
  struct sched_task *main;  /* NULL: it has ended */
  bool on;
  bool stop_taken;  /* the state's stop request has become a cancellation of the run */
  bool stop_counts; /* and nothing else had cancelled it before */
  bool stop_signal; /* it was Ctrl-C or the like */
  bool is_virtual, debug;
  int64_t virtual_now;
};

#define SCHED_TURN(ns) ((uint32_t)((uint64_t)(ns) >> 28)) /* units of some quarter of a second */
#define SCHED_SPARE_MAX 256                               /* coroutines to be used again */

struct sched {
  struct ph_list ready, pollers;
  struct ph_list sleepers; /* timers that were set in the order of their time, as most are; the others are in a heap */
  size_t n_ready;
  struct ph_cells cells; /* the memory of tasks */
  struct ph_heap timers, deadlines;
  struct sched_task *current; /* NULL: plain code runs */
  struct sched_run run;
  struct sched_scope own_root;
  unsigned live, lively;  /* tasks; those of them that something outside will wake */
  unsigned inside, eager; /* tasks that run, one inside of another; those that were started so */
  uint64_t number;        /* of the last task */
  uint32_t turn;          /* when the loop last came round: SCHED_TURN */
  int64_t stop_left;      /* since this ph_thread_time a stop request waits for plain code, while a task runs; 0: none */
  bool stirred;           /* plain code that waits must have a look */
  bool poll_again;        /* something has run since the pollers were asked */
  int anchors, spare, policy, throws, traces, yielded, generators; /* tables, registry references */
  int names, sites;                     /* of tasks, in tables of Lua; LUA_NOREF until it has said so */
  int n_spare;                          /* up to SCHED_SPARE_MAX */
  int coroutines;                       /* let go, less new ones, that the collector has not been told of */
  lua_State *spare_at[SCHED_SPARE_MAX]; /* what lies in `spare`, also behind n_spare: where its task has not parked yet */
  int *free_anchors, n_free_anchors, n_anchors, anchors_cap; /* places of `anchors` */
  struct ph_vm *vm;
  struct ph_watchdog watchdog;
};

int64_t sched_now(const struct sched *s);

void sched_scope_enter(struct sched_scope *scope, struct sched_scope *parent, struct sched_task *owner,
                       enum sched_kind kind);
/* What is still inside goes to `heir`, and stays cancelled if it was. The signal is the caller's business. */
void sched_scope_leave(struct sched_scope *scope, struct sched_scope *heir);
/* The same scope, with all that is in it, elsewhere in the tree and for another task. */
void sched_scope_move(struct sched *s, struct sched_scope *scope, struct sched_scope *parent);
/* The generator that a scope was opened in. */
lua_State *sched_generator_of(const struct sched_scope *scope);
/* The task ends (NULL: the scope leaves its task): scopes inside, of generators that have yielded, are nobody's then. */
void sched_disown(struct sched_scope *scope, const struct sched_task *t);
/* Whether there is a task below, at any depth. */
bool sched_holds_tasks(struct sched_scope *top);
/* False when it was cancelled before. */
bool sched_cancel(struct sched *s, struct sched_scope *scope, enum ph_stop source);
/* The shield falls: what is cancelled outside counts inside. */
void sched_unshield(struct sched *s, struct sched_scope *scope);
/* The outermost scope whose cancellation reaches in here; NULL: none. */
struct sched_scope *sched_cancelled_by(struct sched_scope *scope);

void sched_make_ready(struct sched *s, struct sched_task *t);
struct sched_task *sched_peek(struct sched *s);
void sched_next(struct sched *s);
/* The task is no longer parked: out of all that could wake it. */
void sched_unpark(struct sched *s, struct sched_task *t);
/* Does nothing unless the task is parked (or held, for a cancellation). */
void sched_wake(struct sched *s, struct sched_task *t, enum sched_wake why);
void sched_wake_pollers(struct sched *s);
/* -1 without memory. The task is about to park, and is no poller. */
int sched_set_timer(struct sched *s, struct sched_task *t, int64_t when);
/* The same for a poller. */
int sched_set_poll_timer(struct sched *s, struct sched_task *t, int64_t when);
bool sched_has_timers(const struct sched *s);

/* A place for a task's table, 0: no memory. It is taken when it is kept. */
int sched_find_anchor(struct sched *s);
void sched_keep_anchor(struct sched *s, int anchor);
void sched_free_anchor(struct sched *s, int anchor);

/* In a forked copy of the process: all tasks but the one that runs stay with the parent. */
void sched_forget(struct sched *s);

/* When the next timer is due; PH_NEVER: none. */
int64_t sched_first(const struct sched *s);
/* Wakes and cancels all that is due. */
void sched_fire(struct sched *s, int64_t now);

#endif
