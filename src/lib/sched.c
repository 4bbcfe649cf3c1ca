/* SPDX-License-Identifier: MIT */
#include "lib/sched.h"

#include "base/clock.h"
#include "base/mem.h"

#define IN_LIST SIZE_MAX /* place of a timer in `sleepers` */
#define SCOPE_OF(node) ph_list_entry(node, struct sched_scope, beside)

int64_t sched_now(const struct sched *s) {
  return s->run.is_virtual ? s->run.virtual_now : ph_now();
}

/* --- scopes ----------------------------------------------------------------------------------------------- */

void sched_scope_enter(struct sched_scope *scope, struct sched_scope *parent, struct sched_task *owner,
                       enum sched_kind kind) {
  *scope = (struct sched_scope){.parent = parent, .owner = owner, .signal = LUA_NOREF, .kind = kind};
  ph_list_init(&scope->inside);
  ph_list_init(&scope->beside);
  if (parent == NULL) return;
  scope->effective = parent->effective;
  ph_list_push_back(&parent->inside, &scope->beside);
}

/* What was cancelled from further out stays so when it leaves there. */
static void keep_cancelled(struct sched_scope *scope, const struct sched_scope *cause) {
  if (cause != NULL && scope->effective && scope->source == PH_STOP_NONE) scope->source = cause->source;
}

void sched_scope_leave(struct sched_scope *scope, struct sched_scope *heir) {
  const struct sched_scope *cause = scope->effective ? sched_cancelled_by(scope) : NULL;
  for (struct ph_list *node = scope->inside.next; node != &scope->inside; node = node->next) {
    SCOPE_OF(node)->parent = heir;
    keep_cancelled(SCOPE_OF(node), cause);
  }
  if (heir != NULL) ph_list_splice(&heir->inside, &scope->inside);
  ph_list_remove(&scope->beside);
  scope->parent = NULL;
}

lua_State *sched_generator_of(const struct sched_scope *scope) {
  return scope->kind == SCOPE_TASK ? NULL : ((const struct sched_box *)scope)->co;
}

void sched_disown(struct sched_scope *scope, const struct sched_task *t) {
  for (struct ph_list *node = scope->inside.next; node != &scope->inside; node = node->next) {
    struct sched_scope *inner = SCOPE_OF(node);
    if (inner->kind == SCOPE_TASK || (t != NULL && inner->owner != t)) continue;
    inner->owner = NULL;
    sched_disown(inner, t);
  }
}

static void reach(struct sched *s, struct sched_scope *scope) {
  struct sched_task *t = scope->owner;
  scope->effective = true;
  if (t != NULL && t->scope == scope && !t->masked) sched_wake(s, t, WAKE_CANCEL);
}

static struct sched_scope *first_inside(const struct sched_scope *scope) {
  return ph_list_empty(&scope->inside) ? NULL : SCOPE_OF(scope->inside.next);
}

static struct sched_scope *next_beside(const struct sched_scope *scope) {
  struct ph_list *next = scope->beside.next;
  return next == &scope->parent->inside ? NULL : SCOPE_OF(next);
}

/* The next one of the tree below `top`, whose first is that inside of it; NULL: there is none. */
static struct sched_scope *next_below(const struct sched_scope *top, struct sched_scope *scope) {
  struct sched_scope *next = first_inside(scope);
  while (next == NULL && scope != top) {
    next = next_beside(scope);
    scope = scope->parent;
  }
  return next;
}

bool sched_holds_tasks(struct sched_scope *top) {
  struct sched_scope *scope = first_inside(top);
  while (scope != NULL && scope->kind != SCOPE_TASK) scope = next_below(top, scope);
  return scope != NULL;
}

/* Walks the tree below `top`, however deep it is; not into what is shielded or reached already. */
static void spread(struct sched *s, struct sched_scope *top) {
  struct sched_scope *scope = top;
  for (;;) {
    struct sched_scope *next = NULL;
    if (scope == top || !(scope->effective || scope->shield)) {
      reach(s, scope);
      next = first_inside(scope);
    }
    while (next == NULL) {
      if (scope == top) return;
      next = next_beside(scope);
      if (next == NULL) scope = scope->parent;
    }
    scope = next;
  }
}

void sched_scope_move(struct sched *s, struct sched_scope *scope, struct sched_scope *parent) {
  if (scope->effective) keep_cancelled(scope, sched_cancelled_by(scope));
  ph_list_remove(&scope->beside);
  scope->parent = parent;
  ph_list_push_back(&parent->inside, &scope->beside);
  if (parent->effective && !scope->effective && !scope->shield) spread(s, scope);
}

bool sched_cancel(struct sched *s, struct sched_scope *scope, enum ph_stop source) {
  if (scope->source != PH_STOP_NONE) return false;
  scope->source = source;
  if (!scope->effective) spread(s, scope);
  return true;
}

void sched_unshield(struct sched *s, struct sched_scope *scope) {
  if (!scope->shield) return;
  scope->shield = false;
  if (!scope->effective && scope->parent != NULL && scope->parent->effective) spread(s, scope);
}

struct sched_scope *sched_cancelled_by(struct sched_scope *scope) {
  struct sched_scope *found = NULL;
  for (; scope != NULL; scope = scope->shield ? NULL : scope->parent)
    if (scope->source != PH_STOP_NONE) found = scope;
  return found;
}

/* --- the ready queue -------------------------------------------------------------------------------------- */

void sched_make_ready(struct sched *s, struct sched_task *t) {
  t->state = TASK_READY;
  ph_list_push_back(&s->ready, &t->queue);
  s->n_ready++;
}

struct sched_task *sched_peek(struct sched *s) {
  return ph_list_empty(&s->ready) ? NULL : ph_list_entry(s->ready.next, struct sched_task, queue);
}

void sched_next(struct sched *s) {
  ph_list_pop_front(&s->ready);
  s->n_ready--;
}

void sched_unpark(struct sched *s, struct sched_task *t) {
  if (t->timer.place == IN_LIST)
    t->timer.place = 0;
  else
    ph_heap_remove(&s->timers, &t->timer);
  ph_list_remove(&t->queue);
  s->lively -= t->lively;
  t->lively = false;
}

void sched_wake(struct sched *s, struct sched_task *t, enum sched_wake why) {
  if (t->state != TASK_PARKED && !(t->state == TASK_HELD && why == WAKE_CANCEL)) return;
  sched_unpark(s, t);
  t->wake = why;
  sched_make_ready(s, t);
}

void sched_wake_pollers(struct sched *s) {
  while (!ph_list_empty(&s->pollers)) sched_wake(s, ph_list_entry(s->pollers.next, struct sched_task, queue), WAKE_POLL);
}

void sched_forget(struct sched *s) {
  ph_list_init(&s->ready);
  ph_list_init(&s->pollers);
  ph_list_init(&s->sleepers);
  ph_list_init(&s->own_root.inside);
  s->n_ready = s->timers.count = s->deadlines.count = 0;
  s->live = s->inside;
  s->lively = 0;
  s->watchdog.on = false; /* timers of the system are not inherited */
}

/* --- places ----------------------------------------------------------------------------------------------- */

int sched_find_anchor(struct sched *s) {
  if (s->n_free_anchors > 0) return s->free_anchors[s->n_free_anchors - 1];
  if (s->n_anchors == s->anchors_cap) {
    int cap = s->anchors_cap < 16 ? 16 : s->anchors_cap * 2;
    int *list = ph_realloc(s->free_anchors, (size_t)cap * sizeof *list);
    if (list == NULL) return 0;
    s->free_anchors = list;
    s->anchors_cap = cap;
  }
  return s->n_anchors + 1;
}

void sched_keep_anchor(struct sched *s, int anchor) {
  if (anchor > s->n_anchors)
    s->n_anchors = anchor;
  else
    s->n_free_anchors--;
}

void sched_free_anchor(struct sched *s, int anchor) {
  s->free_anchors[s->n_free_anchors++] = anchor;
}

/* --- timers ----------------------------------------------------------------------------------------------- */

#define SLEEPER(node) ph_list_entry(node, struct sched_task, queue)

static struct ph_heap_node *first_sleeper(const struct sched *s) {
  return ph_list_empty(&s->sleepers) ? NULL : &SLEEPER(s->sleepers.next)->timer;
}

static int put_in_heap(struct sched *s, struct sched_task *t) {
  return ph_heap_add(&s->timers, &t->timer);
}

int sched_set_poll_timer(struct sched *s, struct sched_task *t, int64_t when) {
  t->timer.when = when;
  return put_in_heap(s, t);
}

/* One that is alone in the list and has longer to go makes room: it would send all that come to the heap. */
static bool make_room(struct sched *s, int64_t when) {
  if (ph_list_empty(&s->sleepers)) return true;
  struct sched_task *last = SLEEPER(s->sleepers.prev);
  if (when >= last->timer.when) return true;
  if (s->sleepers.next != s->sleepers.prev) return false;
  if (ph_heap_add_again(&s->timers, &last->timer) != 0) return false;
  ph_list_remove(&last->queue);
  return true;
}

int sched_set_timer(struct sched *s, struct sched_task *t, int64_t when) {
  t->timer.when = when;
  if (!make_room(s, when)) return put_in_heap(s, t);
  t->timer.turn = s->timers.turns++;
  t->timer.place = IN_LIST;
  ph_list_push_back(&s->sleepers, &t->queue);
  return 0;
}

bool sched_has_timers(const struct sched *s) {
  return s->timers.count > 0 || s->deadlines.count > 0 || !ph_list_empty(&s->sleepers);
}

static struct ph_heap_node *first_timer(const struct sched *s) {
  struct ph_heap_node *slept = first_sleeper(s), *heaped = ph_heap_first(&s->timers);
  if (slept == NULL || heaped == NULL) return slept != NULL ? slept : heaped;
  return ph_heap_is_before(heaped, slept) ? heaped : slept;
}

int64_t sched_first(const struct sched *s) {
  const struct ph_heap_node *timer = first_timer(s), *deadline = ph_heap_first(&s->deadlines);
  int64_t when = timer != NULL ? timer->when : PH_NEVER;
  return deadline != NULL && deadline->when < when ? deadline->when : when;
}

/* Deadlines first: what ends just when its time is up is late. */
void sched_fire(struct sched *s, int64_t now) {
  struct ph_heap_node *node;
  while ((node = ph_heap_first(&s->deadlines)) != NULL && node->when <= now) {
    struct sched_box *box = ph_list_entry(node, struct sched_box, deadline);
    ph_heap_remove(&s->deadlines, node);
    if (box->scope.shield)
      sched_unshield(s, &box->scope);
    else
      sched_cancel(s, &box->scope, PH_STOP_DEADLINE);
  }
  while ((node = first_timer(s)) != NULL && node->when <= now)
    sched_wake(s, ph_list_entry(node, struct sched_task, timer), WAKE_TIMER);
}
