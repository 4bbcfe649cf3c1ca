/* SPDX-License-Identifier: MIT
 * By which a descriptor is known again. Code that closes descriptors which are not its own leaves numbers behind, and what
 * is opened next gets them. For sockets, files and pipes, that is: eventfds, epolls and timers all look the same. */
#ifndef PH_BASE_FD_MARK_H
#define PH_BASE_FD_MARK_H

#include <stdbool.h>
#include <sys/stat.h>

struct ph_fd_mark {
  dev_t device;
  ino_t inode;
};

static inline struct ph_fd_mark ph_fd_mark(int fd) {
  struct stat s;
  return fd >= 0 && fstat(fd, &s) == 0 ? (struct ph_fd_mark){s.st_dev, s.st_ino} : (struct ph_fd_mark){0, 0};
}

/* Is it still what was marked? */
static inline bool ph_fd_is(int fd, struct ph_fd_mark mark) {
  struct ph_fd_mark now = ph_fd_mark(fd);
  return now.inode != 0 && now.inode == mark.inode && now.device == mark.device;
}

#endif
