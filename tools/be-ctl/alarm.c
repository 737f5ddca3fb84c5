/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check --warn 80% --critical 95%: is an envelope, or any, nearly used up? The answer is one line,
 * since that is all that most monitoring shows: the state, the worst envelopes, and behind a | the
 * figures that it draws. A blank, a quote or a | in a name would end these, so there they stand as
 * what comes near.
 */
#include "alarm.h"

#include "answer.h"
#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many are named. */
#define NAMED 5
#define PPM_PER_PERCENT 10000

struct alarms {
	const struct request *request;
	struct be_envelope worst[NAMED]; /* the most used first */
	uint64_t looked_at;
	uint64_t warnings; /* those that are critical, too */
	uint64_t criticals;
};

static bool reaches(const struct be_envelope *envelope, int64_t threshold_ppm)
{
	return threshold_ppm > 0 && envelope->utilization_ppm >= threshold_ppm;
}

static bool look_at(void *context, const struct be_envelope *envelope)
{
	struct alarms *alarms = context;
	size_t place = alarms->looked_at < NAMED ? alarms->looked_at : NAMED;
	bool critical = reaches(envelope, alarms->request->critical_ppm);

	alarms->looked_at++;
	alarms->criticals += critical;
	alarms->warnings += critical || reaches(envelope, alarms->request->warn_ppm);
	for (; place > 0; place--) {
		if (alarms->worst[place - 1].utilization_ppm >= envelope->utilization_ppm)
			break;
		if (place < NAMED)
			alarms->worst[place] = alarms->worst[place - 1];
	}
	if (place < NAMED)
		alarms->worst[place] = *envelope;
	return true;
}

/* Rounded down, so that 99.99 % is not told as all. */
static void put_percent(int64_t ppm)
{
	printf("%" PRId64 ".%02" PRId64, ppm / PPM_PER_PERCENT, ppm / 100 % 100);
}

static void put_name(const struct be_envelope *envelope, const char *unwanted)
{
	char *label = text_label(envelope->namespace_name, envelope->category);
	char *safe = text_escape(label);

	for (char *at = safe; (at = strpbrk(at, unwanted)) != NULL;)
		*at = '_';
	fputs(safe, stdout);
	free(safe);
	free(label);
}

static void put_amount(const char *before, int64_t amount)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	if (be_amount_format(amount, text, sizeof text) == BE_OK)
		printf("%s%s", before, text);
}

static void put_envelope(const struct be_envelope *envelope)
{
	put_name(envelope, "|\n");
	putchar(' ');
	put_percent(envelope->utilization_ppm);
	put_amount("% used (limit ", envelope->limit_now);
	put_amount(", spent ", envelope->spent);
	put_amount(", committed ", envelope->committed);
	put_amount(", available ", envelope->available);
	printf("%s)", envelope->suspended ? ", suspended" : "");
}

/* 'llm'=85.00%;80;95 */
static void put_figures(const struct alarms *alarms, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		printf("%s'", i > 0 ? " " : "");
		put_name(&alarms->worst[i], "|'=");
		fputs("'=", stdout);
		put_percent(alarms->worst[i].utilization_ppm);
		fputs("%;", stdout);
		if (alarms->request->warn_ppm > 0)
			put_percent(alarms->request->warn_ppm);
		putchar(';');
		if (alarms->request->critical_ppm > 0)
			put_percent(alarms->request->critical_ppm);
	}
}

/* Names those that are too much used, and at least the worst one. */
static int tell(const struct alarms *alarms)
{
	static const char *const states[] = {"OK", "WARNING", "CRITICAL"};
	int state = alarms->criticals > 0  ? ALARM_CRITICAL
		    : alarms->warnings > 0 ? ALARM_WARNING
					   : ALARM_OK;
	size_t named = alarms->warnings > 0 ? alarms->warnings : 1;

	if (named > NAMED)
		named = NAMED;
	printf("BUDGET %s: ", states[state]);
	if (alarms->looked_at > 1)
		printf("%" PRIu64 " of %" PRIu64 " envelopes: ", alarms->warnings,
		       alarms->looked_at);
	for (size_t i = 0; i < named; i++) {
		fputs(i > 0 ? "; " : "", stdout);
		put_envelope(&alarms->worst[i]);
	}
	fputs(alarms->warnings > named ? "; ... | " : " | ", stdout);
	put_figures(alarms, named);
	putchar('\n');
	return state;
}

int alarm_run(const struct request *request)
{
	struct alarms alarms = {.request = request};
	struct be_filter filter = BE_FILTER_INIT;
	struct be_enforcer *handle;
	enum be_status status = answer_open(request, BE_OPEN_READ_ONLY, &handle);
	int result = ALARM_UNKNOWN;
	char *safe;

	filter.namespace_name = request->namespace_name;
	filter.category = request->category;
	/* Without --all, --category names one envelope. */
	if (!request->all && !filter.namespace_name)
		filter.namespace_name = "";
	if (status == BE_OK)
		status = be_envelopes_each(handle, &filter, look_at, &alarms);
	if (status != BE_OK) {
		safe = text_escape(be_last_error());
		printf("BUDGET UNKNOWN: %s\n", safe);
		free(safe);
	} else if (alarms.looked_at == 0) {
		puts("BUDGET UNKNOWN: there is no such envelope");
	} else {
		result = tell(&alarms);
	}
	be_close(handle);
	return result;
}
