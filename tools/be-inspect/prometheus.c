/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in Prometheus's text form. All is gathered before the first line is printed, because a
 * metric's series must stand together, and so that a fault leaves no half of a file. The envelopes
 * are kept small meanwhile, and unpacked for each of their metrics.
 *
 * An envelope's series carry its id, which is never used again: when it is removed they end, and
 * one of the same name made later begins series of its own, so that no counter ever goes back.
 * Amounts are printed to their last digit; what reads them keeps about 15.
 */
#include "prometheus.h"

#include "complain.h"
#include "envelopes.h"
#include "fields.h"
#include "opening.h"
#include "text.h"
#include "tool.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

/* Bytes that a name may take as a label's value. */
#define LABEL_SIZE ((size_t)2 * BE_NAME_SIZE)

/* What is pending in an envelope or below it, and where it stands. */
struct pending {
	int64_t oldest_ns;     /* when the oldest commit was made; 0: there is none */
	int64_t held_expired;  /* by those that wait to be reaped because of their deadline, */
	int64_t held_orphaned; /* and because of their owner */
	uint32_t parent;       /* the number of the envelope above, or its own */
	uint32_t root;         /* that of the topmost one; LEFT_OUT: it is not wanted */
};
#define LEFT_OUT UINT32_MAX

/* The name of an envelope as the value of a label. Many have the same one above them, one after the
 * other. */
struct label_of {
	uint32_t number; /* plus 1; 0: none yet */
	size_t size;
	char text[2 * LABEL_SIZE + 8];
};

struct series {
	struct be_envelope envelope;
	struct pending pending;
};

struct metrics {
	struct text label;          /* the environment's, with its absolute path */
	struct text begin;          /* of the metric that is being printed */
	struct envelopes envelopes; /* struct pending beside them */
	struct be_statistics stats;
	struct label_of parent, root; /* of the series printed last */
};

/* ---- gathering */

static void note_commit(void *beside, const struct be_commit_info *commit)
{
	struct pending *pending = beside;

	if (pending->oldest_ns == 0 || commit->created_ns < pending->oldest_ns)
		pending->oldest_ns = commit->created_ns;
	if (commit->state == BE_COMMIT_EXPIRED)
		field_add_amount(&pending->held_expired, commit->amount);
	else if (commit->state == BE_COMMIT_ORPHANED)
		field_add_amount(&pending->held_orphaned, commit->amount);
}

/* ---- choosing */

static bool is_wanted(const struct arguments *arguments, const struct envelopes *envelopes,
		      size_t number)
{
	const struct be_filter *filter = &arguments->filter;
	struct be_envelope envelope;

	envelopes_read(envelopes, number, &envelope);
	if (filter->namespace_name && strcmp(filter->namespace_name, envelope.namespace_name) != 0)
		return false;
	if (filter->category && strcmp(filter->category, envelope.category) != 0)
		return false;
	return !arguments->report.below ||
	       envelopes_is_below(envelopes, number, arguments->report.below_namespace,
				  arguments->report.below);
}

/* Notes what is above an envelope; without a parent that is itself. */
static void note_place(const struct envelopes *envelopes, size_t number)
{
	struct pending *place = envelopes_beside(envelopes, number);
	size_t above = envelopes_parent(envelopes, number);

	place->parent = (uint32_t)(above != ENVELOPES_NONE ? above : number);
	place->root = place->parent;
	for (int depth = 0; above != ENVELOPES_NONE && depth < BE_DEPTH_MAX; depth++) {
		place->root = (uint32_t)above;
		above = envelopes_parent(envelopes, above);
	}
}

struct constrained {
	int64_t used_ppm;
	size_t number;
};

static int compare_constrained(const void *a, const void *b)
{
	const struct constrained *first = a, *second = b;

	if (first->used_ppm != second->used_ppm)
		return first->used_ppm > second->used_ppm ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

/* Leaves out all but the most constrained ones. */
static void keep_top(const struct envelopes *envelopes, uint64_t top)
{
	struct constrained *all = calloc(envelopes->count + 1, sizeof *all);
	struct be_envelope envelope;
	size_t count = 0;

	if (!all)
		tool_out_of_memory();
	for (size_t i = 0; i < envelopes->count; i++) {
		if (((struct pending *)envelopes_beside(envelopes, i))->root == LEFT_OUT)
			continue;
		envelopes_read(envelopes, i, &envelope);
		all[count++] = (struct constrained){envelope.utilization_ppm, i};
	}
	qsort(all, count, sizeof *all, compare_constrained);
	for (size_t i = (size_t)(top < count ? top : count); i < count; i++)
		((struct pending *)envelopes_beside(envelopes, all[i].number))->root = LEFT_OUT;
	free(all);
}

/* Which envelopes have series, and what is above each. */
static void choose(const struct arguments *arguments, const struct envelopes *envelopes)
{
	for (size_t i = 0; i < envelopes->count; i++) {
		if (is_wanted(arguments, envelopes, i))
			note_place(envelopes, i);
		else
			((struct pending *)envelopes_beside(envelopes, i))->root = LEFT_OUT;
	}
	if (arguments->report.top > 0)
		keep_top(envelopes, arguments->report.top);
}

static enum be_status gather(const struct arguments *arguments, struct metrics *metrics)
{
	const char *environment = arguments->environment;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	options.flags = BE_OPEN_READ_ONLY;
	status = tool_open(environment, &options, &handle);
	if (status != BE_OK) {
		complain(environment, be_last_error());
		return status;
	}
	status = envelopes_fill(&metrics->envelopes, handle, NULL);
	if (status == BE_OK)
		status = envelopes_add_commits(&metrics->envelopes, handle, note_commit);
	if (status == BE_OK)
		status = be_stats(handle, &metrics->stats);
	if (status != BE_OK)
		complain(environment, be_last_error());
	be_close(handle);
	return status;
}

/* ---- printing */

/* Lines are put together here, and printed many at a time. */
static struct text lines;

#define LINES_SIZE 65536

static void print_lines(void)
{
	fwrite(lines.bytes, 1, lines.used, stdout);
	lines.used = 0;
}

static void end_line(void)
{
	text_append(&lines, "\n");
	if (lines.used >= LINES_SIZE)
		print_lines();
}

static bool is_special(char character)
{
	return character == '\n' || character == '"' || character == '\\';
}

/* In the text form a label's value has these three escapes; all else stands for itself. Returns the
 * end of what was written to `to`. */
static char *write_value(char *to, const char *text)
{
	for (; *text; text++) {
		if (is_special(*text))
			*to++ = '\\';
		*to++ = (char)(*text == '\n' ? 'n' : *text);
	}
	return to;
}

static void put_label(const char *name, const char *text)
{
	char *from;

	text_append(&lines, name);
	text_append(&lines, "=\"");
	from = text_reserve(&lines, 2 * strlen(text));
	lines.used += (size_t)(write_value(from, text) - from);
	text_append(&lines, "\"");
}

static void put_count(uint64_t count)
{
	char text[COUNT_TEXT_SIZE];

	count_format(count, text);
	text_append(&lines, text);
}

static void put_head(const char *of, const char *name, const char *type, const char *help)
{
	text_append(&lines, "# HELP budget_enforcer_");
	text_append(&lines, of);
	text_append(&lines, name);
	text_append(&lines, " ");
	text_append(&lines, help);
	end_line();
	text_append(&lines, "# TYPE budget_enforcer_");
	text_append(&lines, of);
	text_append(&lines, name);
	text_append(&lines, " ");
	text_append(&lines, type);
	end_line();
}

/* What each series of a metric begins with: `of` and `name` make the metric's name. */
static void begin_metric(struct metrics *metrics, const char *of, const char *name)
{
	metrics->begin.used = 0;
	text_append(&metrics->begin, "budget_enforcer_");
	text_append(&metrics->begin, of);
	text_append(&metrics->begin, name);
	text_append_bytes(&metrics->begin, metrics->label.bytes, metrics->label.used);
}

static void put_begin(const struct metrics *metrics)
{
	text_append_bytes(&lines, metrics->begin.bytes, metrics->begin.used);
}

static void put_value(struct metrics *metrics, const char *name, const char *type, uint64_t value,
		      const char *help)
{
	put_head("", name, type, help);
	begin_metric(metrics, "", name);
	put_begin(metrics);
	text_append(&lines, "} ");
	put_count(value);
	end_line();
}

enum value_kind {
	VALUE_AMOUNT, /* int64_t nanos */
	VALUE_COUNT,  /* uint64_t */
	VALUE_FLAG,   /* bool */
	VALUE_AGE,    /* int64_t ns, 0 for none */
};

#define OF_ENVELOPE(member) offsetof(struct series, envelope.member)
static const struct metric {
	const char *name;
	const char *reason; /* a label more; NULL: none */
	const char *type;
	enum value_kind kind;
	size_t offset;
	const char *help; /* NULL: of the same metric as the line before */
} metrics_of_envelopes[] = {
	{"limit", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(limit),
	 "What may be spent in a window."},
	{"limit_now", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(limit_now),
	 "The same with what is carried over and raised for a time."},
	{"charged_total", NULL, "counter", VALUE_AMOUNT, OF_ENVELOPE(charged),
	 "What was charged since the envelope was created, here and below. Never reset."},
	{"given_back_total", NULL, "counter", VALUE_AMOUNT, OF_ENVELOPE(given_back),
	 "What of that corrections have given back."},
	{"excused_total", NULL, "counter", VALUE_COUNT, OF_ENVELOPE(excused),
	 "Commits and extensions that an envelope which only observes would have refused."},
	{"spent", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(spent),
	 "What was spent in the current window."},
	{"committed", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(committed),
	 "What pending commits hold."},
	{"held_expired", NULL, "gauge", VALUE_AMOUNT, offsetof(struct series, pending.held_expired),
	 "What of it commits past their deadline hold, until they are reaped."},
	{"held_orphaned", NULL, "gauge", VALUE_AMOUNT,
	 offsetof(struct series, pending.held_orphaned),
	 "What of it the commits of dead owners hold, until they are reaped."},
	{"available", NULL, "gauge", VALUE_AMOUNT, OF_ENVELOPE(available),
	 "What may still be committed."},
	{"suspended", NULL, "gauge", VALUE_FLAG, OF_ENVELOPE(suspended),
	 "1 if an operator suspended it."},
	{"pending_commits", NULL, "gauge", VALUE_COUNT, OF_ENVELOPE(pending_commits),
	 "Pending commits, here and below."},
	{"oldest_pending_commit_age_seconds", NULL, "gauge", VALUE_AGE,
	 offsetof(struct series, pending.oldest_ns),
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
			text_append(&lines, text);
		break;
	case VALUE_COUNT:
		put_count(*(const uint64_t *)value);
		break;
	case VALUE_FLAG:
		put_count(*(const bool *)value);
		break;
	case VALUE_AGE: {
		int64_t since_ns = *(const int64_t *)value;
		int64_t age_ns = since_ns != 0 && now_ns > since_ns ? now_ns - since_ns : 0;

		snprintf(text, sizeof text, "%" PRId64 ".%03" PRId64, age_ns / SECOND_NS,
			 age_ns % SECOND_NS / 1000000);
		text_append(&lines, text);
	}
	}
}

static bool has_slash(const char *name)
{
	return *name == '"' || strchr(name, '/');
}

/* A name, or a namespace and a name; in quotes where a slash would be taken for the one between. */
static void write_label(struct label_of *label, const struct be_envelope *envelope)
{
	bool quoted = has_slash(envelope->namespace_name) || has_slash(envelope->category);
	const char *quote = quoted ? "\\\"" : "";
	char *to = label->text;

	if (*envelope->namespace_name) {
		to = write_value(stpcpy(to, quote), envelope->namespace_name);
		to = stpcpy(stpcpy(to, quote), "/");
	}
	to = write_value(stpcpy(to, quote), envelope->category);
	to = stpcpy(to, quote);
	label->size = (size_t)(to - label->text);
}

/* Writes the name of an envelope, which is often that of the series before. */
static char *put_place(char *to, const struct metrics *metrics, uint32_t number,
		       struct label_of *label)
{
	struct be_envelope envelope;

	if (label->number != number + 1) {
		envelopes_read(&metrics->envelopes, number, &envelope);
		write_label(label, &envelope);
		label->number = number + 1;
	}
	return mempcpy(to, label->text, label->size);
}

/* Nearly all lines are made here, so they are made in one go. */
static void put_series(struct metrics *metrics, size_t number, const struct metric *metric,
		       const struct series *series, int64_t now_ns)
{
	char id[COUNT_TEXT_SIZE], *from, *to;

	count_format(series->envelope.id, id);
	from = text_reserve(&lines, metrics->begin.used + 6 * LABEL_SIZE + 256);
	to = mempcpy(from, metrics->begin.bytes, metrics->begin.used);
	to = write_value(stpcpy(to, ",namespace=\""), series->envelope.namespace_name);
	to = write_value(stpcpy(to, "\",category=\""), series->envelope.category);
	to = stpcpy(stpcpy(to, "\",id=\""), id);
	to = stpcpy(to, "\",parent=\"");
	if (series->pending.parent != number)
		to = put_place(to, metrics, series->pending.parent, &metrics->parent);
	to = stpcpy(to, "\",root=\"");
	to = put_place(to, metrics, series->pending.root, &metrics->root);
	if (metric->reason)
		to = stpcpy(stpcpy(to, "\",reason=\""), metric->reason);
	to = stpcpy(to, "\"} ");
	lines.used += (size_t)(to - from);
	put_number(metric->kind, (const char *)series + metric->offset, now_ns);
	end_line();
}

static void put_envelopes(struct metrics *metrics, int64_t now_ns)
{
	const struct envelopes *envelopes = &metrics->envelopes;
	struct series series;

	if (envelopes->count == 0)
		return;
	for (size_t i = 0; i < sizeof metrics_of_envelopes / sizeof *metrics_of_envelopes; i++) {
		const struct metric *metric = &metrics_of_envelopes[i];

		if (metric->help)
			put_head("envelope_", metric->name, metric->type, metric->help);
		begin_metric(metrics, "envelope_", metric->name);
		for (size_t number = 0; number < envelopes->count && tool_output_is_sound();
		     number++) {
			series.pending = *(struct pending *)envelopes_beside(envelopes, number);
			if (series.pending.root == LEFT_OUT)
				continue;
			envelopes_read(envelopes, number, &series.envelope);
			put_series(metrics, number, metric, &series, now_ns);
		}
	}
}

static void put_reaped(struct metrics *metrics)
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

	put_head("", "reaped_total", "counter",
		 "Commits that were reaped in the life of the environment.");
	begin_metric(metrics, "", "reaped_total");
	for (size_t i = 0; i < sizeof reaped / sizeof *reaped; i++) {
		put_begin(metrics);
		put_label(",reason", reaped[i].reason);
		text_append(&lines, "} ");
		put_count(reaped[i].count);
		end_line();
	}
}

static void put_environment(struct metrics *metrics)
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
	put_value(metrics, "history_changes_total", "counter", stats->history_changes,
		  "How often another server took over, or was set back.");
	put_value(metrics, "losses_total", "counter", stats->losses,
		  "Hosts that found changes gone which a server had acknowledged to them.");
	put_value(metrics, "owners", "gauge", stats->owners,
		  "Live processes that have the environment open to change it.");
	put_value(metrics, "waiting", "gauge", stats->waiting, "Commits that wait for money.");
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

/* Metrics of several environments of a machine are collected together. */
static void make_label(const char *environment, struct metrics *metrics)
{
	char *path =
		tool_is_server(environment) ? tool_name(environment) : realpath(environment, NULL);

	if (!path)
		err(TOOL_EXIT_FAULT, "%s", environment);
	put_label("{environment", path);
	metrics->label = lines;
	lines = (struct text){0};
	free(path);
}

/* ---- a file */

/* A file beside the one to be replaced. Its name begins with a point, so that no collector takes it
 * for metrics. */
static char *begin_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	mode_t mask = umask(0);
	struct stat there;
	char *unfinished;
	int fd;

	umask(mask);
	/* A device or a link is not to become a file. */
	if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode))
		errx(TOOL_EXIT_FAULT, "%s: no regular file, so it is not replaced", path);
	if (asprintf(&unfinished, "%.*s.%s.XXXXXX", slash ? (int)(slash + 1 - path) : 0, path,
		     slash ? slash + 1 : path) < 0)
		tool_out_of_memory();
	fd = mkostemp(unfinished, O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0666 & ~mask) != 0 || dup2(fd, STDOUT_FILENO) < 0)
		err(TOOL_EXIT_FAULT, "%s", unfinished);
	close(fd);
	return unfinished;
}

/* Gives it its name, when all of it is there: who reads the old one goes on reading that. */
static bool end_file(const char *path, char *unfinished)
{
	bool ended = fflush(stdout) == 0 && tool_output_is_sound() && rename(unfinished, path) == 0;

	if (!ended) {
		warn("%s", path);
		unlink(unfinished);
	}
	free(unfinished);
	return ended;
}

static void put_metrics(const struct arguments *arguments, struct metrics *metrics)
{
	make_label(arguments->environment, metrics);
	put_envelopes(metrics, arguments->now_ns);
	put_environment(metrics);
	print_lines();
}

int prometheus_run(const struct arguments *arguments)
{
	struct metrics metrics = {.envelopes.beside_size = sizeof(struct pending),
				  .stats = BE_STATISTICS_INIT};
	bool done = gather(arguments, &metrics) == BE_OK &&
		    envelopes_has(&metrics.envelopes, arguments);
	char *unfinished = NULL;

	if (done) {
		choose(arguments, &metrics.envelopes);
		if (arguments->file)
			unfinished = begin_file(arguments->file);
		put_metrics(arguments, &metrics);
		if (arguments->file)
			done = end_file(arguments->file, unfinished);
	}
	envelopes_free(&metrics.envelopes);
	free(metrics.label.bytes);
	free(metrics.begin.bytes);
	free(lines.bytes);
	return done ? EXIT_SUCCESS : TOOL_EXIT_FAULT;
}
