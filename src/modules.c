/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <stddef.h>

#include "lib/core.h"

const struct ph_module ph_modules[] = {
    {"parhost.core.codec", luaopen_parhost_core_codec},     {"parhost.core.host", luaopen_parhost_core_host},
    {"parhost.core.loop", luaopen_parhost_core_loop},       {"parhost.core.pool", luaopen_parhost_core_pool},
    {"parhost.core.station", luaopen_parhost_core_station}, {NULL, NULL},
};
