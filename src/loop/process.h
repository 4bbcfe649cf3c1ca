/* SPDX-License-Identifier: MIT
 * Children of one Lua state: seen by pidfds in the state's loop, reaped one by one, by pid. No SIGCHLD is handled and
 * none is needed, so neither other children of the process nor other loops are any of our business.
 *
 * A child that leads a process group is signalled together with it, until it has been reaped: the group may then be
 * empty, and its number a stranger's. */
#ifndef PH_LOOP_PROCESS_H
#define PH_LOOP_PROCESS_H

#include "loop/oneshot.h"
#include "loop/spawn.h"

struct ph_children {
  struct ph_loop *loop;
  struct ph_oneshot_queue exits;
  struct ph_list processes; /* not reaped */
  pid_t owner;              /* this process: a fork of it has no children */
};

struct ph_process {
  struct ph_oneshot watch;
  struct ph_list node; /* in ph_children.processes; in no list: reaped */
  struct ph_children *children;
  pid_t pid;
  int pidfd;
  bool group;     /* it leads one */
  bool kill_rest; /* what it leaves behind in its group is killed */
  bool held;      /* not to be reaped: its group may still have to be signalled */
  bool orphan;    /* nobody holds it: freed when it is reaped */
  bool ended;
  int exit_code;     /* -1: unknown, somebody else reaped it */
  int signal_number; /* 0: it exited */
  char *trace_name;  /* its name in the trace, while it runs; NULL: none is written */
  uint64_t trace_id;
};

void ph_children_init(struct ph_children *c, struct ph_loop *loop);
/* One that has ended since it was last looked at, NULL: none. */
struct ph_process *ph_children_next(struct ph_children *c);
/* The end of the state: kills what still runs, and frees what nobody holds. */
void ph_children_close(struct ph_children *c);

/* Gives a running process, NULL with err. */
struct ph_process *ph_process_start(struct ph_children *c, const struct ph_spawn *s, struct ph_err *err);
/* A running one is killed with its group, and reaped by the loop. */
void ph_process_free(struct ph_process *p);

/* Looks whether it has ended. */
bool ph_process_check(struct ph_process *p);
/* To it and its group. 0, or -1 with errno; ESRCH when it has been reaped. */
int ph_process_signal(struct ph_process *p, int number);
/* No more signals will come for its group: a dead one may be reaped. */
void ph_process_release(struct ph_process *p);
/* Without the loop: gives it so long to end, then kills it, and waits a moment for that. */
void ph_process_finish(struct ph_process *p, int64_t deadline);

#endif
