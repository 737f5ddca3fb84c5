/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bucket i below 64 holds exactly i nanoseconds. From there on, a bucket's number is made of the
 * position of the duration's highest bit and of the five bits below it.
 */
#include "histogram.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < 32)
		return (unsigned int)ns;
	if (ns >> 42)
		return HISTOGRAM_BUCKETS - 1;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - 5;
	return (shift + 1) * 32 + (unsigned int)((ns >> shift) - 32);
}

/* The longest duration that belongs to a bucket. */
static uint64_t bucket_top(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 32)
		return bucket;
	shift = bucket / 32 - 1;
	return ((uint64_t)(bucket % 32 + 33) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->buckets[bucket_of(ns)]++;
	histogram->count++;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
	histogram->count += other->count;
	if (other->max_ns > histogram->max_ns)
		histogram->max_ns = other->max_ns;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned int per_mille)
{
	uint64_t wanted = (histogram->count * per_mille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS && histogram->count; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted && seen > 0)
			return bucket_top(i) < histogram->max_ns ? bucket_top(i)
								 : histogram->max_ns;
	}
	return 0;
}
