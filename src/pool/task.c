/* SPDX-License-Identifier: MIT
 * Tasks: their memory, and how a pool finds them by id. */
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/mem.h"
#include "pool/pool_int.h"

/* --- tasks by id ----------------------------------------------------------------------------------------- */

static struct ph_task **bucket(struct ph_pool *p, uint64_t id) {
  return &p->map[id & (p->map_size - 1)];
}

int ph__map_grow(struct ph_pool *p) {
  size_t old_size = p->map_size, size = old_size == 0 ? 64 : old_size * 4;
  struct ph_task **old = p->map, **map = ph_calloc(size, sizeof(struct ph_task *));
  if (map == NULL) return -1;
  p->map = map;
  p->map_size = size;
  for (size_t i = 0; i < old_size; i++) {
    for (struct ph_task *t = old[i], *next; t != NULL; t = next) {
      next = t->next_in_map;
      t->next_in_map = *bucket(p, t->id);
      *bucket(p, t->id) = t;
    }
  }
  free(old);
  return 0;
}

/* Without memory for a bigger map the old one must do. */
void ph__map_add(struct ph_pool *p, struct ph_task *t) {
  if (p->n_tasks >= p->map_size) ph__map_grow(p);
  t->next_in_map = *bucket(p, t->id);
  *bucket(p, t->id) = t;
  p->n_tasks++;
}

struct ph_task *ph__map_find(struct ph_pool *p, uint64_t id) {
  if (p->map_size == 0) return NULL;
  struct ph_task *t = *bucket(p, id);
  while (t != NULL && t->id != id) t = t->next_in_map;
  return t;
}

void ph__map_remove(struct ph_pool *p, struct ph_task *t) {
  struct ph_task **place = bucket(p, t->id);
  while (*place != t) place = &(*place)->next_in_map;
  *place = t->next_in_map;
  p->n_tasks--;
}

/* --- memory ----------------------------------------------------------------------------------------------- */

struct ph_task *ph_task_new(struct ph_client *c, size_t payload, size_t n_blobs) {
  if (payload > PH_FRAME_MAX - sizeof(struct ph_task_wire)) return NULL;
  size_t size = sizeof(struct ph_task) + n_blobs * sizeof(uint32_t) + payload;
  bool is_small = size <= PH_SPARE_SIZE;
  struct ph_task *t = is_small ? ph__take_spare(c) : ph_big_advise(ph_malloc(size), size);
  if (t == NULL) return NULL;
  memset(t, 0, sizeof *t);
  t->flags = is_small ? PH_TASK_SPARE : 0;
  atomic_init(&t->refs, 1);
  t->count = 1;
  t->n_blobs = (uint32_t)n_blobs;
  t->len = (uint32_t)payload;
  return t;
}

struct ph_task *ph_task_new_around(struct ph_client *c, uint8_t *payload, size_t len, size_t n_blobs) {
  if (len > PH_FRAME_MAX - sizeof(struct ph_task_wire)) return NULL;
  struct ph_task *t = ph_task_new(c, 0, n_blobs);
  if (t == NULL) return NULL;
  t->flags = 0; /* nothing spare about it */
  t->apart = payload;
  t->len = (uint32_t)len;
  return t;
}

const struct ph_task_options ph_task_defaults = {.timeout_ns = PH_NEVER, .deadline = PH_NEVER};

int ph_task_set_options(struct ph_task *t, const struct ph_task_options *options) {
  struct ph_task_special *s = ph_calloc(1, sizeof *s);
  if (s == NULL) return -1;
  s->task = t;
  s->options = *options;
  t->special = s;
  t->flags &= (uint8_t)~PH_TASK_SPARE;
  return 0;
}

void ph_task_unref(struct ph_task *t) {
  if (atomic_fetch_sub(&t->refs, 1) != 1) return;
  free(t->special);
  free(t->apart);
  free(t);
}
