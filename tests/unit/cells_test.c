/* SPDX-License-Identifier: MIT
 * base/cells.c: cells that do not overlap, in whatever order they come and go, and are given out again. */
#include <stdint.h>
#include <string.h>

#include "base/cells.h"
#include "check.h"

#define CELLS 5000
#define SIZE 152

static uint32_t state = 1;

static uint32_t random_number(void) {
  return (state = state * 1664525u + 1013904223u) >> 8;
}

static bool is_filled(const uint8_t *cell, uint8_t mark) {
  for (size_t i = 0; i < SIZE; i++)
    if (cell[i] != mark) return false;
  return true;
}

static void cells_do_not_overlap(void) {
  static uint8_t *cells[CELLS];
  struct ph_cells c;
  ph_cells_init(&c, SIZE);
  for (int i = 0; i < 20 * CELLS; i++) {
    uint32_t k = random_number() % CELLS;
    if (cells[k] != NULL) {
      CHECK(is_filled(cells[k], (uint8_t)k));
      ph_cells_put(&c, cells[k]);
      cells[k] = NULL;
    } else {
      cells[k] = ph_cells_get(&c);
      CHECK(cells[k] != NULL && (uintptr_t)cells[k] % 8 == 0);
      memset(cells[k], (uint8_t)k, SIZE);
    }
  }
  for (int k = 0; k < CELLS; k++)
    if (cells[k] != NULL) ph_cells_put(&c, cells[k]);
  CHECK(ph_list_empty(&c.room) || c.room.next == c.room.prev); /* a page at most */
  ph_cells_deinit(&c);
  CHECK(ph_list_empty(&c.room));
}

int main(void) {
  cells_do_not_overlap();
  return EXIT_SUCCESS;
}
