/* SPDX-License-Identifier: MIT
 * measure PROGRAM ARGUMENT...: runs it, prints "MS MB" (wall time, peak memory) and then what it printed. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  FILE *output = tmpfile();
  posix_spawn_file_actions_t actions;
  struct rusage usage;
  pid_t pid;
  int status;
  if (argc < 2 || output == NULL) return EXIT_FAILURE;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO);
  double start = now_ms();
  if (posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ) != 0) return EXIT_FAILURE;
  while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  printf("%.4f %.4f\n", now_ms() - start, (double)usage.ru_maxrss / 1024);
  rewind(output);
  for (int c; (c = getc(output)) != EOF;) putchar(c);
  return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
