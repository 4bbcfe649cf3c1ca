/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <stddef.h>

const struct ph_module ph_modules[] = {
    {NULL, NULL},
};
