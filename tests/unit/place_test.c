/* SPDX-License-Identifier: MIT
 * A child is taken off the processor of its parent, and may go anywhere afterwards. */
#include "base/place.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static cpu_set_t all;

static cpu_set_t only(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)cpu, &set);
  return set;
}

static bool has_mask(pid_t pid, const cpu_set_t *expected) {
  cpu_set_t set;
  CHECK(sched_getaffinity(pid, sizeof set, &set) == 0);
  return CPU_EQUAL(&set, expected);
}

/* The field `processor` of /proc/<pid>/stat. */
static int processor_of(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *f = fopen(path, "re");
  CHECK(f != NULL && fgets(text, sizeof text, f) != NULL);
  fclose(f);
  const char *at = strrchr(text, ')');
  for (int field = 2; field < 39; field++) at = strchr(at + 1, ' ');
  return atoi(at);
}

static pid_t spinning_child(void) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  while (pid == 0) {
  }
  return pid;
}

static void end(pid_t pid) {
  CHECK(kill(pid, SIGKILL) == 0);
  CHECK(waitpid(pid, NULL, 0) == pid);
}

/* We stay on `here`, and put the child there, too. */
static pid_t child_behind_us(int here) {
  cpu_set_t one = only(here);
  pid_t pid = spinning_child();
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(sched_setaffinity(pid, sizeof one, &one) == 0);
  CHECK(sched_setaffinity(pid, sizeof all, &all) == 0);
  return pid;
}

static void moves_a_child(int here) {
  pid_t pid = child_behind_us(here);
  ph_place_child(pid);
  CHECK(processor_of(pid) != here);
  CHECK(has_mask(pid, &all));
  end(pid);
}

static void keeps_one_apart(int here) {
  pid_t pid = child_behind_us(here);
  cpu_set_t others = all;
  CPU_CLR((size_t)here, &others);
  ph_place_last(pid);
  CHECK(has_mask(pid, &others));
  end(pid);
}

static void leaves_one_that_has_no_choice(int here) {
  cpu_set_t one = only(here);
  pid_t pid = child_behind_us(here);
  CHECK(sched_setaffinity(pid, sizeof one, &one) == 0);
  ph_place_child(pid);
  ph_place_last(pid);
  CHECK(has_mask(pid, &one));
  end(pid);
}

int main(void) {
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  int here = sched_getcpu();
  leaves_one_that_has_no_choice(here);
  ph_place_child(1 << 30); /* nobody */
  if (CPU_COUNT(&all) < 2) return 0;
  moves_a_child(here);
  keeps_one_apart(here);
  return 0;
}
