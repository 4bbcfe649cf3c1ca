/* SPDX-License-Identifier: MIT
 * A C module for tests: starts programs in sessions of their own, with any descriptors or a terminal, and tells how they
 * have ended. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int luaopen_starter(lua_State *L);

#define WORDS_MAX 64

/* --- in the child ------------------------------------------------------------------------------------------- */

/* Signals that come before the exec must not meet our handlers: they were blocked before the fork. */
static void reset_signals(const sigset_t *before) {
  static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) signal(numbers[i], SIG_DFL);
  sigprocmask(SIG_SETMASK, before, NULL);
}

static void redirect(int fd, const char *to) {
  int flags = fd == STDIN_FILENO ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND;
  bool closed = strcmp(to, "closed") == 0;
  int file = open(closed ? "/dev/null" : to, flags | O_CLOEXEC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(126);
  if (closed) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void take_terminal(const char *name) {
  int fd = open(name, O_RDWR);
  ioctl(fd, TIOCSCTTY, 0);
  for (int i = 0; i <= STDERR_FILENO; i++) dup2(fd, i);
  if (fd > STDERR_FILENO) close(fd);
}

/* --- for Lua ------------------------------------------------------------------------------------------------ */

static int open_terminal(lua_State *L) {
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0) luaL_error(L, "no terminal: %s", strerror(errno));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/* start({ word... }, stdin, stdout, stderr) -> pid: paths, or "closed".
 * start({ word... }) -> pid, fd: all three are a new terminal, whose other end fd is. */
static int start(lua_State *L) {
  const char *words[WORDS_MAX + 1] = {NULL}, *files[3];
  bool has_terminal = lua_isnoneornil(L, 2);
  int n = (int)luaL_len(L, 1), terminal = -1;
  luaL_argcheck(L, n > 0 && n <= WORDS_MAX, 1, "words");
  luaL_checkstack(L, n, NULL);
  for (int i = 0; i < n; i++) {
    lua_geti(L, 1, i + 1);
    words[i] = luaL_checkstring(L, -1);
  }
  for (int i = 0; i < 3 && !has_terminal; i++) files[i] = luaL_checkstring(L, 2 + i);
  if (has_terminal) terminal = open_terminal(L);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    reset_signals(&before);
    if (has_terminal) take_terminal(ptsname(terminal));
    for (int i = 0; i < 3 && !has_terminal; i++) redirect(i, files[i]);
    execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid < 0) return luaL_error(L, "fork: %s", strerror(errno));
  lua_pushinteger(L, pid);
  if (has_terminal) lua_pushinteger(L, terminal);
  return has_terminal ? 2 : 1;
}

/* over(pid) -> false, or the exit code, negative: ended by that signal. Once. */
static int over(lua_State *L) {
  int status = 0;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG) <= 0)
    lua_pushboolean(L, 0);
  else
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return 1;
}

/* kill(pid, signal): negative pids are groups. */
static int send_signal(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 1 || pid < -1, 1, "pid expected");
  lua_pushboolean(L, kill((pid_t)pid, (int)luaL_checkinteger(L, 2)) == 0);
  return 1;
}

/* nap(seconds) -> whether nothing has ended it early */
static int nap(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  const struct timespec ts = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  lua_pushboolean(L, nanosleep(&ts, NULL) == 0);
  return 1;
}

/* dial(name) -> fd: a connection to an abstract unix socket; nil: it is not taken. */
static int dial(lua_State *L) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *name = luaL_checkstring(L, 1);
  size_t n = strlen(name);
  luaL_argcheck(L, n < sizeof address.sun_path, 1, "too long");
  memcpy(address.sun_path + 1, name, n);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, len) != 0) {
    close(fd);
    fd = -1;
  }
  if (fd >= 0)
    lua_pushinteger(L, fd);
  else
    lua_pushnil(L);
  return 1;
}

/* fifo(path) -> fd: makes it, and holds it open on both sides. */
static int make_fifo(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = mkfifo(path, 0600) == 0 ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
  if (fd < 0) return luaL_error(L, "%s: %s", path, strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

/* hear(fd) -> what is there to read, "": nothing, nil: nothing any more. */
static int hear(lua_State *L) {
  char bytes[4096];
  ssize_t n = read((int)luaL_checkinteger(L, 1), bytes, sizeof bytes);
  if (n > 0)
    lua_pushlstring(L, bytes, (size_t)n);
  else if (n < 0 && errno == EAGAIN)
    lua_pushliteral(L, "");
  else
    lua_pushnil(L);
  return 1;
}

static int say(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  lua_pushboolean(L, write((int)luaL_checkinteger(L, 1), text, n) == (ssize_t)n);
  return 1;
}

static int let_go(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

int luaopen_starter(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", start},    {"over", over}, {"kill", send_signal}, {"nap", nap},
                                       {"fifo", make_fifo}, {"hear", hear}, {"say", say},          {"close", let_go},
                                       {"dial", dial},      {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
