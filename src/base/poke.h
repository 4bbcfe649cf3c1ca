/* SPDX-License-Identifier: MIT
 * Sending a signal to a thread that can take it, and will not notice: one that runs, and has a handler. A system call that a
 * thread sleeps in might end early by it. */
#ifndef PH_BASE_POKE_H
#define PH_BASE_POKE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* By which whoever runs is asked what it does. Between 32 and 64; the watchdog of slow steps has another one. */
#define PH_INSPECT_SIGNAL (SIGRTMAX - 4)

/* Sends `number` to a thread of a process, if it runs (`asleep`: in any case) and the process handles that signal. Gives the
 * state of the thread as the system names it ("R" runs, "S" sleeps, ...), in lower case when nothing was sent; 0: there is
 * none. */
char ph_poke(pid_t pid, pid_t tid, int number, bool asleep);

#endif
