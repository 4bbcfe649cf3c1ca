/* SPDX-License-Identifier: MIT
 * Two single-producer single-consumer byte rings in shared memory. Indices run freely in 64 bits; what the other side
 * has written into them is believed only when it makes sense.
 *
 * Sleeping: who wants to wait stores its wishes in `parked` of its own side, and looks once more; who has changed a
 * ring reads the other side's `parked`. The sequentially consistent fences in between mean that one of the two sees
 * the other (Dekker). */
#include "pool/link_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/big.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/memfd.h"
#include "base/relax.h"

enum { PARKED_FOR_DATA = 1, PARKED_FOR_ROOM = 2 };

_Static_assert(sizeof(struct ph_link_shared) <= PH_LINK_PAGE, "the header fits");
_Static_assert(PH_LINK_HEADER % PH_LINK_PAGE == 0 && PH_LINK_RING % PH_LINK_PAGE == 0, "rings are whole pages");

static struct ph_ring *out_ring(const struct ph_link *l) {
  return &l->shared->rings[l->is_host ? 0 : 1];
}

static struct ph_ring *in_ring(const struct ph_link *l) {
  return &l->shared->rings[l->is_host ? 1 : 0];
}

/* --- mapping ---------------------------------------------------------------------------------------------- */

/* Each ring twice in a row, so that what goes over its end lies in one piece. In memory: header, A, A, B, B; the file has
 * header, A, B, so `A` and what is behind it in the file is what follows the first A, and `B` is what follows the first B.
 */
#define SPAN (PH_LINK_HEADER + 4 * (size_t)PH_LINK_RING)

static bool map_again(uint8_t *at, size_t len, int memfd, off_t offset) {
  return mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, offset) != MAP_FAILED;
}

static int map(struct ph_link *l, int memfd, struct ph_err *err) {
  uint8_t *base = PH_FAULT(mmap) ? MAP_FAILED : mmap(NULL, SPAN, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (base == MAP_FAILED) return ph_err_os(err, "cannot map the memory of a link");
  l->shared = (void *)base;
  l->answer = base + PH_LINK_PAGE;
  l->out_size = l->in_size = PH_LINK_RING;
  uint8_t *to_worker = base + PH_LINK_HEADER, *to_host = to_worker + 2 * (size_t)PH_LINK_RING;
  l->out_bytes = l->is_host ? to_worker : to_host;
  l->in_bytes = l->is_host ? to_host : to_worker;
  if (map_again(to_worker + PH_LINK_RING, 2 * (size_t)PH_LINK_RING, memfd, PH_LINK_HEADER) &&
      map_again(to_host + PH_LINK_RING, PH_LINK_RING, memfd, PH_LINK_HEADER + PH_LINK_RING))
    return 0;
  return ph_err_os(err, "cannot map the memory of a link");
}

int ph_link_open(struct ph_link *host, int worker_fds[2], struct ph_err *err) {
  int pair[2] = {-1, -1};
  *host = (struct ph_link){.bell = -1, .is_host = true};
  int memfd = PH_FAULT(memfd) ? -1 : memfd_create("parhost-link", MFD_CLOEXEC);
  if (memfd < 0) return ph_err_os(err, "cannot make the memory of a link");
  if (ph_memfd_resize(memfd, PH_LINK_HEADER + 2 * PH_LINK_RING) != 0 || PH_FAULT(socketpair) ||
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    ph_err_os(err, "cannot make a link");
    close(memfd);
    return -1;
  }
  host->bell = pair[0];
  host->bell_mark = ph_fd_mark(pair[0]);
  worker_fds[0] = memfd;
  worker_fds[1] = pair[1];
  if (map(host, memfd, err) == 0) return 0;
  ph_link_close(host);
  close(memfd);
  close(pair[1]);
  return -1;
}

int ph_link_attach(struct ph_link *worker, int memfd, int bell, struct ph_err *err) {
  *worker = (struct ph_link){.bell = bell, .is_host = false};
  int status = map(worker, memfd, err);
  close(memfd);
  if (status != 0) ph_link_close(worker);
  return status;
}

void ph_link_close(struct ph_link *l) {
  if (l->is_local) {
    ph__link_close_local(l);
    return;
  }
  if (l->shared != NULL) munmap(l->shared, SPAN);
  if (l->bell >= 0) close(l->bell);
  free(l->big);
  *l = (struct ph_link){.bell = -1};
}

struct ph_slot *ph_link_slot(struct ph_link *l, unsigned slot) {
  return &l->shared->slots[slot];
}

struct ph_question *ph_link_question(const struct ph_link *l) {
  return &l->shared->question;
}

/* --- bytes ------------------------------------------------------------------------------------------------ */

static size_t room_beyond(const struct ph_link *l, uint64_t tail) {
  uint64_t used = atomic_load_explicit(&out_ring(l)->head, memory_order_relaxed) - tail;
  return used <= l->out_size ? l->out_size - (size_t)used : 0;
}

size_t ph_link_room(const struct ph_link *l) {
  return room_beyond(l, atomic_load_explicit(&out_ring(l)->tail, memory_order_acquire));
}

/* Room for `len` bytes, or all there is. */
static size_t room_for(struct ph_link *l, size_t len) {
  size_t room = room_beyond(l, l->seen_tail);
  if (room >= len) return room;
  l->seen_tail = atomic_load_explicit(&out_ring(l)->tail, memory_order_acquire);
  return room_beyond(l, l->seen_tail);
}

size_t ph_link_write(struct ph_link *l, const void *bytes, size_t len) {
  struct ph_ring *r = out_ring(l);
  size_t room = room_for(l, len), n = len < room ? len : room;
  if (n == 0) return 0;
  if (PH_FAULT(ring_short)) n = 1;
  uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
  memcpy(l->out_bytes + (head & (l->out_size - 1)), bytes, n);
  atomic_store_explicit(&r->head, head + n, memory_order_release);
  return n;
}

static size_t available_before(const struct ph_link *l, uint64_t head) {
  uint64_t n = head - atomic_load_explicit(&in_ring(l)->tail, memory_order_relaxed);
  return n <= l->in_size ? (size_t)n : SIZE_MAX;
}

static size_t available(const struct ph_link *l) {
  return available_before(l, atomic_load_explicit(&in_ring(l)->head, memory_order_acquire));
}

/* At least `want` bytes, or all there are. */
static size_t available_for(struct ph_link *l, size_t want) {
  size_t n = available_before(l, l->seen_head);
  if (n >= want && n != SIZE_MAX) return n;
  l->seen_head = atomic_load_explicit(&in_ring(l)->head, memory_order_acquire);
  return available_before(l, l->seen_head);
}

static const uint8_t *in_position(const struct ph_link *l) {
  return l->in_bytes + (atomic_load_explicit(&in_ring(l)->tail, memory_order_relaxed) & (l->in_size - 1));
}

static void consume(struct ph_link *l, size_t n) {
  struct ph_ring *r = in_ring(l); /* only we write its tail */
  atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + n, memory_order_release);
}

/* --- frames ----------------------------------------------------------------------------------------------- */

bool ph_link_readable(const struct ph_link *l) {
  bool gathered = l->big_len > 0 && l->big_have == l->big_len; /* and given back */
  return available_before(l, l->seen_head) > l->known || available(l) > l->known || gathered;
}

#define BIG_AT_ONCE ((size_t)64 << 20) /* what is said to be longer gets its memory as it comes */

static void begin_big(struct ph_link *l, const struct ph_frame *f) {
  l->big_cap = f->len < BIG_AT_ONCE ? f->len : BIG_AT_ONCE;
  l->big = ph_big_advise(ph_malloc(l->big_cap), l->big_cap); /* NULL: its bytes are dropped as they come */
  l->big_frame = *f;
  l->big_len = f->len;
  l->big_have = 0;
  consume(l, sizeof *f);
}

static void make_room(struct ph_link *l, size_t n) {
  if (l->big == NULL || l->big_have + n <= l->big_cap) return;
  l->big_cap = l->big_len / 2 < l->big_cap ? l->big_len : 2 * l->big_cap;
  uint8_t *bigger = ph_realloc(l->big, l->big_cap);
  if (bigger == NULL) free(l->big);
  l->big = ph_big_advise(bigger, l->big_cap);
}

static int gather(struct ph_link *l, struct ph_frame *frame, const uint8_t **body) {
  size_t want = l->big_len - l->big_have, n = available_for(l, want);
  if (n == SIZE_MAX) return -1;
  if (n > want) n = want;
  make_room(l, n);
  if (l->big != NULL) memcpy(l->big + l->big_have, in_position(l), n);
  consume(l, n);
  l->big_have += n;
  if (l->big_have < l->big_len) return 0;
  *frame = l->big_frame;
  *body = l->big;
  l->big_len = 0; /* whole: the next read lets it go, unless it was taken */
  return 1;
}

/* Only the beginning of a frame is there. Its writer may never come to the rest: nobody is to look at it again and again. */
static int wait_for_rest(struct ph_link *l, size_t n) {
  l->known = n;
  return 0;
}

int ph_link_read(struct ph_link *l, struct ph_frame *frame, const uint8_t **body) {
  if (l->corrupt) return -1;
  if (l->pending_consume > 0) consume(l, l->pending_consume);
  l->pending_consume = l->known = 0;
  if (l->big_len > 0) return gather(l, frame, body);
  free(l->big);
  l->big = NULL;
  size_t n = available_for(l, sizeof *frame);
  if (n == SIZE_MAX) return -1;
  if (n < sizeof *frame) return wait_for_rest(l, n);
  memcpy(frame, in_position(l), sizeof *frame);
  if (frame->len > PH_FRAME_MAX) return -1;
  if (sizeof *frame + frame->len > l->in_size / 2) {
    begin_big(l, frame);
    return gather(l, frame, body);
  }
  n = available_for(l, sizeof *frame + frame->len);
  if (n == SIZE_MAX) return -1;
  if (n < sizeof *frame + frame->len) return wait_for_rest(l, n);
  *body = in_position(l) + sizeof *frame;
  l->pending_consume = l->known = sizeof *frame + frame->len;
  return 1;
}

void ph_link_unread(struct ph_link *l) {
  if (l->pending_consume == 0) l->big_len = l->big_have;
  l->pending_consume = l->known = 0;
}

uint8_t *ph_link_take_big(struct ph_link *l) {
  if (l->big == NULL || l->big_len != 0) return NULL;
  uint8_t *bytes = l->big;
  l->big = NULL;
  return bytes;
}

/* --- waking and waiting ----------------------------------------------------------------------------------- */

static atomic_uint *own_parked(const struct ph_link *l) {
  return &l->shared->parked[l->is_host ? 1 : 0].wishes;
}

void ph_link_wake(struct ph_link *l) {
  atomic_uint *other = &l->shared->parked[l->is_host ? 0 : 1].wishes;
  atomic_thread_fence(memory_order_seq_cst);
  unsigned wishes = atomic_load_explicit(other, memory_order_relaxed);
  bool has_data = (wishes & PARKED_FOR_DATA) && ph_link_room(l) < l->out_size;
  bool has_room = (wishes & PARKED_FOR_ROOM) && available(l) < l->in_size;
  if (!(has_data || has_room) || atomic_exchange(other, 0) == 0) return;
  if (l->is_local) {
    ph__link_ring_local(l);
    return;
  }
  ssize_t n = send(l->bell, "!", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)n; /* full: it is ringing already; broken: the reader finds out */
}

bool ph_link_park(struct ph_link *l, bool want_room) {
  atomic_store_explicit(own_parked(l), PARKED_FOR_DATA | (want_room ? PARKED_FOR_ROOM : 0u), memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
  if (!ph_link_readable(l) && !(want_room && ph_link_room(l) > 0)) return true;
  ph_link_clear_parked(l);
  return false;
}

void ph_link_clear_parked(struct ph_link *l) {
  atomic_store_explicit(own_parked(l), 0, memory_order_relaxed);
}

int ph_link_unpark(struct ph_link *l) {
  char sink[64];
  ph_link_clear_parked(l);
  if (l->is_local) return 0;
  for (;;) {
    ssize_t n = recv(l->bell, sink, sizeof sink, MSG_DONTWAIT);
    if (n == 0) return -1;
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if ((size_t)n < sizeof sink) return 0;
  }
}

static bool ready(const struct ph_link *l, bool want_room) {
  return want_room ? ph_link_room(l) > 0 : ph_link_readable(l);
}

static int sleep_on_bell(struct ph_link *l) {
  if (l->is_local) {
    ph__link_sleep_local(own_parked(l));
    return ph_link_unpark(l);
  }
  struct pollfd p = {.fd = l->bell, .events = POLLIN};
  int n = PH_FAULT(poll) ? -1 : poll(&p, 1, -1);
  if (n < 0) return errno == EINTR ? 0 : -1;
  return ph_link_unpark(l);
}

int ph_link_wait(struct ph_link *l, bool want_room, int64_t spin_ns) {
  if (spin_ns > 0) {
    int64_t end = ph_now() + spin_ns;
    do {
      for (int i = 0; i < 64; i++) {
        if (ready(l, want_room)) return 0;
        ph_relax();
      }
    } while (ph_now() < end);
  }
  while (!ready(l, want_room)) {
    atomic_store_explicit(own_parked(l), want_room ? PARKED_FOR_ROOM : PARKED_FOR_DATA, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (ready(l, want_room)) break;
    if (l->is_local && ph__link_hung_up(l)) return -1;
    if (sleep_on_bell(l) != 0) return -1;
  }
  ph_link_clear_parked(l);
  return 0;
}

/* False when there is not room for the whole frame. */
static bool write_whole(struct ph_link *l, const struct ph_frame *frame, const void *body) {
  size_t total = sizeof *frame + frame->len;
  if (room_for(l, total) < total) return false;
  struct ph_ring *r = out_ring(l);
  uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
  uint8_t *to = l->out_bytes + (head & (l->out_size - 1));
  memcpy(to, frame, sizeof *frame);
  if (frame->len > 0) memcpy(to + sizeof *frame, body, frame->len);
  atomic_store_explicit(&r->head, head + total, memory_order_release);
  return true;
}

int ph_link_send(struct ph_link *l, const struct ph_frame *frame, const void *body) {
  const uint8_t *parts[2] = {(const uint8_t *)frame, body};
  size_t lens[2] = {sizeof *frame, frame->len};
  if (l->is_local && ph__link_hung_up(l)) return -1;
  if (!PH_FAULT(ring_short) && write_whole(l, frame, body)) return 0;
  for (int i = 0; i < 2; i++) {
    for (size_t done = 0; done < lens[i];) {
      size_t n = ph_link_write(l, parts[i] + done, lens[i] - done);
      done += n;
      if (done == lens[i]) break;
      ph_link_wake(l);
      if (n == 0 && ph_link_wait(l, true, 20000) != 0) return -1;
    }
  }
  return 0;
}
