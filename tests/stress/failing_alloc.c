/* SPDX-License-Identifier: MIT
 * Runs a program again and again, and lets the first allocation fail, then the second, and so on: in C code and in Lua's
 * heaps, in the host, its worker threads, its workers and its zygote. The program (failing_alloc.lua) ends well, in time,
 * and leaves no process behind, whichever it was. Each kind is over when its fault is not met any more.
 *   failing_alloc PARHOST PROGRAM [step [last [point...]]] */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIME_LIMIT_S = 60, LEFTOVER_LIMIT_S = 10, OUTPUT_MAX = 65536 };

/* "start": in the host, from the start of the program on, where it may end with an error message instead. A Lua heap that
 * was refused collects its garbage and asks once more: so two in a row, or many, which also has the error handling fail. */
static const char *const default_points[] = {
    "start.alloc",        "start.lua_alloc*2",   "host.alloc",         "host.alloc*4",        "host.lua_alloc*2",
    "host.lua_alloc*20",  "thread.alloc",        "thread.lua_alloc*2", "thread.lua_alloc*20", "worker.alloc",
    "worker.lua_alloc*2", "worker.lua_alloc*20", "zygote.alloc",       "start.slab*2",        "host.slab",
    "host.slab*2",        "host.slab*20",        "thread.slab*2",      "thread.slab*20",      "worker.slab*20",
};

struct outcome {
  int status;
  bool hung, left_some;
  char output[OUTPUT_MAX];
};

static void exec_program(const char *parhost, const char *program, const char *fault, int out) {
  bool at_start = strncmp(fault, "start.", 6) == 0;
  char armed[64];
  setsid();
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  snprintf(armed, sizeof armed, "host.%s", fault + 6);
  if (at_start) setenv("PARHOST_FAULT", armed, 1);
  execl(parhost, parhost, program, at_start ? "" : fault, (char *)NULL);
  _exit(127);
}

/* False: it takes too long. */
static bool wait_for(pid_t pid, int *status, int seconds) {
  const struct timespec tick = {.tv_nsec = 1000000};
  time_t end = time(NULL) + seconds;
  for (;;) {
    pid_t got = waitpid(pid, status, WNOHANG);
    if (got != 0) return true;
    if (time(NULL) > end) return false;
    nanosleep(&tick, NULL);
  }
}

/* What was a child of the program is ours now. False: something is left that does not end. */
static bool take_orphans(void) {
  int status;
  for (;;) {
    if (!wait_for(-1, &status, LEFTOVER_LIMIT_S)) return false;
    if (waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD) return true;
  }
}

static void run(const char *parhost, const char *program, const char *fault, struct outcome *o) {
  int out = memfd_create("output", MFD_CLOEXEC);
  pid_t pid = fork();
  if (pid == 0) exec_program(parhost, program, fault, out);
  o->hung = !wait_for(pid, &o->status, TIME_LIMIT_S);
  if (o->hung) kill(-pid, SIGABRT);
  if (o->hung) waitpid(pid, &o->status, 0);
  o->left_some = !take_orphans();
  ssize_t n = pread(out, o->output, sizeof o->output - 1, 0);
  o->output[n > 0 ? n : 0] = '\0';
  close(out);
}

/* NULL: all was well. */
static const char *what_is_wrong(const struct outcome *o, bool at_start) {
  bool told = strstr(o->output, "not enough memory") != NULL || strstr(o->output, "allocate memory") != NULL;
  if (o->hung) return "does not end";
  if (o->left_some) return "leaves processes behind";
  if (WIFSIGNALED(o->status)) return strsignal(WTERMSIG(o->status));
  if (strstr(o->output, "Sanitizer") != NULL || strstr(o->output, "runtime error") != NULL) return "a sanitizer's finding";
  if (strstr(o->output, "internal error") != NULL) return "an internal error";
  if (WEXITSTATUS(o->status) == EXIT_SUCCESS) return NULL;
  return at_start && told && WEXITSTATUS(o->status) == EXIT_FAILURE ? NULL : "fails";
}

/* Gives how many went wrong. */
static int sweep(const char *parhost, const char *program, const char *point, int step, int last) {
  static struct outcome o;
  bool at_start = strncmp(point, "start.", 6) == 0;
  const char *how = strpbrk(point, "*+"), *times = how != NULL ? how : "";
  int bad = 0, n = 1;
  for (; n <= last; n += step) {
    char fault[64];
    snprintf(fault, sizeof fault, "%.*s:%d%s", (int)(strlen(point) - strlen(times)), point, n, times);
    run(parhost, program, fault, &o);
    const char *wrong = what_is_wrong(&o, at_start);
    if (wrong != NULL) printf("%s: %s (status %#x)\n%s\n", fault, wrong, (unsigned)o.status, o.output);
    bad += wrong != NULL;
    if (wrong == NULL && strstr(o.output, "untripped") != NULL) break;
  }
  printf("%s: up to %d, %d went wrong\n", point, n, bad);
  fflush(stdout);
  return bad;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: failing_alloc PARHOST PROGRAM [step [last [point...]]]\n");
    return EXIT_FAILURE;
  }
  int step = argc > 3 ? atoi(argv[3]) : 1, last = argc > 4 ? atoi(argv[4]) : 2000, bad = 0;
  bool chosen = argc > 5;
  size_t n = chosen ? (size_t)argc - 5 : sizeof default_points / sizeof *default_points;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (size_t i = 0; i < n; i++) bad += sweep(argv[1], argv[2], chosen ? argv[5 + i] : default_points[i], step, last);
  return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
