/* SPDX-License-Identifier: MIT
 * The methods of a core that only look at its pool. */
#include <lauxlib.h>
#include <math.h>

#include "lib/core.h"
#include "lib/submit.h"

/* core:busy() -> tasks that run, tasks that wait, items that were ever submitted. */
int core_busy(lua_State *L) {
  struct core *c = check_core(L, 1);
  lua_Integer ended = (lua_Integer)c->last.completed + (lua_Integer)c->last.failed + (lua_Integer)c->last.cancelled;
  lua_Integer running = c->pool != NULL ? (lua_Integer)ph_pool_running(c->pool) : 0;
  lua_pushinteger(L, running);
  lua_pushinteger(L, c->pool != NULL ? (lua_Integer)ph_pool_outstanding(c->pool) - running : 0);
  lua_pushinteger(L, c->pool != NULL ? (lua_Integer)ph_pool_submitted(c->pool) : ended);
  return 3;
}

static void set_quantiles(lua_State *L, const char *key, const double q[2]) {
  lua_createtable(L, 0, 2);
  if (!isnan(q[0])) {
    lua_pushnumber(L, q[0]);
    lua_setfield(L, -2, "p50");
    lua_pushnumber(L, q[1]);
    lua_setfield(L, -2, "p99");
  }
  lua_setfield(L, -2, key);
}

int core_stats(lua_State *L) {
  struct core *c = check_core(L, 1);
  struct ph_pool_stats s = c->last;
  if (c->pool != NULL) ph_pool_stats(c->pool, &s);
  const struct {
    const char *key;
    uint64_t value;
  } rows[] = {{"workers", s.workers}, {"idle", s.idle},           {"busy", s.busy},          {"queued", s.queued},
              {"running", s.running}, {"completed", s.completed}, {"failed", s.failed},      {"cancelled", s.cancelled},
              {"retried", s.retried}, {"restarts", s.restarts},   {"abandoned", s.abandoned}};
  lua_createtable(L, 0, 13);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    lua_pushinteger(L, (lua_Integer)rows[i].value);
    lua_setfield(L, -2, rows[i].key);
  }
  set_quantiles(L, "wait_ms", s.wait_ms);
  set_quantiles(L, "run_ms", s.run_ms);
  return 1;
}

int core_count_retry(lua_State *L) {
  struct core *c = check_core(L, 1);
  if (c->pool != NULL) ph_pool_count_retry(c->pool);
  return 0;
}

int core_workers(lua_State *L) {
  struct core *c = check_core(L, 1);
  lua_newtable(L);
  if (c->pool == NULL) return 1;
  unsigned max = c->config.max_workers;
  struct ph_worker_info *infos = lua_newuserdatauv(L, max * sizeof *infos, 0);
  lua_insert(L, -2);
  unsigned n = ph_pool_workers(c->pool, infos, max);
  for (unsigned i = 0; i < n; i++) {
    lua_createtable(L, 0, 7);
    lua_pushinteger(L, (lua_Integer)infos[i].index + 1);
    lua_setfield(L, -2, "id");
    pid_t pid = infos[i].tid != 0 ? infos[i].tid : infos[i].pid;
    if (pid != 0) { /* known already */
      lua_pushinteger(L, pid);
      lua_setfield(L, -2, infos[i].tid != 0 ? "tid" : "pid");
    }
    lua_pushfstring(L, "%s_%d", c->config.name, (int)infos[i].index + 1);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, infos[i].state);
    lua_setfield(L, -2, "state");
    lua_pushinteger(L, (lua_Integer)infos[i].tasks);
    lua_setfield(L, -2, "tasks");
    if (infos[i].task_id != 0) {
      lua_pushinteger(L, (lua_Integer)infos[i].task_id);
      lua_setfield(L, -2, "task");
    }
    lua_pushnumber(L, (lua_Number)infos[i].since / 1e9);
    lua_setfield(L, -2, "since");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* core:about(id) -> the function, where it was submitted; nothing about a task that has ended, or was another state's. */
int core_about(lua_State *L) {
  struct core *c = check_core(L, 1);
  uint32_t label, site;
  uint64_t id = (uint64_t)luaL_checkinteger(L, 2);
  if (c->pool == NULL || c->is_guest || !ph_pool_task_texts(c->pool, id, &label, &site)) return 0;
  push_text(L, 1, label);
  push_text(L, 1, site);
  return 2;
}
