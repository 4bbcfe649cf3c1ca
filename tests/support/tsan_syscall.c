/* SPDX-License-Identifier: MIT
 * For builds with ThreadSanitizer, which does not see a system call that is made by hand. libuv closes its descriptors like
 * that, and a number that is used again would look like a race of two threads for one descriptor. So it closes by close.
 * Hidden, for what is linked into the program alone. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef long system_call(long number, ...);

__attribute__((visibility("hidden"))) long syscall(long number, ...) {
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close((int)a[0]);
  system_call *real = (system_call *)dlsym(RTLD_NEXT, "syscall");
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
