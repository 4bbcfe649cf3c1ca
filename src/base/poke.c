/* SPDX-License-Identifier: MIT */
#include "base/poke.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static ssize_t read_status(pid_t pid, pid_t tid, char *text, size_t size) {
  snprintf(text, size, "/proc/%d/task/%d/status", (int)pid, (int)tid);
  int fd = open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n;
  do n = read(fd, text, size - 1);
  while (n < 0 && errno == EINTR);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  return n;
}

/* The value behind a line's name; "" when there is no such line. */
static const char *value_of(const char *text, const char *name) {
  const char *line = strstr(text, name);
  return line != NULL ? line + strlen(name) : "";
}

char ph_poke(pid_t pid, pid_t tid, int number, bool asleep) {
  char text[4096];
  if (read_status(pid, tid, text, sizeof text) <= 0) return 0;
  char state = *value_of(text, "\nState:\t");
  if (!isupper((unsigned char)state)) return 0;
  uint64_t caught = strtoull(value_of(text, "\nSigCgt:\t"), NULL, 16);
  bool takes = number > 0 && number <= 64 && (caught >> (number - 1) & 1);
  if (!takes || !(state == 'R' || (asleep && state == 'S'))) return (char)tolower((unsigned char)state);
  return syscall(SYS_tgkill, pid, tid, number) == 0 ? state : 0;
}
