/* SPDX-License-Identifier: MIT
 * Cells and mailboxes. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pool/station_int.h"

#include "base/eventfd.h"
#include "base/fault.h"
#include "base/mem.h"

#define BUCKETS 1024u

pthread_mutex_t ph__stations_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ph_cell *buckets[BUCKETS];
static uint64_t last_number;

/* --- cells ------------------------------------------------------------------------------------------------ */

struct ph_cell *ph_cell_new(struct ph_station *owner, uint64_t pool, uint64_t id) {
  struct ph_cell *c = ph_calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  atomic_init(&c->refs, 1);
  c->pool = pool;
  c->id = id;
  ph_list_init(&c->subscriptions);
  pthread_mutex_lock(&ph__stations_lock);
  c->number = ++last_number;
  c->next = buckets[c->number % BUCKETS];
  buckets[c->number % BUCKETS] = c;
  c->owner = owner;
  ph_list_push_back(&owner->cells, &c->of_owner);
  pthread_mutex_unlock(&ph__stations_lock);
  return c;
}

uint64_t ph_cell_task(const struct ph_cell *c, const struct ph_pool *pool) {
  return c->pool == ph_pool_number(pool) ? c->id : 0;
}

uint64_t ph_cell_number(const struct ph_cell *c) {
  return c->number;
}

struct ph_cell *ph_cell_find(uint64_t number) {
  pthread_mutex_lock(&ph__stations_lock);
  struct ph_cell *c = buckets[number % BUCKETS];
  while (c != NULL && c->number != number) c = c->next;
  if (c != NULL) atomic_fetch_add(&c->refs, 1);
  pthread_mutex_unlock(&ph__stations_lock);
  return c;
}

/* With the lock. */
static void unref(struct ph_cell *c) {
  if (atomic_fetch_sub(&c->refs, 1) != 1) return;
  struct ph_cell **place = &buckets[c->number % BUCKETS];
  while (*place != c) place = &(*place)->next;
  *place = c->next;
  if (c->owner != NULL) ph_list_remove(&c->of_owner);
  free(c->bytes);
  free(c);
}

void ph_cell_unref(struct ph_cell *c) {
  pthread_mutex_lock(&ph__stations_lock);
  unref(c);
  pthread_mutex_unlock(&ph__stations_lock);
}

static void post(struct ph_subscription *s) {
  uint64_t one = 1;
  ph_list_push_back(&s->station->mailbox, &s->node);
  ssize_t n = write(s->station->fd, &one, sizeof one);
  (void)n; /* full: it is readable */
}

/* With the lock. */
static void settle(struct ph_cell *c, enum ph_cell_state state, const void *bytes, size_t len) {
  if (c->state != PH_CELL_OPEN) return;
  c->bytes = ph_malloc(len + 1);
  if (c->bytes == NULL) state = PH_CELL_ABANDONED;
  if (c->bytes != NULL && len > 0) memcpy(c->bytes, bytes, len);
  c->len = c->bytes != NULL ? len : 0;
  c->state = state;
  ph_list_remove(&c->of_owner);
  c->owner = NULL;
  for (struct ph_list *n; (n = ph_list_pop_front(&c->subscriptions)) != NULL;)
    post(ph_list_entry(n, struct ph_subscription, node));
}

void ph_cell_settle(struct ph_cell *c, enum ph_cell_state state, const void *bytes, size_t len) {
  pthread_mutex_lock(&ph__stations_lock);
  settle(c, state, bytes, len);
  pthread_mutex_unlock(&ph__stations_lock);
}

enum ph_cell_state ph_cell_outcome(const struct ph_cell *c, const void **bytes, size_t *len) {
  *bytes = c->bytes;
  *len = c->len;
  return c->state;
}

/* --- stations --------------------------------------------------------------------------------------------- */

int ph_cell_subscribe(struct ph_cell *c, struct ph_station *station, int64_t key) {
  struct ph_subscription *s = ph_calloc(1, sizeof *s);
  if (s == NULL) return -1;
  s->station = station;
  s->cell = c;
  s->key = key;
  pthread_mutex_lock(&ph__stations_lock);
  atomic_fetch_add(&c->refs, 1);
  atomic_fetch_add(&station->n_open, 1);
  ph_list_push_back(&station->subscriptions, &s->of_station);
  ph_list_init(&s->node);
  if (c->state != PH_CELL_OPEN)
    post(s);
  else
    ph_list_push_back(&c->subscriptions, &s->node);
  pthread_mutex_unlock(&ph__stations_lock);
  return 0;
}

struct ph_station *ph_station_open(struct ph_err *err) {
  struct ph_station *s = ph_calloc(1, sizeof *s);
  int fd = s == NULL || PH_FAULT(eventfd) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    ph_err_os(err, "cannot share futures");
    free(s);
    return NULL;
  }
  s->fd = fd;
  ph_list_init(&s->mailbox);
  ph_list_init(&s->subscriptions);
  ph_list_init(&s->cells);
  ph_list_init(&s->blocked);
  return s;
}

static void drop(struct ph_subscription *s) {
  atomic_fetch_sub(&s->station->n_open, 1);
  ph_list_remove(&s->node);
  ph_list_remove(&s->of_station);
  unref(s->cell);
  free(s);
}

void ph_station_close(struct ph_station *s) {
  pthread_mutex_lock(&ph__stations_lock);
  while (!ph_list_empty(&s->cells))
    settle(ph_list_entry(s->cells.next, struct ph_cell, of_owner), PH_CELL_ABANDONED, NULL, 0);
  while (!ph_list_empty(&s->subscriptions)) drop(ph_list_entry(s->subscriptions.next, struct ph_subscription, of_station));
  pthread_mutex_unlock(&ph__stations_lock);
  close(s->fd);
  free(s);
}

int ph_station_fd(const struct ph_station *s) {
  return s->fd;
}

unsigned ph_station_subscriptions(const struct ph_station *s) {
  return atomic_load(&s->n_open);
}

/* Unless there is more to take. */
static void empty_bell(struct ph_station *s) {
  if (ph_list_empty(&s->mailbox)) ph_eventfd_empty(s->fd);
}

struct ph_cell *ph_station_first(struct ph_station *s, int64_t *key) {
  struct ph_cell *c = NULL;
  pthread_mutex_lock(&ph__stations_lock);
  if (!ph_list_empty(&s->mailbox)) {
    struct ph_subscription *sub = ph_list_entry(s->mailbox.next, struct ph_subscription, node);
    *key = sub->key;
    c = sub->cell;
    atomic_fetch_add(&c->refs, 1);
  }
  empty_bell(s);
  pthread_mutex_unlock(&ph__stations_lock);
  return c;
}

void ph_station_drop_first(struct ph_station *s) {
  pthread_mutex_lock(&ph__stations_lock);
  drop(ph_list_entry(s->mailbox.next, struct ph_subscription, node));
  empty_bell(s);
  pthread_mutex_unlock(&ph__stations_lock);
}
