/* SPDX-License-Identifier: MIT
 * Workers as processes. */
#ifndef PH_POOL_BACKEND_PROC_H
#define PH_POOL_BACKEND_PROC_H

#include <signal.h>
#include <stdbool.h>

#include "pool/zygote.h"

struct ph_backend;
extern const struct ph_backend ph_backend_proc;

/* Asks a worker to look at its slot. Harmless to who does not expect it: ignored by default. */
#define PH_STOP_SIGNAL_NUMBER SIGURG

/* ph_pool_config.backend_options of this backend. */
struct ph_proc_start {
  bool fork;           /* start method "fork" */
  int allowed_threads; /* with fork: threads that this process may have */
  struct ph_zygote_program program;
};

#endif
