/* SPDX-License-Identifier: MIT
 * Percentiles of durations in fixed memory: buckets of equal ratio, eight to a power of two (the idea of
 * HdrHistogram), so a percentile is right to within 9 %. */
#ifndef PH_BASE_HISTOGRAM_H
#define PH_BASE_HISTOGRAM_H

#include <stdint.h>

#define PH_HISTOGRAM_BUCKETS 512

struct ph_histogram {
  uint64_t total;
  uint32_t counts[PH_HISTOGRAM_BUCKETS];
};

void ph_histogram_add(struct ph_histogram *h, int64_t ns);
/* The upper bound of the bucket that holds quantile q (0..1), in ns; -1 when empty. */
double ph_histogram_quantile(const struct ph_histogram *h, double q);

#endif
