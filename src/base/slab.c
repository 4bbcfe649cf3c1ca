/* SPDX-License-Identifier: MIT */
#include "base/slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

#define PAGE 512u /* bytes, and its alignment: the page of a block is found by masking */
#define CHUNK_PAGES 8u
#define MALLOC_HEAD 16u /* left free at the end of a chunk: the next one follows without a gap */
#define EMPTY_KEEP CHUNK_PAGES

/* In front of a page's blocks. A full page is in no list. */
struct page {
  struct ph_list node;
  uint16_t free; /* offset of what was given back, each block with the offset of the next one in it; 0: nothing */
  uint16_t at;   /* where what was never given out begins */
  uint8_t live;  /* blocks */
  uint8_t index; /* in its chunk */
  uint8_t idle;  /* of the chunk's first page: empty pages of the chunk */
};

static struct page *nth(struct page *first, unsigned i) {
  return (struct page *)(void *)((uint8_t *)first + (size_t)i * PAGE);
}

static struct page *first_of_chunk(struct page *p) {
  return (struct page *)(void *)((uint8_t *)p - (size_t)p->index * PAGE);
}

void ph_slab_init(struct ph_slab *s) {
  for (unsigned i = 0; i < PH_SLAB_SIZES; i++) ph_list_init(&s->room[i]);
  ph_list_init(&s->empty);
  s->n_empty = 0;
}

/* --- pages ------------------------------------------------------------------------------------------------ */

static void enter_empty(struct ph_slab *s, struct page *p) {
  ph_list_push_front(&s->empty, &p->node);
  s->n_empty++;
  first_of_chunk(p)->idle++;
}

static struct page *leave_empty(struct ph_slab *s, struct page *p) {
  ph_list_remove(&p->node);
  s->n_empty--;
  first_of_chunk(p)->idle--;
  return p;
}

static bool add_chunk(struct ph_slab *s) {
  void *block;
  if (PH_FAULT(slab) || posix_memalign(&block, PAGE, CHUNK_PAGES * PAGE - MALLOC_HEAD) != 0) return false;
  struct page *first = block;
  first->idle = 0;
  for (unsigned i = CHUNK_PAGES; i-- > 0;) {
    struct page *p = nth(first, i);
    ph_list_init(&p->node);
    p->index = (uint8_t)i;
    enter_empty(s, p);
  }
  return true;
}

static void free_chunk(struct ph_slab *s, struct page *first) {
  for (unsigned i = 0; i < CHUNK_PAGES; i++) leave_empty(s, nth(first, i));
  free(first);
}

static void drop_page(struct ph_slab *s, struct page *p) {
  ph_list_remove(&p->node);
  enter_empty(s, p);
  struct page *first = first_of_chunk(p);
  if (first->idle == CHUNK_PAGES && s->n_empty > EMPTY_KEEP) free_chunk(s, first);
}

static bool add_page(struct ph_slab *s, struct ph_list *room) {
  if (ph_list_empty(&s->empty) && !add_chunk(s)) return false;
  struct page *p = leave_empty(s, ph_list_entry(s->empty.next, struct page, node));
  p->free = 0;
  p->at = sizeof *p;
  p->live = 0;
  ph_list_push_front(room, &p->node);
  return true;
}

/* What is left are pages that were the last of their size. */
void ph_slab_deinit(struct ph_slab *s) {
  for (unsigned i = 0; i < PH_SLAB_SIZES; i++)
    for (struct ph_list *n; (n = ph_list_pop_front(&s->room[i])) != NULL;)
      enter_empty(s, ph_list_entry(n, struct page, node));
  while (!ph_list_empty(&s->empty)) free_chunk(s, first_of_chunk(ph_list_entry(s->empty.next, struct page, node)));
}

/* --- blocks ----------------------------------------------------------------------------------------------- */

static size_t whole_steps(size_t size) {
  return (size + PH_SLAB_STEP - 1) / PH_SLAB_STEP * PH_SLAB_STEP;
}

static bool is_full(const struct page *p, size_t size) {
  return p->free == 0 && p->at + size > (p->index == CHUNK_PAGES - 1 ? PAGE - MALLOC_HEAD : PAGE);
}

void *ph_slab_get(struct ph_slab *s, size_t size) {
  size = whole_steps(size);
  struct ph_list *room = &s->room[size / PH_SLAB_STEP - 1];
  if (ph_list_empty(room) && !add_page(s, room)) return NULL;
  struct page *p = ph_list_entry(room->next, struct page, node);
  uint8_t *block = (uint8_t *)p;
  if (p->free != 0) {
    block += p->free;
    memcpy(&p->free, block, sizeof p->free);
  } else {
    block += p->at;
    p->at = (uint16_t)(p->at + size);
  }
  p->live++;
  if (is_full(p, size)) ph_list_remove(&p->node);
  return block;
}

void ph_slab_put(struct ph_slab *s, void *block, size_t size) {
  struct page *p = (struct page *)(void *)((uintptr_t)block & ~(uintptr_t)(PAGE - 1)); // NOLINT(performance-no-int-to-ptr)
  memcpy(block, &p->free, sizeof p->free);
  p->free = (uint16_t)((uint8_t *)block - (uint8_t *)p);
  if (ph_list_empty(&p->node)) ph_list_push_front(&s->room[whole_steps(size) / PH_SLAB_STEP - 1], &p->node);
  bool alone = p->node.next == p->node.prev;
  if (--p->live == 0 && !alone) drop_page(s, p);
}
