/* SPDX-License-Identifier: MIT
 * Binary min-heap of deadlines (Williams 1964). The thing that waits embeds a `struct ph_heap_node`; the heap holds
 * pointers to the nodes and owns nothing else. */
#ifndef PH_BASE_HEAP_H
#define PH_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_heap_node {
  int64_t when;
  uint64_t turn; /* the heap's: equal deadlines come out in the order in which they went in */
  size_t place;  /* 1-based position in the heap, 0: in none */
};

struct ph_heap {
  struct ph_heap_node **nodes;
  size_t count, cap;
  uint64_t turns;
};

void ph_heap_deinit(struct ph_heap *h);
/* -1 without memory. The node must be in no heap. */
int ph_heap_add(struct ph_heap *h, struct ph_heap_node *node);
/* The same for a node that has its turn already. */
int ph_heap_add_again(struct ph_heap *h, struct ph_heap_node *node);
/* Nothing when the node is in no heap. */
void ph_heap_remove(struct ph_heap *h, struct ph_heap_node *node);

static inline bool ph_heap_is_before(const struct ph_heap_node *a, const struct ph_heap_node *b) {
  return a->when < b->when || (a->when == b->when && a->turn < b->turn);
}

static inline struct ph_heap_node *ph_heap_first(const struct ph_heap *h) {
  return h->count > 0 ? h->nodes[0] : NULL;
}

#endif
