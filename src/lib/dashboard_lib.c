/* SPDX-License-Identifier: MIT
 * parhost.core.dashboard: launching the process that serves a dashboard, and what that process needs. Internal; policy is in
 * lua/cli/dashboard.lua.
 *
 *   program:    launch(fd, code) -> this program again, in a session of its own, with the trace as its standard input
 *   dashboard:  listen, token, serve
 *
 * The program waits for the first line from there, then goes on without it. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/dashboard.h"
#include "loop/spawn.h"

#define END_MS 2000 /* for a dashboard that has been told to end; it needs half of it at most */

static pid_t dashboard_pid, launcher_pid; /* a copy of the program that has forked has no say in it */

static int push_failure(lua_State *L, const char *message) {
  luaL_pushfail(L);
  lua_pushstring(L, message);
  return 2;
}

static int push_errno(lua_State *L, const char *what) {
  luaL_pushfail(L);
  lua_pushfstring(L, "%s: %s", what, strerror(errno));
  return 2;
}

/* --- in the program --------------------------------------------------------------------------------------- */

static size_t read_line(int fd, char *line, size_t room) {
  size_t len = 0;
  while (len < room) {
    ssize_t n = read(fd, line + len, room - len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    len += (size_t)n;
    if (line[len - 1] == '\n') break;
  }
  return len;
}

/* launch(fd, code) -> the line that it says, "" when it ended without one | nil, message */
static int launch(lua_State *L) {
  char line[512];
  int out[2];
  struct ph_err err;
  char *const self[] = {"/proc/self/exe", NULL};
  char *argv[] = {"parhost", "-E", "-e", strdup(luaL_checkstring(L, 2)), NULL};
  if (argv[3] == NULL || pipe2(out, O_CLOEXEC) != 0) {
    free(argv[3]);
    return push_errno(L, "cannot start the dashboard");
  }
  struct ph_spawn s = {.name = "parhost", .candidates = self, .argv = argv, .new_session = true};
  s.stdio[0] = (int)luaL_checkinteger(L, 1);
  s.stdio[1] = out[1];
  s.stdio[2] = STDERR_FILENO;
  pid_t pid = ph_spawn(&s, &err);
  free(argv[3]);
  close(out[1]);
  size_t len = pid > 0 ? read_line(out[0], line, sizeof line) : 0;
  close(out[0]);
  if (pid < 0) return push_failure(L, err.message);
  dashboard_pid = pid;
  launcher_pid = getpid();
  lua_pushlstring(L, line, len);
  return 1;
}

void lib_dashboard_end(void) {
  if (dashboard_pid > 0 && launcher_pid == getpid()) ph_spawn_end(dashboard_pid, SIGTERM, END_MS);
  dashboard_pid = 0;
}

/* --- in the dashboard ------------------------------------------------------------------------------------- */

/* listen(port) -> descriptor, port | nil, message. Port 0: one that is free. On the loopback interface alone. */
static int listen_at(lua_State *L) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  lua_Integer port = luaL_checkinteger(L, 1);
  address.sin_port = htons((uint16_t)port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 32) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
    const char *reason = strerror(errno);
    if (fd >= 0) close(fd);
    luaL_pushfail(L);
    lua_pushfstring(L, "cannot listen at 127.0.0.1:%d: %s", (int)port, reason);
    return 2;
  }
  lua_pushinteger(L, fd);
  lua_pushinteger(L, ntohs(address.sin_port));
  return 2;
}

/* token() -> 128 random bits as text */
static int new_token(lua_State *L) {
  unsigned char bytes[16];
  char text[2 * sizeof bytes];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return push_errno(L, "no random numbers");
  for (size_t i = 0; i < sizeof bytes; i++) {
    text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

/* serve(trace, socket, host, token, page, line): writes the line to standard output, then serves until the program ends.
 * Gives true | nil, message. */
static int serve(lua_State *L) {
  struct ph_err err;
  struct lib_dashboard d = {.trace = (int)luaL_checkinteger(L, 1), .socket = (int)luaL_checkinteger(L, 2)};
  d.host = luaL_checkstring(L, 3);
  d.token = luaL_checkstring(L, 4);
  d.page = luaL_checklstring(L, 5, &d.page_len);
  d.line = luaL_checkstring(L, 6);
  prctl(PR_SET_NAME, "parhost-view");
  if (lib_dashboard_serve(&d, &err) != 0) return push_failure(L, err.message);
  lua_pushboolean(L, 1);
  return 1;
}

int luaopen_parhost_core_dashboard(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"launch", launch}, {"listen", listen_at}, {"token", new_token}, {"serve", serve}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
