/* SPDX-License-Identifier: MIT
 * What a thread does between two looks at a word that another one is to change.
 *
 * x86: `pause`. 64-bit ARM: `isb`, which takes about as long; `yield` is a no-op on processors without SMT, so the loop
 * would run at full speed and take the line from who is to write it. Elsewhere nothing is known to help: the compiler may
 * at least not make one loop of many. None of them orders memory. */
#ifndef PH_BASE_RELAX_H
#define PH_BASE_RELAX_H

static inline void ph_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

#endif
