/* SPDX-License-Identifier: MIT
 * The zygote (fork server): a small process forked before this one has threads. Workers are forked from it, and it is
 * their parent: it reaps them, knows why they ended, and kills them when the host or their pool is gone.
 *
 * Each pool has a connection of its own, a SOCK_SEQPACKET socket; requests never block the host, answers are events.
 * A worker is named by an index that its pool chooses. Worker processes lead a process group of their own, so that
 * what a task started dies with a killed worker, and the terminal's Ctrl-C reaches the host alone.
 * A worker dies with the zygote (PR_SET_PDEATHSIG), the zygote ends when the host does (end of file). */
#ifndef PH_POOL_ZYGOTE_H
#define PH_POOL_ZYGOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Runs in the forked worker with the two descriptors of its link; what it returns becomes the exit code by _exit. */
typedef int ph_worker_main(void *ud, uint32_t index, int memfd, int bell);

/* What a zygote runs. `warm`, or NULL: does once, in the zygote, what each worker would have to do first; what it gives is
 * the `ud` of `main` then. It is run before the first worker is forked, or at once where `eager`. */
struct ph_zygote_program {
  ph_worker_main *main;
  void *(*warm)(void);
  bool eager;
  void *ud;
};

/* Forks the process-wide zygote unless it runs; in a worker of one, that is the one. Fails with kind "invalid_state" naming
 * the number of threads when this process has more than one. The single caller at a time is the main program or a worker
 * about to make a pool. */
int ph_zygote_start(const struct ph_zygote_program *program, struct ph_err *err);
bool ph_zygote_running(void);
/* Workers of the process-wide zygote begin with the environment that this process has now. */
bool ph_zygote_has_environment(void);
/* Tells the process-wide zygote to end (and with it every worker that is left): stop, which reaps it, has less to wait for
 * then. Both are idempotent. */
void ph_zygote_dismiss(void);
void ph_zygote_stop(void);

/* A new connection to the process-wide zygote: a descriptor, non-blocking, close-on-exec. -1 with err. */
int ph_zygote_connect(struct ph_err *err);
/* Ends a connection; what is left of its workers is killed. */
void ph_zygote_disconnect(int connection);
/* A zygote of its own, forked right now from the calling process, which its workers see as it is at this moment.
 * `allowed_threads`: how many threads this process may have (itself and parhost's own dispatchers); more is
 * kind "invalid_state", naming the number. Gives its connection; it ends when that is closed. */
int ph_zygote_fork(const struct ph_zygote_program *program, int allowed_threads, pid_t *pid, struct ph_err *err);
/* Reaps the process of ph_zygote_fork after its connection was closed. */
void ph_zygote_reap(pid_t pid);
/* Somebody may have stopped it (SIGSTOP), and now it is needed. pid 0: the process-wide one. */
void ph_zygote_continue(pid_t pid);

/* Asks for a worker; takes nothing (the caller closes memfd and bell afterwards). `name` is shown by ps (15 bytes). */
int ph_zygote_spawn(int connection, uint32_t index, const char *name, int memfd, int bell, struct ph_err *err);
/* Sends a signal to a worker, or to its whole process group. Silently nothing when it has ended. */
int ph_zygote_signal(int connection, uint32_t index, int signal_number, bool group);

/* PH_INSPECT_SIGNAL for a worker that can take it without noticing (base/poke.h). Is dropped when the zygote has much to do.
 */
void ph_zygote_poke(int connection, uint32_t index, bool asleep);

enum ph_zygote_event_type { PH_ZYGOTE_SPAWNED, PH_ZYGOTE_SPAWN_FAILED, PH_ZYGOTE_EXITED };

struct ph_zygote_event {
  enum ph_zygote_event_type type;
  uint32_t index;
  pid_t pid;
  int error;         /* SPAWN_FAILED: errno */
  int exit_code;     /* EXITED: -1 when ended by a signal */
  int signal_number; /* EXITED: 0 when it exited by itself */
  int64_t max_rss;   /* EXITED: bytes */
};

/* Non-blocking: 1 with an event, 0 none, -1 the zygote is gone. */
int ph_zygote_receive(int connection, struct ph_zygote_event *event);

#endif
