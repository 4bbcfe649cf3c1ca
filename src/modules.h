/* SPDX-License-Identifier: MIT
 * The C modules, by the name that `require` knows them by. */
#ifndef PH_MODULES_H
#define PH_MODULES_H

#include <lua.h>

struct ph_module {
  const char *name;
  lua_CFunction open;
};

/* Ends with a row of NULLs. */
extern const struct ph_module ph_modules[];

#endif
