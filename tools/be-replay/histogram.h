/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations in buckets whose width grows with the duration: 32 buckets for each doubling,
 * so that a percentile read from them is at most 1/32 too high. It has no pointers and may live in
 * shared memory; zeroed memory is an empty histogram. One process at a time may use one.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

/* Durations of 2^42 ns (73 minutes) and more share the last bucket. */
#define HISTOGRAM_BUCKETS ((42 - 4) * 32)

struct histogram {
	uint64_t count;
	uint64_t max_ns; /* exact */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

/* Adds all of `other` to `histogram`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The duration that `per_mille` of 1000 do not exceed; 0 when it is empty. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned int per_mille);

#endif
