/* SPDX-License-Identifier: MIT
 * A C module for tests: what hostile C code does to the process that it runs in. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool/link_int.h"

int luaopen_crash(lua_State *L);

/* Sanitizers have handlers of their own, and would turn the signal into an exit code. */
static void by_default(int number) {
  signal(number, SIG_DFL);
}

static int *volatile nowhere = (int *)16;

__attribute__((no_sanitize("undefined"))) static int segfault(lua_State *L) {
  (void)L;
  by_default(SIGSEGV);
  *nowhere = 1;
  return 0;
}

static int give_up(lua_State *L) {
  (void)L;
  by_default(SIGABRT);
  abort();
}

/* Each frame looks at the one before, so that none of them can be left out. */
__attribute__((noinline)) static int deeper(volatile char *above, int levels) {
  volatile char frame[4096];
  frame[0] = (char)(above[0] + 1);
  return levels > 0 ? deeper(frame, levels - 1) + frame[0] : 0;
}

static int overflow_stack(lua_State *L) {
  volatile char top = 0;
  by_default(SIGSEGV);
  lua_pushinteger(L, deeper(&top, INT_MAX));
  return 1;
}

/* As gate.pass of tests/spec/support/gate.lua, but nothing stops it. */
static void pass_gate(const char *path) {
  char sink[16];
  int fd;
  do fd = open(path, O_RDONLY | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return;
  for (ssize_t n = 1; n > 0 || (n < 0 && errno == EINTR);) n = read(fd, sink, sizeof sink);
  close(fd);
}

/* block(seconds [, gate]): passes the gate, then sleeps through every signal. */
static int block(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  if (!lua_isnoneornil(L, 2)) pass_gate(luaL_checkstring(L, 2));
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
  return 0;
}

/* block_signal(number): from here on the process does not see it. */
static int block_signal(lua_State *L) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, (int)luaL_checkinteger(L, 1));
  sigprocmask(SIG_BLOCK, &set, NULL);
  return 0;
}

/* eat(bytes): takes memory that no Lua state knows of, and uses it. */
static int eat(lua_State *L) {
  size_t n = (size_t)luaL_checkinteger(L, 1);
  char *bytes = malloc(n);
  if (bytes == NULL) return luaL_error(L, "not enough memory");
  memset(bytes, 1, n);
  lua_pushinteger(L, bytes[n / 2]);
  free(bytes);
  return 1;
}

/* limit(name, n): sets a resource limit of this process; gives the one before. */
static int limit(lua_State *L) {
  static const char *const names[] = {"nofile", "as", "fsize", "cpu", NULL};
  static const int resources[] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_FSIZE, RLIMIT_CPU};
  int resource = resources[luaL_checkoption(L, 1, NULL, names)];
  lua_Integer n = luaL_checkinteger(L, 2);
  struct rlimit r;
  getrlimit(resource, &r);
  lua_pushinteger(L, (lua_Integer)r.rlim_cur);
  r.rlim_cur = (rlim_t)n;
  if (setrlimit(resource, &r) != 0) return luaL_error(L, "setrlimit: %s", strerror(errno));
  return 1;
}

/* close_from(first, last): these descriptors are closed. */
static int close_from(lua_State *L) {
  close_range((unsigned)luaL_checkinteger(L, 1), (unsigned)luaL_checkinteger(L, 2), 0);
  return 0;
}

/* first_free() -> the number that the next descriptor will have */
static int first_free(lua_State *L) {
  int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
  lua_pushinteger(L, fd);
  close(fd);
  return 1;
}

/* Never readable. */
static int open_dumb(const char *kind) {
  int pair[2];
  if (strcmp(kind, "epoll") == 0) return epoll_create1(0);
  if (strcmp(kind, "socket") == 0) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return -1;
    fcntl(pair[1], F_DUPFD_CLOEXEC, 1000); /* stays open */
    close(pair[1]);
    return pair[0];
  }
  return eventfd(0, 0);
}

/* replace(first, last, kind): each of these descriptors that is open is closed, and its number is something else's now: that
 * of an eventfd, an epoll or a socket on which nothing ever happens. */
static int replace(lua_State *L) {
  static const char *const kinds[] = {"eventfd", "epoll", "socket", NULL};
  int first = (int)luaL_checkinteger(L, 1), last = (int)luaL_checkinteger(L, 2);
  const char *kind = kinds[luaL_checkoption(L, 3, NULL, kinds)];
  int other = open_dumb(kind), high = fcntl(other, F_DUPFD_CLOEXEC, last + 1);
  if (other < 0 || high < 0) return luaL_error(L, "no descriptor");
  if (other < first || other > last) close(other);
  for (int fd = first; fd <= last; fd++)
    if (fcntl(fd, F_GETFD) >= 0) syscall(SYS_dup3, high, fd, 0); /* sanitizers watch dup2 */
  return 0;
}

/* trim(): memory that is free in malloc goes back to the system, and will sooner from now on: the limits no longer grow
 * with the blocks that come by. */
static int trim(lua_State *L) {
  (void)L;
  mallopt(M_TRIM_THRESHOLD, 1 << 17);
  malloc_trim(0);
  return 0;
}

/* fork() -> pid, 0 in the child. Buffers are flushed before. */
static int fork_process(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, fork());
  return 1;
}

/* wait(pid) -> exit code, or 128 + signal. */
static int wait_for(lua_State *L) {
  int status = 0;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

/* kill(pid, signal) -> there was such a process */
static int send_signal(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 1, 1, "pid expected");
  lua_pushboolean(L, kill(pid, (int)luaL_checkinteger(L, 2)) == 0);
  return 1;
}

static int leave(lua_State *L) {
  _exit((int)luaL_optinteger(L, 1, 0));
}

static void *wait_for_byte(void *arg) {
  int *pipe_end = arg;
  char byte;
  while (read(*pipe_end, &byte, 1) < 0 && errno == EINTR) {
  }
  return NULL;
}

/* with_thread(f): calls f while the process has one thread more. */
static int with_thread(lua_State *L) {
  int ends[2];
  pthread_t thread;
  if (pipe(ends) != 0 || pthread_create(&thread, NULL, wait_for_byte, &ends[0]) != 0) return luaL_error(L, "no thread");
  int status = lua_pcall(L, 0, 0, 0);
  close(ends[1]);
  pthread_join(thread, NULL);
  close(ends[0]);
  return status == LUA_OK ? 0 : lua_error(L);
}

/* Where this worker process has mapped its link; NULL: it has none. */
static void *find_link(void) {
  unsigned long from, at;
  char line[512];
  void *found = NULL;
  FILE *maps = fopen("/proc/self/maps", "re");
  while (maps != NULL && found == NULL && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "memfd:parhost-link") != NULL && sscanf(line, "%lx-%*x %*s %lx", &from, &at) == 2 && at == 0)
      found = (void *)(uintptr_t)from; // NOLINT(performance-no-int-to-ptr)
  if (maps != NULL) fclose(maps);
  return found;
}

/* forge(type, len, bytes): a worker process writes a frame of slot 0 and item 0 to its host, behind the worker's back. */
static int forge(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  struct ph_frame f = {.type = (uint8_t)luaL_checkinteger(L, 1), .len = (uint32_t)luaL_checkinteger(L, 2)};
  struct ph_link_shared *shared = find_link();
  if (shared == NULL) return luaL_error(L, "no link here");
  uint8_t *ring = (uint8_t *)shared + PH_LINK_HEADER + 2 * (size_t)PH_LINK_RING;
  uint64_t head = atomic_load(&shared->rings[1].head);
  uint8_t *to = ring + head % PH_LINK_RING; /* the ring is mapped twice in a row */
  memcpy(to, &f, sizeof f);
  memcpy(to + sizeof f, bytes, n);
  atomic_store(&shared->rings[1].head, head + sizeof f + n);
  return 0;
}

int luaopen_crash(lua_State *L) {
  static const luaL_Reg functions[] = {{"segfault", segfault},
                                       {"abort", give_up},
                                       {"overflow_stack", overflow_stack},
                                       {"block", block},
                                       {"block_signal", block_signal},
                                       {"eat", eat},
                                       {"limit", limit},
                                       {"with_thread", with_thread},
                                       {"close_from", close_from},
                                       {"replace", replace},
                                       {"first_free", first_free},
                                       {"fork", fork_process},
                                       {"wait", wait_for},
                                       {"leave", leave},
                                       {"kill", send_signal},
                                       {"forge", forge},
                                       {"trim", trim},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
