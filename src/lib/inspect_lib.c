/* SPDX-License-Identifier: MIT
 * parhost.core.inspect: asking another program what it does, for `parhost ps`. The other side is inspect_socket.c. */
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/poke.h"
#include "lib/inspect.h"

#define ANSWER_MAX ((off_t)16 << 20) /* bytes that are believed to be one */
#define FIRST_PATIENCE_MS 2          /* for one that waits in its loop */
#define PATIENCE_MS 50
#define BUSY_PAUSE_MS 5

struct peer {
  int pid, tid, signal; /* as its name says */
  int fd;
  char state; /* of its thread, when it was last looked at */
};

static socklen_t set_name(struct sockaddr_un *address, const char *name) {
  size_t n = strlen(name), max = sizeof address->sun_path - 1;
  if (n > max) n = max;
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(address->sun_path + 1, name, n);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

/* After a wait that a signal has ended. Not every one is meant for us. */
static bool is_interrupted(void) {
  return errno != EINTR || ph_vm_current == NULL || ph_vm_stop_pending(ph_vm_current);
}

/* While too many others wait to be accepted, it waits. -1 with errno. */
static int connect_in_time(int fd, const struct sockaddr_un *address, socklen_t len, int64_t deadline) {
  int status;
  while ((status = connect(fd, (const struct sockaddr *)address, len)) != 0 && errno == EAGAIN && ph_now() < deadline)
    if (poll(NULL, 0, BUSY_PAUSE_MS) < 0 && is_interrupted()) break;
  return status;
}

/* Gives NULL, or why not. */
static const char *connect_to(struct peer *p, const char *name, const char *what, int64_t deadline) {
  struct sockaddr_un address;
  struct ucred cred;
  socklen_t len = sizeof cred;
  unsigned random = 0;
  char own[64];
  if (sscanf(name, "parhost.%d.%d.%d.", &p->pid, &p->tid, &p->signal) != 3) return "gone";
  p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (p->fd < 0) return "os";
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) return "os";
  snprintf(own, sizeof own, "parhost-ps.%s.%d.%08x", what, (int)getpid(), random);
  socklen_t n = set_name(&address, own);
  if (bind(p->fd, (struct sockaddr *)&address, n) != 0) return "os";
  n = set_name(&address, name);
  if (connect_in_time(p->fd, &address, n, deadline) != 0)
    return errno == EAGAIN ? "busy" : errno == EINTR ? "interrupted" : "gone";
  if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) return "os";
  if (cred.uid != geteuid()) return "other";
  return cred.pid == p->pid ? NULL : "other"; /* a name that does not belong to whom it names */
}

/* The descriptor of the answer, -1: it has closed the connection without one. */
static int receive(int fd) {
  char byte;
  int answer = -1;
  struct iovec iov = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0) return -1;
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(&answer, CMSG_DATA(c), sizeof answer);
  return answer;
}

/* Waits for the answer; who runs is reminded. 1 it is there, 0 the time is up, -1 it is to be stopped. */
static int await(struct peer *p, int64_t deadline) {
  struct pollfd fd = {.fd = p->fd, .events = POLLIN};
  int patience = FIRST_PATIENCE_MS;
  for (;;) {
    int64_t left = deadline - ph_now();
    if (left <= 0) return 0;
    int ms = left / 1000000 < patience ? (int)(left / 1000000) + 1 : patience;
    int n = poll(&fd, 1, ms);
    if (n > 0) return 1;
    if (n < 0 && is_interrupted()) return -1;
    p->state = ph_poke(p->pid, p->tid, p->signal, false);
    patience = patience * 2 < PATIENCE_MS ? patience * 2 : PATIENCE_MS;
  }
}

static int refuse(lua_State *L, const char *why, char state) {
  luaL_pushfail(L);
  lua_pushstring(L, why);
  lua_pushlstring(L, &state, state != 0);
  return 3;
}

/* In slot 2 of a buffer that Lua owns: nothing raises while descriptors are open but for want of memory. */
static int read_answer(lua_State *L) {
  int fd = (int)lua_tointeger(L, 1);
  struct stat s;
  luaL_Buffer b;
  size_t at = 0;
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size > ANSWER_MAX) return luaL_error(L, "not an answer");
  char *bytes = luaL_buffinitsize(L, &b, (size_t)s.st_size);
  ssize_t n = 1;
  while (at < (size_t)s.st_size && n > 0) {
    n = pread(fd, bytes + at, (size_t)s.st_size - at, (off_t)at);
    if (n > 0) at += (size_t)n;
  }
  luaL_pushresultsize(&b, at);
  return 1;
}

static int take_answer(lua_State *L, int fd) {
  if (fd < 0) return refuse(L, "gone", 0);
  lua_pushcfunction(L, read_answer);
  lua_pushinteger(L, fd);
  int status = lua_pcall(L, 1, 1, 0);
  close(fd);
  return status == LUA_OK ? 1 : refuse(L, "os", 0);
}

/* ask(name, "list" | "tree", seconds) -> JSON | nil, why, state of its thread ("S" sleeps, ..., or "").
 * why: "gone", "other" (somebody else's), "busy" (too many ask), "silent", "interrupted", "os". */
static int ask(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *what = luaL_checkstring(L, 2);
  int64_t deadline = ph_now() + ph_seconds_to_ns(luaL_checknumber(L, 3));
  struct peer p = {.fd = -1};
  const char *trouble = connect_to(&p, name, what, deadline);
  int status = trouble == NULL ? await(&p, deadline) : 0;
  int answer = status > 0 ? receive(p.fd) : -1;
  if (p.fd >= 0) close(p.fd);
  if (trouble != NULL) return refuse(L, trouble, 0);
  if (status < 0) return refuse(L, "interrupted", 0);
  if (status == 0) return refuse(L, p.state != 0 ? "silent" : "gone", p.state);
  return take_answer(L, answer);
}

static int user_id(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)geteuid());
  return 1;
}

static int nap(lua_State *L) {
  poll(NULL, 0, (int)(luaL_checknumber(L, 1) * 1000));
  return 0;
}

int luaopen_parhost_core_inspect(lua_State *L) {
  static const luaL_Reg functions[] = {{"ask", ask}, {"user_id", user_id}, {"nap", nap}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushinteger(L, sysconf(_SC_CLK_TCK));
  lua_setfield(L, -2, "ticks");
  lua_pushinteger(L, sysconf(_SC_PAGESIZE));
  lua_setfield(L, -2, "page");
  return 1;
}
