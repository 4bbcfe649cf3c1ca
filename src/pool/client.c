/* SPDX-License-Identifier: MIT
 * Clients: the owner of a pool, and guests, other threads of this process that submit to it. A guest finds the pool by its
 * number, so a message may name a pool without keeping it alive; the pool's memory stays while it has guests. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "pool/pool_int.h"

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER; /* the next two */
static struct ph_pool *open_pools;
static uint64_t last_number;

void ph__pool_enter(struct ph_pool *p) {
  pthread_mutex_lock(&open_lock);
  p->number = ++last_number;
  p->next_open = open_pools;
  open_pools = p;
  pthread_mutex_unlock(&open_lock);
}

void ph__pool_leave(struct ph_pool *p) {
  pthread_mutex_lock(&open_lock);
  for (struct ph_pool **place = &open_pools; *place != NULL; place = &(*place)->next_open) {
    if (*place != p) continue;
    *place = p->next_open;
    break;
  }
  pthread_mutex_unlock(&open_lock);
}

void ph__pools_each(void (*see)(void *ud, struct ph_pool *p), void *ud) {
  pthread_mutex_lock(&open_lock);
  for (struct ph_pool *p = open_pools; p != NULL; p = p->next_open) see(ud, p);
  pthread_mutex_unlock(&open_lock);
}

static struct ph_pool *find(uint64_t number) {
  pthread_mutex_lock(&open_lock);
  struct ph_pool *p = open_pools;
  while (p != NULL && p->number != number) p = p->next_open;
  if (p != NULL) ph_pool_ref(p);
  pthread_mutex_unlock(&open_lock);
  return p;
}

/* --- life ------------------------------------------------------------------------------------------------- */

int ph__client_init(struct ph_client *c, struct ph_pool *p) {
  c->pool = p;
  c->fd = -1;
  pthread_mutex_init(&c->done_lock, NULL);
  bool room = ph_buf_reserve(&c->staged, sizeof(struct ph_done)) == 0;
  return room && ph_buf_reserve(&c->done, sizeof(struct ph_done)) == 0 ? 0 : -1;
}

void ph__drop_records(struct ph_buf *records) {
  for (size_t at = 0; at < records->len;) {
    struct ph_done *d = (struct ph_done *)(void *)(records->data + at);
    at += ph_done_stride(d);
    free(d->big);
  }
  ph_buf_deinit(records);
}

/* --- spare tasks ------------------------------------------------------------------------------------------- */

#define SPARES_MAX 4096

struct ph_task *ph__take_spare(struct ph_client *c) {
  struct ph_task *t = c->own_spares.first;
  if (t == NULL) return ph_malloc(PH_SPARE_SIZE);
  c->own_spares.first = t->next_in_map;
  c->own_spares.count--;
  return t;
}

void ph__give_spare(struct ph_spares *to, struct ph_task *t) {
  if (to->first == NULL) to->last = t;
  t->next_in_map = to->first;
  to->first = t;
  to->count++;
}

static void free_spares(struct ph_spares *s) {
  for (struct ph_task *t = s->first, *next; t != NULL; t = next) {
    next = t->next_in_map;
    free(t);
  }
  *s = (struct ph_spares){NULL, NULL, 0};
}

void ph__move_spares(struct ph_spares *to, struct ph_spares *from) {
  if (from->first == NULL) return;
  if (to->count + from->count > SPARES_MAX) {
    free_spares(from);
    return;
  }
  from->last->next_in_map = to->first;
  if (to->first == NULL) to->last = from->last;
  to->first = from->first;
  to->count += from->count;
  *from = (struct ph_spares){NULL, NULL, 0};
}

uint64_t ph_pool_submitted(struct ph_pool *p) {
  return atomic_load_explicit(&p->last_id, memory_order_relaxed);
}

/* --- records ---------------------------------------------------------------------------------------------- */

void ph__client_deinit(struct ph_client *c) {
  free_spares(&c->staged_spares);
  free_spares(&c->spares);
  free_spares(&c->own_spares);
  ph__drop_records(&c->staged);
  ph__drop_records(&c->done);
  pthread_mutex_destroy(&c->done_lock);
  if (c->fd >= 0) close(c->fd);
}

void ph__free_client(struct ph_client *c) {
  ph__client_deinit(c);
  free(c);
}

struct ph_client *ph_client_open(uint64_t pool_number, struct ph_err *err) {
  *err = (struct ph_err){.kind = NULL};
  struct ph_pool *p = find(pool_number);
  if (p == NULL) return NULL;
  struct ph_client *c = ph_calloc(1, sizeof *c);
  if (c != NULL && ph__client_init(c, p) == 0) {
    c->is_guest = true;
    c->fd = PH_FAULT(eventfd) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd >= 0) return c;
  }
  ph_err_os(err, "cannot open a pool in this thread");
  if (c != NULL) ph__free_client(c);
  ph_pool_unref(p);
  return NULL;
}

static void forget_seeker(struct ph_client *c) {
  struct ph_client **place = &c->pool->seekers;
  if (!c->seeks_room) return;
  while (*place != c) place = &(*place)->next_seeker;
  *place = c->next_seeker;
  c->seeks_room = false;
}

void ph_client_close(struct ph_client *c) {
  struct ph_pool *p = c->pool;
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  forget_seeker(c);
  c->closed = true;
  if (atomic_load(&c->outstanding) == 0) ph__free_client(c);
  ph__let_go(p);
  ph_pool_unref(p);
}

struct ph_client *ph_pool_owner(struct ph_pool *p) {
  return &p->owner;
}

struct ph_pool *ph_client_pool(const struct ph_client *c) {
  return c->pool;
}

uint64_t ph_pool_number(const struct ph_pool *p) {
  return p->number;
}

const struct ph_pool_config *ph_pool_config_of(const struct ph_pool *p) {
  return &p->config;
}

bool ph_pool_is_open(struct ph_pool *p) {
  return __atomic_load_n(&p->state, __ATOMIC_ACQUIRE) == PH_POOL_OPEN;
}

uint64_t ph_pool_take_ids(struct ph_pool *p, uint64_t n) {
  return atomic_fetch_add_explicit(&p->last_id, n, memory_order_relaxed) + 1;
}

/* --- records ---------------------------------------------------------------------------------------------- */

bool ph_client_take_done(struct ph_client *c, struct ph_buf *records) {
  records->len = 0;
  if (!atomic_load_explicit(&c->has_done, memory_order_acquire)) return false;
  pthread_mutex_lock(&c->done_lock);
  struct ph_buf empty = *records;
  *records = c->done;
  c->done = empty;
  ph__move_spares(&c->own_spares, &c->spares);
  atomic_store_explicit(&c->has_done, false, memory_order_relaxed);
  pthread_mutex_unlock(&c->done_lock);
  return records->len > 0;
}

bool ph_client_has_done(struct ph_client *c) {
  return atomic_load(&c->has_done);
}

uint64_t ph_client_outstanding(struct ph_client *c) {
  return atomic_load_explicit(&c->outstanding, memory_order_acquire);
}

int ph_client_add_done(struct ph_client *c, struct ph_task *t, struct ph_done *done, const void *bytes) {
  struct ph_pool *p = c->pool;
  pthread_mutex_lock(&p->lock);
  t->client = c;
  int status = ph__stage(p, t, done, bytes);
  ph__publish(p);
  pthread_mutex_unlock(&p->lock);
  return status;
}

/* --- room in the queue ------------------------------------------------------------------------------------ */

void ph_client_seek_room(struct ph_client *c) {
  struct ph_pool *p = c->pool;
  pthread_mutex_lock(&p->lock);
  c->has_room = false;
  if (!c->seeks_room) {
    c->seeks_room = true;
    c->next_seeker = p->seekers;
    p->seekers = c;
  }
  ph__pump(p);
  ph__tell_seekers(p); /* also when it is over, and nobody pumps */
  ph__let_go(p);
}

void ph__tell_seekers(struct ph_pool *p) {
  if (p->state == PH_POOL_OPEN && !ph__has_room(p)) return;
  for (struct ph_client *c; (c = p->seekers) != NULL;) {
    p->seekers = c->next_seeker;
    c->seeks_room = false;
    c->has_room = true;
    ph__client_ring(c);
  }
}

bool ph_client_is_idle(struct ph_client *c) {
  return (c->is_guest ? ph_client_outstanding(c) : ph_pool_outstanding(c->pool)) == 0;
}

void ph__client_ring(struct ph_client *c) {
  uint64_t one = 1;
  if (!c->is_guest) ph__wake_owner(c->pool);
  if (!c->waiting) return;
  c->waiting = false;
  c->pool->waiting_guests--;
  ssize_t n = write(c->fd, &one, sizeof one);
  (void)n; /* full: it is awake */
}
