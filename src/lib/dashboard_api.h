/* SPDX-License-Identifier: MIT
 * libmicrohttpd, loaded by the process that serves a dashboard: nobody else pays for it. The library is never unloaded. */
#ifndef PH_LIB_DASHBOARD_API_H
#define PH_LIB_DASHBOARD_API_H

#include <microhttpd.h>

#define PH_DASHBOARD_FUNCTIONS(X)                                                                                           \
  X(MHD_start_daemon, struct MHD_Daemon *,                                                                                  \
    (unsigned, uint16_t, MHD_AcceptPolicyCallback, void *, MHD_AccessHandlerCallback, void *, ...))                         \
  X(MHD_stop_daemon, void, (struct MHD_Daemon *))                                                                           \
  X(MHD_run, enum MHD_Result, (struct MHD_Daemon *))                                                                        \
  X(MHD_get_timeout, enum MHD_Result, (struct MHD_Daemon *, MHD_UNSIGNED_LONG_LONG *))                                      \
  X(MHD_get_daemon_info, const union MHD_DaemonInfo *, (struct MHD_Daemon *, enum MHD_DaemonInfoType, ...))                 \
  X(MHD_lookup_connection_value, const char *, (struct MHD_Connection *, enum MHD_ValueKind, const char *))                 \
  X(MHD_set_connection_option, enum MHD_Result, (struct MHD_Connection *, enum MHD_CONNECTION_OPTION, ...))                 \
  X(MHD_create_response_from_buffer, struct MHD_Response *, (size_t, void *, enum MHD_ResponseMemoryMode))                  \
  X(MHD_create_response_from_callback, struct MHD_Response *,                                                               \
    (uint64_t, size_t, MHD_ContentReaderCallback, void *, MHD_ContentReaderFreeCallback))                                   \
  X(MHD_add_response_header, enum MHD_Result, (struct MHD_Response *, const char *, const char *))                          \
  X(MHD_queue_response, enum MHD_Result, (struct MHD_Connection *, unsigned, struct MHD_Response *))                        \
  X(MHD_destroy_response, void, (struct MHD_Response *))                                                                    \
  X(MHD_suspend_connection, void, (struct MHD_Connection *))                                                                \
  X(MHD_resume_connection, void, (struct MHD_Connection *))

struct ph_dashboard_api {
#define X(name, result, arguments) result(*name) arguments; /* NOLINT(bugprone-macro-parentheses): a declaration */
  PH_DASHBOARD_FUNCTIONS(X)
#undef X
};

/* The table; NULL: there is no libmicrohttpd. */
const struct ph_dashboard_api *ph_dashboard_api(void);

#endif
