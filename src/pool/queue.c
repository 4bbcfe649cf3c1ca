/* SPDX-License-Identifier: MIT
 * The queue of a pool. A task with a priority lies in a heap, too, ranked by priority and then by id, that is by age. */
#include "pool/pool_int.h"

static struct ph_heap *heap_for(struct ph_queue *q, const struct ph_task *t) {
  return ph_task_options(t)->priority > 0 ? &q->urgent : &q->lazy;
}

int ph__queue_put(struct ph_queue *q, struct ph_task *t, bool in_front) {
  bool is_plain = ph_task_options(t)->priority == 0;
  struct ph_list *list = is_plain ? &q->plain : &q->ranked;
  t->state = PH_TASK_QUEUED;
  if (!is_plain) {
    struct ph_heap_node *rank = &t->special->rank;
    rank->when = -(int64_t)ph_task_options(t)->priority * ((int64_t)1 << 32) + (int64_t)(t->id & 0xffffffffu);
    rank->place = 0;
    if (ph_heap_add(heap_for(q, t), rank) != 0) return -1;
  }
  if (in_front)
    ph_list_push_front(list, &t->node);
  else
    ph_list_push_back(list, &t->node);
  q->count++;
  return 0;
}

void ph__queue_remove(struct ph_queue *q, struct ph_task *t) {
  ph_list_remove(&t->node);
  if (ph_task_options(t)->priority != 0) ph_heap_remove(heap_for(q, t), &t->special->rank);
  q->count--;
}

static struct ph_task *first_of(const struct ph_heap *h) {
  struct ph_heap_node *node = ph_heap_first(h);
  return node != NULL ? ph_list_entry(node, struct ph_task_special, rank)->task : NULL;
}

struct ph_task *ph__queue_first(const struct ph_queue *q) {
  struct ph_task *t = first_of(&q->urgent);
  if (t == NULL && !ph_list_empty(&q->plain)) t = ph_list_entry(q->plain.next, struct ph_task, node);
  return t != NULL ? t : first_of(&q->lazy);
}
