/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of refusals. Each names the envelope and the figures of the decision, and advises
 * only what would have helped: a worker that waits for commits to end where there are none, or for
 * the end of a window that never ends, would wait for ever.
 *
 * A worker near its limit is refused often and seldom asks why. So the figures are kept, and
 * be_last_error() makes the sentence when it is called.
 */
#include "api/refusal.h"

#include "base/error.h"
#include "rules/amount.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct explanation {
	enum be_status status;
	int64_t requested;
	struct refusal refusal;
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
};

_Static_assert(sizeof(struct explanation) <= ERROR_LATER_SIZE, "it can be kept");

/* "namespace/category", and without a slash in the default namespace, as the tools write it. */
#define LABEL_SIZE ((size_t)2 * BE_NAME_SIZE)
static const char *label(const char *namespace_name, const char *category, char text[LABEL_SIZE])
{
	snprintf(text, LABEL_SIZE, "%s%s%s", namespace_name, *namespace_name ? "/" : "", category);
	return text;
}

static const char *amount(int64_t nanos, char text[BE_AMOUNT_TEXT_SIZE])
{
	if (be_amount_format(nanos, text, BE_AMOUNT_TEXT_SIZE) != BE_OK)
		strcpy(text, "?");
	return text;
}

/* "3 asked for, but 2 available (limit 5, spent 2, committed 1)" */
#define FIGURES_SIZE 256
static const char *figures(const struct explanation *about, char text[FIGURES_SIZE])
{
	const struct refusal *refusal = &about->refusal;
	bool suspended = about->status == BE_SUSPENDED;
	char asked[BE_AMOUNT_TEXT_SIZE], available[BE_AMOUNT_TEXT_SIZE], limit[BE_AMOUNT_TEXT_SIZE],
		spent[BE_AMOUNT_TEXT_SIZE], committed[BE_AMOUNT_TEXT_SIZE];

	amount(refusal->asked, asked);
	amount(amount_available(refusal->limit, refusal->spent, refusal->committed), available);
	amount(refusal->limit, limit);
	amount(refusal->spent, spent);
	amount(refusal->committed, committed);
	snprintf(text, FIGURES_SIZE,
		 suspended ? "%s%s asked for, %s available, limit %s, spent %s, committed %s"
			   : "%s%s asked for, but %s available (limit %s, spent %s, committed %s)",
		 asked, refusal->asked != about->requested ? " more" : "", available, limit, spent,
		 committed);
	return text;
}

/* "2026-11-29T00:00:00Z", rounded up, so that waiting until then is enough. */
#define MOMENT_SIZE 32
static const char *moment(int64_t at_ns, char text[MOMENT_SIZE])
{
	time_t seconds = (time_t)(at_ns / BE_UNIT + (at_ns % BE_UNIT > 0));
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) ||
	    strftime(text, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		strcpy(text, "?");
	return text;
}

/* What there is to wait for, followed by ", or "; "" when waiting does not help. */
#define WAIT_SIZE 128
static const char *wait_for(const struct refusal *refusal, char text[WAIT_SIZE])
{
	bool ends = refusal->window_end_ns != 0 && refusal->window_end_ns != INT64_MAX;
	bool commits_help = refusal_hinges_on_commits(refusal);
	bool window_helps = ends && refusal->asked <= refusal->limit - refusal->committed;
	char at[MOMENT_SIZE];

	text[0] = '\0';
	if (ends)
		moment(refusal->window_end_ns, at);
	if (commits_help && window_helps)
		snprintf(text, WAIT_SIZE, "wait until commits end or, at %s, its window does, or ",
			 at);
	else if (commits_help)
		snprintf(text, WAIT_SIZE, "wait until commits end, or ");
	else if (window_helps)
		snprintf(text, WAIT_SIZE, "wait until its window ends at %s, or ", at);
	else if (ends)
		snprintf(text, WAIT_SIZE, "wait until commits end and, at %s, its window does, or ",
			 at);
	return text;
}

static void compose(const void *data)
{
	const struct explanation *about = data;
	char named[LABEL_SIZE], numbers[FIGURES_SIZE], wait[WAIT_SIZE];

	label(about->namespace_name, about->category, named);
	figures(about, numbers);
	if (about->status == BE_SUSPENDED)
		error_write("%s: the envelope is suspended; be-ctl resume lets it grant again (%s)",
			    named, numbers);
	else if (about->refusal.asked > about->refusal.limit)
		error_write("%s: %s; that is more than its limit, which be-ctl set-limit raises",
			    named, numbers);
	else
		error_write("%s: %s; %sraise the limit with be-ctl set-limit", named, numbers,
			    wait_for(&about->refusal, wait));
}

void refusal_explain(enum be_status status, const char *namespace_name, const char *category,
		     int64_t requested, const struct refusal *refusal)
{
	struct explanation about;

	about.status = status;
	about.requested = requested;
	about.refusal = *refusal;
	strcpy(about.namespace_name, namespace_name);
	strcpy(about.category, category);
	error_set_later(compose, &about, sizeof about);
}

static void compose_no_envelope(const void *data)
{
	const struct name *name = data;
	char named[LABEL_SIZE];

	error_write(
		"%s: there is no such envelope; be-ctl create or be_envelope_ensure() makes it, "
		"be-inspect lists those there are",
		label(name->namespace_name, name->category, named));
}

_Static_assert(sizeof(struct name) <= ERROR_LATER_SIZE, "it can be kept");

void refusal_explain_no_envelope(const struct name *name)
{
	error_set_later(compose_no_envelope, name, sizeof *name);
}
