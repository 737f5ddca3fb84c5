/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles read from the histogram, against those of the sorted numbers themselves. */
#include "histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

Test(histogram, empty_is_zero)
{
	static struct histogram histogram;

	cr_expect_eq(histogram_quantile(&histogram, 500), 0);
	cr_expect_eq(histogram_quantile(&histogram, 1000), 0);
}

Test(histogram, quantiles_are_at_most_one_in_32_too_high)
{
	static struct histogram histogram, half;
	static uint64_t values[10000];
	static const unsigned int per_milles[] = {0, 1, 10, 500, 900, 990, 999, 1000};
	const size_t count = sizeof values / sizeof *values;
	uint64_t state = 7;

	/* From 0 to 2^41, about equally many for each power of two. */
	for (size_t i = 0; i < count; i++) {
		state = state * UINT64_C(6364136223846793005) + 1;
		values[i] = (state >> 22) >> (state >> 17 & 31) >> (i % 11);
		histogram_add(i % 2 ? &half : &histogram, values[i]);
	}
	histogram_merge(&histogram, &half);
	qsort(values, count, sizeof *values, compare);
	cr_expect_eq(histogram.count, count);
	cr_expect_eq(histogram.max_ns, values[count - 1]);
	for (size_t i = 0; i < sizeof per_milles / sizeof *per_milles; i++) {
		size_t rank = (count * per_milles[i] + 999) / 1000;
		uint64_t exact = values[rank ? rank - 1 : 0];
		uint64_t read = histogram_quantile(&histogram, per_milles[i]);

		cr_expect(read >= exact && read <= exact + exact / 32,
			  "%u per mille: %llu, exactly %llu", per_milles[i],
			  (unsigned long long)read, (unsigned long long)exact);
	}
}

Test(histogram, the_longest_durations_are_kept_in_the_last_bucket)
{
	static struct histogram histogram;

	histogram_add(&histogram, UINT64_MAX);
	histogram_add(&histogram, (UINT64_C(1) << 42) - 1);
	cr_expect_eq(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
	cr_expect_eq(histogram.max_ns, UINT64_MAX);
}
