/* SPDX-License-Identifier: MIT
 * parhost.core.history: the file that prompts remember their lines in. Several programs may have it open at once: each
 * writes a line at its end with one call, under a lock, and whoever makes it shorter puts another file in its place, which
 * the others find because they open it anew each time. Private to its owner. Policy is in lua/cli/history.lua. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core.h"

#define MAX_TRIES 10 /* somebody else has replaced the file meanwhile */

static int push_failure(lua_State *L) {
  int code = errno;
  luaL_pushfail(L);
  lua_pushstring(L, strerror(code));
  return 2;
}

/* make_directory(path): with all above it, for the owner alone -> true | nil, message. */
static int make_directory(lua_State *L) {
  size_t len;
  const char *given = luaL_checklstring(L, 1, &len);
  char *path = memcpy(lua_newuserdatauv(L, len + 1, 0), given, len + 1);
  for (char *slash = path;;) {
    slash = strchr(slash + 1, '/');
    if (slash != NULL) *slash = '\0';
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return push_failure(L);
    if (slash == NULL) break;
    *slash = '/';
  }
  lua_pushboolean(L, 1);
  return 1;
}

static bool is_in_place(int fd, const char *path) {
  struct stat here, there;
  return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* The file, locked until it is closed; -1 with errno. */
static int open_locked(const char *path) {
  for (int i = 0; i < MAX_TRIES; i++) {
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX) == 0 && is_in_place(fd, path)) return fd;
    close(fd);
  }
  errno = EBUSY;
  return -1;
}

/* append(path, text) -> true | nil, message. */
static int append(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  int fd = open_locked(path);
  if (fd < 0) return push_failure(L);
  bool ok = write(fd, text, len) == (ssize_t)len;
  int saved = errno;
  close(fd);
  errno = saved;
  if (!ok) return push_failure(L);
  lua_pushboolean(L, 1);
  return 1;
}

static bool copy_end(int from, off_t start, const char *path) {
  char bytes[8192];
  ssize_t n;
  int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (to < 0) return false;
  bool at_line = false, ok = true;
  while (ok && (n = pread(from, bytes, sizeof bytes, start)) > 0) {
    const char *newline = at_line ? NULL : memchr(bytes, '\n', (size_t)n);
    ssize_t skip = at_line ? 0 : newline != NULL ? newline - bytes + 1 : n; /* what is left of a line that is cut */
    at_line = at_line || newline != NULL;
    ok = write(to, bytes + skip, (size_t)(n - skip)) == n - skip;
    start += n;
  }
  return close(to) == 0 && ok && n == 0;
}

/* trim(path, max): a file of more than so many bytes keeps its last half of that -> true | nil, message. */
static int trim(lua_State *L) {
  struct stat info;
  const char *path = luaL_checkstring(L, 1);
  off_t max = (off_t)luaL_checkinteger(L, 2);
  const char *beside = lua_pushfstring(L, "%s.new", path);
  int fd = open_locked(path);
  if (fd < 0) return push_failure(L);
  bool ok = fstat(fd, &info) == 0;
  if (ok && info.st_size > max) ok = copy_end(fd, info.st_size - max / 2, beside) && rename(beside, path) == 0;
  int saved = errno;
  close(fd);
  errno = saved;
  if (!ok) return push_failure(L);
  lua_pushboolean(L, 1);
  return 1;
}

int luaopen_parhost_core_history(lua_State *L) {
  static const luaL_Reg functions[] = {{"make_directory", make_directory}, {"append", append}, {"trim", trim}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
