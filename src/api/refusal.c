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

#include "api/sized.h"
#include "base/error.h"
#include "rules/amount.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(struct be_decision) <= ERROR_LATER_SIZE, "it can be kept");

/* A name in which there is what divides names, or that begins as if it were quoted, is quoted:
 * a/"b/c" is not "a/b"/c. */
static char *put_name(char *at, const char *name)
{
	bool quoted = strchr(name, '/') != NULL || *name == '"';

	if (quoted)
		*at++ = '"';
	for (; *name; name++) {
		if (quoted && (*name == '"' || *name == '\\'))
			*at++ = '\\';
		*at++ = *name;
	}
	if (quoted)
		*at++ = '"';
	return at;
}

/* "namespace/category", and without a slash in the default namespace, as the tools write it. */
#define LABEL_SIZE ((size_t)4 * BE_NAME_SIZE + 8)
static const char *label(const char *namespace_name, const char *category, char text[LABEL_SIZE])
{
	char *at = text;

	if (*namespace_name) {
		at = put_name(at, namespace_name);
		*at++ = '/';
	}
	*put_name(at, category) = '\0';
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
static const char *figures(const struct be_decision *about, char text[FIGURES_SIZE])
{
	bool exceeds = about->status == BE_EXCEEDS_BUDGET;
	bool is_part = about->asked != about->requested;
	char asked[BE_AMOUNT_TEXT_SIZE], available[BE_AMOUNT_TEXT_SIZE], limit[BE_AMOUNT_TEXT_SIZE],
		spent[BE_AMOUNT_TEXT_SIZE], committed[BE_AMOUNT_TEXT_SIZE];

	amount(about->asked, asked);
	amount(about->available, available);
	amount(about->limit, limit);
	amount(about->spent, spent);
	amount(about->committed, committed);
	snprintf(text, FIGURES_SIZE,
		 exceeds ? "%s%s asked for, but %s available (limit %s, spent %s, committed %s)"
			 : "%s%s asked for, %s available, limit %s, spent %s, committed %s",
		 asked, is_part ? about->status == BE_OK ? " of it" : " more" : "", available,
		 limit, spent, committed);
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
static const char *wait_for(const struct be_decision *about, char text[WAIT_SIZE])
{
	bool ends = about->window_end_ns != 0 && about->window_end_ns != INT64_MAX;
	bool commits_help = about->asked <= about->limit - about->spent;
	bool window_helps = ends && about->asked <= about->limit - about->committed;
	char at[MOMENT_SIZE];

	text[0] = '\0';
	if (ends)
		moment(about->window_end_ns, at);
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

#define TEXT_SIZE BE_DECISION_TEXT_SIZE
_Static_assert(LABEL_SIZE + FIGURES_SIZE + WAIT_SIZE + 96 <= TEXT_SIZE, "there is room");

static void write_text(const struct be_decision *about, char text[TEXT_SIZE])
{
	char named[LABEL_SIZE], numbers[FIGURES_SIZE], wait[WAIT_SIZE];

	label(about->namespace_name, about->category, named);
	figures(about, numbers);
	switch (about->status) {
	case BE_OK:
		snprintf(text, TEXT_SIZE, "%s: permitted (%s)", named, numbers);
		break;
	case BE_NO_ENVELOPE:
		snprintf(text, TEXT_SIZE,
			 "%s: there is no such envelope; be-ctl create or be_envelope_ensure() "
			 "makes it, be-inspect lists those there are",
			 named);
		break;
	case BE_SUSPENDED:
		snprintf(text, TEXT_SIZE,
			 "%s: the envelope is suspended; be-ctl resume lets it grant again (%s)",
			 named, numbers);
		break;
	case BE_EXCEEDS_BUDGET:
		if (about->asked > about->limit)
			snprintf(text, TEXT_SIZE,
				 "%s: %s; that is more than its limit, which be-ctl set-limit "
				 "raises",
				 named, numbers);
		else
			snprintf(text, TEXT_SIZE, "%s: %s; %sraise the limit with be-ctl set-limit",
				 named, numbers, wait_for(about, wait));
		break;
	default:
		snprintf(text, TEXT_SIZE, "%s", be_status_text(about->status));
	}
}

static void compose(const void *data)
{
	char text[TEXT_SIZE];

	write_text(data, text);
	error_write("%s", text);
}

void refusal_explain(enum be_status status, const char *namespace_name, const char *category,
		     int64_t requested, const struct refusal *refusal)
{
	struct be_decision about = {
		.status = status,
		.requested = requested,
		.asked = refusal->asked,
		.available = amount_available(refusal->limit, refusal->spent, refusal->committed),
		.limit = refusal->limit,
		.spent = refusal->spent,
		.committed = refusal->committed,
		.window_end_ns = refusal->window_end_ns,
	};

	strcpy(about.namespace_name, namespace_name);
	strcpy(about.category, category);
	error_set_later(compose, &about, sizeof about);
}

void refusal_explain_no_envelope(const char *namespace_name, const char *category)
{
	struct be_decision about = {.status = BE_NO_ENVELOPE};

	strcpy(about.namespace_name, namespace_name);
	strcpy(about.category, category);
	error_set_later(compose, &about, sizeof about);
}

void refusal_explain_pending(const struct be_envelope *envelope)
{
	char named[LABEL_SIZE];
	bool one = envelope->pending_commits == 1;

	error_set(BE_HAS_COMMITS,
		  "%s: %" PRIu64 " commit%s pending there or below it, and held by those above it, "
		  "too; another parent is possible once %s ended",
		  label(envelope->namespace_name, envelope->category, named),
		  envelope->pending_commits, one ? " is" : "s are", one ? "it has" : "they have");
}

enum be_status be_decision_text(const struct be_decision *decision, char *text, size_t size)
{
	struct be_decision own = BE_DECISION_INIT;
	char whole[TEXT_SIZE];
	enum be_status status;

	error_clear();
	if (!decision || !text || size == 0)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 decision ? "place for the text" : "decision");
	text[0] = '\0';
	status = sized_take(decision, &own);
	if (status != BE_OK)
		return status;
	own.namespace_name[BE_NAME_SIZE - 1] = own.category[BE_NAME_SIZE - 1] = '\0';
	write_text(&own, whole);
	if (strlen(whole) >= size)
		return error_set(BE_INVALID_ARGUMENT,
				 "the text needs %zu bytes, there are %zu; BE_DECISION_TEXT_SIZE "
				 "always suffices",
				 strlen(whole) + 1, size);
	memcpy(text, whole, strlen(whole) + 1);
	return BE_OK;
}
