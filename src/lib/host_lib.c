/* SPDX-License-Identifier: MIT
 * parhost.core.host: what the Lua side asks of the host program and of its own state. Internal; the public face is
 * module `parhost`. */
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/trace.h"
#include "lib/core.h"
#include "lib/progress.h"
#include "lib/trace_lib.h"
#include "loop/versions.h"
#include "vm/embedded.h"
#include "vm/error.h"
#include "vm/vm.h"
#include "vm/worker_stdio.h"

static const char worker_key;
static int default_workers; /* of the whole process: -j and PARHOST_WORKERS; 0: not given. Set once, at start-up */

static int monotonic(lua_State *L) {
  lua_pushnumber(L, (lua_Number)ph_now() / 1e9);
  return 1;
}

static int cpu_count(lua_State *L) {
  lua_pushinteger(L, ph_cpu_count());
  return 1;
}

static int get_default_workers(lua_State *L) {
  if (default_workers == 0) return 0;
  lua_pushinteger(L, default_workers);
  return 1;
}

void lib_set_default_workers(int n) {
  default_workers = n;
}

static int set_default_workers(lua_State *L) {
  lib_set_default_workers((int)luaL_checkinteger(L, 1));
  return 0;
}

static bool progress_shown; /* --progress. Of the whole process; set once, at start-up, as is the next one */
static bool output_tagged;  /* --tag */

static int shows_progress(lua_State *L) {
  lua_pushboolean(L, progress_shown);
  return 1;
}

static int tags_output(lua_State *L) {
  lua_pushboolean(L, output_tagged);
  return 1;
}

/* set_views(progress, tag) */
static int set_views(lua_State *L) {
  progress_shown = lua_toboolean(L, 1);
  output_tagged = lua_toboolean(L, 2);
  return 0;
}

/* tag_output(text): in a worker, what stands in front of each line of its standard output from now on. */
static int tag_output(lua_State *L) {
  ph_worker_stdio_tag(luaL_checkstring(L, 1));
  return 0;
}

static int get_worker(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &worker_key);
  return 1;
}

static int set_worker(lua_State *L) {
  lua_settop(L, 1);
  if (ph_traced()) lib_trace_worker(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &worker_key);
  return 0;
}

static int error_metatable(lua_State *L) {
  ph_error_metatable(L);
  return 1;
}

static int leave_at_once(lua_State *L) {
  ph_progress_restore();
  _exit((int)luaL_optinteger(L, 1, EXIT_FAILURE));
}

/* error_name(number of a system error) -> "ENOENT" */
static int error_name(lua_State *L) {
  lua_pushstring(L, strerrorname_np((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* Is this the main state of the program parhost? */
static int is_program(lua_State *L) {
  lua_pushboolean(L, ph_vm_of(L)->is_program);
  return 1;
}

static int process_id(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int versions(lua_State *L) {
  char curl[256];
  lua_createtable(L, 0, 3);
  lua_pushliteral(L, LUA_RELEASE);
  lua_setfield(L, -2, "lua");
  lua_pushstring(L, ph_loop_uv_version());
  lua_setfield(L, -2, "libuv");
  lua_pushstring(L, ph_loop_curl_version(curl, sizeof curl));
  lua_setfield(L, -2, "libcurl");
  return 1;
}

/* --- cancellation ----------------------------------------------------------------------------------------- */

static int check_cancelled(lua_State *L) {
  ph_vm_check_stop(L);
  return 0;
}

static int new_signal(lua_State *L) {
  static const char *const sources[] = {"explicit", "deadline", "group", "shutdown", "signal", NULL};
  enum ph_stop source = (enum ph_stop)(PH_STOP_EXPLICIT + luaL_checkoption(L, 1, "explicit", sources));
  lua_settop(L, 2);
  ph_cancel_push(L, source, NULL);
  lua_pushvalue(L, 2);
  lua_setfield(L, 3, "reason");
  return 1;
}

static int is_signal(lua_State *L) {
  lua_pushboolean(L, ph_cancel_is(L, 1));
  return 1;
}

static int raise_signal(lua_State *L) {
  lua_settop(L, 1);
  if (!ph_cancel_is(L, 1)) return luaL_argerror(L, 1, "cancellation signal expected");
  ph_cancel_raise(L);
}

/* catch(f, ...) -> true, values... | false, error value: a pcall that catches the signal, too. */
static int finish_catch(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int catch_all(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return finish_catch(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_catch), 0);
}

/* call(f, ...) -> true, values... | false, error value, traceback or nil. Cannot be yielded across. */
static int call_traced(lua_State *L) {
  luaL_checkany(L, 1);
  int status = ph_vm_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* --- the terminal, and what is built in -------------------------------------------------------------------- */

/* read_line(prompt) -> line without its newline | nil, "end" | nil, "interrupted". */
static int read_line(lua_State *L) {
  luaL_Buffer line;
  char piece[512];
  fputs(luaL_checkstring(L, 1), stdout);
  fflush(stdout);
  luaL_buffinit(L, &line);
  do {
    errno = 0;
    if (fgets(piece, sizeof piece, stdin) == NULL) {
      if (ferror(stdin)) clearerr(stdin);
      if (errno != EINTR && luaL_bufflen(&line) > 0) break;
      luaL_pushfail(L);
      lua_pushstring(L, errno == EINTR ? "interrupted" : "end");
      return 2;
    }
    luaL_addstring(&line, piece);
  } while (strchr(piece, '\n') == NULL);
  if (luaL_bufflen(&line) > 0 && luaL_buffaddr(&line)[luaL_bufflen(&line) - 1] == '\n') luaL_buffsub(&line, 1);
  luaL_pushresult(&line);
  return 1;
}

/* list_directory(path) -> array of { name =, directory = boolean }, empty when it cannot be read. */
static int list_directory(lua_State *L) {
  DIR *directory = opendir(luaL_checkstring(L, 1));
  lua_newtable(L);
  if (directory == NULL) return 1;
  lua_Integer n = 0;
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, entry->d_name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
    lua_setfield(L, -2, "directory");
    lua_rawseti(L, -2, ++n);
  }
  closedir(directory);
  return 1;
}

static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, STDIN_FILENO)));
  return 1;
}

static int load_built_in(lua_State *L) {
  return ph_vm_load_embedded(L, luaL_checkstring(L, 1));
}

/* built_in_texts(prefix) -> table: name of a module behind the prefix -> its text. */
static int built_in_texts(lua_State *L) {
  size_t len;
  const char *prefix = luaL_checklstring(L, 1, &len);
  lua_newtable(L);
  for (size_t i = 0; i < ph_embedded_count; i++) {
    const struct ph_embedded_file *file = &ph_embedded_files[i];
    if (strncmp(file->module, prefix, len) != 0) continue;
    lua_pushlstring(L, (const char *)file->text.data, file->text.len);
    lua_setfield(L, -2, file->module + len);
  }
  return 1;
}

/* program_path() -> the file that this process runs, nil when it cannot be told. */
static int program_path(lua_State *L) {
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  if (n > 0 && n < (ssize_t)sizeof path) {
    lua_pushlstring(L, path, (size_t)n);
  } else {
    luaL_pushfail(L);
  }
  return 1;
}

int luaopen_parhost_core_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"monotonic", monotonic},
      {"cpu_count", cpu_count},
      {"default_workers", get_default_workers},
      {"set_default_workers", set_default_workers},
      {"shows_progress", shows_progress},
      {"tags_output", tags_output},
      {"set_views", set_views},
      {"tag_output", tag_output},
      {"worker", get_worker},
      {"set_worker", set_worker},
      {"error_metatable", error_metatable},
      {"abort", leave_at_once},
      {"is_program", is_program},
      {"pid", process_id},
      {"error_name", error_name},
      {"versions", versions},
      {"check_cancelled", check_cancelled},
      {"signal", new_signal},
      {"is_signal", is_signal},
      {"raise_signal", raise_signal},
      {"catch", catch_all},
      {"call", call_traced},
      {"read_line", read_line},
      {"list_directory", list_directory},
      {"is_terminal", is_terminal},
      {"load_built_in", load_built_in},
      {"built_in_texts", built_in_texts},
      {"program_path", program_path},
      {NULL, NULL},
  };
  ph_vm_adopt(L);
  luaL_newlib(L, functions);
  lua_pushliteral(L, PH_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
