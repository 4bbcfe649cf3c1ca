/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ph_err_set(struct ph_err *err, const char *kind, int code, const char *format, ...) {
  if (err == NULL) return -1;
  err->kind = kind;
  err->code = code;
  err->path[0] = err->type[0] = '\0';
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return -1;
}

int ph_err_os(struct ph_err *err, const char *what) {
  int code = errno;
  return ph_err_set(err, "os", code, "%s: %s", what, strerror(code));
}

void ph_check_failed(const char *condition, const char *file, int line) {
  fprintf(stderr, "parhost: internal error: %s does not hold at %s:%d\n", condition, file, line);
  abort();
}
