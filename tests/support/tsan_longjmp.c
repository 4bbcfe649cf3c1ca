/* SPDX-License-Identifier: MIT
 * For builds with ThreadSanitizer. A Lua library built with _FORTIFY_SOURCE leaves protected calls by __longjmp_chk,
 * the one way of libc that ThreadSanitizer does not know: its stack of the functions called would keep all those that
 * an error or a yield skips, until it overflows. So it leaves by longjmp. */
#include <setjmp.h>

_Noreturn void __longjmp_chk(jmp_buf where, int value);

_Noreturn void __longjmp_chk(jmp_buf where, int value) {
  longjmp(where, value);
}
