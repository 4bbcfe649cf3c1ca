/* SPDX-License-Identifier: MIT
 * A tool with an event loop of its own. Each line of its standard input goes to the Lua function `handle`, which starts
 * work and returns; results come back through the loop, and meanwhile a timer of the tool ticks. */
#include <lauxlib.h>
#include <parhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static unsigned long ticks;

static int say(lua_State *L) {
  printf("%s\n", luaL_checkstring(L, 1));
  return 0;
}

static void report(lua_State *L, int status) {
  if (status != PARHOST_FAILED) return;
  fprintf(stderr, "loop: %s\n", lua_tostring(L, -1));
  lua_pop(L, 2);
}

static void handle_line(lua_State *L, const char *line) {
  lua_getglobal(L, "handle");
  lua_pushstring(L, line);
  report(L, parhost_call(L, 1, 0));
}

/* Gives what is left after the last whole line. */
static size_t handle_lines(lua_State *L, char *text, size_t len) {
  char *line = text, *end;
  while ((end = memchr(line, '\n', len - (size_t)(line - text))) != NULL) {
    *end = '\0';
    handle_line(L, line);
    line = end + 1;
  }
  len -= (size_t)(line - text);
  memmove(text, line, len);
  return len;
}

static void watch(int epoll, int fd) {
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0) return;
  perror("loop: cannot watch a descriptor (standard input must not be a file)");
  exit(1);
}

static int open_timer(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  timerfd_settime(fd, 0, &(struct itimerspec){{0, 10000000}, {0, 10000000}}, NULL);
  return fd;
}

static int milliseconds(double seconds) {
  if (seconds < 0) return -1;
  return seconds < 1000 ? (int)(seconds * 1000 + 0.999) : 1000000;
}

static void run_loop(lua_State *L) {
  char text[4096];
  size_t len = 0;
  int epoll = epoll_create1(EPOLL_CLOEXEC), timer = open_timer(), open = 1;
  watch(epoll, STDIN_FILENO);
  watch(epoll, timer);
  watch(epoll, parhost_fd(L));
  while (open || parhost_pending(L)) {
    struct epoll_event e;
    report(L, parhost_step(L));
    if (epoll_wait(epoll, &e, 1, milliseconds(parhost_timeout(L))) < 1) continue;
    if (e.data.fd == timer) {
      unsigned long n;
      if (read(timer, &n, sizeof n) == sizeof n) ticks += n;
    } else if (e.data.fd == STDIN_FILENO) {
      ssize_t n = read(STDIN_FILENO, text + len, sizeof text - len);
      if (n > 0) len = handle_lines(L, text, len + (size_t)n);
      open = n > 0;
      if (!open) epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    } /* else it is parhost's: the step is at the top of the loop */
  }
  close(timer);
  close(epoll);
}

int main(int argc, char **argv) {
  if (argc != 2 || parhost_start(NULL, 0) != 0) return 2;
  lua_State *L = parhost_newstate();
  if (L == NULL) return 1;
  lua_register(L, "say", say);
  int status = parhost_run_file(L, argv[1], 0, NULL);
  report(L, status);
  if (status == PARHOST_OK) run_loop(L);
  parhost_close(L, PARHOST_WAIT);
  parhost_finish();
  fprintf(stderr, "the tool went on meanwhile: %s\n", ticks > 0 ? "yes" : "no");
  return status;
}
