/* SPDX-License-Identifier: MIT
 * What the trace and --stats say of an exchange. */
#ifndef PH_LOOP_EXCHANGE_TRACE_H
#define PH_LOOP_EXCHANGE_TRACE_H

#include "loop/exchange.h"

struct ph_exchange_trace;

/* It has been started. NULL without memory. Of the URL only scheme, host and path are kept. */
struct ph_exchange_trace *ph__exchange_trace_begin(const char *method, const char *url);
/* It is over; takes `t`. `error` NULL: all went well. */
void ph__exchange_trace_end(struct ph_exchange_trace *t, int status, int64_t bytes, const char *error,
                            const struct ph_timings *timings);

#endif
