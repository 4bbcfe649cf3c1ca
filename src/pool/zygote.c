/* SPDX-License-Identifier: MIT
 * The host's side of the zygote: starting it, talking to it. Its own side is zygote_serve.c. */
#include "pool/zygote.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/fd_mark.h"
#include "base/place.h"
#include "pool/zygote_int.h"

#define PATIENCE_MS 1000

/* The process-wide zygote, as seen by the process whose pid is in `owner`. pid 0: it is somebody else's child. */
static struct {
  pid_t owner, pid;
  pid_t dismissed; /* to be reaped */
  int control;
  struct ph_fd_mark mark; /* of it */
} the_zygote;

/* --- its environment -------------------------------------------------------------------------------------- */

extern char **environ;

/* As it was when the process-wide zygote was forked: its strings with their ends. Workers have a copy. */
static struct ph_buf environment = PH_BUF_INIT;
static bool environment_known;

static void note_environment(void) {
  environment.len = 0;
  environment_known = true;
  for (char **e = environ; e != NULL && *e != NULL; e++)
    if (ph_buf_put(&environment, *e, strlen(*e) + 1) != 0) environment_known = false;
}

bool ph_zygote_has_environment(void) {
  size_t at = 0;
  if (!ph_zygote_running() || !environment_known) return false;
  for (char **e = environ; e != NULL && *e != NULL; e++) {
    size_t len = strlen(*e) + 1;
    if (environment.len - at < len || memcmp(environment.data + at, *e, len) != 0) return false;
    at += len;
  }
  return at == environment.len;
}

/* --- forking ---------------------------------------------------------------------------------------------- */

static int count_threads(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/task");
  if (dir == NULL) return 1;
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    if (e->d_name[0] != '.') n++;
  closedir(dir);
#ifdef PH_TSAN
  if (n > 1) n--; /* ThreadSanitizer starts one of its own beside the program's first */
#endif
  return n;
}

static int check_threads(int allowed, struct ph_err *err) {
  int n = __libc_single_threaded ? 1 : count_threads();
  if (n <= allowed) return 0;
  return ph_err_set(err, "invalid_state", 0,
                    "cannot fork workers: this process has %d threads beside its own and those of process pools (require "
                    "\"proc_pool\", or in C call parhost_start, before the first thread pool is made, and before anything "
                    "else starts threads)",
                    n - allowed);
}

/* In the forked process: never returns. */
static _Noreturn void be_zygote(int socket, pid_t host, bool is_snapshot, const struct ph_zygote_program *program) {
  PH_FAULT_BECOME(ZYGOTE);
  prctl(PR_SET_NAME, "parhost-zygote");
  setpgid(0, 0); /* who kills the host's process group leaves us time to kill what tasks have started */
  ph__zygote_serve(socket, host, is_snapshot, program);
  _exit(0);
}

static pid_t fork_zygote(bool is_snapshot, const struct ph_zygote_program *program, int *host_end, struct ph_err *err) {
  int pair[2];
  if (PH_FAULT(socketpair) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    ph_err_os(err, "cannot make a socket for the fork server");
    return -1;
  }
  fflush(NULL); /* or the child would write the same bytes again */
  pid_t host = getpid(), pid = PH_FAULT(fork) ? -1 : fork();
  if (pid == 0) {
    close(pair[0]);
    be_zygote(pair[1], host, is_snapshot, program);
  }
  int saved = errno;
  close(pair[1]);
  if (pid < 0) {
    close(pair[0]);
    errno = saved;
    ph_err_os(err, "cannot fork the fork server");
    return -1;
  }
  ph_place_child(pid);
  *host_end = pair[0];
  return pid;
}

bool ph_zygote_running(void) {
  return the_zygote.owner == getpid();
}

void ph__zygote_adopt(int control) {
  the_zygote.owner = getpid();
  the_zygote.pid = 0;
  the_zygote.control = control;
  the_zygote.mark = ph_fd_mark(control);
}

int ph_zygote_start(const struct ph_zygote_program *program, struct ph_err *err) {
  if (ph_zygote_running()) return 0;
  if (check_threads(1, err) != 0) return -1;
  note_environment();
  int control;
  pid_t pid = fork_zygote(false, program, &control, err);
  if (pid < 0) return -1;
  the_zygote.owner = getpid();
  the_zygote.pid = pid;
  the_zygote.control = control;
  the_zygote.mark = ph_fd_mark(control);
  return 0;
}

void ph_zygote_dismiss(void) {
  if (!ph_zygote_running()) return;
  the_zygote.owner = 0;
  the_zygote.dismissed = the_zygote.pid;
  if (the_zygote.pid > 0) ph_place_last(the_zygote.pid);
  if (ph_fd_is(the_zygote.control, the_zygote.mark)) ph_zygote_disconnect(the_zygote.control);
}

void ph_zygote_stop(void) {
  ph_zygote_dismiss();
  if (the_zygote.dismissed != 0) ph_zygote_reap(the_zygote.dismissed);
  the_zygote.dismissed = 0;
}

/* Copies of this process (start method "fork", a program's own fork) may hold the socket, too: closing ours is no end. */
void ph_zygote_disconnect(int connection) {
  shutdown(connection, SHUT_RDWR);
  close(connection);
}

void ph_zygote_continue(pid_t pid) {
  if (pid == 0 && ph_zygote_running()) pid = the_zygote.pid != 0 ? the_zygote.pid : getppid();
  if (pid > 1) kill(pid, SIGCONT);
}

void ph_zygote_reap(pid_t pid) {
  ph_zygote_continue(pid);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
}

int ph_zygote_fork(const struct ph_zygote_program *program, int allowed_threads, pid_t *pid, struct ph_err *err) {
  int connection;
  if (check_threads(allowed_threads, err) != 0) return -1;
  *pid = fork_zygote(true, program, &connection, err);
  return *pid < 0 ? -1 : connection;
}

/* --- messages --------------------------------------------------------------------------------------------- */

/* After EAGAIN: some hundred requests are on their way. The zygote never blocks, so there is room soon, unless somebody has
 * stopped it. */
static bool has_room(int socket) {
  struct pollfd p = {.fd = socket, .events = POLLOUT};
  int n;
  do n = poll(&p, 1, PATIENCE_MS);
  while (n < 0 && errno == EINTR);
  if (n == 0) errno = EAGAIN;
  return n > 0;
}

int ph__send_message(int socket, const struct ph_zygote_message *m, const int *fds, int n_fds) {
  struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control;
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (n_fds > 0) {
    size_t len = (size_t)n_fds * sizeof(int);
    memset(&control, 0, sizeof control);
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_SPACE(len);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), fds, len);
  }
  ssize_t n;
  do n = PH_FAULT(sendmsg) ? -1 : sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && (errno == EINTR || (errno == EAGAIN && has_room(socket))));
  return n == (ssize_t)sizeof *m ? 0 : -1;
}

static int not_reached(struct ph_err *err) {
  if (errno == EPIPE || errno == ECONNRESET)
    return ph_err_set(err, "broken_pool", errno, "the fork server died: no worker can be started");
  return ph_err_os(err, "cannot reach the fork server");
}

int ph_zygote_connect(struct ph_err *err) {
  int pair[2];
  const struct ph_zygote_message m = {.type = PH_ZYGOTE_CONNECT};
  if (!ph_fd_is(the_zygote.control, the_zygote.mark)) {
    ph_err_set(err, "broken_pool", EBADF, "something in this process has closed the way to the fork server");
    return -1;
  }
  if (PH_FAULT(socketpair) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    ph_err_os(err, "cannot make a socket for a pool");
    return -1;
  }
  int status = ph__send_message(the_zygote.control, &m, &pair[1], 1);
  int saved = errno;
  close(pair[1]);
  if (status == 0) return pair[0];
  close(pair[0]);
  errno = saved;
  return not_reached(err);
}

int ph_zygote_spawn(int connection, uint32_t index, const char *name, int memfd, int bell, struct ph_err *err) {
  struct ph_zygote_message m = {.type = PH_ZYGOTE_SPAWN, .index = index};
  const int fds[2] = {memfd, bell};
  snprintf(m.name, sizeof m.name, "%s", name);
  return ph__send_message(connection, &m, fds, 2) == 0 ? 0 : not_reached(err);
}

int ph_zygote_signal(int connection, uint32_t index, int signal_number, bool group) {
  const struct ph_zygote_message m = {.type = PH_ZYGOTE_SIGNAL, .index = index, .number = signal_number, .group = group};
  return ph__send_message(connection, &m, NULL, 0);
}

void ph_zygote_poke(int connection, uint32_t index, bool asleep) {
  const struct ph_zygote_message m = {.type = PH_ZYGOTE_POKE, .index = index, .asleep = asleep};
  ssize_t n = send(connection, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)n; /* whoever asks will ask again */
}

int ph_zygote_receive(int connection, struct ph_zygote_event *event) {
  ssize_t n;
  do n = PH_FAULT(recv) ? -1 : recv(connection, event, sizeof *event, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n == (ssize_t)sizeof *event) return 1;
  return n < 0 && errno == EAGAIN ? 0 : -1;
}
