/* SPDX-License-Identifier: MIT
 * Emptying an eventfd without waiting, also when something else has its number: who opened that may want to wait for it. */
#ifndef PH_BASE_EVENTFD_H
#define PH_BASE_EVENTFD_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

static inline void ph_eventfd_empty(int fd) {
  uint64_t count;
  struct iovec iov = {.iov_base = &count, .iov_len = sizeof count};
  if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return;
  struct pollfd p = {.fd = fd, .events = POLLIN}; /* of an old kernel, or no eventfd */
  if (poll(&p, 1, 0) > 0 && read(fd, &count, sizeof count) < 0) return;
}

#endif
