/* SPDX-License-Identifier: MIT
 * parhost.core.trace: beginning and ending a trace. The events come from where things happen. */
#include "lib/trace_lib.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/tally.h"
#include "lib/dashboard.h"
#include "pool/tally.h"
#include "vm/error.h"
#include "vm/run_trace.h"
#include "vm/worker.h"

/* Of the program, set at start-up. */
static pid_t observer;    /* the process that tells of the end; a copy of it that has forked does not */
static char *trace_path;  /* NULL: in memory */
static char *report_path; /* what is made of it at the end; NULL: nothing */

/* --- beginning ---------------------------------------------------------------------------------------------- */

/* open(path | nil) -> fd | nil, message. Before there are other threads and processes. In memory without a path; the
 * descriptor can be read as well. */
static int open_trace(lua_State *L) {
  struct ph_err err;
  const char *path = luaL_optstring(L, 1, NULL);
  int fd = ph_trace_open(path, &err);
  observer = getpid();
  if (fd < 0) {
    luaL_pushfail(L);
    lua_pushstring(L, err.message);
    return 2;
  }
  trace_path = path != NULL ? strdup(path) : NULL;
  unsetenv("PARHOST_TRACE"); /* programs that this one starts have no business with the file */
  lua_pushinteger(L, fd);
  return 1;
}

/* fd() -> the descriptor of the trace, nil when none is written */
static int get_fd(lua_State *L) {
  if (ph_traced())
    lua_pushinteger(L, ph_trace_fd());
  else
    luaL_pushfail(L);
  return 1;
}

/* report(path): at the end, cli.trace makes this of the trace. */
static int set_report(lua_State *L) {
  free(report_path);
  report_path = strdup(luaL_checkstring(L, 1));
  return 0;
}

static void begin_metadata(struct ph_event *e, const char *name) {
  ph_event_begin(e, 'M', NULL, ph_now());
  ph_event_string(e, "name", name);
  ph_event_here(e);
  ph_event_args(e);
}

static void name_it(struct ph_event *e, const char *what, const char *name) {
  begin_metadata(e, what);
  ph_event_string(e, "name", name);
  ph_event_end(e);
}

/* The strings of the table at idx, which keeps them. Leaves a userdata. */
static const char **string_array(lua_State *L, int idx, size_t *n) {
  *n = lua_rawlen(L, idx);
  const char **array = lua_newuserdatauv(L, (*n + 1) * sizeof *array, 0);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, idx, (lua_Integer)i + 1);
    array[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  return array;
}

/* start(script, arguments): the first events. */
static int start(lua_State *L) {
  struct ph_event e;
  struct timespec now;
  size_t n;
  const char *script = luaL_checkstring(L, 1);
  const char **arguments = string_array(L, 2, &n);
  clock_gettime(CLOCK_REALTIME, &now);
  ph_event_init(&e);
  begin_metadata(&e, "parhost");
  ph_event_string(&e, "version", PH_VERSION);
  ph_event_string(&e, "script", script);
  ph_event_strings(&e, "argv", arguments, n);
  ph_event_integer(&e, "cpus", ph_cpu_count());
  ph_event_us(&e, "start", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000); /* milliseconds, shown as seconds */
  ph_event_end(&e);
  name_it(&e, "process_name", "parhost");
  name_it(&e, "thread_name", "main");
  ph_event_begin(&e, 'B', "main", ph_trace_origin());
  ph_event_string(&e, "name", script);
  ph_event_here(&e);
  ph_event_end(&e);
  ph_event_write(&e);
  lib_warn_of_trace(L);
  return 0;
}

void lib_trace_worker(lua_State *L) {
  bool is_thread = ph_worker_pool() != NULL, is_process = !is_thread && !ph_vm_of(L)->exit_raises;
  int top = lua_gettop(L);
  lua_getfield(L, top, "pool");
  lua_getfield(L, top, "index");
  if (is_thread || is_process) ph_trace_worker(luaL_checkstring(L, -2), lua_tointeger(L, -1), is_thread);
  lua_settop(L, top);
}

/* --- trouble ------------------------------------------------------------------------------------------------ */

void lib_warn_of_trace(lua_State *L) {
  int error = ph_trace_failure();
  if (error == 0) return;
  lua_warning(L, "parhost: the trace ", 1);
  lua_warning(L, trace_path != NULL ? trace_path : "in memory", 1);
  lua_warning(L, " is not complete: ", 1);
  lua_warning(L, strerror(error), 0);
}

static int64_t ns_of(struct timeval t) {
  return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

/* Of this process and of all that it has waited for: the fork server, and with it its workers. */
static int64_t cpu_time(void) {
  struct rusage own, children;
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return ns_of(own.ru_utime) + ns_of(own.ru_stime) + ns_of(children.ru_utime) + ns_of(children.ru_stime);
}

/* --- --stats ------------------------------------------------------------------------------------------------- */

static bool counts_as_json;

/* count(json): from now on, for what is told at the end. Nothing, or why it cannot be. */
static int count(lua_State *L) {
  struct ph_err err;
  counts_as_json = lua_toboolean(L, 1);
  observer = getpid();
  if (ph_tally_open(&err) == 0) return 0;
  lua_pushstring(L, err.message);
  return 1;
}

static void set_number(lua_State *L, const char *key, double n) {
  if (n != n) return;
  lua_pushnumber(L, n);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

/* Appends a table to the array on top. Called in protected mode, with no memory of its own at stake. */
static void add_pool(void *ud, const struct ph_pool_tally *t) {
  lua_State *L = ud;
  lua_createtable(L, 0, 24);
  set_string(L, "name", t->name);
  set_string(L, "kind", t->kind);
  set_integer(L, "max_workers", t->max_workers);
  set_integer(L, "workers", t->most_workers);
  set_integer(L, "completed", (int64_t)t->completed);
  set_integer(L, "failed", (int64_t)t->failed);
  set_integer(L, "cancelled", (int64_t)t->cancelled);
  set_integer(L, "restarts", (int64_t)t->restarts);
  set_integer(L, "tasks", (int64_t)t->items);
  set_integer(L, "messages", (int64_t)t->messages);
  set_integer(L, "bytes_in", (int64_t)t->in);
  set_integer(L, "bytes_out", (int64_t)t->out);
  set_number(L, "busy", (double)t->run_ns / 1e9);
  set_number(L, "longest", (double)t->longest_run_ns / 1e9);
  set_number(L, "open", (double)t->open_ns / 1e9);
  set_number(L, "active", (double)t->active_ns / 1e9);
  set_number(L, "tail", (double)t->tail_ns / 1e9);
  set_number(L, "wait_p50", t->wait_ms[0] / 1e3);
  set_number(L, "wait_p99", t->wait_ms[1] / 1e3);
  set_number(L, "run_p50", t->run_ms[0] / 1e3);
  set_number(L, "run_p99", t->run_ms[1] / 1e3);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static void push_step(lua_State *L) {
  struct ph_tally_step step;
  ph_tally_longest_step(&step);
  if (step.ns == 0) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 0, 3);
  set_number(L, "seconds", (double)step.ns / 1e9);
  set_string(L, "task", step.name);
  set_string(L, "at", step.place);
}

/* Pushes what lua/cli/stats.lua makes a text of. */
static void push_totals(lua_State *L) {
  static const char *const names[PH_TALLIES] = {
      "tasks", "tasks_failed", "tasks_cancelled", "requests", "requests_failed", "request_bytes", NULL, "programs"};
  lua_newtable(L);
  set_number(L, "wall", (double)(ph_now() - ph_trace_origin()) / 1e9);
  set_number(L, "cpu", (double)cpu_time() / 1e9);
  set_integer(L, "cpus", ph_cpu_count());
  set_integer(L, "workers", ph_pool_most_workers());
  for (int i = 0; i < PH_TALLIES; i++)
    if (names[i] != NULL) set_integer(L, names[i], ph_tally_get((enum ph_tally_of)i));
  set_number(L, "request_seconds", (double)ph_tally_get(PH_TALLY_REQUEST_NS) / 1e9);
  push_step(L);
  lua_setfield(L, -2, "longest_step");
  lua_newtable(L);
  ph_pool_tallies(add_pool, L);
  lua_setfield(L, -2, "pools");
}

/* In protected mode. */
static int tell_stats(lua_State *L) {
  ph_vm_load_embedded(L, "cli.stats");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "tell");
  push_totals(L);
  lua_pushboolean(L, counts_as_json);
  lua_call(L, 2, 0);
  return 0;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void write_end(int exit_code) {
  struct ph_event e;
  ph_trace_settle();
  ph_event_init(&e);
  ph_event_begin(&e, 'E', "main", ph_now());
  ph_event_here(&e);
  ph_event_end(&e);
  begin_metadata(&e, "parhost_end");
  ph_event_integer(&e, "exit_code", exit_code);
  ph_event_us(&e, "wall", ph_now() - ph_trace_origin());
  ph_event_us(&e, "cpu", cpu_time());
  ph_event_end(&e);
  ph_event_write_last(&e);
  ph_trace_close();
}

/* In protected mode: cli.trace, finish(path of the trace, path of what is made of it). */
static int make_report(lua_State *L) {
  ph_vm_load_embedded(L, "cli.trace");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "finish");
  lua_pushstring(L, trace_path);
  lua_pushstring(L, report_path);
  lua_call(L, 2, 0);
  return 0;
}

static void protect(lua_State *L, lua_CFunction f) {
  lua_pushcfunction(L, f);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return;
  lua_warning(L, "parhost: ", 1);
  lua_warning(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1), 0);
  lua_pop(L, 1);
}

void lib_observe_end(int exit_code) {
  if (!ph_watched() || getpid() != observer) return;
  if (ph_traced()) write_end(exit_code);
  lib_dashboard_end();
  struct ph_vm *vm = ph_vm_open(&(struct ph_vm_options){0});
  if (vm == NULL) return;
  lua_warning(vm->L, "@on", 0);
  lib_warn_of_trace(vm->L);
  if (ph_counted()) protect(vm->L, tell_stats);
  if (report_path != NULL) protect(vm->L, make_report);
  ph_vm_close(vm);
}

int luaopen_parhost_core_trace(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", open_trace},   {"fd", get_fd},   {"start", start},
                                       {"report", set_report}, {"count", count}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
