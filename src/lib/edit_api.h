/* SPDX-License-Identifier: MIT
 * libedit, loaded at the first prompt on a terminal: whoever runs scripts pays nothing for it, and a machine without it
 * has a plain prompt. The library is never unloaded. */
#ifndef PH_LIB_EDIT_API_H
#define PH_LIB_EDIT_API_H

#include <histedit.h>

/* The functions that we use; those on wide characters have a "w". */
#define PH_EDIT_FUNCTIONS(X)                                                                                                \
  X(el_init, EditLine *, (const char *, FILE *, FILE *, FILE *))                                                            \
  X(el_end, void, (EditLine *))                                                                                             \
  X(el_set, int, (EditLine *, int, ...))                                                                                    \
  X(el_source, int, (EditLine *, const char *))                                                                             \
  X(el_gets, const char *, (EditLine *, int *))                                                                             \
  X(el_wgetc, int, (EditLine *, wchar_t *))                                                                                 \
  X(el_line, const LineInfo *, (EditLine *))                                                                                \
  X(el_wline, const LineInfoW *, (EditLine *))                                                                              \
  X(el_insertstr, int, (EditLine *, const char *))                                                                          \
  X(el_winsertstr, int, (EditLine *, const wchar_t *))                                                                      \
  X(el_resize, void, (EditLine *))                                                                                          \
  X(history_init, History *, (void))                                                                                        \
  X(history_end, void, (History *))                                                                                         \
  X(history, int, (History *, HistEvent *, int, ...))

struct ph_edit_api {
#define X(name, result, arguments) result(*name) arguments; /* NOLINT(bugprone-macro-parentheses): a declaration */
  PH_EDIT_FUNCTIONS(X)
#undef X
};

/* The table; NULL: there is no libedit, or it is too old. For the program's main thread. */
const struct ph_edit_api *ph_edit_api(void);

#endif
