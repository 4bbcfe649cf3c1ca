/* SPDX-License-Identifier: MIT */
#include "base/cells.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#define PAGE 4096u      /* bytes, and its alignment: the page of a cell is found by masking */
#define MALLOC_HEAD 16u /* left free at the end: the next one follows without a gap */

/* In front of a page's cells. A full page is in no list. */
struct page {
  struct ph_list node;
  void *free;    /* what was given back, each with a pointer to the next one in it */
  uint16_t at;   /* where what was never given out begins */
  uint16_t live; /* cells */
};

void ph_cells_init(struct ph_cells *c, size_t size) {
  ph_list_init(&c->room);
  c->size = size;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer)

void *ph_cells_get(struct ph_cells *c) {
  return ph_malloc(c->size);
}

void ph_cells_put(struct ph_cells *c, void *cell) {
  (void)c;
  free(cell);
}

void ph_cells_deinit(struct ph_cells *c) {
  (void)c;
}

#else

static bool add_page(struct ph_cells *c) {
  void *block;
  if (PH_FAULT(alloc) || posix_memalign(&block, PAGE, PAGE - MALLOC_HEAD) != 0) return false;
  struct page *p = block;
  *p = (struct page){.at = sizeof *p};
  ph_list_push_front(&c->room, &p->node);
  return true;
}

void *ph_cells_get(struct ph_cells *c) {
  if (ph_list_empty(&c->room) && !add_page(c)) return NULL;
  struct page *p = ph_list_entry(c->room.next, struct page, node);
  void *cell = p->free;
  if (cell != NULL) {
    memcpy(&p->free, cell, sizeof p->free);
  } else {
    cell = (uint8_t *)p + p->at;
    p->at = (uint16_t)(p->at + c->size);
  }
  p->live++;
  if (p->free == NULL && p->at + c->size > PAGE - MALLOC_HEAD) ph_list_remove(&p->node);
  return cell;
}

void ph_cells_put(struct ph_cells *c, void *cell) {
  struct page *p = (struct page *)(void *)((uintptr_t)cell & ~(uintptr_t)(PAGE - 1)); // NOLINT(performance-no-int-to-ptr)
  memcpy(cell, &p->free, sizeof p->free);
  p->free = cell;
  if (ph_list_empty(&p->node)) ph_list_push_front(&c->room, &p->node);
  bool alone = p->node.next == p->node.prev;
  if (--p->live > 0 || alone) return;
  ph_list_remove(&p->node);
  free(p);
}

void ph_cells_deinit(struct ph_cells *c) {
  struct ph_list *node;
  while ((node = ph_list_pop_front(&c->room)) != NULL) free(ph_list_entry(node, struct page, node));
}

#endif
