/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

static unsigned bucket_of(uint64_t ns) {
  if (ns < 8) return (unsigned)ns;
  unsigned log = 63 - (unsigned)__builtin_clzll(ns);
  return (log - 2) * 8 + (unsigned)((ns >> (log - 3)) & 7);
}

static double upper_bound(unsigned bucket) {
  if (bucket < 8) return bucket + 1;
  unsigned log = bucket / 8 + 2;
  return (double)(8 + bucket % 8 + 1) * (double)(1ull << (log - 3));
}

void ph_histogram_add(struct ph_histogram *h, int64_t ns) {
  h->counts[bucket_of(ns > 0 ? (uint64_t)ns : 0)]++;
  h->total++;
}

double ph_histogram_quantile(const struct ph_histogram *h, double q) {
  if (h->total == 0) return -1;
  uint64_t rank = (uint64_t)(q * (double)(h->total - 1)), seen = 0;
  for (unsigned i = 0; i < PH_HISTOGRAM_BUCKETS; i++) {
    seen += h->counts[i];
    if (seen > rank) return upper_bound(i);
  }
  return -1;
}
