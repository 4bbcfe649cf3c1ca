/* SPDX-License-Identifier: MIT
 * Telling others what a program does: `parhost ps`. The main state of the program, and a state of an embedding program that
 * has given a signal for it, listen on a socket from their first pool or scheduler on:
 *
 *   abstract name "parhost.PID.TID.SIGNAL.RANDOM": nothing that stays behind, and nobody else can have taken it before
 *   who connects is of the same user (SO_PEERCRED), or is sent away
 *   the loop watches the socket; a thread that runs is sent the signal by who asks (base/poke.h). It is never sent to one
 * that sleeps, in a C call of whatever library the answer, JSON, lies in a memfd, whose descriptor is all that is sent:
 * nothing to be read, nothing to wait for, nobody to be remembered. What is asked stands in the address of who asks:
 * "parhost-ps.WHAT.PID.RANDOM", "list" or "tree"
 *
 * While nobody asks there is a descriptor in the loop, and nothing else. */
#ifndef PH_LIB_INSPECT_H
#define PH_LIB_INSPECT_H

#include "lib/core.h"
#include "vm/inspect.h"

/* The pools and tasks of a state, its stack, and what its workers have said of theirs. Asks the workers anew. */
ph_inspect_state lib_inspect_state;
/* Only how many there are of what. */
void lib_inspect_summary(struct ph_json *j, lua_State *L);

/* Opens the socket, if this state is to have one and has none. Without memory or descriptors for it there is none. */
void lib_inspect_open(lua_State *L);
/* The state has a loop now. */
void lib_inspect_watch(struct lib_state *s);
void lib_inspect_close(struct lib_state *s);
/* In a copy of the process. */
void lib_inspect_forget(struct lib_state *s);

/* Of the whole process, before there are states: what states of other programs (adopted ones) are asked by; 0: not at all.
 */
void lib_inspect_by(int number);
/* The script of the program, or NULL: borrowed. */
void lib_inspect_script(const char *name);

#endif
