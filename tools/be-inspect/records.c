/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a live view. What is kept is bounded, and so is what is read of a ledger: on
 * opening its last LOOK_BACK transactions, afterwards those that are new. The pointers in a record
 * are not valid behind the call that listed it, and no field here follows them.
 */
#include "records.h"

#include "moment.h"
#include "order.h"
#include "owners.h"
#include "rows.h"
#include "tool.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_BACK 65536

const char *const *records_keys(enum view view)
{
	static const char *const of_commits[] = {
		"id",       "amount",    "category", "namespace",   "age_seconds",
		"deadline", "owner_pid", "state",    "description", NULL};
	static const char *const of_transactions[] = {
		"id",   "amount", "category",  "namespace",   "at",
		"kind", "held",   "commit_id", "description", NULL};
	static const char *const of_alerts[] = {
		"id",        "spent", "limit", "percent",          "category",
		"namespace", "at",    "done",  "spender_category", NULL};
	static const char *const of_owners[] = {
		"pid",           "held",    "commits", "oldest_seconds", "alive", "pid_here",
		"pid_namespace", "command", NULL};

	switch (view) {
	case VIEW_COMMITS:
		return of_commits;
	case VIEW_TRANSACTIONS:
		return of_transactions;
	case VIEW_ALERTS:
		return of_alerts;
	case VIEW_OWNERS:
		return of_owners;
	default:
		return NULL;
	}
}

const struct fields *records_fields(enum view view)
{
	switch (view) {
	case VIEW_COMMITS:
		return &commit_fields;
	case VIEW_TRANSACTIONS:
		return &transaction_fields;
	case VIEW_ALERTS:
		return &alert_fields;
	default:
		return &owner_fields;
	}
}

static size_t size_of(enum view view)
{
	switch (view) {
	case VIEW_COMMITS:
		return sizeof(struct be_commit_info);
	case VIEW_TRANSACTIONS:
		return sizeof(struct be_transaction);
	case VIEW_ALERTS:
		return sizeof(struct be_alert);
	default:
		return sizeof(struct owner_row);
	}
}

/* ---- reading */

struct taking {
	struct records *records;
	bool only_free;
};

static void keep(struct records *records, const void *record)
{
	size_t size = size_of(records->view);

	if (records->count < RECORDS_MOST)
		records->bytes = tool_grow(records->bytes, records->count, &records->room, size);
	memcpy(records->bytes + records->count++ % RECORDS_MOST * size, record, size);
}

static bool take_commit(void *context, const struct be_commit_info *commit)
{
	const struct taking *taking = context;
	struct records *records = taking->records;

	if (taking->only_free && commit->amount != 0)
		return true;
	records->has_more = records->count == RECORDS_MOST;
	if (!records->has_more)
		keep(records, commit);
	return !records->has_more;
}

static bool take_transaction(void *context, const struct be_transaction *transaction)
{
	const struct taking *taking = context;

	taking->records->looked_up_to = transaction->id;
	if (!taking->only_free || transaction->amount <= 0)
		keep(taking->records, transaction);
	return true;
}

static bool take_alert(void *context, const struct be_alert *alert)
{
	const struct taking *taking = context;

	if (!taking->only_free || alert->spent == 0)
		keep(taking->records, alert);
	return true;
}

static enum be_status take_owners(struct records *records, struct be_enforcer *handle,
				  const struct arguments *arguments)
{
	struct rows *rows = rows_create(size_of(VIEW_OWNERS), arguments, false);
	enum be_status status = owners_gather(handle, rows);
	const void *row;

	rows_sort(rows);
	while (status == BE_OK && (row = rows_next(rows)))
		keep(records, row);
	rows_free(rows);
	return status;
}

/* Those that are new; the others are in the ring. */
static enum be_status take_transactions(struct records *records, struct be_enforcer *handle,
					const struct arguments *arguments)
{
	struct taking taking = {records, arguments->only_free};
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_filter filter = arguments->filter;
	enum be_status status = be_stats(handle, &stats);

	if (status != BE_OK)
		return status;
	if (records->at_ns == 0 && stats.next_transaction_id > LOOK_BACK + 1)
		records->looked_after = records->looked_up_to =
			stats.next_transaction_id - LOOK_BACK - 1;
	filter.after_id = records->looked_up_to;
	status = be_transactions_each(handle, &filter, take_transaction, &taking);
	/* What did not pass the filter need not be looked at again. */
	if (status == BE_OK && records->looked_up_to < stats.next_transaction_id - 1)
		records->looked_up_to = stats.next_transaction_id - 1;
	return status;
}

/* All anew. */
static enum be_status take_all(struct records *records, struct be_enforcer *handle,
			       const struct arguments *arguments)
{
	struct records taken = {.view = records->view};
	struct taking taking = {&taken, arguments->only_free};
	enum be_status status;

	if (records->view == VIEW_OWNERS)
		status = take_owners(&taken, handle, arguments);
	else if (records->view == VIEW_ALERTS)
		status = be_alerts_each(handle, &arguments->filter, take_alert, &taking);
	else
		status = be_commits_each(handle, &arguments->filter, take_commit, &taking);
	if (status == BE_STOPPED)
		status = BE_OK;
	if (status != BE_OK) {
		records_free(&taken);
		return status;
	}
	records_free(records);
	*records = taken;
	return BE_OK;
}

enum be_status records_take(struct records *records, struct be_enforcer *handle,
			    const struct arguments *arguments)
{
	enum be_status status = records->view == VIEW_TRANSACTIONS
					? take_transactions(records, handle, arguments)
					: take_all(records, handle, arguments);

	if (status == BE_OK)
		records->at_ns = moment_now_ns();
	return status;
}

void records_stay(struct records *records)
{
	records->at_ns = moment_now_ns();
}

/* ---- order */

static const void *record_at(const struct records *records, size_t place)
{
	return records->bytes + place * size_of(records->view);
}

static bool matches(const struct records *records, const void *record, const char *search)
{
	const struct fields *fields = records_fields(records->view);
	char text[FIELD_TEXT_SIZE];

	for (size_t i = 0; i < fields->count; i++) {
		field_text(&fields->first[i], record, records->at_ns, text);
		if (strcasestr(text, search))
			return true;
	}
	return false;
}

struct ordering {
	const struct records *records;
	const struct arguments *arguments;
};

/* Places in the ring that come after one another hold records that do. */
static int compare_lines(const void *a, const void *b, void *context)
{
	const struct ordering *ordering = context;
	const struct records *records = ordering->records;
	const struct field *sort = ordering->arguments->sort;
	size_t first = *(const size_t *)a, second = *(const size_t *)b;
	size_t oldest = records->count > RECORDS_MOST ? records->count % RECORDS_MOST : 0;
	bool latest_first = records->view != VIEW_COMMITS && records->view != VIEW_OWNERS;
	int difference = 0;

	if (sort)
		difference = order_compare(sort, record_at(records, first),
					   record_at(records, second), records->at_ns);
	if (difference != 0)
		return ordering->arguments->descending ? -difference : difference;
	first = (first + RECORDS_MOST - oldest) % RECORDS_MOST;
	second = (second + RECORDS_MOST - oldest) % RECORDS_MOST;
	difference = first < second ? -1 : first > second;
	return latest_first != (!sort && ordering->arguments->descending) ? -difference
									  : difference;
}

void records_arrange(struct records *records, const struct arguments *arguments, const char *search)
{
	struct ordering ordering = {records, arguments};
	size_t kept = records->count < RECORDS_MOST ? records->count : RECORDS_MOST;

	free(records->lines);
	records->lines = calloc(kept + 1, sizeof *records->lines);
	if (!records->lines)
		tool_out_of_memory();
	records->line_count = 0;
	for (size_t place = 0; place < kept; place++)
		if (!*search || matches(records, record_at(records, place), search))
			records->lines[records->line_count++] = place;
	qsort_r(records->lines, records->line_count, sizeof *records->lines, compare_lines,
		&ordering);
}

const char *records_more(const struct records *records)
{
	return records->has_more || records->count > RECORDS_MOST ? "+" : "";
}

uint64_t records_looked_at(const struct records *records)
{
	return records->looked_after ? records->looked_up_to - records->looked_after : 0;
}

/* ---- what a line says */

const void *records_line(const struct records *records, size_t number)
{
	return number < records->line_count ? record_at(records, records->lines[number]) : NULL;
}

uint64_t records_id(const struct records *records, size_t number)
{
	const void *record = records_line(records, number);

	if (!record)
		return 0;
	switch (records->view) {
	case VIEW_COMMITS:
		return ((const struct be_commit_info *)record)->id;
	case VIEW_TRANSACTIONS:
		return ((const struct be_transaction *)record)->id;
	case VIEW_ALERTS:
		return ((const struct be_alert *)record)->id;
	default:
		return ((const struct owner_row *)record)->id;
	}
}

/* A heading in small letters, and what stands there; 0 and nothing where that is nothing, or too
 * much. */
static size_t add_figure(const struct field *field, const void *record, int64_t now_ns, char *text,
			 size_t size)
{
	char value[FIELD_TEXT_SIZE];
	size_t letters = strlen(field->heading);

	field_text(field, record, now_ns, value);
	if (strcmp(value, "-") == 0 || letters + strlen(value) + 3 > size)
		return 0;
	/* A newline ends an item. */
	for (char *at = value; *at; at++)
		if (*at == '\n')
			*at = ' ';
	for (size_t i = 0; i < letters; i++)
		text[i] = (char)tolower((unsigned char)field->heading[i]);
	return letters + (size_t)sprintf(text + letters, " %s\n", value);
}

void records_figures(const struct records *records, size_t number, char *text, size_t size)
{
	const struct fields *fields = records_fields(records->view);
	const void *record = records_line(records, number);
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; record && i < fields->count; i++)
		used += add_figure(&fields->first[i], record, records->at_ns, text + used,
				   size - used);
}

void records_free(struct records *records)
{
	free(records->bytes);
	free(records->lines);
	records->bytes = NULL;
	records->lines = NULL;
	records->line_count = 0;
}
