/* SPDX-License-Identifier: MIT
 * The standard output of workers: lines reach it whole, however many workers write. */
#ifndef PH_VM_WORKER_STDIO_H
#define PH_VM_WORKER_STDIO_H

#include <lua.h>
#include <stdio.h>

/* Replaces stdout by a stream that collects lines. In a worker process, before its Lua state is opened. */
void ph_worker_stdio_open(void);

/* Gives the state of a worker thread an io.stdout and a print that collect lines; leave comes after its end. */
void ph_worker_stdio_enter(lua_State *L);
void ph_worker_stdio_leave(void);

/* What the lines of threads go through from now on; NULL: stdout, which nobody is to change while there are threads. */
void ph_worker_stdio_keep(FILE *stream);

/* What stands in front of each line of this worker from now on; cut when it is long. */
void ph_worker_stdio_tag(const char *text);

/* Writes out everything, also the beginning of a line. Between tasks. */
void ph_worker_stdio_flush(void);

#endif
