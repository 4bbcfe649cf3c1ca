/* SPDX-License-Identifier: MIT
 * The Lua modules of lua/, and the parts of the page in lua/report/, built into the program by scripts/cmake/embed.c. Sorted
 * by module name. */
#ifndef PH_VM_EMBEDDED_H
#define PH_VM_EMBEDDED_H

#include <stddef.h>

struct ph_embedded_chunk {
  const unsigned char *data;
  size_t len;
};

struct ph_embedded_file {
  const char *module;    /* "parhost.executor"; "report/page.css" of what is no Lua */
  const char *chunkname; /* "@lua/parhost/executor.lua" */
  struct ph_embedded_chunk text;
  struct ph_embedded_chunk compiled; /* by the Lua of the build, without the names of locals; NULL: no Lua */
};

extern const struct ph_embedded_file ph_embedded_files[];
extern const size_t ph_embedded_count;

#endif
