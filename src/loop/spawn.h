/* SPDX-License-Identifier: MIT
 * Starting another program: one function, no state. It does what posix_spawn does, and what that cannot: the child
 * dies with the thread that started it, and an error says which step failed. */
#ifndef PH_LOOP_SPAWN_H
#define PH_LOOP_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct ph_spawn {          /* borrows everything */
  const char *name;        /* the command, for messages */
  char *const *candidates; /* paths to try in turn, NULL at the end; at least one */
  char *const *argv;
  char *const *envp; /* NULL: the environment of this process */
  const char *cwd;   /* NULL: that of this process */
  int stdio[3];      /* become descriptors 0, 1, 2 */
  bool new_session;  /* of which the child is the leader, and so of a process group */
};

/* Gives the pid, or -1 with err (kind "os"). No other descriptor than 0, 1, 2 gets into the child; its signals are as in
 * a fresh process: default actions, none blocked. Blocks until the program has been loaded. */
pid_t ph_spawn(const struct ph_spawn *s, struct ph_err *err);

/* The end of a child that this thread has started and nobody else waits for: sends it the signal, waits for so long, then
 * kills it. There is no child when it returns. */
void ph_spawn_end(pid_t pid, int number, int timeout_ms);

#endif
