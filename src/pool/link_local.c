/* SPDX-License-Identifier: MIT
 * Links between threads: the same rings and slots, in one anonymous mapping without a descriptor. The rings are small,
 * as what is big goes by reference (wire.h). The memory lives until both sides have closed, so that a thread that was
 * abandoned still has its end. */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/link_int.h"

#include "base/fault.h"
#include "base/memfd.h"

#define TO_WORKER ((size_t)8 << 10)
#define TO_HOST ((size_t)32 << 10)

/* Header and answer, then each ring twice in a row. */
struct layout {
  size_t header, to_worker, to_host;
};

static size_t at_least(size_t n, size_t page) {
  return n > page ? n : page;
}

static struct layout layout(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (struct layout){at_least(4096, page) + PH_LINK_ANSWER, at_least(TO_WORKER, page), at_least(TO_HOST, page)};
}

_Static_assert(sizeof(struct ph_link_shared) <= 4096, "the header fits");

static size_t total(const struct layout *s) {
  return s->header + 2 * s->to_worker + 2 * s->to_host;
}

static int map_twice(uint8_t *ring, size_t size) {
  int fd = PH_FAULT(memfd) ? -1 : memfd_create("parhost-link", MFD_CLOEXEC);
  bool failed = fd < 0 || ph_memfd_resize(fd, (off_t)size) != 0;
  for (int i = 0; i < 2 && !failed; i++)
    failed = mmap(ring + (size_t)i * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED;
  if (fd >= 0) close(fd);
  return failed ? -1 : 0;
}

/* Puts the pages at `ring` behind it once more. Where mremap cannot do that (valgrind, QEMU), there is a file for a moment.
 */
static int mirror(uint8_t *ring, size_t size) {
  void *at = PH_FAULT(mremap) ? MAP_FAILED : mremap(ring, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, ring + size);
  return at == MAP_FAILED ? map_twice(ring, size) : 0;
}

int ph_link_open_local(struct ph_link *host, struct ph_link *worker, int bell, struct ph_err *err) {
  const struct layout s = layout();
  uint8_t *base =
      PH_FAULT(mmap) ? MAP_FAILED : mmap(NULL, total(&s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return ph_err_os(err, "cannot map the memory of a link");
  uint8_t *to_worker = base + s.header, *to_host = to_worker + 2 * s.to_worker;
  if (mirror(to_worker, s.to_worker) != 0 || mirror(to_host, s.to_host) != 0) {
    ph_err_os(err, "cannot map the memory of a link");
    munmap(base, total(&s));
    return -1;
  }
  struct ph_link_shared *shared = (struct ph_link_shared *)(void *)base;
  atomic_init(&shared->sides, 2);
  atomic_init(&shared->also, -1);
  uint8_t *answer = to_worker - PH_LINK_ANSWER;
  *host = (struct ph_link){.shared = shared,
                           .answer = answer,
                           .out_bytes = to_worker,
                           .out_size = s.to_worker,
                           .in_bytes = to_host,
                           .in_size = s.to_host,
                           .bell = -1,
                           .is_host = true,
                           .is_local = true};
  *worker = (struct ph_link){.shared = shared,
                             .answer = answer,
                             .out_bytes = to_host,
                             .out_size = s.to_host,
                             .in_bytes = to_worker,
                             .in_size = s.to_worker,
                             .bell = bell,
                             .is_local = true};
  return 0;
}

void ph__link_close_local(struct ph_link *l) {
  const struct layout s = layout();
  if (l->shared != NULL && atomic_fetch_sub(&l->shared->sides, 1) == 1) munmap(l->shared, total(&s));
  free(l->big);
  *l = (struct ph_link){.bell = -1};
}

void ph_link_ring_also(struct ph_link *worker, int fd) {
  atomic_store(&worker->shared->also, fd);
}

static void wake_worker(struct ph_link_shared *shared) {
  uint64_t one = 1;
  int also = atomic_load(&shared->also);
  if (also >= 0 && write(also, &one, sizeof one) < 0 && errno == EAGAIN) return; /* full: it is awake */
  syscall(SYS_futex, &shared->parked[0].wishes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void ph_link_hang_up(struct ph_link *host) {
  atomic_store(&host->shared->hung_up, true);
  atomic_store(&host->shared->parked[0].wishes, 0);
  wake_worker(host->shared);
}

bool ph__link_hung_up(const struct ph_link *l) {
  return atomic_load(&l->shared->hung_up);
}

void ph__link_ring_local(struct ph_link *l) {
  uint64_t one = 1;
  if (l->is_host) {
    wake_worker(l->shared);
    return;
  }
  ssize_t n = write(__atomic_load_n(&l->bell, __ATOMIC_RELAXED), &one, sizeof one);
  (void)n; /* full: it is ringing already */
}

void ph__link_sleep_local(atomic_uint *parked) {
  unsigned value = atomic_load(parked);
  if (value != 0 && !PH_FAULT(futex)) syscall(SYS_futex, parked, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
