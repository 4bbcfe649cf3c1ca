/* SPDX-License-Identifier: MIT
 * parhost.core.spawn: children of a state, for lua/async/process.lua, which has the checks, defaults and waits. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "lib/spawn_lib.h"
#include "vm/error.h"
#include "vm/worker_stdio.h"

#define PROCESS_METATABLE "parhost.core.Process"
#define START_METATABLE "parhost.core.Start"

static const char state_key = 0, objects_key = 0, deliver_key = 0;

/* --- what a state has -------------------------------------------------------------------------------------- */

void spawn_remember(lua_State *L, const void *object) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, object);
  lua_pop(L, 1);
}

void spawn_deliver(lua_State *L, const void *object, struct ph_oneshot *w) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "too many deliveries");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key);
  if (lua_rawgetp(L, -1, object) == LUA_TUSERDATA) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &deliver_key);
    if (lua_getiuservalue(L, -2, 1) == LUA_TTABLE && !lib_deliver(L, 1)) {
      ph_oneshot_fire(w);
      lua_error(L);
    }
  }
  lua_settop(L, top);
}

static lua_Integer drain(lua_State *L, struct lib_source *source) {
  struct spawn_state *s = (struct spawn_state *)source;
  lua_Integer n = 0;
  for (struct ph_process *p; (p = ph_children_next(&s->children)) != NULL; n++) spawn_deliver(L, p, &p->watch);
  for (struct ph_oneshot *w; (w = ph_oneshot_next(&s->pipes)) != NULL; n++)
    spawn_deliver(L, ph_list_entry(w, struct ph_pipe, watch), w);
  return n;
}

static bool alive(const struct lib_source *source) {
  const struct spawn_state *s = (const struct spawn_state *)source;
  return s->children.exits.armed > 0 || s->pipes.armed > 0;
}

static void close_source(struct lib_source *source) {
  ph_children_close(&((struct spawn_state *)source)->children);
}

static struct spawn_state *make_state(lua_State *L) {
  struct ph_loop *loop = lib_loop_of(L);
  struct spawn_state *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (struct spawn_state){.source = {.drain = drain, .alive = alive, .close = close_source}};
  ph_children_init(&s->children, loop);
  ph_oneshot_queue_init(&s->pipes);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, s); /* also when a fork makes one of its own */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  lib_add_source(L, &s->source);
  return s;
}

struct spawn_state *spawn_state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  struct spawn_state *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s != NULL && s->children.owner == getpid() ? s : make_state(L);
}

/* --- start: descriptors -------------------------------------------------------------------------------------- */

/* While a child is being started, what has been opened for it hangs on this userdata. */
struct start {
  int theirs[3];    /* become the child's 0, 1, 2 */
  int ours[3];      /* our ends of pipes, -1 */
  bool to_close[3]; /* theirs are ours to close */
};

static int close_start(lua_State *L) {
  struct start *s = luaL_checkudata(L, 1, START_METATABLE);
  for (int i = 0; i < 3; i++) {
    if (s->to_close[i]) close(s->theirs[i]);
    if (s->ours[i] >= 0) close(s->ours[i]);
    s->to_close[i] = false;
    s->ours[i] = -1;
  }
  return 0;
}

_Noreturn static void raise_errno(lua_State *L, const char *name, const char *what) {
  struct ph_err err;
  ph_err_set(&err, "os", errno, "cannot start '%s': %s: %s", name, what, strerror(errno));
  ph_error_raise_err(L, &err);
}

static void own(struct start *s, int i, int fd) {
  s->theirs[i] = fd;
  s->to_close[i] = fd >= 0;
}

static void open_file(lua_State *L, struct start *s, int i, const char *name, const char *path) {
  int flags = i == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  own(s, i, open(path, flags | O_CLOEXEC | O_NOCTTY, 0666));
  if (s->theirs[i] < 0) raise_errno(L, name, path);
}

static void open_pipe(lua_State *L, struct start *s, int i, const char *name) {
  int theirs = -1;
  int status = ph_pipe_make(i == 0, &s->ours[i], &theirs);
  own(s, i, theirs);
  if (status != 0) raise_errno(L, name, "pipe");
}

/* A file of the io library, on top of the stack. */
static int file_descriptor(lua_State *L) {
  luaL_Stream *stream = lua_touserdata(L, -1);
  if (stream->closef == NULL) luaL_error(L, "attempt to use a closed file");
  fflush(stream->f); /* what we wrote before comes first; what we have not read yet is there to be read */
  return fileno(stream->f);
}

static void give_userdata(lua_State *L, struct start *s, int i) {
  struct ph_pipe *pipe = luaL_testudata(L, -1, PIPE_METATABLE);
  if (pipe != NULL)
    own(s, i, ph_pipe_detach(pipe));
  else
    s->theirs[i] = file_descriptor(L);
}

/* The stack's top says what descriptor i is to be: "pipe", "inherit", "null", "stdout"; a number; a file; a pipe; a table
 * with a path. */
static void open_null(lua_State *L, struct start *s, int i, const char *name) {
  own(s, i, PH_FAULT(open) ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC));
  if (s->theirs[i] < 0) raise_errno(L, name, "/dev/null");
}

static void prepare(lua_State *L, struct start *s, int i, const char *name) {
  const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  switch (lua_type(L, -1)) {
    case LUA_TNUMBER: s->theirs[i] = (int)lua_tointeger(L, -1); return;
    case LUA_TUSERDATA: give_userdata(L, s, i); return;
    case LUA_TTABLE:
      lua_rawgeti(L, -1, 1);
      open_file(L, s, i, name, luaL_checkstring(L, -1));
      lua_pop(L, 1);
      return;
    default: break;
  }
  if (strcmp(word, "pipe") == 0)
    open_pipe(L, s, i, name);
  else if (strcmp(word, "null") == 0)
    open_null(L, s, i, name);
  else
    s->theirs[i] = strcmp(word, "stdout") == 0 ? s->theirs[1] : i;
}

static struct start *push_start(lua_State *L) {
  struct start *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (struct start){.theirs = {0, 1, 2}, .ours = {-1, -1, -1}};
  luaL_setmetatable(L, START_METATABLE);
  return s;
}

static void prepare_stdio(lua_State *L, struct start *s, const char *name) {
  static const char *const keys[] = {"stdin", "stdout", "stderr"};
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, 1, keys[i]);
    prepare(L, s, i, name);
    lua_pop(L, 1);
  }
  if (s->theirs[1] <= 2 || s->theirs[2] <= 2) ph_worker_stdio_flush(); /* what we print stands before what it prints */
}

/* --- start: strings ------------------------------------------------------------------------------------------ */

static const char *string_field(lua_State *L, const char *key) {
  lua_getfield(L, 1, key);
  const char *s = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table keeps it */
  return s;
}

static bool flag_field(lua_State *L, const char *key) {
  lua_getfield(L, 1, key);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* Leaves a userdata on the stack that holds the array; the table holds the strings. NULL: no such field. */
static char *const *string_array(lua_State *L, const char *key) {
  if (lua_getfield(L, 1, key) != LUA_TTABLE) return NULL;
  size_t n = lua_rawlen(L, -1);
  const char **array = lua_newuserdatauv(L, (n + 1) * sizeof *array, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    array[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  array[n] = NULL;
  return (char *const *)(uintptr_t)array;
}

/* --- start --------------------------------------------------------------------------------------------------- */

static struct ph_process **push_process(lua_State *L) {
  struct ph_process **place = lua_newuserdatauv(L, sizeof *place, 1);
  *place = NULL;
  luaL_setmetatable(L, PROCESS_METATABLE);
  return place;
}

static void push_our_pipes(lua_State *L, struct start *start) {
  for (int i = 0; i < 3; i++) {
    int fd = start->ours[i];
    if (fd < 0) {
      lua_pushnil(L);
      continue;
    }
    spawn_push_pipe(L, fd);
    start->ours[i] = -1;
  }
}

/* start{ name, candidates, argv, env, cwd, new_session, held, stdin, stdout, stderr } -> process, and our ends of pipes:
 * stdin, stdout, stderr, each or nil. */
static int start_process(lua_State *L) {
  struct ph_err err;
  struct ph_spawn spawn = {.stdio = {0, 1, 2}};
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  struct spawn_state *state = spawn_state_of(L);
  spawn.name = string_field(L, "name");
  spawn.cwd = string_field(L, "cwd");
  spawn.new_session = flag_field(L, "new_session");
  spawn.candidates = string_array(L, "candidates");
  spawn.argv = string_array(L, "argv");
  spawn.envp = string_array(L, "env");
  struct start *start = push_start(L);
  lua_toclose(L, -1);
  prepare_stdio(L, start, spawn.name);
  memcpy(spawn.stdio, start->theirs, sizeof spawn.stdio);
  struct ph_process **place = push_process(L);
  *place = ph_process_start(&state->children, &spawn, &err);
  if (*place == NULL) ph_error_raise_err(L, &err);
  (*place)->held = flag_field(L, "held");
  spawn_remember(L, *place);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, "handle");
  lua_setfield(L, 3, "handle");
  push_our_pipes(L, start);
  return 3;
}

/* --- processes ------------------------------------------------------------------------------------------------ */

static struct ph_process *check_process(lua_State *L) {
  struct ph_process **place = luaL_checkudata(L, 1, PROCESS_METATABLE);
  return *place;
}

/* process:status() -> false: it runs | true, code | true, nil, "SIGKILL". */
static int status(lua_State *L) {
  struct ph_process *p = check_process(L);
  lua_pushboolean(L, ph_process_check(p));
  if (!p->ended) return 1;
  if (p->signal_number == 0) {
    lua_pushinteger(L, p->exit_code);
    return 2;
  }
  const char *name = sigabbrev_np(p->signal_number);
  lua_pushnil(L);
  if (name != NULL)
    lua_pushfstring(L, "SIG%s", name);
  else
    lua_pushfstring(L, "SIGRTMIN+%d", p->signal_number - SIGRTMIN);
  return 3;
}

static int process_id(lua_State *L) {
  lua_pushinteger(L, check_process(L)->pid);
  return 1;
}

/* process:signal(number) -> true | nil, code, text. */
static int send_signal(lua_State *L) {
  struct ph_process *p = check_process(L);
  if (ph_process_signal(p, (int)luaL_checkinteger(L, 2)) != 0) return spawn_push_errno(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

/* process:kill_rest(): when it ends, the rest of its group ends, too. */
static int kill_rest(lua_State *L) {
  check_process(L)->kill_rest = true;
  return 0;
}

static int release(lua_State *L) {
  ph_process_release(check_process(L));
  return 0;
}

/* process:finish(seconds): waits so long without the loop, then kills. */
static int finish(lua_State *L) {
  ph_process_finish(check_process(L), ph_deadline_in(luaL_checknumber(L, 2)));
  return 0;
}

static int collect(lua_State *L) {
  struct ph_process **place = luaL_checkudata(L, 1, PROCESS_METATABLE);
  struct ph_process *p = *place;
  *place = NULL;
  if (p == NULL) return 0;
  if (p->children->owner == getpid() && !ph_process_check(p)) {
    lua_warning(
        L, lua_pushfstring(L, "parhost: a running process (pid %d) that nobody held any more was killed", (int)p->pid), 0);
  }
  ph_process_free(p);
  return 0;
}

/* signal_number("SIGTERM") -> 15 | nothing. */
static int signal_number(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (int n = 1; n < NSIG; n++) {
    const char *known = sigabbrev_np(n);
    if (known == NULL || strncmp(name, "SIG", 3) != 0 || strcmp(name + 3, known) != 0) continue;
    lua_pushinteger(L, n);
    return 1;
  }
  return 0;
}

static int set_deliver(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &deliver_key);
  return 0;
}

static void make_metatable(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static void make_objects_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &objects_key);
}

int luaopen_parhost_core_spawn(lua_State *L) {
  static const luaL_Reg methods[] = {{"status", status},       {"pid", process_id},  {"signal", send_signal},
                                     {"kill_rest", kill_rest}, {"release", release}, {"finish", finish},
                                     {"__gc", collect},        {NULL, NULL}};
  static const luaL_Reg start_methods[] = {{"__gc", close_start}, {"__close", close_start}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"start", start_process}, {"signal_number", signal_number}, {"set_deliver", set_deliver}, {NULL, NULL}};
  make_metatable(L, PROCESS_METATABLE, methods);
  make_metatable(L, START_METATABLE, start_methods);
  spawn_open_pipes(L);
  make_objects_table(L);
  luaL_newlib(L, functions);
  return 1;
}
