/* SPDX-License-Identifier: MIT
 * The worker loop: one thread, one Lua state, one link. */
#include "vm/worker.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/poke.h"
#include "base/relax.h"
#include "pool/backend_thread.h"
#include "vm/run.h"
#include "vm/worker_stdio.h"

#define SPIN_NS 40000 /* about what waking a parked thread costs */
#define SPIN_CREDIT_MAX 8
#define SPIN_RETRY 16
#define BIG_GROWTH ((size_t)4 << 20)
#define HELP_DEPTH_MAX 60 /* each takes a slot, and some of the C stack */
#define BIG_REPLY 4096u   /* bytes from which on a thread's results go by reference */

struct blob {
  void *bytes;
  size_t len;
};

struct worker {
  struct ph_run run;
  struct ph_link *link;
  struct ph_pool *pool; /* of a thread, which reads the blobs there; else NULL */
  struct blob *blobs;   /* by number */
  bool (*idle)(lua_State *L, struct ph_link *link);
  size_t n_blobs;
  int spin_credit;
  unsigned spin_skipped;
  size_t heap_after_gc;
  unsigned depth; /* tasks on top of the one that came on the link */
  bool waits;     /* has told the pool so */
  bool leaves;    /* was told to, in the middle of a task */
  bool no_memory; /* for its setup: it cannot begin */
};

static _Thread_local struct worker *current_worker;  /* of threads */
static _Thread_local const struct ph_link *own_link; /* the same; until the state is closed, where finalizers may wait */

/* --- blobs ------------------------------------------------------------------------------------------------ */

static int take_blob(struct worker *w, uint32_t number, const uint8_t *body, size_t len) {
  if (body == NULL) return -1;
  if (number >= w->n_blobs) {
    size_t n = (size_t)number + 16;
    struct blob *blobs = ph_realloc(w->blobs, n * sizeof *blobs);
    if (blobs == NULL) return -1;
    memset(blobs + w->n_blobs, 0, (n - w->n_blobs) * sizeof *blobs);
    w->blobs = blobs;
    w->n_blobs = n;
  }
  struct blob *b = &w->blobs[number];
  free(b->bytes);
  b->bytes = ph_malloc(len + 1);
  if (b->bytes == NULL) return -1;
  memcpy(b->bytes, body, len);
  b->len = len;
  return 0;
}

static int resolve_blob(void *ud, uint64_t number, const void **bytes, size_t *len) {
  struct worker *w = ud;
  if (w->pool != NULL) return ph_pool_blob(w->pool, number, bytes, len);
  if (number >= w->n_blobs || w->blobs[number].bytes == NULL) return -1;
  *bytes = w->blobs[number].bytes;
  *len = w->blobs[number].len;
  return 0;
}

/* --- frames ----------------------------------------------------------------------------------------------- */

static bool in_child; /* this is a process that a task has forked from its worker */

static void note_fork(void) {
  in_child = true;
}

static void watch_for_forks(void) {
  static bool watched;
  in_child = false;
  if (!watched) watched = pthread_atfork(NULL, NULL, note_fork) == 0;
}

/* A task that has forked comes back here twice; the link is its worker's alone. */
static int send_frame(struct ph_link *link, const struct ph_frame *f, const void *body) {
  if (in_child) _exit(EXIT_SUCCESS);
  return ph_link_send(link, f, body);
}

/* The pool gets a copy to keep; without memory for it, the bytes go through the ring. */
static int send_here(struct ph_link *link, struct ph_frame f, const void *body) {
  struct ph_bytes_here here = {ph_malloc(f.len), f.len};
  if (here.data == NULL) return ph_link_send(link, &f, body);
  memcpy(here.data, body, f.len);
  f.type = PH_FRAME_REPLY_HERE;
  f.len = sizeof here;
  int status = ph_link_send(link, &f, &here);
  if (status != 0) free(here.data);
  return status;
}

static int send_on_link(struct ph_run *r, const struct ph_frame *f, const void *body) {
  struct ph_link *link = r->out;
  bool by_reference = link->is_local && f->type == PH_FRAME_REPLY && f->len > BIG_REPLY;
  if ((by_reference ? send_here(link, *f, body) : send_frame(link, f, body)) != 0) return -1;
  ph_link_wake(link);
  return 0;
}

/* After a failure the worker leaves: tasks that are on their way must not run in it. */
static int set_up(struct worker *w, const uint8_t *body, size_t len) {
  w->no_memory = body == NULL;
  if (w->no_memory) return -1;
  struct ph_frame f = {.type = PH_FRAME_READY, .item = w->pool == NULL ? (uint32_t)getpid() : 0};
  w->run.reply = (struct ph_encoded){0};
  bool ok = ph_run_setup(&w->run, body, len, &w->no_memory);
  if (!ok) {
    f.type = PH_FRAME_SETUP_FAILED;
    f.flags = w->no_memory;
    f.len = (uint32_t)w->run.reply.len;
  }
  if (send_frame(w->link, &f, w->run.reply.data) != 0) return -1;
  if (!ok || !ph_link_readable(w->link)) ph_link_wake(w->link); /* otherwise the first reply will */
  return ok ? 0 : 1;
}

static int run_task_here(struct worker *w, const struct ph_frame *f, const uint8_t *body) {
  struct ph_task_wire wire;
  struct ph_bytes_here here;
  memcpy(&wire, body, sizeof wire);
  memcpy(&here, body + sizeof wire, sizeof here);
  return ph_run_task(&w->run, ph_link_slot(w->link, f->slot), f->slot, &wire, here.data, here.len);
}

static int run_task(struct worker *w, const struct ph_frame *f, const uint8_t *body) {
  struct ph_task_wire wire;
  struct ph_slot *slot = ph_link_slot(w->link, f->slot);
  if (body == NULL) return ph_run_task(&w->run, slot, f->slot, NULL, NULL, 0); /* there was no memory for it */
  memcpy(&wire, body, sizeof wire);
  return ph_run_task(&w->run, slot, f->slot, &wire, body + sizeof wire, f->len - sizeof wire);
}

/* What comes on a link between processes is looked at before it is believed. */
static bool makes_sense(const struct worker *w, const struct ph_frame *f) {
  switch (f->type) {
    case PH_FRAME_BLOB: return f->item < PH_BLOBS_MAX;
    case PH_FRAME_TASK: return f->slot < PH_LINK_SLOTS && f->len >= sizeof(struct ph_task_wire);
    case PH_FRAME_TASK_HERE:
      return w->link->is_local && f->slot < PH_LINK_SLOTS &&
             f->len == sizeof(struct ph_task_wire) + sizeof(struct ph_bytes_here);
    default: return f->type == PH_FRAME_SETUP || f->type == PH_FRAME_STOP;
  }
}

/* 0 go on, 1 leave, -1 the host is gone, or out of its mind. */
static int handle_frame(struct worker *w, const struct ph_frame *f, const uint8_t *body) {
  if (!makes_sense(w, f)) return -1;
  switch (f->type) {
    case PH_FRAME_SETUP: return set_up(w, body, f->len);
    case PH_FRAME_BLOB: return take_blob(w, f->item, body, f->len);
    case PH_FRAME_TASK: return run_task(w, f, body);
    case PH_FRAME_TASK_HERE: return run_task_here(w, f, body);
    default: return 1;
  }
}

/* --- waiting ---------------------------------------------------------------------------------------------- */

/* Garbage of the last tasks goes while there is nothing else to do: finalizers run soon, not at the next task. States
 * collect by generations: one step takes what the last task left behind, and a full cycle what big tasks did. */
static void collect_while_idle(struct worker *w) {
  if (!w->run.ran_something) return;
  w->run.ran_something = false;
  lua_gc(w->run.L, LUA_GCSTEP, 0);
  if (w->run.vm->used < w->heap_after_gc * 2 + BIG_GROWTH) return;
  lua_gc(w->run.L, LUA_GCCOLLECT);
  w->heap_after_gc = w->run.vm->used;
  if (w->pool == NULL) malloc_trim(0); /* it would stop all threads of this process */
}

static bool spin(struct worker *w) {
  if (w->spin_credit == 0 && ++w->spin_skipped % SPIN_RETRY != 0) return false;
  int64_t end = ph_now() + SPIN_NS;
  while (!ph_link_readable(w->link) && ph_now() < end)
    for (int i = 0; i < 32; i++) ph_relax();
  bool found = ph_link_readable(w->link);
  if (found && w->spin_credit < SPIN_CREDIT_MAX) w->spin_credit += 2;
  if (!found && w->spin_credit > 0) w->spin_credit--;
  return found;
}

static int wait_for_work(struct worker *w) {
  if (spin(w)) return 0;
  collect_while_idle(w);
  if (w->idle != NULL && w->idle(w->run.L, w->link)) return 0;
  return ph_link_wait(w->link, false, 0);
}

/* --- helping ---------------------------------------------------------------------------------------------- */

/* What running a task sets in the vm, and the one below needs again. */
struct below {
  struct ph_run *run;
  lua_State *running;
  size_t limit;
  enum ph_stop stop; /* that has come for it, and waits until what lies on top has ended */
};

static struct below begin_on_top(struct worker *w, struct ph_run *top, lua_State *co) {
  struct ph_vm *vm = w->run.vm;
  struct below b = {.running = vm->running, .limit = vm->limit};
  vm->limit = 0;
  *top = (struct ph_run){.index = w->run.index,
                         .externs = LUA_NOREF,
                         .encode_flags = w->run.encode_flags,
                         .store = w->run.store,
                         .send = w->run.send,
                         .out = w->run.out};
  b.run = ph_run_begin(top, vm, co); /* from here on, what comes for the one below is left for later */
  b.stop = ph_vm_take_stop(vm);
  ph_vm_switch(vm, b.running, co);
  w->depth++;
  return b;
}

static void end_on_top(struct worker *w, struct ph_run *top, const struct below *b) {
  struct ph_vm *vm = w->run.vm;
  w->depth--;
  ph_vm_switch(vm, top->L, b->running);
  ph_run_end(top, b->run);
  vm->limit = b->limit;
  if (b->stop != PH_STOP_NONE) ph_vm_interrupt(vm, b->stop);
  ph_run_catch_up(b->run);
}

void ph_worker_describe(char *text, size_t size) {
  const struct ph_run *r = ph_run_current();
  if (current_worker == NULL || r == NULL || r->wire == NULL) {
    snprintf(text, size, own_link == NULL ? "the program" : "a worker");
    return;
  }
  const char *name = ph_pool_config_of(current_worker->pool)->name;
  uint64_t id = r->wire->id + (r->item == UINT32_MAX ? 0 : r->item);
  snprintf(text, size, "%s#%" PRIu64, name, id);
}

struct ph_pool *ph_worker_pool(void) {
  return current_worker != NULL ? current_worker->pool : NULL;
}

const struct ph_link *ph_worker_link(void) {
  return own_link;
}

/* Everything that is in the ring has been taken back by ph_pool_waits, but for a request to leave. */
static void skip_revoked(struct worker *w) {
  struct ph_frame f;
  const uint8_t *body;
  while (ph_link_readable(w->link) && ph_link_read(w->link, &f, &body) > 0) {
    if (f.type == PH_FRAME_STOP) w->leaves = true;
    if (f.type == PH_FRAME_TASK_HERE) run_task_here(w, &f, body);
  }
}

static void begin_waiting(struct worker *w) {
  if (w->waits) return;
  w->waits = true;
  ph_pool_waits(w->pool, w->run.index, w->link);
  skip_revoked(w);
}

bool ph_worker_can_help(void) {
  return current_worker != NULL && current_worker->depth < HELP_DEPTH_MAX;
}

bool ph_worker_help(lua_State *L, const struct ph_help_wish *wish) {
  struct worker *w = current_worker;
  struct ph_help help;
  struct ph_run top;
  if (!ph_worker_can_help()) return false;
  luaL_checkstack(L, 4, NULL);
  lua_State *co = lua_newthread(L);
  begin_waiting(w);
  bool found = ph_pool_help(w->pool, w->run.index, w->link, wish, &help);
  if (found) {
    const struct ph_task *t = help.task;
    const struct ph_pool_config *config = ph_pool_config_of(w->pool);
    const struct ph_task_wire wire = {.id = t->id,
                                      .memory_limit = help.memory_limit,
                                      .seed = config->seed,
                                      .count = help.count,
                                      .first = help.first,
                                      .flags = help.flags,
                                      .seeded = config->seeded};
    struct below below = begin_on_top(w, &top, co);
    ph_run_message(&top, ph_link_slot(w->link, help.slot), help.slot, &wire, ph_task_bytes((struct ph_task *)t), t->len);
    end_on_top(w, &top, &below);
  }
  lua_pop(L, 1);
  return found;
}

void ph_worker_waits(void) {
  if (current_worker != NULL) begin_waiting(current_worker);
}

void ph_worker_helped(void) {
  struct worker *w = current_worker;
  if (w == NULL || !w->waits) return;
  w->waits = false;
  ph_pool_helped(w->pool, w->run.index, w->link);
}

static int serve(struct worker *w) {
  while (!w->leaves) {
    struct ph_frame f;
    const uint8_t *body;
    int status = ph_link_read(w->link, &f, &body);
    if (status < 0) return -1;
    ph_link_wake(w->link); /* what was read has made room */
    status = status > 0 ? handle_frame(w, &f, body) : wait_for_work(w);
    if (status != 0) return status;
  }
  return 1;
}

static int enter_thread(lua_State *L) {
  ph_worker_stdio_enter(L);
  ph_codec_baseline(L); /* the new print is no global of the user's */
  return 0;
}

static struct ph_vm *open_vm(const struct worker *w) {
  bool is_thread = w->pool != NULL;
  const struct ph_vm_options options = {.is_worker = true, .exit_raises = is_thread};
  if (!is_thread) ph_worker_stdio_open();
  struct ph_vm *vm = ph_vm_open(&options);
  if (!is_thread || vm == NULL) return vm;
  lua_pushcfunction(vm->L, enter_thread);
  if (lua_pcall(vm->L, 0, 0, 0) == LUA_OK) return vm;
  ph_vm_close(vm);
  ph_worker_stdio_leave();
  return NULL;
}

static int require_worker(lua_State *L) {
  static const char *const modules[] = {"parhost.core.pool", "parhost.worker"};
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
    lua_getglobal(L, "require");
    lua_pushstring(L, modules[i]);
    lua_call(L, 1, 0);
  }
  return 0;
}

/* What was made up to an error stays: setting up will meet it again, and report it. */
struct ph_vm *ph_worker_warm_up(void) {
  struct ph_vm *vm = open_vm(&(struct worker){.pool = NULL});
  if (vm == NULL) return NULL;
  lua_pushcfunction(vm->L, require_worker);
  if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) lua_pop(vm->L, 1);
  lua_gc(vm->L, LUA_GCCOLLECT); /* what is old then no worker writes to when it collects: those pages stay shared */
  return vm;
}

static struct ph_vm *find_vm(const struct worker *w, const struct ph_worker_place *place) {
  if (place->L != NULL) return ph_vm_of(place->L);
  if (place->vm == NULL) return open_vm(w);
  ph_vm_part_ways(place->vm);
  return place->vm;
}

/* The state of a process goes with it; a thread's must go now. */
static void close_vm(const struct worker *w, struct ph_vm *vm, int status) {
  if (w->pool != NULL) {
    ph_vm_close(vm);
    ph_worker_stdio_leave();
    return;
  }
  if (status > 0) ph_vm_close_last(vm);
  fflush(NULL);
}

int ph_worker_run(struct ph_link *link, const struct ph_worker_place *place) {
  struct worker w = {.link = link, .pool = place->pool, .idle = place->idle, .spin_credit = 1};
  bool own = place->L == NULL;
  struct ph_vm *vm = find_vm(&w, place);
  if (vm == NULL) return PH_WORKER_EXIT_NO_MEMORY;
  if (w.pool == NULL) watch_for_forks();
  w.run = (struct ph_run){.index = place->index, .externs = place->externs, .send = send_on_link, .out = link};
  w.run.is_fresh = own;
  if (w.pool != NULL) w.run.encode_flags = PH_ENCODE_SAME_PROCESS;
  w.run.store = (struct ph_blob_store){.resolve = resolve_blob, .ud = &w};
  struct ph_run *outer = ph_run_begin(&w.run, vm, own ? vm->L : place->L);
  current_worker = w.pool != NULL ? &w : NULL;
  own_link = w.pool != NULL ? link : NULL;
  ph_inspect_worker(vm, link, w.pool != NULL ? ph_threads_inspect_signal() : PH_INSPECT_SIGNAL, place->inspect);
  int status = serve(&w);
  ph_inspect_worker(NULL, NULL, 0, NULL);
  current_worker = NULL;
  ph_run_end(&w.run, outer);
  if (own)
    close_vm(&w, vm, status);
  else
    fflush(NULL);
  own_link = NULL;
  for (size_t i = 0; i < w.n_blobs; i++) free(w.blobs[i].bytes);
  free(w.blobs);
  if (w.no_memory) return PH_WORKER_EXIT_NO_MEMORY;
  return status > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
