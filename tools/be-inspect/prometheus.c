/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in Prometheus's text form. All is gathered before the first line is printed, because a
 * metric's series must stand together, and so that a fault leaves no half of a file.
 *
 * An envelope's series carry its id, which is never used again: when it is removed they end, and
 * one of the same name made later begins series of its own, so that no counter ever goes back.
 * Amounts are printed to their last digit; what reads them keeps about 15.
 */
#include "prometheus.h"

#include "gathering.h"
#include "tool.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS INT64_C(1000000000)

/* An envelope, and when the oldest commit pending in it or below it was made; 0: there is none. */
struct series {
	struct be_envelope envelope; /* first, as gathering.h wants it */
	int64_t oldest_ns;
};

struct metrics {
	char *path;                 /* absolute */
	struct gathering envelopes; /* of struct series */
	struct be_statistics stats;
};

/* ---- gathering */

static void note_age(void *element, const struct be_commit_info *commit)
{
	struct series *series = element;

	if (series->oldest_ns == 0 || commit->created_ns < series->oldest_ns)
		series->oldest_ns = commit->created_ns;
}

static enum be_status gather(const char *environment, struct metrics *metrics)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	options.flags = BE_OPEN_READ_ONLY;
	status = be_open(environment, &options, &handle);
	if (status != BE_OK) {
		tool_complain(environment, be_last_error());
		return status;
	}
	status = gathering_fill(&metrics->envelopes, handle, NULL);
	if (status == BE_OK)
		status = gathering_add_commits(&metrics->envelopes, handle, note_age);
	if (status == BE_OK)
		status = be_stats(handle, &metrics->stats);
	if (status != BE_OK)
		tool_complain(environment, be_last_error());
	be_close(handle);
	return status;
}

/* ---- printing */

/* In the text form a label's value has these three escapes; all else stands for itself. */
static void put_label(const char *name, const char *text)
{
	printf("%s=\"", name);
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void put_head(const char *name, const char *type, const char *help)
{
	printf("# HELP budget_enforcer_%s %s\n# TYPE budget_enforcer_%s %s\n", name, help, name,
	       type);
}

static void put_value(const struct metrics *metrics, const char *name, const char *type,
		      uint64_t value, const char *help)
{
	put_head(name, type, help);
	printf("budget_enforcer_%s{", name);
	put_label("environment", metrics->path);
	printf("} %" PRIu64 "\n", value);
}

enum value_kind {
	VALUE_AMOUNT, /* int64_t nanos */
	VALUE_COUNT,  /* uint64_t */
	VALUE_FLAG,   /* bool */
	VALUE_AGE,    /* int64_t ns, 0 for none */
};

#define OF_ENVELOPE(member) offsetof(struct series, envelope.member)
static const struct {
	const char *name;
	const char *reason; /* a label more; NULL: none */
	const char *type;
	enum value_kind kind;
	size_t offset;
	const char *help; /* NULL: of the same metric as the line before */
} metrics_of_envelopes[] = {
	{"limit", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(limit),
	 "What may be spent in a window."},
	{"spent", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(spent),
	 "What was spent in the current window."},
	{"committed", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(committed),
	 "What pending commits hold."},
	{"available", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(available),
	 "What may still be committed."},
	{"suspended", NULL, "gauge", VALUE_FLAG, OF_ENVELOPE(suspended),
	 "1 if an operator suspended it."},
	{"pending_commits", NULL, "gauge", VALUE_COUNT, OF_ENVELOPE(pending_commits),
	 "Pending commits, here and below."},
	{"oldest_pending_commit_age_seconds", NULL, "gauge", VALUE_AGE,
	 offsetof(struct series, oldest_ns),
	 "Age of the oldest pending commit, here and below; 0 when there is none."},
	{"commits_granted_total", NULL, "counter", VALUE_COUNT, OF_ENVELOPE(commits_granted),
	 "Commits granted since the envelope was created, here and below."},
	{"refusals_total", "exceeds_budget", "counter", VALUE_COUNT,
	 OF_ENVELOPE(refused_exceeds_budget),
	 "Checks, commits and extensions that this envelope refused since it was created."},
	{"refusals_total", "suspended", "counter", VALUE_COUNT, OF_ENVELOPE(refused_suspended),
	 NULL},
	{"reaped_total", "expired_released", "counter", VALUE_COUNT, OF_ENVELOPE(expired_released),
	 "Commits that were reaped since the envelope was created, here and below."},
	{"reaped_total", "expired_charged", "counter", VALUE_COUNT, OF_ENVELOPE(expired_charged),
	 NULL},
	{"reaped_total", "orphaned_released", "counter", VALUE_COUNT,
	 OF_ENVELOPE(orphaned_released), NULL},
	{"reaped_total", "orphaned_charged", "counter", VALUE_COUNT, OF_ENVELOPE(orphaned_charged),
	 NULL},
	{"settled_late_total", NULL, "counter", VALUE_COUNT, OF_ENVELOPE(settled_late),
	 "Commits that were settled after they had been reaped, here and below."},
};

static void put_number(enum value_kind kind, const void *value, int64_t now_ns)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	switch (kind) {
	case VALUE_AMOUNT:
		if (be_amount_format(*(const int64_t *)value, text, sizeof text) == BE_OK)
			fputs(text, stdout);
		break;
	case VALUE_COUNT:
		printf("%" PRIu64, *(const uint64_t *)value);
		break;
	case VALUE_FLAG:
		putchar(*(const bool *)value ? '1' : '0');
		break;
	case VALUE_AGE: {
		int64_t since_ns = *(const int64_t *)value;
		int64_t age_ns = since_ns != 0 && now_ns > since_ns ? now_ns - since_ns : 0;

		printf("%" PRId64 ".%03" PRId64, age_ns / SECOND_NS, age_ns % SECOND_NS / 1000000);
	}
	}
}

static void put_series(const struct metrics *metrics, const char *name, size_t metric,
		       const struct series *series, int64_t now_ns)
{
	printf("budget_enforcer_%s{", name);
	put_label("environment", metrics->path);
	putchar(',');
	put_label("namespace", series->envelope.namespace_name);
	putchar(',');
	put_label("category", series->envelope.category);
	printf(",id=\"%" PRIu64 "\"", series->envelope.id);
	if (metrics_of_envelopes[metric].reason) {
		putchar(',');
		put_label("reason", metrics_of_envelopes[metric].reason);
	}
	fputs("} ", stdout);
	put_number(metrics_of_envelopes[metric].kind,
		   (const char *)series + metrics_of_envelopes[metric].offset, now_ns);
	putchar('\n');
}

static void put_envelopes(const struct metrics *metrics, int64_t now_ns)
{
	const struct series *series = (const struct series *)metrics->envelopes.elements;
	size_t metric, i;
	char name[64];

	if (metrics->envelopes.count == 0)
		return;
	for (metric = 0; metric < sizeof metrics_of_envelopes / sizeof *metrics_of_envelopes;
	     metric++) {
		snprintf(name, sizeof name, "envelope_%s", metrics_of_envelopes[metric].name);
		if (metrics_of_envelopes[metric].help)
			put_head(name, metrics_of_envelopes[metric].type,
				 metrics_of_envelopes[metric].help);
		for (i = 0; i < metrics->envelopes.count; i++)
			put_series(metrics, name, metric, &series[i], now_ns);
	}
}

static void put_reaped(const struct metrics *metrics)
{
	const struct be_statistics *stats = &metrics->stats;
	const struct {
		const char *reason;
		uint64_t count;
	} reaped[] = {
		{"expired_released", stats->expired_released},
		{"expired_charged", stats->expired_charged},
		{"orphaned_released", stats->orphaned_released},
		{"orphaned_charged", stats->orphaned_charged},
	};

	put_head("reaped_total", "counter",
		 "Commits that were reaped in the life of the environment.");
	for (size_t i = 0; i < sizeof reaped / sizeof *reaped; i++) {
		printf("budget_enforcer_reaped_total{");
		put_label("environment", metrics->path);
		printf(",reason=\"%s\"} %" PRIu64 "\n", reaped[i].reason, reaped[i].count);
	}
}

static void put_environment(const struct metrics *metrics)
{
	const struct be_statistics *stats = &metrics->stats;

	put_value(metrics, "transactions_total", "counter", stats->next_transaction_id - 1,
		  "Transactions charged in the life of the environment.");
	put_value(metrics, "commits_total", "counter", stats->next_commit_id - 1,
		  "Commits granted in the life of the environment.");
	put_value(metrics, "no_envelope_refusals_total", "counter", stats->refused_no_envelope,
		  "Checks and commits that named no envelope, in the life of the environment.");
	put_reaped(metrics);
	put_value(metrics, "settled_late_total", "counter", stats->settled_late,
		  "Commits that were settled after they had been reaped.");
	put_value(metrics, "write_txns_total", "counter", stats->changes,
		  "Write txns so far, each of which may carry many changes.");
	put_value(metrics, "owners", "gauge", stats->owners,
		  "Live processes that have the environment open to change it.");
	put_value(metrics, "readers", "gauge", stats->readers,
		  "Slots taken in the table of readers.");
	put_value(metrics, "reader_lag_txns", "gauge", stats->reader_lag,
		  "Write txns since the oldest state that is being read.");
	put_value(metrics, "file_bytes", "gauge", stats->file_size, "Size of the data file.");
	put_value(metrics, "map_bytes", "gauge", stats->map_size,
		  "Size that the data file can grow to.");
	put_value(metrics, "pages", "gauge", stats->pages,
		  "Pages of the data file in use so far, the free ones included.");
	put_value(metrics, "free_pages", "gauge", stats->free_pages,
		  "Pages of the data file to be used again.");
}

int prometheus_run(const struct arguments *arguments)
{
	struct metrics metrics = {.envelopes.size = sizeof(struct series),
				  .stats = BE_STATISTICS_INIT};
	bool gathered = gather(arguments->environment, &metrics) == BE_OK;

	/* Metrics of several environments of a machine are collected together. */
	metrics.path = gathered ? realpath(arguments->environment, NULL) : NULL;
	if (gathered && !metrics.path)
		err(TOOL_EXIT_FAULT, "%s", arguments->environment);
	if (gathered) {
		put_envelopes(&metrics, arguments->now_ns);
		put_environment(&metrics);
	}
	free(metrics.path);
	free(metrics.envelopes.elements);
	return gathered ? EXIT_SUCCESS : TOOL_EXIT_FAULT;
}
