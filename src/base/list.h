/* SPDX-License-Identifier: MIT
 * Intrusive doubly linked list with a head node: the thing that is queued embeds its `struct ph_list`.
 * A node that is in no list points to itself. */
#ifndef PH_BASE_LIST_H
#define PH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ph_list {
  struct ph_list *next, *prev;
};

#define ph_list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void ph_list_init(struct ph_list *l) {
  l->next = l->prev = l;
}

static inline bool ph_list_empty(const struct ph_list *l) {
  return l->next == l;
}

/* Puts `node` in front of `before`: with a head, that is the tail of the list. */
static inline void ph_list_insert(struct ph_list *before, struct ph_list *node) {
  node->prev = before->prev;
  node->next = before;
  before->prev->next = node;
  before->prev = node;
}

static inline void ph_list_push_back(struct ph_list *head, struct ph_list *node) {
  ph_list_insert(head, node);
}

static inline void ph_list_push_front(struct ph_list *head, struct ph_list *node) {
  ph_list_insert(head->next, node);
}

static inline void ph_list_remove(struct ph_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  ph_list_init(node);
}

static inline struct ph_list *ph_list_pop_front(struct ph_list *head) {
  struct ph_list *node = head->next;
  if (node == head) return NULL;
  ph_list_remove(node);
  return node;
}

/* Moves everything from `from` to the tail of `to`. */
static inline void ph_list_splice(struct ph_list *to, struct ph_list *from) {
  if (ph_list_empty(from)) return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  ph_list_init(from);
}

#endif
