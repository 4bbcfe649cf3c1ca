/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <stddef.h>

#include "lib/core.h"

const struct ph_module ph_modules[] = {
    {"parhost.core.host", luaopen_parhost_core_host},
    {NULL, NULL},
};
