/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of any number of amounts. */
#include "sum.h"

#include <budget_enforcer.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void sum_add(struct total *sum, const struct total *more)
{
	sum->nanos += more->nanos;
	sum->count += more->count;
}

void sum_format(wide nanos, char text[SUM_TEXT_SIZE])
{
	wide size = nanos < 0 ? -nanos : nanos;
	char *end;

	snprintf(text, SUM_TEXT_SIZE, "%s%" PRIu64 ".%09" PRId64, nanos < 0 ? "-" : "",
		 (uint64_t)(size / BE_UNIT), (int64_t)(size % BE_UNIT));
	end = text + strlen(text);
	while (end[-1] == '0')
		end--;
	end -= end[-1] == '.';
	*end = '\0';
}

void sum_mean(const struct total *sum, char text[SUM_TEXT_SIZE])
{
	*text = '\0';
	if (sum->count > 0)
		sum_format(sum->nanos / sum->count, text);
}

void sum_share(wide part, wide whole, char text[SUM_TEXT_SIZE])
{
	int64_t hundredths;

	*text = '\0';
	if (whole <= 0)
		return;
	hundredths = (int64_t)((part < 0 ? -part : part) * 10000 / whole);
	snprintf(text, SUM_TEXT_SIZE, "%s%" PRId64 ".%02" PRId64, part < 0 ? "-" : "",
		 hundredths / 100, hundredths % 100);
}
