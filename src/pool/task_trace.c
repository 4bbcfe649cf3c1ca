/* SPDX-License-Identifier: MIT */
#include "pool/task_trace.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "pool/pool_int.h"

/* --- notes -------------------------------------------------------------------------------------------------- */

struct piece {
  const char *text;
  size_t len;
};

static struct piece piece_of(const char *text) {
  return text != NULL ? (struct piece){text, strlen(text)} : (struct piece){"", 0};
}

/* "f (a.lua:1)" or "function <a.lua:1>" -> what stands inside; of anything else: nothing. */
static struct piece place_in_label(struct piece label, struct piece *name) {
  const char *open = NULL;
  char closing = label.len > 0 ? label.text[label.len - 1] : 0;
  *name = label;
  for (const char *s = label.text; s < label.text + label.len; s++)
    if (*s == (closing == '>' ? '<' : '(')) open = s;
  if (open == NULL || (closing != ')' && closing != '>')) return (struct piece){"", 0};
  if (closing == ')' && open - label.text > 1) name->len = (size_t)(open - label.text) - 1;
  return (struct piece){open + 1, (size_t)(label.text + label.len - open) - 2};
}

/* "a.lua:7: in main chunk" -> "a.lua:7" */
static struct piece position_of(struct piece site) {
  const char *end = site.text != NULL ? strstr(site.text, ": in ") : NULL;
  if (end != NULL) site.len = (size_t)(end - site.text);
  return site;
}

int ph_task_note_make(struct ph_buf *b, const struct ph_task_texts *texts) {
  struct piece pool = piece_of(texts->pool), site = position_of(piece_of(texts->site)), name;
  struct piece function = place_in_label(piece_of(texts->label), &name);
  if (texts->name != NULL) name = (struct piece){texts->name, texts->name_len};
  struct ph_task_note note = {.submitted = ph_now(),
                              .flow = ph_trace_id(),
                              .tid = ph_trace_tid(),
                              .attempt = 1,
                              .pool_len = (uint32_t)pool.len,
                              .name_len = (uint32_t)(name.len < PH_TRACE_TEXT_KEPT ? name.len : PH_TRACE_TEXT_KEPT),
                              .function_len = (uint32_t)function.len,
                              .site_len = (uint32_t)site.len};
  bool ok = ph_buf_put(b, pool.text, pool.len) == 0 && ph_buf_put(b, name.text, note.name_len) == 0 &&
            ph_buf_put(b, function.text, function.len) == 0 && ph_buf_put(b, site.text, site.len) == 0;
  return ok ? ph_buf_put(b, &note, sizeof note) : -1;
}

size_t ph_task_note_read(const uint8_t *payload, size_t len, struct ph_task_about *about) {
  struct ph_task_note *n = &about->note;
  memset(about, 0, sizeof *about);
  about->pool = about->name = about->function = about->site = "";
  if (len < sizeof *n) return len;
  memcpy(n, payload + len - sizeof *n, sizeof *n);
  size_t texts = (size_t)n->pool_len + n->name_len + n->function_len + n->site_len;
  if (len - sizeof *n < texts) { /* nonsense from the other side */
    memset(n, 0, sizeof *n);
    return len;
  }
  size_t left = len - sizeof *n - texts;
  about->pool = (const char *)payload + left;
  about->name = about->pool + n->pool_len;
  about->function = about->name + n->name_len;
  about->site = about->function + n->function_len;
  return left;
}

size_t ph__len_without_note(struct ph_task *t) {
  struct ph_task_about about;
  return t->flags & PH_TASK_TRACED ? ph_task_note_read(ph_task_bytes(t), t->len, &about) : t->len;
}

void ph__note_handed(struct ph_task *t) {
  uint8_t *place = ph_task_bytes(t) + t->len - sizeof(struct ph_task_note);
  memcpy(place + offsetof(struct ph_task_note, first), &t->next_item, sizeof t->next_item);
}

void ph__note_retry(struct ph_task *t) {
  uint8_t *place = ph_task_bytes(t) + t->len - sizeof(struct ph_task_note) + offsetof(struct ph_task_note, attempt);
  uint32_t attempt;
  memcpy(&attempt, place, sizeof attempt);
  attempt++;
  memcpy(place, &attempt, sizeof attempt);
}

/* --- events ------------------------------------------------------------------------------------------------- */

static void put_name(struct ph_event *e, const struct ph_task_about *a) {
  ph_event_text(e, "name", a->name, a->note.name_len);
}

static void put_arrow(struct ph_event *e, const struct ph_task_about *a) {
  put_name(e, a);
  ph_event_integer(e, "id", (int64_t)a->note.flow);
}

/* What every event of a task says in its args. */
static void put_about(struct ph_event *e, const struct ph_task_about *a, uint64_t id) {
  ph_event_text(e, "pool", a->pool, a->note.pool_len);
  ph_event_integer(e, "id", (int64_t)id);
  ph_event_text(e, "fn", a->function, a->note.function_len);
  ph_event_text(e, "submitted", a->site, a->note.site_len);
}

void ph_trace_submitted(const struct ph_task_about *a, uint64_t id, uint32_t items, size_t bytes) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 's', "submit", a->note.submitted);
  put_arrow(&e, a);
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_text(&e, "pool", a->pool, a->note.pool_len);
  ph_event_integer(&e, "task", (int64_t)id);
  ph_event_integer(&e, "items", items);
  ph_event_integer(&e, "in", (int64_t)bytes);
  ph_event_end(&e);
  ph_event_write(&e);
}

static void put_end(struct ph_event *e, const struct ph_task_about *a, const struct ph_task_end *end) {
  put_about(e, a, end->id);
  ph_event_integer(e, "worker", end->worker);
  ph_event_us(e, "wait", end->started - a->note.submitted);
  ph_event_string(e, "state", end->state);
  if (end->error != NULL) ph_event_text(e, "error", end->error, end->error_len);
  if (end->traceback != NULL) ph_event_text(e, "traceback", end->traceback, end->traceback_len);
  ph_event_integer(e, "in", (int64_t)end->in);
  ph_event_integer(e, "out", (int64_t)end->out);
  ph_event_integer(e, "attempt", a->note.attempt);
  if (end->items == 0) return;
  ph_event_integer(e, "chunk", end->items);
  ph_event_integer(e, "failed", end->failed);
}

void ph_trace_ran(const struct ph_task_about *a, const struct ph_task_end *end) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'f', "submit", end->started);
  ph_event_string(&e, "bp", "e");
  put_arrow(&e, a);
  ph_event_place(&e, end->pid, end->tid);
  ph_event_end(&e);
  ph_event_begin(&e, 'X', "task", end->started);
  ph_event_us(&e, "dur", end->ended - end->started);
  put_name(&e, a);
  ph_event_place(&e, end->pid, end->tid);
  ph_event_args(&e);
  put_end(&e, a, end);
  ph_event_end(&e);
  ph_event_write(&e);
}

void ph_trace_dropped(const struct ph_task_about *a, uint64_t id, enum ph_outcome outcome) {
  struct ph_event e;
  bool cancelled = outcome == PH_DONE_CANCELLED, late = outcome == PH_DONE_TIMEOUT;
  ph_event_init(&e);
  ph_event_begin(&e, 'i', "task", ph_now());
  ph_event_string(&e, "s", "t");
  put_name(&e, a);
  ph_event_place(&e, getpid(), a->note.tid);
  ph_event_args(&e);
  put_about(&e, a, id);
  ph_event_string(&e, "state", cancelled ? "cancelled" : late ? "timeout" : "failed");
  if (outcome == PH_DONE_BROKEN) ph_event_string(&e, "error", "the pool is broken");
  if (outcome == PH_DONE_LOST) ph_event_string(&e, "error", "not enough memory");
  ph_event_end(&e);
  ph_event_write(&e);
}

/* --- what the pool knows of the end --------------------------------------------------------------------------- */

void ph__trace_dropped(struct ph_task *t, enum ph_outcome outcome) {
  struct ph_task_about about;
  if (!(t->flags & PH_TASK_TRACED)) return;
  t->flags &= (uint8_t)~PH_TASK_TRACED; /* without memory for its record it comes here again */
  ph_task_note_read(ph_task_bytes(t), t->len, &about);
  ph_trace_dropped(&about, t->id, outcome);
}

void ph__trace_gone(struct ph_worker *w, struct ph_task *t, uint8_t outcome, const struct ph_exit *how) {
  struct ph_task_about about;
  bool is_thread = w->pool->backend->thread_id != NULL;
  static const char *const states[] = {[PH_DONE_CANCELLED] = "cancelled", [PH_DONE_TIMEOUT] = "timeout"};
  const char *state = outcome == PH_DONE_CANCELLED || outcome == PH_DONE_TIMEOUT ? states[outcome] : "died";
  if (is_thread) atomic_store(&ph_link_slot(&w->link, t->slot)->claim, PH_CLAIM_REVOKED); /* should it come back */
  char error[96];
  struct ph_task_end end = {.state = state, .ended = ph_now(), .worker = w->index + 1, .id = t->id};
  end.started = atomic_load(&ph_link_slot(&w->link, t->slot)->started);
  end.in = ph_task_note_read(ph_task_bytes(t), t->len, &about);
  end.pid = is_thread ? getpid() : w->pid;
  end.tid = is_thread ? w->pool->backend->thread_id(w) : w->pid;
  if (end.started <= 0 || end.started > end.ended) end.started = end.ended; /* of the worker's memory: anything */
  end.items = t->flags & PH_TASK_CHUNK ? t->next_item + 1 - about.note.first : 0;
  end.failed = end.items > 0;
  if (how->signal_number != 0 || how->exit_code >= 0) {
    const char *name = sigabbrev_np(how->signal_number);
    if (how->signal_number != 0)
      snprintf(error, sizeof error, "the worker was ended by SIG%s", name != NULL ? name : "?");
    else
      snprintf(error, sizeof error, "the worker exited with code %d", how->exit_code);
    end.error = error;
    end.error_len = strlen(error);
  }
  ph_trace_ran(&about, &end);
}

void ph__trace_exit(const struct ph_worker *w, const struct ph_exit *how) {
  struct ph_event e;
  bool is_thread = w->pool->backend->thread_id != NULL;
  pid_t tid = is_thread ? w->pool->backend->thread_id(w) : w->pid;
  ph_event_init(&e);
  ph_event_begin(&e, 'i', "worker", ph_now());
  ph_event_string(&e, "s", "t");
  ph_event_string(&e, "name", "exit");
  ph_event_place(&e, is_thread ? getpid() : w->pid, tid);
  ph_event_args(&e);
  ph_event_string(&e, "pool", w->pool->config.name);
  ph_event_integer(&e, "worker", w->index + 1);
  ph_event_integer(&e, "pid", tid);
  if (how->signal_number != 0)
    ph_event_signal(&e, how->signal_number);
  else
    ph_event_integer(&e, "exit_code", how->exit_code);
  ph_event_end(&e);
  ph_event_write(&e);
}

void ph__trace_pool(const struct ph_pool *p, const char *what) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'i', "pool", ph_now());
  ph_event_string(&e, "s", "p");
  ph_event_string(&e, "name", what);
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_string(&e, "pool", p->config.name);
  ph_event_string(&e, "kind", p->backend->name);
  ph_event_integer(&e, "max_workers", p->config.max_workers);
  ph_event_end(&e);
  ph_event_write(&e);
}

#define COUNTERS_EVERY_NS 1000000

static void write_counters(const struct ph_pool *p, int64_t now) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'C', NULL, now);
  ph_event_string(&e, "name", p->config.name);
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_integer(&e, "queued", (int64_t)p->counters.queued);
  ph_event_integer(&e, "running", (int64_t)p->counters.running);
  ph_event_end(&e);
  ph_event_write(&e);
}

void ph__trace_counters(struct ph_pool *p, bool is_last) {
  uint64_t running = ph__count_running(p), queued = p->n_tasks > running ? p->n_tasks - running : 0;
  if (queued == p->counters.queued && running == p->counters.running) return;
  int64_t now = ph_now(), due = p->counters.when + COUNTERS_EVERY_NS;
  if (now < due && !is_last) {
    ph__set_timer(p, due);
    return;
  }
  p->counters.when = now;
  p->counters.queued = queued;
  p->counters.running = running;
  write_counters(p, now);
}
