/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <stdlib.h>

#include "base/mem.h"

void ph_heap_deinit(struct ph_heap *h) {
  free(h->nodes);
  *h = (struct ph_heap){NULL, 0, 0, 0};
}

static void put(struct ph_heap *h, size_t i, struct ph_heap_node *node) {
  h->nodes[i] = node;
  node->place = i + 1;
}

static void sift_up(struct ph_heap *h, size_t i, struct ph_heap_node *node) {
  while (i > 0 && ph_heap_is_before(node, h->nodes[(i - 1) / 2])) {
    put(h, i, h->nodes[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  put(h, i, node);
}

static void sift_down(struct ph_heap *h, size_t i, struct ph_heap_node *node) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= h->count) break;
    if (child + 1 < h->count && ph_heap_is_before(h->nodes[child + 1], h->nodes[child])) child++;
    if (!ph_heap_is_before(h->nodes[child], node)) break;
    put(h, i, h->nodes[child]);
    i = child;
  }
  put(h, i, node);
}

int ph_heap_add_again(struct ph_heap *h, struct ph_heap_node *node) {
  if (h->count == h->cap) {
    size_t cap = h->cap < 16 ? 16 : h->cap * 2;
    struct ph_heap_node **nodes = ph_realloc(h->nodes, cap * sizeof *nodes);
    if (nodes == NULL) return -1;
    h->nodes = nodes;
    h->cap = cap;
  }
  sift_up(h, h->count++, node);
  return 0;
}

int ph_heap_add(struct ph_heap *h, struct ph_heap_node *node) {
  node->turn = h->turns++;
  return ph_heap_add_again(h, node);
}

void ph_heap_remove(struct ph_heap *h, struct ph_heap_node *node) {
  if (node->place == 0) return;
  size_t i = node->place - 1;
  struct ph_heap_node *last = h->nodes[--h->count];
  node->place = 0;
  if (last == node) return;
  if (i > 0 && ph_heap_is_before(last, h->nodes[(i - 1) / 2]))
    sift_up(h, i, last);
  else
    sift_down(h, i, last);
}
