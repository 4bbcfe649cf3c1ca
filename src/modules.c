/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <stddef.h>

#include "lib/core.h"
#include "lib/dashboard.h"
#include "lib/trace_lib.h"

const struct ph_module ph_modules[] = {
    {"parhost.core.codec", luaopen_parhost_core_codec},
    {"parhost.core.dashboard", luaopen_parhost_core_dashboard},
    {"parhost.core.host", luaopen_parhost_core_host},
    {"parhost.core.http", luaopen_parhost_core_http},
    {"parhost.core.inspect", luaopen_parhost_core_inspect},
    {"parhost.core.joblog", luaopen_parhost_core_joblog},
    {"parhost.core.json", luaopen_parhost_core_json},
    {"parhost.core.loop", luaopen_parhost_core_loop},
    {"parhost.core.pool", luaopen_parhost_core_pool},
    {"parhost.core.progress", luaopen_parhost_core_progress},
    {"parhost.core.spawn", luaopen_parhost_core_spawn},
    {"parhost.core.station", luaopen_parhost_core_station},
    {"parhost.core.task", luaopen_parhost_core_task},
    {"parhost.core.trace", luaopen_parhost_core_trace},
    {"parhost.core.edit", luaopen_parhost_core_edit},
    {"parhost.core.history", luaopen_parhost_core_history},
#ifdef PH_FAULTS
    {"parhost.core.fault", luaopen_parhost_core_fault},
#endif
    {NULL, NULL},
};
