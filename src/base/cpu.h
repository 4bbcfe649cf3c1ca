/* SPDX-License-Identifier: MIT
 * How many processors this process may use: its affinity mask, cut by the CPU quota of its control groups. */
#ifndef PH_BASE_CPU_H
#define PH_BASE_CPU_H

/* At least 1. */
int ph_cpu_count(void);

/* The same without the quota, for which files would have to be read. */
int ph_cpu_allowed(void);

/* The quota in processors, rounded up, as the files below `root` say ("" for the real ones); 0: there is none. */
int ph_cpu_quota(const char *root);

#endif
