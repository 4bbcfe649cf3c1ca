/* SPDX-License-Identifier: MIT
 * Watches that fire once: what waits for a descriptor embeds a `struct ph_oneshot`, arms it, and finds itself in a
 * queue when the loop has seen the descriptor ready. All of it belongs to the loop's thread. */
#ifndef PH_LOOP_ONESHOT_H
#define PH_LOOP_ONESHOT_H

#include "base/list.h"
#include "loop/loop.h"

struct ph_oneshot_queue {
  struct ph_list fired;
  unsigned armed; /* how many may still fire */
};

struct ph_oneshot {
  struct ph_list node;          /* in the queue's list once it has fired */
  struct ph_oneshot_poll *poll; /* NULL before it is first armed, and when closed */
  struct ph_oneshot_queue *queue;
  struct ph_loop *loop;
  int fd; /* the caller's */
  bool armed;
};

void ph_oneshot_queue_init(struct ph_oneshot_queue *q);
/* Takes the first one out of the queue; NULL: none has fired. */
struct ph_oneshot *ph_oneshot_next(struct ph_oneshot_queue *q);

/* Puts it into the queue, as if its descriptor had got ready. */
void ph_oneshot_fire(struct ph_oneshot *w);

void ph_oneshot_init(struct ph_oneshot *w, struct ph_loop *loop, struct ph_oneshot_queue *queue, int fd);
/* Fires when the descriptor can be read, or written: also at its end, or when it has an error. */
int ph_oneshot_arm(struct ph_oneshot *w, bool for_writing, struct ph_err *err);
void ph_oneshot_disarm(struct ph_oneshot *w);
/* The descriptor may be closed right after this. */
void ph_oneshot_close(struct ph_oneshot *w);

#endif
