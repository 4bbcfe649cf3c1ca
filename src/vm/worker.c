/* SPDX-License-Identifier: MIT
 * The worker loop: one thread, one Lua state, one link. */
#include "vm/worker.h"

#include <lauxlib.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "vm/run.h"
#include "vm/worker_stdio.h"

#define SPIN_NS 40000 /* about what waking a parked thread costs */
#define SPIN_CREDIT_MAX 8
#define SPIN_RETRY 16
#define BIG_GROWTH ((size_t)4 << 20)

struct blob {
  void *bytes;
  size_t len;
};

struct worker {
  struct ph_run run;
  struct ph_link *link;
  struct blob *blobs; /* by number */
  size_t n_blobs;
  int spin_credit;
  unsigned spin_skipped;
  size_t heap_after_gc;
};

/* --- blobs ------------------------------------------------------------------------------------------------ */

static int take_blob(struct worker *w, uint32_t number, const uint8_t *body, size_t len) {
  if (body == NULL) return -1;
  if (number >= w->n_blobs) {
    size_t n = (size_t)number + 16;
    struct blob *blobs = realloc(w->blobs, n * sizeof *blobs);
    if (blobs == NULL) return -1;
    memset(blobs + w->n_blobs, 0, (n - w->n_blobs) * sizeof *blobs);
    w->blobs = blobs;
    w->n_blobs = n;
  }
  struct blob *b = &w->blobs[number];
  free(b->bytes);
  b->bytes = malloc(len + 1);
  if (b->bytes == NULL) return -1;
  memcpy(b->bytes, body, len);
  b->len = len;
  return 0;
}

static int resolve_blob(void *ud, uint64_t number, const void **bytes, size_t *len) {
  struct worker *w = ud;
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

static int send_on_link(struct ph_run *r, const struct ph_frame *f, const void *body) {
  struct ph_link *link = r->out;
  if (send_frame(link, f, body) != 0) return -1;
  ph_link_wake(link);
  return 0;
}

/* After a failure the worker leaves: tasks that are on their way must not run in it. */
static int set_up(struct worker *w, const uint8_t *body, size_t len) {
  if (body == NULL) _exit(PH_WORKER_EXIT_NO_MEMORY);
  struct ph_frame f = {.type = PH_FRAME_READY, .item = (uint32_t)getpid()};
  w->run.reply = (struct ph_encoded){0};
  bool ok = ph_run_setup(&w->run, body, len);
  if (!ok) {
    f.type = PH_FRAME_SETUP_FAILED;
    f.len = (uint32_t)w->run.reply.len;
  }
  if (send_frame(w->link, &f, w->run.reply.data) != 0) return -1;
  if (!ok || !ph_link_readable(w->link)) ph_link_wake(w->link); /* otherwise the first reply will */
  return ok ? 0 : 1;
}

/* 0 go on, 1 leave, -1 the host is gone. */
static int handle_frame(struct worker *w, const struct ph_frame *f, const uint8_t *body) {
  switch (f->type) {
    case PH_FRAME_SETUP: return set_up(w, body, f->len);
    case PH_FRAME_BLOB: return take_blob(w, f->item, body, f->len);
    case PH_FRAME_TASK: return ph_run_task(&w->run, ph_link_slot(w->link, f->slot), f->slot, body, f->len);
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
  malloc_trim(0);
}

static bool spin(struct worker *w) {
  if (w->spin_credit == 0 && ++w->spin_skipped % SPIN_RETRY != 0) return false;
  int64_t end = ph_now() + SPIN_NS;
  while (!ph_link_readable(w->link) && ph_now() < end)
    for (int i = 0; i < 32; i++) __builtin_ia32_pause();
  bool found = ph_link_readable(w->link);
  if (found && w->spin_credit < SPIN_CREDIT_MAX) w->spin_credit += 2;
  if (!found && w->spin_credit > 0) w->spin_credit--;
  return found;
}

static int wait_for_work(struct worker *w) {
  if (spin(w)) return 0;
  collect_while_idle(w);
  return ph_link_wait(w->link, false, 0);
}

static int serve(struct worker *w) {
  for (;;) {
    struct ph_frame f;
    const uint8_t *body;
    int status = ph_link_read(w->link, &f, &body);
    if (status < 0) return -1;
    ph_link_wake(w->link); /* what was read has made room */
    status = status > 0 ? handle_frame(w, &f, body) : wait_for_work(w);
    if (status != 0) return status;
  }
}

int ph_worker_run(struct ph_link *link, uint32_t index, lua_State *L, int externs) {
  const struct ph_vm_options options = {.is_worker = true};
  struct worker w = {.link = link, .spin_credit = 1};
  bool own = L == NULL;
  struct ph_vm *vm = own ? NULL : ph_vm_of(L);
  if (own) {
    ph_worker_stdio_open();
    vm = ph_vm_open(&options);
  }
  if (vm == NULL) return PH_WORKER_EXIT_NO_MEMORY;
  watch_for_forks();
  w.run = (struct ph_run){.index = index, .externs = externs, .send = send_on_link, .out = link};
  w.run.store = (struct ph_blob_store){.resolve = resolve_blob, .ud = &w};
  struct ph_run *outer = ph_run_begin(&w.run, vm, own ? vm->L : L);
  int status = serve(&w);
  ph_run_end(&w.run, outer);
  if (own && status > 0) ph_vm_close(vm);
  fflush(NULL);
  for (size_t i = 0; i < w.n_blobs; i++) free(w.blobs[i].bytes);
  free(w.blobs);
  return status > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
