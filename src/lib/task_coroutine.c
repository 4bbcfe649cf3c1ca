/* SPDX-License-Identifier: MIT
 * The coroutines that tasks run in: they are used again by other tasks, unless the program has got hold of them. At `at` on
 * the stack lie the tables that task_push_tables has pushed. */
#include "lib/task.h"

#define COROUTINE_BYTES 1152 /* about: its state, stack and a few calls */
#define PACE_KB 64

void task_push_tables(lua_State *L, const struct sched *s) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->spare);
}

/* The collector's pace is how much is allocated. But the memory of a coroutine is in use until its task has ended, so it
 * counts from then on: to look through many that sleep, while more are made, would find nothing. */
static void pace_collector(lua_State *L, struct sched *s) {
  int kb = s->coroutines * COROUTINE_BYTES / 1024; /* few: it is told often */
  if (kb > -PACE_KB && kb < PACE_KB) return;
  s->coroutines = 0;
  if (lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCSTEP, kb);
}

static void clear_spare(lua_State *L, struct sched *s, int at) {
  lua_pushnil(L);
  lua_rawseti(L, at + 1, s->n_spare + 1);
  s->spare_at[s->n_spare] = NULL;
}

/* A spare one stays in its place if nobody else may want that before the task has parked or ended. */
lua_State *task_take_coroutine(lua_State *L, struct sched *s, int at) {
  if (s->n_spare == 0) {
    s->coroutines--;
    pace_collector(L, s);
    return lua_newthread(L);
  }
  lua_rawgeti(L, at + 1, s->n_spare--);
  lua_State *co = s->spare_at[s->n_spare];
  if (s->inside > 0) clear_spare(L, s, at);
  return co;
}

static void forget_spare(lua_State *L, struct sched *s, const lua_State *co, int at) {
  if (s->n_spare < SCHED_SPARE_MAX && s->spare_at[s->n_spare] == co) clear_spare(L, s, at);
}

void task_let_go(lua_State *L, struct sched *s, const lua_State *co, int at) {
  s->coroutines++;
  forget_spare(L, s, co, at);
  pace_collector(L, s);
}

/* The table has room: this does not fail. */
void task_keep_coroutine(lua_State *L, struct sched *s, lua_State *co, int at) {
  if (s->n_spare == SCHED_SPARE_MAX) {
    task_let_go(L, s, co, at);
    return;
  }
  lua_settop(co, 0);
  if (lua_gethook(co) != NULL) ph_vm_unhook(co);
  if (s->spare_at[s->n_spare] != co) {
    s->spare_at[s->n_spare] = co;
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_rawseti(L, at + 1, s->n_spare + 1);
  }
  s->n_spare++;
}

void task_anchor_coroutine(lua_State *L, struct sched *s, struct sched_task *t, int at) {
  lua_rawgeti(L, at, t->anchor);
  lua_insert(L, -2);
  lua_rawseti(L, -2, TASK_COUNT);
  lua_pop(L, 1);
  forget_spare(L, s, t->co, at);
}
