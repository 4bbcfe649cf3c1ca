/* SPDX-License-Identifier: MIT
 * The trace of a program: what happened when, in the Chrome trace event format (docs/trace.md). One descriptor, opened
 * before there are threads and the fork server, is inherited by every process of the program; each event is one line,
 * written by one write as soon as it is known, so that who is killed loses nothing that it has finished.
 *
 *   if (ph_traced()) { ph_event_begin(&e, 'X', "task", started); ph_event_text(&e, ...); ...; ph_event_write(&e); }
 *
 * When none is written, a place costs the branch of ph_traced. Any thread may write events. A write that fails ends the
 * trace in all processes, and nothing else: whoever has a Lua state asks ph_trace_failure for the error, and warns. */
#ifndef PH_BASE_TRACE_H
#define PH_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define PH_TRACE_TEXT_MAX ((size_t)8192) /* bytes of a text in an event; what is longer is cut, between two characters */
#define PH_TRACE_TEXT_KEPT (PH_TRACE_TEXT_MAX + 4) /* so many of it are enough */

enum { PH_OBSERVE_TRACE = 1, PH_OBSERVE_STATS = 2 };
extern uint8_t ph_observed; /* PH_OBSERVE_...; set at start-up, before there are other threads and processes */

static inline bool ph_traced(void) {
  return __builtin_expect((ph_observed & PH_OBSERVE_TRACE) != 0, 0);
}

/* Is anything of that to be known at all? */
static inline bool ph_watched(void) {
  return __builtin_expect(ph_observed != 0, 0);
}

/* Begins a trace in this file (path NULL: in memory); gives the descriptor, which can also be read. -1 with err. */
int ph_trace_open(const char *path, struct ph_err *err);
/* -1: there is none. */
int ph_trace_fd(void);
/* ph_now() when the trace, or the counting of --stats, began. */
int64_t ph_trace_origin(void);
void ph_trace_set_origin(void);
/* In a process that is to have nothing but what it is given: the descriptor is this one now; -1: there was none to be had.
 */
void ph_trace_move_fd(int fd);
/* A number that no other event of the program has. */
uint64_t ph_trace_id(void);
/* Events in a row of this thread, in all processes: nobody writes behind this. Gives 0, or the errno of what failed at any
 * time. */
int ph_trace_close(void);
/* The errno of a failed write, once in the whole program; 0: none. */
int ph_trace_failure(void);

/* An event, or several lines that are to be written at once. Want of memory loses it. */
struct ph_event {
  struct ph_buf text;
  bool lost, empty, in_args; /* empty: the object that is open has no field yet */
};

void ph_event_init(struct ph_event *e);
/* Opens an object: ph, cat (NULL: none) and ts of it. */
void ph_event_begin(struct ph_event *e, char phase, const char *category, int64_t when);
/* Of which thread it is; of this one. */
void ph_event_place(struct ph_event *e, pid_t pid, pid_t tid);
void ph_event_here(struct ph_event *e);
/* Fields. A text may be anything: it becomes valid UTF-8. */
void ph_event_text(struct ph_event *e, const char *key, const char *text, size_t len);
void ph_event_string(struct ph_event *e, const char *key, const char *text); /* NULL: no such field */
void ph_event_integer(struct ph_event *e, const char *key, int64_t n);
void ph_event_us(struct ph_event *e, const char *key, int64_t ns); /* as microseconds, with three decimals */
/* The field "signal" with its name. */
void ph_event_signal(struct ph_event *e, int number);
/* What follows are the fields of `args`, up to the end of the event. */
void ph_event_args(struct ph_event *e);
/* The array `key` of texts. */
void ph_event_strings(struct ph_event *e, const char *key, const char *const *texts, size_t n);
/* Closes the object; another may begin. */
void ph_event_end(struct ph_event *e);
/* Writes what has been ended, and frees it. Leaves errno alone. */
void ph_event_write(struct ph_event *e);
/* The same for the last event of all, which closes the list. */
void ph_event_write_last(struct ph_event *e);

/* What goes on as a pair of events `b` and `e`: opens one that is to be ended by the caller's args, ph_event_end and
 * ph_event_write. The name is the same in both. */
void ph_event_begin_async(struct ph_event *e, char phase, const char *category, const char *name, uint64_t id);

/* How many tasks on coroutines and requests of this process are under way. Written when they have changed, at most once in a
 * millisecond; ph_trace_settle, before a thread sleeps, writes what that has left out. */
enum ph_gauge { PH_GAUGE_TASKS, PH_GAUGE_REQUESTS, PH_GAUGES };
void ph_trace_gauge(enum ph_gauge which, int change);
void ph_trace_settle(void);

pid_t ph_trace_tid(void);

#endif
