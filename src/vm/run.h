/* SPDX-License-Identifier: MIT
 * Running tasks in a state: shared by the worker loop and by inline runs. A `struct ph_run` belongs to the thread that
 * began it; the handler of the stop signal, in the same thread, reads the fields marked volatile. */
#ifndef PH_VM_RUN_H
#define PH_VM_RUN_H

#include "codec/codec.h"
#include "pool/joblog.h"
#include "pool/link.h"
#include "pool/wire.h"
#include "vm/vm.h"

struct ph_run {
  struct ph_vm *vm;
  lua_State *L;
  uint32_t index;
  int externs;
  unsigned encode_flags; /* of results and errors */
  struct ph_blob_store store;
  int (*send)(struct ph_run *r, const struct ph_frame *f, const void *body);
  void *out;        /* what `send` needs: a link, a pool */
  int64_t deadline; /* of the running item, where nobody else watches it (inline); PH_NEVER: none */

  struct ph_slot *volatile slot; /* of the running item, for the handler; NULL: none runs */
  volatile uint32_t item;

  const struct ph_task_wire *wire; /* the task at hand */
  const uint8_t *payload;
  size_t payload_len;
  const uint8_t *next_part; /* of a chunk: the message of the next item */
  struct ph_slot *own_slot; /* of the task */
  uint16_t slot_number;
  int64_t now; /* when the item before ended */
  int send_status;
  struct ph_joblog_item log; /* when the task is LOGGED: of the item; its line is owed while log.pid is not 0 */
  struct ph_encoded reply;
  bool ran_something;
  bool is_fresh;              /* the state was made for this run, and goes with it */
  struct ph_run_trace *trace; /* of the task at hand; NULL: none is written */
};

/* Makes `r` the run of this thread, and gives the one that was; end puts that back. */
struct ph_run *ph_run_begin(struct ph_run *r, struct ph_vm *vm, lua_State *L);
void ph_run_end(struct ph_run *r, struct ph_run *outer);

/* Decodes a setup message and hands it to parhost.worker. False: r->reply holds error value and traceback, and `no_memory`
 * says whether it was that. */
bool ph_run_setup(struct ph_run *r, const void *message, size_t len, bool *no_memory);

/* `body` NULL: there was no memory for the message.
 * Claims the task of a slot and runs its items, a reply each; a revoked task is answered with SKIPPED.
 * Gives what `send` gave when that was not 0. */
int ph_run_task(struct ph_run *r, struct ph_slot *slot, unsigned slot_number, const struct ph_task_wire *wire,
                const uint8_t *payload, size_t len);
/* The same for a task that came on no link, and has begun. */
int ph_run_message(struct ph_run *r, struct ph_slot *slot, unsigned slot_number, const struct ph_task_wire *wire,
                   const uint8_t *payload, size_t len);
/* The run of this thread, or NULL. */
const struct ph_run *ph_run_current(void);
/* A stop request for this run came while another one was on top of it: it is made good now. */
void ph_run_catch_up(struct ph_run *r);

#endif
