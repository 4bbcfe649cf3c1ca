/* SPDX-License-Identifier: MIT
 * Waiting for a pool: what has happened between the owner's look and its wait is not slept over. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pool/pool.h"

static struct ph_pool *new_pool(void) {
  struct ph_err err;
  struct ph_pool_config config = {.max_workers = 1, .setup = "", .idle_timeout_ns = PH_NEVER, .grace_ns = PH_NEVER};
  strcpy(config.name, "test");
  return ph_pool_new(&ph_backend_inline, &config, &err);
}

static bool would_wait(struct ph_pool *p) {
  int64_t deadline = PH_NEVER;
  bool wait = ph_client_wait_begin(ph_pool_owner(p), &deadline);
  ph_client_wait_end(ph_pool_owner(p));
  return wait;
}

/* As the dispatcher does it, behind the owner's back. */
static void end_a_task(struct ph_pool *p) {
  struct ph_task *t = ph_task_new(ph_pool_owner(p), 0, 0);
  struct ph_done done = {.outcome = PH_DONE_OK};
  CHECK(ph_client_add_done(ph_pool_owner(p), t, &done, NULL) == 0);
  ph_task_unref(t);
}

static void an_end_that_was_taken_in_has_the_owner_look_again(void) {
  struct ph_pool *p = new_pool();
  struct ph_buf records = PH_BUF_INIT;
  CHECK(would_wait(p));
  end_a_task(p);
  CHECK(ph_client_take_done(ph_pool_owner(p), &records)); /* all of it: only the news is left */
  CHECK(!would_wait(p));
  CHECK(would_wait(p));
  ph_buf_deinit(&records);
  ph_pool_free(p);
}

static void a_record_that_waits_is_no_reason_to_sleep(void) {
  struct ph_pool *p = new_pool();
  end_a_task(p);
  CHECK(!would_wait(p));
  CHECK(!would_wait(p));
  ph_pool_free(p);
}

int main(void) {
  an_end_that_was_taken_in_has_the_owner_look_again();
  a_record_that_waits_is_no_reason_to_sleep();
  return EXIT_SUCCESS;
}
