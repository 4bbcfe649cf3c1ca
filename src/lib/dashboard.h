/* SPDX-License-Identifier: MIT
 * The live dashboard: a process of its own that reads the trace and serves it to browsers on this machine. */
#ifndef PH_LIB_DASHBOARD_H
#define PH_LIB_DASHBOARD_H

#include <lauxlib.h>
#include <stddef.h>

#include "base/err.h"

struct lib_dashboard { /* borrows everything */
  int trace;           /* descriptor of the trace, a regular file */
  int socket;          /* listens; taken over */
  const char *host;    /* "127.0.0.1:1234", as the header Host has it */
  const char *token;   /* what addresses begin with: /TOKEN/ */
  const char *page;
  size_t page_len;
  const char *line; /* written to standard output, which is closed then, when all is well */
};

/* Serves until SIGTERM, and then until all clients have the whole trace, or for a second. -1 with err. Where the build has
 * no libmicrohttpd, that is the error. */
int lib_dashboard_serve(const struct lib_dashboard *d, struct ph_err *err);

/* The program has ended: what it has launched ends, too, within a moment. Does nothing when nothing was. */
void lib_dashboard_end(void);

int luaopen_parhost_core_dashboard(lua_State *L);

#endif
