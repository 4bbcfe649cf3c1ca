/* SPDX-License-Identifier: MIT
 * What a state is doing, as JSON. Runs in the middle of any code of the state (vm/inspect.h): texts are taken from tables of
 * Lua by raw access, and nothing is made. */
#include <lauxlib.h>

#include "base/clock.h"
#include "lib/inspect.h"
#include "lib/task.h"
#include "pool/inspect.h"

#define TASKS_MAX 1000
#define TEXT_MAX 200 /* bytes of a name */
#define STACK_NEEDED 8

struct telling {
  struct ph_json *j;
  lua_State *L;
  int texts; /* of a pool: index of its table of texts */
  int64_t now;
};

/* --- texts ------------------------------------------------------------------------------------------------ */

/* The value on top, if it is a string; pops it. */
static bool put_popped(struct ph_json *j, const char *key, lua_State *L) {
  size_t len;
  bool is_text = lua_type(L, -1) == LUA_TSTRING;
  if (is_text) {
    const char *text = lua_tolstring(L, -1, &len);
    ph_json_text(j, key, text, len < TEXT_MAX ? len : TEXT_MAX);
  }
  lua_pop(L, 1);
  return is_text;
}

static void put_text(const struct telling *t, const char *key, uint32_t number) {
  if (number == 0) return;
  lua_rawgeti(t->L, t->texts, number);
  put_popped(t->j, key, t->L);
}

/* --- pools ------------------------------------------------------------------------------------------------ */

static void put_running(const struct telling *t, const struct ph_inspect_task *task) {
  struct ph_json *j = t->j;
  ph_json_open(j, NULL, '{');
  ph_json_integer(j, "id", (int64_t)task->id);
  put_text(t, "name", task->label);
  put_text(t, "submitted", task->site);
  if (task->started > 0) ph_json_seconds(j, "age", t->now - task->started);
  if (task->count > 1) {
    ph_json_integer(j, "item", (int64_t)task->item + 1);
    ph_json_integer(j, "items", task->count);
  }
  ph_json_flag(j, "stopping", task->stopping);
  ph_json_close(j, '{');
}

/* As a text in the text: the worker may have written anything. */
static void put_answer(struct ph_json *j, const struct ph_inspect_worker *w) {
  size_t mark = j->len;
  if (w->answer == NULL) return;
  ph_json_open(j, "answer", '{');
  ph_json_seconds(j, "at", w->answered);
  ph_json_integer(j, "task", (int64_t)w->about);
  ph_json_text(j, "text", w->answer, w->answer_len);
  ph_json_close(j, '{');
  if (!ph_json_fits(j, mark)) ph_json_cut(j);
}

/* With the lock of the pool. */
static void put_worker(void *ud, const struct ph_inspect_worker *w) {
  const struct telling *t = ud;
  struct ph_json *j = t->j;
  size_t mark = j->len;
  ph_json_open(j, NULL, '{');
  ph_json_integer(j, "id", (int64_t)w->index + 1);
  if (w->tid != 0) ph_json_integer(j, "tid", w->tid);
  if (w->pid != 0) ph_json_integer(j, "pid", w->pid);
  ph_json_string(j, "state", w->state);
  ph_json_seconds(j, "since", t->now - w->since);
  ph_json_integer(j, "done", (int64_t)w->done);
  ph_json_flag(j, "waits", w->waits);
  ph_json_open(j, "tasks", '[');
  for (unsigned i = 0; i < w->n_tasks; i++) put_running(t, &w->tasks[i]);
  ph_json_close(j, '[');
  if (!j->full) put_answer(j, w);
  ph_json_close(j, '{');
  ph_json_fits(j, mark);
}

static void put_numbers(struct ph_json *j, const struct ph_inspect_pool *info) {
  ph_json_string(j, "kind", info->kind);
  ph_json_string(j, "name", info->name);
  ph_json_string(j, "state", info->state);
  ph_json_integer(j, "number", (int64_t)info->number);
  ph_json_integer(j, "max_workers", info->max_workers);
  ph_json_integer(j, "n_workers", info->workers);
  ph_json_integer(j, "busy", info->busy);
  ph_json_integer(j, "running", (int64_t)info->running);
  ph_json_integer(j, "queued", (int64_t)info->queued);
  ph_json_integer(j, "completed", (int64_t)info->completed);
  ph_json_integer(j, "failed", (int64_t)info->failed);
  ph_json_integer(j, "cancelled", (int64_t)info->cancelled);
  ph_json_integer(j, "restarts", (int64_t)info->restarts);
}

/* Pools of other states are told by these. */
static void put_pool(struct telling *t, const struct core *c, bool whole) {
  struct ph_json *j = t->j;
  struct ph_inspect_pool info;
  size_t mark = j->len;
  int top = lua_gettop(t->L);
  ph_pool_inspect(c->pool, &info);
  ph_json_open(j, NULL, '{');
  put_numbers(j, &info);
  if (whole) {
    lua_rawgetp(t->L, LUA_REGISTRYINDEX, c);
    lua_getiuservalue(t->L, -1, CORE_TEXTS);
    t->texts = lua_gettop(t->L);
    ph_json_open(j, "workers", '[');
    ph_pool_inspect_workers(c->pool, &(struct ph_inspector){put_worker, t});
    ph_json_close(j, '[');
  }
  ph_json_close(j, '{');
  ph_json_fits(j, mark);
  lua_settop(t->L, top);
}

static void put_pools(struct telling *t, const struct lib_state *s, bool whole) {
  if (s->cores == NULL) return;
  ph_json_open(t->j, "pools", '[');
  for (const struct core *c = s->cores; c != NULL; c = c->next)
    if (c->pool != NULL && !c->is_guest) put_pool(t, c, whole);
  ph_json_close(t->j, '[');
}

/* --- tasks on coroutines ---------------------------------------------------------------------------------- */

static int64_t number_of(lua_State *L, const struct sched *s, const struct sched_task *t) {
  task_push(L, s, t);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, TASK_NUMBER);
    lua_remove(L, -2);
  }
  int64_t number = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return number;
}

/* What the table of this registry reference has for the task on top. */
static void put_known(struct ph_json *j, const char *key, lua_State *L, int ref) {
  if (ref == LUA_NOREF) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
  lua_pushvalue(L, -2);
  lua_rawget(L, -2);
  put_popped(j, key, L);
  lua_pop(L, 1);
}

static void put_times(const struct telling *t, const struct sched *s, const struct sched_task *task) {
  int64_t now = sched_now(s), born = SCHED_TURN(now) - (int64_t)task->born;
  ph_json_seconds(t->j, "age", (born & 0xffffff) << 28);
  if (task->timer.place != 0) ph_json_seconds(t->j, "wakes", task->timer.when - now);
}

static void put_coroutine(struct ph_json *j, const struct sched_task *task) {
  if (task->co == NULL || task->state == TASK_RUNS) return;
  ph_inspect_place(j, "at", task->parked_in);
  ph_inspect_stack(j, "stack", task->parked_in);
  if (task->parked_in != task->co) ph_inspect_stack(j, "below", task->co);
}

/* The task's table is on top. */
static void put_task(const struct telling *t, const struct sched *s, const struct sched_task *task) {
  struct ph_json *j = t->j;
  const struct sched_scope *parent = task->root.parent;
  size_t mark = j->len;
  ph_json_open(j, NULL, '{');
  ph_json_integer(j, "id", number_of(t->L, s, task));
  put_known(j, "name", t->L, s->names);
  put_known(j, "created", t->L, s->sites);
  ph_json_string(j, "state", task_state_name(task));
  if (parent != NULL && parent->owner != NULL) ph_json_integer(j, "parent", number_of(t->L, s, parent->owner));
  ph_json_flag(j, "cancelling", task_is_cancelling(task));
  put_times(t, s, task);
  put_coroutine(j, task);
  ph_json_close(j, '{');
  ph_json_fits(j, mark);
}

/* The task whose table is on top, NULL: it is none, or has ended. */
static const struct sched_task *live_task(lua_State *L) {
  if (!lua_istable(L, -1)) return NULL;
  lua_rawgeti(L, -1, TASK_STATE);
  lua_rawgeti(L, -2, TASK_VALUE);
  const struct sched_task *t = lua_tointeger(L, -2) <= STATE_RUNNING ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 2);
  return t;
}

static void put_tasks(const struct telling *t, const struct sched *s) {
  lua_State *L = t->L;
  unsigned told = 0;
  ph_json_open(t->j, "tasks", '[');
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_Integer slots = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = 1; i <= slots && told < TASKS_MAX; i++) {
    lua_rawgeti(L, -1, i);
    const struct sched_task *task = live_task(L);
    if (task != NULL) {
      put_task(t, s, task);
      told++;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  ph_json_close(t->j, '[');
}

/* --- a state ---------------------------------------------------------------------------------------------- */

void lib_inspect_summary(struct ph_json *j, lua_State *L) {
  const struct lib_state *s = lib_state_if_any(L);
  struct telling t = {.j = j, .L = L, .now = ph_now()};
  if (s == NULL || !lua_checkstack(L, STACK_NEEDED)) return;
  if (s->sched != NULL) ph_json_integer(j, "n_tasks", s->sched->live);
  put_pools(&t, s, false);
}

static void put_stacks(struct ph_json *j, lua_State *L, lua_State *runs) {
  const struct ph_vm *vm = ph_vm_of(L);
  ph_inspect_place(j, "at", runs);
  ph_inspect_stack(j, "stack", runs);
  if (vm != NULL && vm->L != runs) ph_inspect_stack(j, "main", vm->L);
}

void lib_inspect_state(struct ph_json *j, lua_State *L, lua_State *runs) {
  const struct lib_state *s = lib_state_if_any(L);
  struct telling t = {.j = j, .L = L, .now = ph_now()};
  if (!lua_checkstack(L, STACK_NEEDED)) return;
  put_stacks(j, L, runs);
  if (s == NULL) return;
  if (s->sched != NULL) {
    ph_json_integer(j, "n_tasks", s->sched->live);
    if (s->sched->current != NULL) ph_json_integer(j, "task", number_of(L, s->sched, s->sched->current));
    put_tasks(&t, s->sched);
  }
  put_pools(&t, s, true);
}
