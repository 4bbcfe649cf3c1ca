/* SPDX-License-Identifier: MIT
 * A task run at once by its submitter, in a fresh state: the inline backend, and on_full = "caller_runs". The replies
 * go straight into the pool's done records. A timer of this thread stands in for the dispatcher. */
#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "pool/backend_thread.h"
#include "pool/task_trace.h"
#include "vm/run.h"
#include "vm/worker.h"

struct inline_run {
  struct ph_run run;
  struct ph_pool *pool;
  struct ph_client *client;
  struct ph_task *task;
  timer_t timer;
  bool has_timer;
};

static int resolve_blob(void *ud, uint64_t number, const void **bytes, size_t *len) {
  struct inline_run *in = ud;
  return ph_pool_blob(in->pool, number, bytes, len);
}

static void arm(struct inline_run *in) {
  int64_t when = in->run.deadline;
  struct itimerspec spec = {{0, 0}, {0, 0}};
  if (!in->has_timer) return;
  if (when != PH_NEVER) {
    spec.it_value.tv_sec = when / 1000000000;
    spec.it_value.tv_nsec = when % 1000000000;
  }
  timer_settime(in->timer, TIMER_ABSTIME, &spec, NULL);
}

/* The time limit of the next item. */
static void limit_item(struct inline_run *in) {
  const struct ph_task_options *o = ph_task_options(in->task);
  int64_t now = ph_now(), by_timeout = o->timeout_ns >= PH_NEVER - now ? PH_NEVER : now + o->timeout_ns;
  in->run.deadline = by_timeout < o->deadline ? by_timeout : o->deadline;
  arm(in);
}

static uint8_t outcome_of(const struct inline_run *in, const struct ph_frame *f) {
  if (f->flags == PH_REPLY_ERROR && f->len == 0) return PH_DONE_LOST; /* there was no memory for it */
  switch (f->flags) {
    case PH_REPLY_OK: return PH_DONE_OK;
    case PH_REPLY_MEMORY: return PH_DONE_MEMORY;
    case PH_REPLY_STOPPED: return ph_now() >= in->run.deadline ? PH_DONE_TIMEOUT : PH_DONE_CANCELLED;
    default: return PH_DONE_ERROR;
  }
}

static int add_reply(struct ph_run *r, const struct ph_frame *f, const void *body) {
  struct inline_run *in = r->out;
  const struct ph_task *t = in->task;
  struct ph_done done = {.item = f->item, .len = f->len, .pid = getpid(), .outcome = outcome_of(in, f)};
  done.run_ns = (int64_t)f->reserved * PH_RUN_TIME_UNIT;
  done.source = PH_SOURCE_EXPLICIT;
  if (done.outcome == PH_DONE_MEMORY) done.limit = (int64_t)r->wire->memory_limit;
  int64_t timeout = ph_task_options(t)->timeout_ns;
  if (done.outcome == PH_DONE_TIMEOUT && timeout != PH_NEVER) done.limit = timeout;
  int status = ph_client_add_done(in->client, in->task, &done, body);
  limit_item(in);
  return status;
}

static int add_setup_failure(struct inline_run *in) {
  int status = 0;
  ph_pool_fail_setup(in->pool, in->run.reply.data, in->run.reply.len);
  if (in->task->flags & PH_TASK_TRACED) {
    struct ph_task_about about;
    ph_task_note_read(ph_task_bytes(in->task), in->task->len, &about);
    ph_trace_dropped(&about, in->task->id, PH_DONE_BROKEN);
  }
  for (uint32_t item = 0; item < in->task->count && status == 0; item++) {
    struct ph_done done = {.item = item, .outcome = PH_DONE_BROKEN};
    status = ph_client_add_done(in->client, in->task, &done, NULL);
  }
  return status;
}

static int run_task(struct inline_run *in, const struct ph_pool_config *c) {
  struct ph_task *t = in->task;
  struct ph_slot slot = {.claim = PH_CLAIM_HANDED};
  struct ph_task_wire wire = {.id = t->id, .seed = c->seed, .count = t->count, .flags = t->flags, .seeded = c->seeded};
  wire.memory_limit = ph_task_memory_limit(t, c);
  limit_item(in);
  int status = ph_run_message(&in->run, &slot, 0, &wire, ph_task_bytes(t), t->len);
  in->run.deadline = PH_NEVER;
  arm(in);
  return status;
}

/* -1: the limits of the task could not be kept. */
static int make_timer(struct inline_run *in, struct ph_err *err) {
  int number = ph_threads_stop_signal();
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  const struct ph_task_options *o = ph_task_options(in->task);
  in->has_timer = number != 0 && !PH_FAULT(timer_create) && timer_create(CLOCK_MONOTONIC, &event, &in->timer) == 0;
  bool limited = o->timeout_ns != PH_NEVER || o->deadline != PH_NEVER;
  return in->has_timer || number == 0 || !limited ? 0 : ph_err_os(err, "cannot limit the time of a task");
}

static int set_up_and_run(struct inline_run *in, const struct ph_pool_config *config, struct ph_err *err) {
  bool no_memory, ready = ph_run_setup(&in->run, config->setup, config->setup_len, &no_memory);
  int status = -1;
  if (ready)
    status = run_task(in, config);
  else if (!no_memory || config->has_initializer)
    status = add_setup_failure(in);
  return status == 0 ? 0 : ph_err_set(err, "os", ENOMEM, "not enough memory to run a task");
}

int ph_worker_run_here(struct ph_client *c, const struct ph_pool_config *config, struct ph_task *task, struct ph_err *err) {
  const struct ph_vm_options options = {.is_worker = true, .exit_raises = true};
  struct ph_vm *caller = ph_vm_current, *vm = ph_vm_open(&options);
  if (vm == NULL) {
    ph_task_unref(task);
    return ph_err_set(err, "os", ENOMEM, "not enough memory for a Lua state");
  }
  struct inline_run in = {.pool = ph_client_pool(c), .client = c, .task = task};
  in.run = (struct ph_run){.externs = LUA_NOREF, .send = add_reply, .out = &in, .deadline = PH_NEVER, .is_fresh = true};
  in.run.store = (struct ph_blob_store){.resolve = resolve_blob, .ud = &in};
  int status = make_timer(&in, err);
  struct ph_run *outer = ph_run_begin(&in.run, vm, vm->L);
  if (status == 0) status = set_up_and_run(&in, config, err);
  ph_run_end(&in.run, outer);
  if (in.has_timer) timer_delete(in.timer);
  ph_vm_close(vm);
  ph_vm_current = caller;
  ph_task_unref(task);
  return status;
}
