/* SPDX-License-Identifier: MIT
 * loop/process.c, loop/pipe.c: several loops in several threads at once, each with children of its own, and one more
 * child that is none of theirs; errors; what is not inherited. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "loop/pipe.h"
#include "loop/process.h"

#define THREADS 4
#define ROUNDS 25

static struct ph_process *start_shell(struct ph_children *c, const char *script, int in, int out) {
  struct ph_err err;
  const char *const path[] = {"/no/such/sh", "/bin/sh", NULL};
  const char *const argv[] = {"sh", "-c", script, NULL};
  const struct ph_spawn s = {.name = "sh",
                             .candidates = (char *const *)(uintptr_t)path,
                             .argv = (char *const *)(uintptr_t)argv,
                             .stdio = {in, out, 2},
                             .new_session = true};
  struct ph_process *p = ph_process_start(c, &s, &err);
  CHECK(p != NULL);
  return p;
}

static struct ph_process *wait_for_one(struct ph_children *c) {
  struct ph_process *p;
  while ((p = ph_children_next(c)) == NULL) ph_loop_run_once(c->loop, PH_NEVER);
  return p;
}

static void open_children(struct ph_children *c) {
  struct ph_err err;
  struct ph_loop *loop = ph_loop_new(&err);
  CHECK(loop != NULL);
  ph_children_init(c, loop);
}

static void close_children(struct ph_children *c) {
  struct ph_loop *loop = c->loop;
  ph_children_close(c);
  ph_loop_free(loop);
}

static void *run_children(void *arg) {
  struct ph_children c;
  char script[32];
  int code = (int)(intptr_t)arg;
  open_children(&c);
  snprintf(script, sizeof script, "exit %d", code);
  for (int i = 0; i < ROUNDS; i++) {
    struct ph_process *a = start_shell(&c, script, 0, 1), *b = start_shell(&c, "kill -TERM $$", 0, 1);
    wait_for_one(&c);
    wait_for_one(&c);
    CHECK(a->ended && a->exit_code == code && a->signal_number == 0);
    CHECK(b->ended && b->signal_number == SIGTERM);
    ph_process_free(a);
    ph_process_free(b);
  }
  CHECK(ph_list_empty(&c.processes));
  close_children(&c);
  return NULL;
}

static void test_threads(void) {
  pthread_t threads[THREADS];
  pid_t stranger = fork();
  if (stranger == 0) _exit(9);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run_children, (void *)(intptr_t)(i + 10)) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  int status;
  CHECK(waitpid(stranger, &status, 0) == stranger && WEXITSTATUS(status) == 9);
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void test_ends_with_state(void) {
  struct ph_children c;
  open_children(&c);
  struct ph_process *held = start_shell(&c, "exec sleep 100", 0, 1);
  ph_process_free(start_shell(&c, "exec sleep 100", 0, 1));
  close_children(&c);
  CHECK(held->ended && held->signal_number == SIGKILL);
  CHECK(ph_process_signal(held, SIGTERM) == -1 && errno == ESRCH);
  ph_process_free(held);
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static size_t read_all(struct ph_children *c, struct ph_oneshot_queue *q, struct ph_pipe *pipe) {
  struct ph_err err;
  int status;
  while ((status = ph_pipe_fill(pipe)) >= 0) {
    if (status > 0) continue;
    CHECK(ph_pipe_arm(pipe, false, &err) == 0);
    while (ph_oneshot_next(q) == NULL) ph_loop_run_once(c->loop, PH_NEVER);
  }
  CHECK(errno == 0);
  return ph_pipe_buffered(pipe);
}

static void test_pipe(void) {
  struct ph_children c;
  struct ph_oneshot_queue q;
  struct ph_pipe in, out;
  int ours[2], theirs[2];
  open_children(&c);
  ph_oneshot_queue_init(&q);
  CHECK(ph_pipe_make(true, &ours[0], &theirs[0]) == 0 && ph_pipe_make(false, &ours[1], &theirs[1]) == 0);
  CHECK(open("/dev/null", O_RDONLY) > 0); /* not close-on-exec: the child must not have it all the same */
  struct ph_process *p = start_shell(&c, "cat; set -- /proc/$$/fd/*; echo $#", theirs[0], theirs[1]);
  close(theirs[0]);
  close(theirs[1]);
  ph_pipe_init(&in, ours[0], c.loop, &q);
  ph_pipe_init(&out, ours[1], c.loop, &q);
  CHECK(ph_pipe_write(&in, "one\ntwo\n", 8) == 8);
  ph_pipe_close(&in);
  CHECK(read_all(&c, &q, &out) == 10);
  CHECK(ph_pipe_line(&out) == 4 && memcmp(ph_pipe_bytes(&out), "one\n", 4) == 0);
  ph_pipe_take(&out, 8);
  CHECK(memcmp(ph_pipe_bytes(&out), "4\n", 2) == 0); /* 0, 1, 2 and the folder that is being read */
  ph_pipe_take(&out, 2);
  CHECK(ph_pipe_line(&out) == 0 && ph_pipe_buffered(&out) == 0);
  ph_pipe_deinit(&out);
  CHECK(wait_for_one(&c) == p && p->exit_code == 0);
  ph_process_free(p);
  close_children(&c);
}

static void test_broken_pipe(void) {
  struct ph_children c;
  struct ph_oneshot_queue q;
  struct ph_pipe in;
  int ours, theirs;
  open_children(&c);
  ph_oneshot_queue_init(&q);
  CHECK(ph_pipe_make(true, &ours, &theirs) == 0);
  close(theirs);
  ph_pipe_init(&in, ours, c.loop, &q);
  CHECK(ph_pipe_write(&in, "x", 1) == -1 && errno == EPIPE); /* and no SIGPIPE has ended us */
  ph_pipe_deinit(&in);
  close_children(&c);
}

int main(void) {
  test_threads();
  test_ends_with_state();
  test_pipe();
  test_broken_pipe();
  return 0;
}
