/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line. It is written in one piece, and its rest is cleared, so that it does not
 * flicker. */
#include "progress.h"

#include <stdio.h>

void progress_draw(const struct pool_result *so_far, uint64_t requests)
{
	uint64_t done = so_far->permitted + so_far->refused;
	double seconds = (double)so_far->elapsed_ns / 1e9;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	char spent[BE_AMOUNT_TEXT_SIZE], left[32] = "-";

	if (be_amount_format(so_far->spent, spent, sizeof spent) != BE_OK)
		return;
	if (done > 0)
		snprintf(left, sizeof left, "%.0f s", (double)(requests - done) / rate);
	/* A permitted request is two operations, a refused one is one. */
	fprintf(stderr,
		"\r%llu/%llu  permitted %llu  refused %llu  spent %s  %.0f operations/s  left "
		"%s\033[K",
		(unsigned long long)done, (unsigned long long)requests,
		(unsigned long long)so_far->permitted, (unsigned long long)so_far->refused, spent,
		seconds > 0 ? (double)(done + so_far->permitted) / seconds : 0, left);
	fflush(stderr);
}

void progress_clear(bool shown)
{
	if (shown)
		fputs("\r\033[K", stderr);
}
