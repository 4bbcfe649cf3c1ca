/* SPDX-License-Identifier: MIT
 * vfork: nothing of a big heap has to be copied, or marked for copying. Until its exec the child runs in our memory, on
 * our stack, while this thread stands still: it may make system calls and write to its own locals, no more. All signals
 * are blocked meanwhile, so that no handler of ours runs in the child. */
#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

extern char **environ;

enum step { STEP_SETUP, STEP_CWD, STEP_EXEC };

struct failure { /* what the child writes into the pipe when it cannot go on */
  enum step step;
  int code;
};

static void reset_signals(void) {
  struct sigaction action;
  sigset_t none;
  for (int n = 1; n < NSIG; n++) {
    if (sigaction(n, NULL, &action) != 0 || action.sa_handler == SIG_DFL) continue;
    action = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(n, &action, NULL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* First above 2, each: what becomes 1 may lie on 2. */
static int place_stdio(const struct ph_spawn *s) {
  int fds[3];
  for (int i = 0; i < 3; i++) {
    fds[i] = s->stdio[i] == i ? i : PH_FAULT(dup) ? -1 : fcntl(s->stdio[i], F_DUPFD_CLOEXEC, 3);
    if (fds[i] < 0) return -1;
  }
  for (int i = 0; i < 3; i++) {
    if (fds[i] == i)
      fcntl(i, F_SETFD, 0); /* not open here: neither there */
    else if (dup2(fds[i], i) < 0)
      return -1;
  }
  return 0;
}

/* Of several candidates, one that may not be run tells more than the last that is not there. */
static void exec_first(const struct ph_spawn *s) {
  int denied = 0;
  for (char *const *path = s->candidates; *path != NULL; path++) {
    if (!PH_FAULT(exec)) execve(*path, s->argv, s->envp != NULL ? s->envp : environ);
    if (errno == EACCES) denied = EACCES;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return;
  }
  if (denied != 0) errno = denied;
}

static enum step become(const struct ph_spawn *s, pid_t host) {
  if (s->new_session && setsid() < 0) return STEP_SETUP;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return STEP_SETUP;
  if (getppid() != host) _exit(127);
  if (place_stdio(s) != 0) return STEP_SETUP;
  if (s->cwd != NULL && chdir(s->cwd) != 0) return STEP_CWD;
  if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0) return STEP_SETUP;
  reset_signals();
  exec_first(s);
  return STEP_EXEC;
}

static _Noreturn __attribute__((noinline)) void be_child(const struct ph_spawn *s, pid_t host, int report) {
  struct failure f = {.step = become(s, host)};
  f.code = errno;
  ssize_t written = write(report, &f, sizeof f);
  _exit(written == (ssize_t)sizeof f ? 127 : 126);
}

static pid_t start_child(const struct ph_spawn *s, int report) {
  sigset_t all, old;
  if (PH_FAULT(vfork)) return -1;
  pid_t host = getpid();
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pid_t pid = vfork();                     /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
  if (pid == 0) be_child(s, host, report); /* NOLINT(clang-analyzer-unix.Vfork) */
  int saved = errno;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = saved;
  return pid;
}

static int set_failure(const struct ph_spawn *s, const struct failure *f, struct ph_err *err) {
  if (f->step == STEP_CWD)
    return ph_err_set(err, "os", f->code, "cannot start '%s' in directory '%s': %s", s->name, s->cwd, strerror(f->code));
  bool many = f->code == ENOENT && strchr(s->name, ' ') != NULL;
  return ph_err_set(err, "os", f->code, "cannot start '%s': %s%s", s->name, strerror(f->code),
                    many ? " (arguments are items of their own, or use shell = true)" : "");
}

static bool read_failure(int report, struct failure *f) {
  ssize_t n;
  do n = read(report, f, sizeof *f);
  while (n < 0 && errno == EINTR);
  return n == (ssize_t)sizeof *f;
}

void ph_spawn_end(pid_t pid, int number, int timeout_ms) {
  struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
  kill(pid, number);
  if (end.fd < 0 || poll(&end, 1, timeout_ms) <= 0) kill(pid, SIGKILL);
  if (end.fd >= 0) close(end.fd);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}

pid_t ph_spawn(const struct ph_spawn *s, struct ph_err *err) {
  int report[2];
  struct failure failure = {.step = STEP_SETUP};
  if (PH_FAULT(pipe) || pipe2(report, O_CLOEXEC) != 0) {
    failure.code = errno;
    return set_failure(s, &failure, err);
  }
  pid_t pid = start_child(s, report[1]);
  failure.code = errno;
  close(report[1]);
  bool failed = pid < 0 || read_failure(report[0], &failure);
  close(report[0]);
  if (!failed) return pid;
  if (pid > 0) waitpid(pid, NULL, 0);
  return set_failure(s, &failure, err);
}
