/* SPDX-License-Identifier: MIT
 * base/slab.c: blocks that do not overlap, memory that is used again and given back. */
#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "base/slab.h"
#include "check.h"

/* Sanitizers bring a malloc of their own, which mallinfo2 knows nothing of. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_IS_COUNTED false
#else
#define MALLOC_IS_COUNTED true
#endif
#define BLOCKS 20000

static uint32_t state = 1;

static uint32_t random_number(void) {
  return state = state * 1664525u + 1013904223u;
}

struct block {
  uint8_t *at;
  size_t size;
};

static void fill(struct block *b, uint8_t mark) {
  memset(b->at, mark, b->size);
}

static bool is_filled(const struct block *b, uint8_t mark) {
  for (size_t i = 0; i < b->size; i++)
    if (b->at[i] != mark) return false;
  return true;
}

/* Every block keeps what was written into it, in whatever order they come and go. */
static void blocks_do_not_overlap(void) {
  static struct block blocks[BLOCKS];
  struct ph_slab s;
  ph_slab_init(&s);
  for (int round = 0; round < 400000; round++) {
    uint32_t i = random_number() % BLOCKS;
    struct block *b = &blocks[i];
    if (b->at != NULL) {
      CHECK(is_filled(b, (uint8_t)i));
      ph_slab_put(&s, b->at, b->size);
      b->at = NULL;
      continue;
    }
    b->size = 1 + random_number() % PH_SLAB_MAX;
    b->at = ph_slab_get(&s, b->size);
    CHECK(b->at != NULL && (uintptr_t)b->at % PH_SLAB_STEP == 0);
    fill(b, (uint8_t)i);
  }
  for (uint32_t i = 0; i < BLOCKS; i++) {
    if (blocks[i].at == NULL) continue;
    CHECK(is_filled(&blocks[i], (uint8_t)i));
    ph_slab_put(&s, blocks[i].at, blocks[i].size);
  }
  ph_slab_deinit(&s);
}

static void get_many(struct ph_slab *s, void **blocks, size_t size) {
  for (int i = 0; i < BLOCKS; i++) CHECK((blocks[i] = ph_slab_get(s, size)) != NULL);
}

static void put_many(struct ph_slab *s, void **blocks, size_t size) {
  for (int i = 0; i < BLOCKS; i++) ph_slab_put(s, blocks[i], size);
}

/* What was taken by blocks of one size serves another size, and most of it goes back to malloc. */
static void memory_is_used_again(void) {
  static void *blocks[BLOCKS];
  struct ph_slab s;
  ph_slab_init(&s);
  size_t before = mallinfo2().uordblks;
  get_many(&s, blocks, 64);
  size_t peak = mallinfo2().uordblks - before;
  CHECK(peak >= BLOCKS * 64 && peak < BLOCKS * 64 * 5 / 4);
  put_many(&s, blocks, 64);
  CHECK(mallinfo2().uordblks - before < 100000);
  get_many(&s, blocks, 56);
  CHECK(mallinfo2().uordblks - before <= peak);
  put_many(&s, blocks, 56);
  ph_slab_deinit(&s);
  CHECK(mallinfo2().uordblks - before < 100000); /* what malloc keeps in pieces */
}

int main(void) {
  blocks_do_not_overlap();
  if (MALLOC_IS_COUNTED) memory_is_used_again();
  return EXIT_SUCCESS;
}
