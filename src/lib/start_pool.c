/* SPDX-License-Identifier: MIT
 * What the workers of pools run, and starting them: the zygote, the pool of a core. */
#include <lauxlib.h>

#include "lib/core.h"
#include "lib/inspect.h"
#include "lib/station_lib.h"
#include "pool/backend_proc.h"
#include "pool/backend_thread.h"
#include "pool/wire.h"
#include "vm/error.h"
#include "vm/screen.h"
#include "vm/vm.h"
#include "vm/worker.h"

/* What a worker process begins with: a state that was made for it, or, with start method "fork", the one that was there,
 * in which it goes on. */
struct worker_start {
  struct ph_vm *vm;
  int externs;
  bool goes_on;
};

static void *warm_worker(void) {
  static struct worker_start start; /* of the zygote */
  start = (struct worker_start){.vm = ph_worker_warm_up(), .externs = LUA_NOREF};
  return &start;
}

static int worker_main(void *ud, uint32_t index, int memfd, int bell) {
  struct worker_start *start = ud;
  struct ph_link link;
  struct ph_err err;
  if (ph_link_attach(&link, memfd, bell, &err) != 0) return PH_WORKER_EXIT_NO_MEMORY;
  struct ph_worker_place place = {.index = index, .externs = start->externs, .inspect = lib_inspect_state};
  if (start->goes_on)
    place.L = ph_vm_become_worker(start->vm);
  else
    place.vm = start->vm;
  if (start->goes_on && place.L == NULL) return PH_WORKER_EXIT_NO_MEMORY;
  return ph_worker_run(&link, &place);
}

static int thread_main(struct ph_link *link, struct ph_pool *pool, uint32_t index) {
  return ph_worker_run(
      link, &(struct ph_worker_place){
                .index = index, .externs = LUA_NOREF, .pool = pool, .idle = lib_idle, .inspect = lib_inspect_state});
}

static int count_own_threads(lua_State *L) {
  int n = 1;
  for (struct core *c = lib_state_of(L)->cores; c != NULL; c = c->next) n += c->kind == CORE_PROC;
  return n;
}

static bool must_not_fork(void) {
  return ph_loop_used() && !ph_zygote_running();
}

static void start_processes(lua_State *L, struct core *c, bool fork_here, struct ph_err *err) {
  struct worker_start snapshot = {ph_vm_of(L), c->extern_values, true};
  struct ph_proc_start start = {.program = {.main = worker_main, .warm = warm_worker}};
  start.fork = fork_here;
  if (start.fork) {
    start.program = (struct ph_zygote_program){.main = worker_main, .ud = &snapshot};
    start.allowed_threads = count_own_threads(L);
  }
  if (!start.fork && must_not_fork())
    ph_error_raise(L, "invalid_state",
                   "cannot fork workers: this process has waited for something already (require \"proc_pool\" before that; "
                   "a program in C: call parhost_start)");
  c->config.backend_options = &start;
  c->pool = ph_pool_new(&ph_backend_proc, &c->config, err);
}

void lib_start_pool(lua_State *L, struct core *c, bool fork_here) {
  struct ph_err err;
  const struct ph_thread_start start = {.main = thread_main};
  if (c->kind == CORE_THREAD) {
    ph_screen_share();
    c->config.backend_options = &start;
    c->pool = ph_pool_new(&ph_backend_thread, &c->config, &err);
  } else if (c->kind == CORE_INLINE) {
    c->pool = ph_pool_new(&ph_backend_inline, &c->config, &err);
  } else {
    start_processes(L, c, fork_here, &err);
  }
  if (c->pool == NULL) ph_error_raise_err(L, &err);
  c->client = ph_pool_owner(c->pool);
}

int lib_prepare(bool for_workers, struct ph_err *err) {
  const struct ph_zygote_program program = {.main = worker_main, .warm = warm_worker, .eager = for_workers};
  ph_screen_share();
  ph_codec_init_key(); /* before the fork: both sides know each other's dumps by it */
  if (must_not_fork())
    return ph_err_set(err, "invalid_state", 0, "cannot fork workers: this process has waited for something already");
  return ph_zygote_start(&program, err);
}
