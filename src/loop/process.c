/* SPDX-License-Identifier: MIT */
#include "loop/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/tally.h"

/* How long a killed child may take: it may hang in the kernel, on a file system that does not answer. */
#define KILLED_NS ((int64_t)1000000000)

void ph_children_init(struct ph_children *c, struct ph_loop *loop) {
  *c = (struct ph_children){.loop = loop, .owner = getpid()};
  ph_oneshot_queue_init(&c->exits);
  ph_list_init(&c->processes);
}

static bool is_ours(const struct ph_process *p) {
  return p->children->owner == getpid();
}

/* Takes the dead child out of the process table. Its group can be signalled up to here. */
static void reap(struct ph_process *p) {
  if (ph_list_empty(&p->node)) return;
  if (p->kill_rest && p->group) kill(-p->pid, SIGKILL);
  while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) continue;
  ph_list_remove(&p->node);
}

static void free_memory(struct ph_process *p) {
  free(p->trace_name);
  free(p);
}

static void stop_watching(struct ph_process *p) {
  if (p->pidfd < 0) return;
  ph_oneshot_close(&p->watch);
  close(p->pidfd);
  p->pidfd = -1;
}

static void begin_trace(struct ph_process *p, const char *name) {
  struct ph_event e;
  p->trace_name = strdup(name);
  if (p->trace_name == NULL) return;
  p->trace_id = ph_trace_id();
  ph_event_begin_async(&e, 'b', "process", name, p->trace_id);
  ph_event_integer(&e, "pid", p->pid);
  ph_event_end(&e);
  ph_event_write(&e);
}

static void end_trace(struct ph_process *p) {
  struct ph_event e;
  ph_event_begin_async(&e, 'e', "process", p->trace_name, p->trace_id);
  ph_event_integer(&e, "pid", p->pid);
  if (p->signal_number != 0)
    ph_event_signal(&e, p->signal_number);
  else
    ph_event_integer(&e, "code", p->exit_code);
  ph_event_end(&e);
  ph_event_write(&e);
  free(p->trace_name);
  p->trace_name = NULL;
}

static void note_end(struct ph_process *p, const siginfo_t *info) {
  p->ended = true;
  if (info->si_code == CLD_EXITED)
    p->exit_code = info->si_status;
  else
    p->signal_number = info->si_status;
  stop_watching(p);
  if (p->trace_name != NULL) end_trace(p);
}

bool ph_process_check(struct ph_process *p) {
  siginfo_t info = {.si_pid = 0};
  if (p->ended || !is_ours(p)) return p->ended;
  int status = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT);
  if (status == 0 && info.si_pid == 0) return false;
  if (status < 0) { /* SIGCHLD is ignored here, or a library waits for any child */
    info = (siginfo_t){.si_code = CLD_EXITED, .si_status = -1};
    ph_list_remove(&p->node);
  }
  note_end(p, &info);
  if (!p->held) reap(p);
  return true;
}

struct ph_process *ph_children_next(struct ph_children *c) {
  for (struct ph_oneshot *w; (w = ph_oneshot_next(&c->exits)) != NULL;) {
    struct ph_process *p = ph_list_entry(w, struct ph_process, watch);
    struct ph_err err;
    if (!ph_process_check(p))
      ph_oneshot_arm(&p->watch, false, &err); /* a debugger has its end first */
    else if (!p->orphan)
      return p;
    else
      free_memory(p);
  }
  return NULL;
}

static int open_pidfd(pid_t pid) {
  return PH_FAULT(pidfd_open) ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
}

static int watch(struct ph_process *p, const char *name, struct ph_err *err) {
  p->pidfd = open_pidfd(p->pid);
  if (p->pidfd < 0) return ph_err_set(err, "os", errno, "cannot watch '%s': %s", name, strerror(errno));
  ph_oneshot_init(&p->watch, p->children->loop, &p->children->exits, p->pidfd);
  return ph_oneshot_arm(&p->watch, false, err);
}

struct ph_process *ph_process_start(struct ph_children *c, const struct ph_spawn *s, struct ph_err *err) {
  struct ph_process *p = ph_calloc(1, sizeof *p);
  if (p == NULL) {
    ph_err_set(err, "os", ENOMEM, "cannot start '%s': %s", s->name, strerror(ENOMEM));
    return NULL;
  }
  p->children = c;
  p->pidfd = -1;
  p->group = s->new_session;
  p->pid = ph_spawn(s, err);
  if (p->pid < 0) {
    free(p);
    return NULL;
  }
  ph_list_push_back(&c->processes, &p->node);
  if (ph_traced()) begin_trace(p, s->name);
  if (ph_counted()) ph_tally_add(PH_TALLY_PROGRAMS, 1);
  if (watch(p, s->name, err) == 0) return p;
  ph_process_signal(p, SIGKILL);
  stop_watching(p);
  reap(p);
  free_memory(p);
  return NULL;
}

int ph_process_signal(struct ph_process *p, int number) {
  if (ph_list_empty(&p->node) || !is_ours(p)) {
    errno = ESRCH;
    return -1;
  }
  return kill(p->group ? -p->pid : p->pid, number);
}

void ph_process_release(struct ph_process *p) {
  p->held = false;
  if (p->ended && is_ours(p)) reap(p);
}

void ph_process_free(struct ph_process *p) {
  if (!is_ours(p)) return; /* its loop is not here either */
  p->held = false;
  if (!ph_process_check(p)) {
    p->kill_rest = p->orphan = true;
    ph_process_signal(p, SIGKILL);
    return;
  }
  reap(p);
  free_memory(p);
}

static bool wait_without_loop(struct ph_process *p, int64_t deadline) {
  while (!ph_process_check(p)) {
    int64_t left = deadline - ph_now();
    if (left <= 0) return false;
    struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
    struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    ppoll(&fd, 1, &ts, NULL);
  }
  return true;
}

void ph_process_finish(struct ph_process *p, int64_t deadline) {
  p->kill_rest = true;
  if (!wait_without_loop(p, deadline)) ph_process_signal(p, SIGKILL);
  wait_without_loop(p, ph_now() + KILLED_NS);
  ph_process_release(p);
}

void ph_children_close(struct ph_children *c) {
  if (c->owner != getpid()) return;
  for (struct ph_list *node = c->processes.next; node != &c->processes; node = node->next)
    ph_process_signal(ph_list_entry(node, struct ph_process, node), SIGKILL);
  int64_t deadline = ph_now() + KILLED_NS;
  for (struct ph_list *node = c->processes.next, *next; node != &c->processes; node = next) {
    struct ph_process *p = ph_list_entry(node, struct ph_process, node);
    next = node->next;
    wait_without_loop(p, deadline);
    stop_watching(p);
    ph_list_remove(&p->node);
    if (p->orphan) free_memory(p);
  }
}
