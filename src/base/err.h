/* SPDX-License-Identifier: MIT
 * What went wrong below the Lua edge: filled where it happened, turned into an error object by lib/ or vm/.
 * A value, not an allocation: messages are cut at the end of the array. */
#ifndef PH_BASE_ERR_H
#define PH_BASE_ERR_H

struct ph_err {
  const char *kind;  /* error kind as users see it ("os", "not_serializable", ...); static storage */
  int code;          /* errno, or 0 */
  char message[256]; /* one line */
  char path[256];    /* where in the value or the options, or "" */
  char type[64];     /* type of the offending value, or "" */
};

/* Fills `err` (may be NULL) and gives -1, so that a caller can `return ph_err_set(...)`. */
int ph_err_set(struct ph_err *err, const char *kind, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a failed system call: kind "os", code errno, message "what: strerror". */
int ph_err_os(struct ph_err *err, const char *what);

/* For what cannot be: says where, and aborts. */
_Noreturn void ph_check_failed(const char *condition, const char *file, int line);
#define PH_CHECK(c) ((c) ? (void)0 : ph_check_failed(#c, __FILE__, __LINE__))

#endif
