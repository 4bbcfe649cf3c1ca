/* SPDX-License-Identifier: MIT
 * On which processor a process begins.
 *
 * The scheduler finds an idle one for what is forked or woken. In a virtual machine Linux often does not: a processor that
 * halts has been taken from the guest, and does not count as idle. Then the process waits behind the one that made or woke
 * it, for as long as that goes on, up to the end of its time slice of some ms. An affinity that excludes the caller's
 * processor moves it. Nothing here can fail in a way that matters. */
#ifndef PH_BASE_PLACE_H
#define PH_BASE_PLACE_H

#include <sys/types.h>

/* For a child that was just forked: it begins elsewhere; later the scheduler may move it to wherever it likes. */
void ph_place_child(pid_t pid);
/* For a process that is about to be woken for the last time: it stays elsewhere. */
void ph_place_last(pid_t pid);

#endif
