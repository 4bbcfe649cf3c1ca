/* SPDX-License-Identifier: MIT
 * Error objects: tables { kind, message, ... } with the one metatable that Lua knows as futures.Error.
 * All of these may raise a memory error. */
#ifndef PH_VM_ERROR_H
#define PH_VM_ERROR_H

#include <lua.h>

#include "base/err.h"

/* Name of the metatable in the registry; lua/futures/error.lua fills it with methods. */
#define PH_ERROR_METATABLE "parhost.Error"

/* Pushes the metatable, made on first use. */
void ph_error_metatable(lua_State *L);

/* Pushes a new error object. The message must be one line. */
void ph_error_push(lua_State *L, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same from a struct ph_err, with its code ("ENOENT"), path and type as fields where set. */
void ph_error_push_err(lua_State *L, const struct ph_err *err);

_Noreturn void ph_error_raise(lua_State *L, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void ph_error_raise_err(lua_State *L, const struct ph_err *err);

#endif
