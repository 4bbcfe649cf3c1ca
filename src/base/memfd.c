/* SPDX-License-Identifier: MIT */
#include "base/memfd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"

/* The limit comes with a signal that would end the process: the error is enough. */
int ph_memfd_resize(int memfd, off_t size) {
  sigset_t too_big, old, pending;
  const struct timespec none = {0, 0};
  sigemptyset(&too_big);
  sigaddset(&too_big, SIGXFSZ);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &too_big, &old);
  int status = PH_FAULT(ftruncate) ? -1 : ftruncate(memfd, size), saved = errno;
  if (status != 0 && saved == EFBIG && !sigismember(&pending, SIGXFSZ)) sigtimedwait(&too_big, NULL, &none);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = saved;
  return status;
}
