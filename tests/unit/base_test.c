/* SPDX-License-Identifier: MIT
 * base/: buffers, lists, heap, histogram, clock, errors. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/histogram.h"
#include "base/list.h"
#include "check.h"

static void buffers(void) {
  struct ph_buf b = PH_BUF_INIT;
  for (unsigned i = 0; i < 1000; i++) CHECK(ph_buf_put_u8(&b, (uint8_t)i) == 0);
  CHECK(ph_buf_put(&b, "abc", 3) == 0 && ph_buf_put(&b, NULL, 0) == 0);
  CHECK(b.len == 1003 && b.cap >= b.len && memcmp(b.data + 1000, "abc", 3) == 0);
  for (unsigned i = 0; i < 1000; i++) CHECK(b.data[i] == (uint8_t)i);
  size_t cap = b.cap;
  CHECK(ph_buf_grow(&b, SIZE_MAX - 10) == -1 && b.len == 1003 && b.cap == cap);
  CHECK(ph_buf_reserve(&b, 100000) == 0 && b.cap - b.len >= 100000);
  ph_buf_reset(&b, 1 << 20);
  CHECK(b.len == 0 && b.cap >= 100000);
  ph_buf_reset(&b, 16);
  CHECK(b.len == 0 && b.cap == 16 && b.data != NULL);
  ph_buf_reset(&b, 0);
  CHECK(b.len == 0 && b.cap == 0 && b.data == NULL);
  ph_buf_deinit(&b);
}

struct item {
  int number;
  struct ph_list node;
};

static int take(struct ph_list *list) {
  struct ph_list *node = ph_list_pop_front(list);
  return node != NULL ? ph_list_entry(node, struct item, node)->number : -1;
}

static void lists(void) {
  struct item items[5];
  struct ph_list a, b;
  ph_list_init(&a);
  ph_list_init(&b);
  CHECK(ph_list_empty(&a) && ph_list_pop_front(&a) == NULL);
  for (int i = 0; i < 5; i++) items[i].number = i;
  ph_list_push_back(&a, &items[0].node);
  ph_list_push_back(&a, &items[1].node);
  ph_list_push_front(&a, &items[2].node);
  ph_list_insert(&items[1].node, &items[3].node);
  ph_list_push_back(&b, &items[4].node);
  ph_list_splice(&b, &a);
  CHECK(ph_list_empty(&a) && !ph_list_empty(&b));
  ph_list_splice(&b, &a);
  ph_list_remove(&items[0].node);
  ph_list_remove(&items[0].node); /* in no list: nothing happens */
  CHECK(take(&b) == 4 && take(&b) == 2 && take(&b) == 3 && take(&b) == 1 && take(&b) == -1 && ph_list_empty(&b));
}

#define NODES 500

/* Nodes come out in order, however they were added and removed. */
static void heaps(void) {
  static struct ph_heap_node nodes[NODES];
  struct ph_heap h = {NULL, 0, 0, 0};
  uint32_t random = 1;
  CHECK(ph_heap_first(&h) == NULL);
  for (int i = 0; i < NODES; i++) {
    random = random * 1664525u + 1013904223u;
    nodes[i] = (struct ph_heap_node){.when = random >> 26}; /* many are equal */
    CHECK(ph_heap_add(&h, &nodes[i]) == 0);
  }
  for (int i = 0; i < NODES; i += 3) ph_heap_remove(&h, &nodes[i]);
  ph_heap_remove(&h, &nodes[0]); /* in no heap: nothing happens */
  CHECK(h.count == NODES - (NODES + 2) / 3);
  const struct ph_heap_node *last = &nodes[0];
  for (size_t n = h.count; n > 0; n--) {
    struct ph_heap_node *first = ph_heap_first(&h);
    CHECK(h.count == n && (first - nodes) % 3 != 0);
    if (n < NODES - (NODES + 2) / 3) CHECK(first->when > last->when || (first->when == last->when && first > last));
    last = first;
    ph_heap_remove(&h, first);
    CHECK(first->place == 0);
  }
  CHECK(ph_heap_first(&h) == NULL);
  for (int i = 0; i < 4; i++) {
    nodes[i].when = 1;
    CHECK(ph_heap_add(&h, &nodes[i]) == 0);
  }
  ph_heap_remove(&h, &nodes[0]);
  CHECK(ph_heap_add_again(&h, &nodes[0]) == 0 && ph_heap_first(&h) == &nodes[0]); /* where it was */
  ph_heap_deinit(&h);
}

static void histograms(void) {
  static struct ph_histogram h;
  CHECK(ph_histogram_quantile(&h, 0.5) < 0);
  for (int64_t ns = 1; ns <= 100000; ns++) ph_histogram_add(&h, ns);
  for (double q = 0.1; q < 1; q += 0.1) {
    double got = ph_histogram_quantile(&h, q), exact = q * 100000;
    CHECK(got >= exact * 0.99 && got <= exact * 1.13);
  }
  static struct ph_histogram extremes;
  ph_histogram_add(&extremes, -5);
  ph_histogram_add(&extremes, INT64_MAX);
  CHECK(extremes.total == 2 && ph_histogram_quantile(&extremes, 0) <= 1);
  CHECK(ph_histogram_quantile(&extremes, 1) >= 9.2e18);
}

static void clocks(void) {
  CHECK(ph_seconds_to_ns(0) == 0 && ph_seconds_to_ns(-1) == 0);
  CHECK(ph_seconds_to_ns(1.5) == 1500000000);
  CHECK(ph_seconds_to_ns(1e-10) == 1); /* never shorter than asked for */
  CHECK(ph_seconds_to_ns(1e300) == PH_NEVER && ph_deadline_in(1e300) == PH_NEVER);
  int64_t before = ph_now(), deadline = ph_deadline_in(10);
  CHECK(deadline >= before + 10000000000 && deadline <= ph_now() + 10000000000);
}

static void errors(void) {
  struct ph_err err;
  CHECK(ph_err_set(NULL, "os", 0, "nobody asks") == -1);
  memset(&err, 'x', sizeof err);
  CHECK(ph_err_set(&err, "timeout", 7, "%s of %d", "two", 4) == -1);
  CHECK(strcmp(err.kind, "timeout") == 0 && err.code == 7 && strcmp(err.message, "two of 4") == 0);
  CHECK(err.path[0] == '\0' && err.type[0] == '\0');
  ph_err_set(&err, "os", 0, "%0500d", 1);
  CHECK(strlen(err.message) == sizeof err.message - 1);
  errno = ENOENT;
  CHECK(ph_err_os(&err, "cannot open") == -1 && err.code == ENOENT);
  CHECK(strcmp(err.message, "cannot open: No such file or directory") == 0);
}

int main(void) {
  buffers();
  lists();
  heaps();
  histograms();
  clocks();
  errors();
  return 0;
}
