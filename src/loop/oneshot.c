/* SPDX-License-Identifier: MIT */
#include "loop/oneshot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop_int.h"

/* Apart from the watch: libuv lets go of a handle only in a later turn of the loop. */
struct ph_oneshot_poll {
  uv_poll_t uv;
};

void ph_oneshot_queue_init(struct ph_oneshot_queue *q) {
  ph_list_init(&q->fired);
  q->armed = 0;
}

struct ph_oneshot *ph_oneshot_next(struct ph_oneshot_queue *q) {
  struct ph_list *node = ph_list_pop_front(&q->fired);
  return node != NULL ? ph_list_entry(node, struct ph_oneshot, node) : NULL;
}

void ph_oneshot_init(struct ph_oneshot *w, struct ph_loop *loop, struct ph_oneshot_queue *queue, int fd) {
  *w = (struct ph_oneshot){.loop = loop, .queue = queue, .fd = fd};
  ph_list_init(&w->node);
}

static void unset(struct ph_oneshot *w) {
  if (!w->armed) return;
  w->armed = false;
  w->queue->armed--;
  uv_poll_stop(&w->poll->uv);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct ph_oneshot *w = poll->data;
  (void)status, (void)events; /* whoever was waiting tries again, and meets what there is */
  ph__loop_note_event(poll->loop);
  unset(w);
  ph_oneshot_fire(w);
}

void ph_oneshot_fire(struct ph_oneshot *w) {
  ph_list_remove(&w->node);
  ph_list_push_back(&w->queue->fired, &w->node);
}

static int open_poll(struct ph_oneshot *w) {
  w->poll = ph_malloc(sizeof *w->poll);
  if (w->poll == NULL) return UV_ENOMEM;
  int status = PH_FAULT(uv_poll) ? UV_ENOMEM : uv_poll_init(ph__loop_uv(w->loop), &w->poll->uv, w->fd);
  if (status == 0) {
    w->poll->uv.data = w;
    return 0;
  }
  free(w->poll);
  w->poll = NULL;
  return status;
}

int ph_oneshot_arm(struct ph_oneshot *w, bool for_writing, struct ph_err *err) {
  int status = w->poll == NULL ? open_poll(w) : 0;
  if (status == 0) status = uv_poll_start(&w->poll->uv, for_writing ? UV_WRITABLE : UV_READABLE, on_ready);
  if (status != 0) return ph_err_set(err, "os", -status, "cannot watch a descriptor: %s", uv_strerror(status));
  if (!w->armed) w->queue->armed++;
  w->armed = true;
  return 0;
}

void ph_oneshot_disarm(struct ph_oneshot *w) {
  unset(w);
  ph_list_remove(&w->node);
}

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

void ph_oneshot_close(struct ph_oneshot *w) {
  ph_oneshot_disarm(w);
  if (w->poll != NULL) uv_close((uv_handle_t *)&w->poll->uv, on_closed);
  w->poll = NULL;
}
