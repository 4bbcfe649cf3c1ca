/* SPDX-License-Identifier: MIT
 * The Lua sources of lua/, built into the program. Sorted by module name. */
#ifndef PH_VM_EMBEDDED_H
#define PH_VM_EMBEDDED_H

#include <stddef.h>

struct ph_embedded_file {
  const char *module;    /* "parhost.executor" */
  const char *chunkname; /* "@lua/parhost/executor.lua" */
  const unsigned char *data;
  size_t len;
};

extern const struct ph_embedded_file ph_embedded_files[];
extern const size_t ph_embedded_count;

#endif
