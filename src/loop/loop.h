/* SPDX-License-Identifier: MIT
 * The event loop of one Lua state, on libuv. Belongs to the state's thread; only `wake_fd` may be written to from
 * elsewhere (also from signal handlers). Knows no Lua. */
#ifndef PH_LOOP_LOOP_H
#define PH_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ph_loop;
struct ph_loop_watch;

struct ph_loop *ph_loop_new(struct ph_err *err);
void ph_loop_free(struct ph_loop *loop);

/* True once this process, or one that it was forked from, has made a loop. From then on libuv keeps descriptors that its
 * fork handler replaces in each child, by number: the fork server, which closes descriptors wholesale, must be forked
 * before. */
bool ph_loop_used(void);

/* Watches a descriptor for reading: readiness ends ph_loop_run_once; what to do about it is the caller's business.
 * NULL with err. The descriptor must outlive the watch. */
struct ph_loop_watch *ph_loop_watch(struct ph_loop *loop, int fd, struct ph_err *err);
/* The same, with something to be done at once: call(arg), in the middle of libuv. */
struct ph_loop_watch *ph_loop_watch_by(struct ph_loop *loop, int fd, void (*call)(void *arg), void *arg, struct ph_err *err);
void ph_loop_unwatch(struct ph_loop_watch *watch);

/* Runs the loop until something has happened or the absolute deadline (ph_now(), PH_NEVER: none) has passed, or
 * for no reason, such as that the loop is lost. */
void ph_loop_run_once(struct ph_loop *loop, int64_t deadline);
/* Somebody has closed its descriptors: it could not be run. */
bool ph_loop_is_lost(const struct ph_loop *loop);

/* Says whether there are other threads that could close them while the loop sleeps. Then it looks once a second: nothing
 * would wake it any more. `once`: otherwise one time, when it has slept for a while since something has happened. */
void ph_loop_beware(struct ph_loop *loop, bool of_threads, bool once);
/* Has it looked since the last call? Other descriptors may be looked at, too, then. */
bool ph_loop_take_pulse(struct ph_loop *loop);

/* From now on a wait ends when a signal handler has run, so that what the handler has asked for may happen. */
void ph_loop_give_way(struct ph_loop *loop);

/* For who sleeps elsewhere. A turn does what there is to do, and takes up new watches; true: something has happened.
 * The descriptor is readable when there is something to do, also at the deadline of the last ph_loop_arm, which gives the
 * time of the next turn: the deadline, or before. */
bool ph_loop_turn(struct ph_loop *loop);
int ph_loop_fd(const struct ph_loop *loop);
int64_t ph_loop_arm(struct ph_loop *loop, int64_t deadline);

/* An eventfd that is watched: writing 8 bytes ends a wait. */
int ph_loop_wake_fd(const struct ph_loop *loop);

#endif
