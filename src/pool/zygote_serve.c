/* SPDX-License-Identifier: MIT
 * Inside the zygote: one thread, one poll over its connections and the signalfd of SIGCHLD.
 *
 * It never waits for anybody else: events that a host does not read at the moment wait in the outbox of its connection,
 * so that a slow pool does not keep the others from getting workers.
 *
 * A worker may ask for connections, too (PH_ZYGOTE_CONNECT over a socket of its own): tasks may make pools whatever their
 * process has done before, and what they leave dies with their worker.
 *
 * A child is known by (connection, index) from its fork until it is reaped, so a signal never meets a stranger that
 * got the same pid. The children of a connection that was closed are killed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/poke.h"
#include "base/trace.h"
#include "pool/zygote_int.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

struct child {
  pid_t pid;
  int connection; /* -1: nobody is told any more */
  uint32_t index;
};

struct zygote {
  struct ph_zygote_program program;
  bool is_snapshot;        /* its workers go on with the caller's state: the caller's descriptors stay open */
  struct pollfd *fds;      /* 0: the signalfd, 1: the control socket, then the pools' connections */
  struct ph_buf *outboxes; /* for each of fds: events that found no room in the socket */
  size_t n_fds, cap_fds;
  struct child *children;
  size_t n_children, cap_children;
};

static int grow(void *array_place, size_t cap, size_t size) {
  void **place = array_place, *bigger = ph_realloc(*place, cap * size);
  if (bigger != NULL) *place = bigger;
  return bigger != NULL ? 0 : -1;
}

static int add_fd(struct zygote *z, int fd) {
  if (z->n_fds == z->cap_fds) {
    size_t cap = z->cap_fds + 16;
    if (grow(&z->fds, cap, sizeof *z->fds) != 0 || grow(&z->outboxes, cap, sizeof *z->outboxes) != 0) return -1;
    z->cap_fds = cap;
  }
  z->fds[z->n_fds] = (struct pollfd){.fd = fd, .events = POLLIN};
  ph_buf_init(&z->outboxes[z->n_fds++]);
  return 0;
}

static bool send_event(int connection, const void *event) {
  ssize_t n;
  do n = PH_FAULT(send) ? -1 : send(connection, event, sizeof(struct ph_zygote_event), MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n >= 0 || errno != EAGAIN; /* otherwise broken: nobody wants to know any more */
}

static void flush_outbox(struct zygote *z, size_t i) {
  struct ph_buf *b = &z->outboxes[i];
  size_t sent = 0;
  while (sent < b->len && send_event(z->fds[i].fd, b->data + sent)) sent += sizeof(struct ph_zygote_event);
  memmove(b->data, b->data + sent, b->len - sent);
  b->len -= sent;
  if (b->len == 0) z->fds[i].events = POLLIN;
}

/* Without memory for the outbox the connection ends, as its pool would wait for this event for ever. */
static void report(struct zygote *z, int connection, const struct ph_zygote_event *e) {
  size_t i = 1;
  while (i < z->n_fds && z->fds[i].fd != connection) i++;
  if (connection < 0 || i == z->n_fds) return;
  if (z->outboxes[i].len == 0 && send_event(connection, e)) return;
  if (ph_buf_put(&z->outboxes[i], e, sizeof *e) == 0)
    z->fds[i].events = POLLIN | POLLOUT;
  else
    shutdown(connection, SHUT_RDWR);
}

/* --- the worker's first steps ----------------------------------------------------------------------------- */

enum { MEMFD, BELL, REQUESTS, TRACE, N_KEPT };

/* Closes everything from 3 on but those that are kept, which become 3, 4, 5, and 6 where a trace is written. */
static void keep_only(int kept[N_KEPT]) {
  int high[N_KEPT], n = kept[TRACE] >= 0 ? N_KEPT : TRACE;
  for (int i = 0; i < n; i++) {
    high[i] = PH_FAULT(dup) ? -1 : fcntl(kept[i], F_DUPFD, 3 + N_KEPT);
    if (high[i] < 0) high[i] = kept[i];
    if (high[i] < 3 + n) return;
  }
  for (int i = 0; i < n; i++) {
    dup3(high[i], 3 + i, O_CLOEXEC);
    kept[i] = 3 + i;
  }
  close_range(3 + (unsigned)n, ~0u, 0);
  if (n == N_KEPT) ph_trace_move_fd(kept[TRACE]);
}

static void close_own(const struct zygote *z) {
  for (size_t i = 0; i < z->n_fds; i++)
    if (z->fds[i].fd >= 0) close(z->fds[i].fd);
}

static void stdin_from_null(void) {
  int fd = PH_FAULT(open) ? -1 : open("/dev/null", O_RDONLY);
  if (fd > 0) {
    dup2(fd, 0);
    close(fd);
  }
}

/* What the zygote itself ignores, and a worker does not. */
static const int zygote_ignores[] = {SIGQUIT, SIGTERM, SIGHUP};

static void zygote_signals(void) {
  for (int n = 1; n < NSIG; n++) signal(n, SIG_DFL);
  signal(SIGINT, SIG_IGN); /* the host decides; so in workers */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  for (size_t i = 0; i < sizeof zygote_ignores / sizeof *zygote_ignores; i++) signal(zygote_ignores[i], SIG_IGN);
}

static void do_nothing(int number) {
  (void)number;
}

/* SIGPIPE is caught and not ignored, as programs that tasks start would inherit the latter. */
static void worker_signals(void) {
  sigset_t none;
  signal(SIGPIPE, do_nothing);
  for (size_t i = 0; i < sizeof zygote_ignores / sizeof *zygote_ignores; i++) signal(zygote_ignores[i], SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* _exit, unlike exit, looks for none. What the threads of a snapshot's parent held seems lost to it. */
static void look_for_leaks(const struct zygote *z) {
#ifdef __SANITIZE_ADDRESS__
  if (!z->is_snapshot) __lsan_do_leak_check();
#else
  (void)z;
#endif
}

static _Noreturn void be_worker(const struct zygote *z, const struct ph_zygote_message *m, int kept[N_KEPT], pid_t zygote) {
  PH_FAULT_BECOME(WORKER);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != zygote) _exit(1);
  setpgid(0, 0);
  prctl(PR_SET_NAME, m->name);
  worker_signals();
  stdin_from_null();
  if (z->is_snapshot)
    close_own(z);
  else
    keep_only(kept);
  if (!z->is_snapshot) ph__zygote_adopt(kept[REQUESTS]);
  int code = z->program.main(z->program.ud, m->index, kept[MEMFD], kept[BELL]);
  look_for_leaks(z);
  _exit(code);
}

/* --- requests --------------------------------------------------------------------------------------------- */

/* A place for another child. */
static bool has_place(struct zygote *z) {
  if (z->n_children < z->cap_children) return true;
  size_t cap = z->cap_children + 16;
  if (grow(&z->children, cap, sizeof *z->children) != 0) return false;
  z->cap_children = cap;
  return true;
}

static void fail_spawn(struct zygote *z, int connection, const struct ph_zygote_message *m, int error) {
  report(z, connection, &(struct ph_zygote_event){.type = PH_ZYGOTE_SPAWN_FAILED, .index = m->index, .error = error});
}

/* A worker's own way to us, for pools that its tasks make: pair[0] is ours. */
static int open_requests(struct zygote *z, int pair[2]) {
  pair[0] = pair[1] = -1;
  if (z->is_snapshot) return 0;
  if (PH_FAULT(socketpair) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
  if (add_fd(z, pair[0]) == 0) return 0;
  close(pair[0]);
  close(pair[1]);
  errno = ENOMEM;
  return -1;
}

static void warm_up(struct zygote *z) {
  if (z->program.warm == NULL) return;
  z->program.ud = z->program.warm();
  z->program.warm = NULL;
}

static void spawn(struct zygote *z, int connection, const struct ph_zygote_message *m, const int fds[2]) {
  pid_t pid = -1, zygote = getpid();
  int pair[2];
  warm_up(z);
  errno = ENOMEM;
  if (has_place(z) && open_requests(z, pair) == 0) {
    pid = PH_FAULT(fork) ? -1 : fork();
    if (pid == 0) be_worker(z, m, (int[N_KEPT]){fds[0], fds[1], pair[1], ph_trace_fd()}, zygote);
    int saved = errno;
    if (pair[1] >= 0) close(pair[1]); /* after a failure that ends the connection, too */
    errno = saved;
  }
  if (pid < 0) {
    fail_spawn(z, connection, m, errno);
    return;
  }
  setpgid(pid, pid); /* both do it: whoever signals the group next finds it */
  z->children[z->n_children++] = (struct child){.pid = pid, .connection = connection, .index = m->index};
  report(z, connection, &(struct ph_zygote_event){.type = PH_ZYGOTE_SPAWNED, .index = m->index, .pid = pid});
}

static void signal_child(const struct zygote *z, int connection, const struct ph_zygote_message *m) {
  for (size_t i = 0; i < z->n_children; i++) {
    const struct child *c = &z->children[i];
    if (c->connection == connection && c->index == m->index) kill(m->group ? -c->pid : c->pid, m->number);
  }
}

static void poke_child(const struct zygote *z, int connection, const struct ph_zygote_message *m) {
  for (size_t i = 0; i < z->n_children; i++) {
    const struct child *c = &z->children[i];
    if (c->connection == connection && c->index == m->index) ph_poke(c->pid, c->pid, PH_INSPECT_SIGNAL, m->asleep);
  }
}

/* Gives the bytes received, 0 at the end, -1 when there is nothing to do. */
static ssize_t receive(int socket, struct ph_zygote_message *m, int fds[2], int *n_fds) {
  struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control;
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ssize_t n = PH_FAULT(recvmsg) ? -1 : recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  *n_fds = 0;
  if (n <= 0) return n == 0 || (errno != EAGAIN && errno != EINTR) ? 0 : -1;
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
    *n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), (size_t)*n_fds * sizeof(int));
  }
  return n;
}

static void handle(struct zygote *z, int connection, const struct ph_zygote_message *m, int fds[2], int n_fds) {
  if (m->type == PH_ZYGOTE_CONNECT && n_fds == 1 && add_fd(z, fds[0]) == 0) return;
  if (m->type == PH_ZYGOTE_SPAWN && n_fds == 2) spawn(z, connection, m, fds);
  if (m->type == PH_ZYGOTE_SPAWN && n_fds < 2) fail_spawn(z, connection, m, EMFILE); /* no room for its descriptors */
  if (m->type == PH_ZYGOTE_SIGNAL) signal_child(z, connection, m);
  if (m->type == PH_ZYGOTE_POKE) poke_child(z, connection, m);
  for (int i = 0; i < n_fds; i++) close(fds[i]);
}

/* --- ends ------------------------------------------------------------------------------------------------- */

static bool ended_badly(const siginfo_t *info) {
  return info->si_code != CLD_EXITED;
}

/* Looks before it reaps: while the pid is still taken, what the worker left in its process group can be killed. */
static bool reap(struct zygote *z, size_t i) {
  struct child c = z->children[i];
  siginfo_t info = {.si_pid = 0};
  struct rusage usage;
  int status;
  if (waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
  if (ended_badly(&info)) kill(-c.pid, SIGKILL);
  if (wait4(c.pid, &status, WNOHANG, &usage) != c.pid) return false;
  struct ph_zygote_event e = {.type = PH_ZYGOTE_EXITED, .index = c.index, .pid = c.pid, .exit_code = -1};
  if (WIFEXITED(status)) e.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) e.signal_number = WTERMSIG(status);
  e.max_rss = (int64_t)usage.ru_maxrss * 1024;
  z->children[i] = z->children[--z->n_children];
  report(z, c.connection, &e);
  return true;
}

static void reap_all(struct zygote *z) {
  for (size_t i = 0; i < z->n_children;)
    if (!reap(z, i)) i++;
}

static void kill_children(struct zygote *z, int connection) {
  for (size_t i = 0; i < z->n_children; i++) {
    struct child *c = &z->children[i];
    if (c->connection != connection) continue;
    kill(-c->pid, SIGKILL);
    c->connection = -1;
  }
}

static void disconnect(struct zygote *z, size_t i) {
  kill_children(z, z->fds[i].fd);
  close(z->fds[i].fd);
  ph_buf_deinit(&z->outboxes[i]);
  z->fds[i] = z->fds[--z->n_fds];
  z->outboxes[i] = z->outboxes[z->n_fds];
}

static void end(struct zygote *z) {
  for (size_t i = 0; i < z->n_children; i++) kill(-z->children[i].pid, SIGKILL);
  for (size_t i = 0; i < z->n_children; i++) waitpid(z->children[i].pid, NULL, 0);
  for (size_t i = 0; i < z->n_fds; i++) ph_buf_deinit(&z->outboxes[i]);
  free(z->children);
  free(z->outboxes);
  free(z->fds);
}

/* --- the loop --------------------------------------------------------------------------------------------- */

static void read_requests(struct zygote *z, size_t i) {
  struct ph_zygote_message m;
  int connection = z->fds[i].fd, fds[2], n_fds;
  ssize_t n;
  while ((n = receive(connection, &m, fds, &n_fds)) > 0) handle(z, connection, &m, fds, n_fds);
  if (n == 0 && i > 1) disconnect(z, i);
  if (n == 0 && i == 1) z->fds[1].fd = -1;
}

static void drain_signals(int fd) {
  struct signalfd_siginfo info[8];
  while (read(fd, info, sizeof info) > 0) {
  }
}

/* Descriptors of the host are none of our business: a copy here would keep its files and sockets open. */
static int keep_socket(int socket) {
  bool traces = ph_trace_fd() >= 0;
  int high = fcntl(socket, F_DUPFD_CLOEXEC, 5), trace = traces ? fcntl(ph_trace_fd(), F_DUPFD_CLOEXEC, 5) : -1;
  if (high < 0) return socket;
  dup3(high, 3, O_CLOEXEC);
  if (traces) ph_trace_move_fd(trace < 0 ? -1 : dup3(trace, 4, O_CLOEXEC));
  close_range(trace < 0 ? 4 : 5, ~0u, 0);
  return 3;
}

void ph__zygote_serve(int socket, pid_t host, bool is_snapshot, const struct ph_zygote_program *program) {
  struct zygote z = {.program = *program, .is_snapshot = is_snapshot};
  sigset_t chld;
  if (!is_snapshot) socket = keep_socket(socket);
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  zygote_signals();
  sigprocmask(SIG_SETMASK, &chld, NULL);
  int signals = PH_FAULT(signalfd) ? -1 : signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0 || add_fd(&z, signals) != 0 || add_fd(&z, socket) != 0) return;
  if (program->eager) warm_up(&z);
  prctl(PR_SET_PDEATHSIG, SIGCHLD); /* the socket alone is no proof: a fork of the host may hold its end open */
  while (z.fds[1].fd >= 0 && getppid() == host) {
    if (poll(z.fds, (nfds_t)z.n_fds, -1) < 0) continue;
    if (z.fds[0].revents) drain_signals(signals);
    for (size_t i = z.n_fds; i-- > 1;) {
      if (z.fds[i].revents & POLLOUT) flush_outbox(&z, i);
      if (z.fds[i].revents & ~POLLOUT) read_requests(&z, i);
    }
    reap_all(&z);
  }
  end(&z);
}
