/* SPDX-License-Identifier: MIT
 * Links with pages of each size that kernels have: what this one would not notice, mmap and mremap of this program do, as
 * the linker puts them in the way (tests/CMakeLists.txt). */
#include "pool/link.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

static size_t page = 1;
static const uint8_t *base; /* of the last mapping that the kernel has placed: with such pages it would begin with one */
static unsigned placed;     /* mappings that we have asked to be somewhere */

long __real_sysconf(int name);
long __wrap_sysconf(int name);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__real_mremap(void *old, size_t old_len, size_t len, int flags, ...);
void *__wrap_mremap(void *old, size_t old_len, size_t len, int flags, ...);

long __wrap_sysconf(int name) {
  return name == _SC_PAGESIZE ? (long)page : __real_sysconf(name);
}

/* A part of a page can neither be mapped, nor have something of its own behind it. */
static void check_place(const void *at, size_t len) {
  CHECK((size_t)((const uint8_t *)at - base) % page == 0 && len % page == 0);
  placed++;
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
  CHECK((size_t)offset % page == 0);
  if (flags & MAP_FIXED) check_place(at, len);
  void *got = __real_mmap(at, len, prot, flags, fd, offset);
  if (!(flags & MAP_FIXED)) base = got;
  return got;
}

void *__wrap_mremap(void *old, size_t old_len, size_t len, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void *at = va_arg(rest, void *);
  va_end(rest);
  check_place(old, len);
  check_place(at, len);
  return __real_mremap(old, old_len, len, flags, at);
}

/* Frames of an odd length, until the ring has come round a few times. */
static void send_round(struct ph_link *from, struct ph_link *to) {
  static uint8_t body[4099];
  const size_t frames = 3 * from->out_size / sizeof body + 3;
  for (size_t i = 0; i < frames; i++) {
    struct ph_frame sent = {.len = sizeof body, .item = (uint32_t)i}, got;
    const uint8_t *bytes;
    memset(body, (int)i, sizeof body);
    body[0] = 0x80;
    CHECK(ph_link_send(from, &sent, body) == 0);
    CHECK(ph_link_readable(to) && ph_link_read(to, &got, &bytes) == 1);
    CHECK(got.len == sizeof body && got.item == i && memcmp(bytes, body, sizeof body) == 0);
    CHECK(ph_link_read(to, &got, &bytes) == 0);
  }
}

static void use(struct ph_link *host, struct ph_link *worker) {
  send_round(host, worker);
  send_round(worker, host);
  memset(worker->answer, 'a', PH_LINK_ANSWER);
  CHECK(host->answer[PH_LINK_ANSWER - 1] == 'a');
  CHECK(atomic_load(&ph_link_slot(host, PH_LINK_SLOTS - 1)->claim) == PH_CLAIM_FREE);
  send_round(host, worker);
}

static void links_processes(void) {
  struct ph_link host, worker;
  struct ph_err err;
  int fds[2];
  placed = 0;
  CHECK(ph_link_open(&host, fds, &err) == 0);
  CHECK(ph_link_attach(&worker, fds[0], fds[1], &err) == 0);
  CHECK(placed == 4);
  use(&host, &worker);
  ph_link_close(&worker);
  ph_link_close(&host);
}

static void links_threads(void) {
  struct ph_link host, worker;
  struct ph_err err;
  placed = 0;
  CHECK(ph_link_open_local(&host, &worker, -1, &err) == 0);
  CHECK(placed >= 4 && host.out_size >= page && host.in_size >= page);
  use(&host, &worker);
  ph_link_close(&host);
  ph_link_close(&worker);
}

int main(void) {
  const size_t real = (size_t)__real_sysconf(_SC_PAGESIZE);
  for (page = real; page <= 65536; page *= 4) {
    links_processes();
    links_threads();
  }
  return 0;
}
