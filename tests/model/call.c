/* SPDX-License-Identifier: Apache-2.0 */
/* See call.h: the texts, comparing answers field by field, and printing calls. */
#include "call.h"

#include "support.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEN(text) text text text text text text text text text text
#define HUNDRED(text) TEN(TEN(text))
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* One is the beginning of another, and one is as long as may be: what sorts and stores them must
 * bear it. */
const char *const namespaces[NAMESPACES] = {"", "t", "t\xc3\xa9",
					    HUNDRED("n") TEN("n") TEN("n") "nnnnnnn"};

const struct text categories[ALL_CATEGORIES] = {
	{"a", true},
	{"ab", true},
	{"b c", true},
	{"\xc3\xbc", true},
	{HUNDRED("c") TEN("c") TEN("c") "ccccccc", true},
	{NULL, false},
	{"", false},
	{"a\n", false},
	{"\xff", false},
	{HUNDRED("c") TEN("c") TEN("c") "cccccccc", false},
};

const struct text descriptions[ALL_DESCRIPTIONS] = {
	{NULL, true},
	{"", true},
	{"a cached answer", true},
	{HUNDRED("dddd") HUNDRED("d") "dddddddddddd", true},
	{"a\tb", false},
	{"\xc3", false},
	{HUNDRED("dddd") HUNDRED("d") "ddddddddddddd", false},
};

const struct text keys[ALL_KEYS] = {
	{"k", true},
	{"task-7/step-3", true},
	{TEN("k") TEN("k") TEN("k") TEN("k") TEN("k") TEN("k") "kkkk", true},
	{"", false},
	{"k\n", false},
	{TEN("k") TEN("k") TEN("k") TEN("k") TEN("k") TEN("k") "kkkkk", false},
};

const char *const label_keys[LABEL_KEYS] = {
	"A",        "a",        "a b",
	"aa",       "customer", TEN("k") TEN("k") TEN("k") TEN("k") "kkkkkkkk",
	"model",    "task",     "z",
	"\xc3\xa4",
};

const struct text label_values[ALL_LABEL_VALUES] = {
	{"", true},
	{"1", true},
	{"Zo\xc3\xab & Ann", true},
	{HUNDRED("v") TEN("v") TEN("v") "vvvvvvvv", true},
	{"a\n", false},
	{HUNDRED("v") TEN("v") TEN("v") "vvvvvvvvv", false},
};

const char *const call_names[CALL_KINDS] = {
	[CALL_CREATE] = "create",
	[CALL_ENSURE] = "ensure",
	[CALL_SET_LIMIT] = "set-limit",
	[CALL_SUSPEND] = "suspend",
	[CALL_RESUME] = "resume",
	[CALL_RESET] = "reset",
	[CALL_SET] = "set",
	[CALL_REMOVE] = "remove",
	[CALL_CHECK] = "check",
	[CALL_COMMIT] = "commit",
	[CALL_RELEASE] = "release",
	[CALL_SETTLE] = "settle",
	[CALL_CHARGE] = "charge",
	[CALL_RECORD] = "record",
	[CALL_EXTEND] = "extend",
	[CALL_CORRECT] = "correct",
	[CALL_REAP] = "reap",
	[CALL_UTILIZATION] = "utilization",
	[CALL_LIST_ENVELOPES] = "list-envelopes",
	[CALL_LIST_COMMITS] = "list-commits",
	[CALL_LIST_TRANSACTIONS] = "list-transactions",
	[CALL_LIST_ALERTS] = "list-alerts",
	[CALL_ALERT_DONE] = "alert-done",
	[CALL_VERIFY] = "verify",
	[CALL_MOVE] = "move",
	[CALL_REOPEN] = "reopen",
	[CALL_WORKER_DIES] = "worker-dies",
};

static bool text_is_valid(const struct text *texts, size_t count, const char *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (wanted && texts[i].text ? strcmp(texts[i].text, wanted) == 0
					    : texts[i].text == wanted)
			return texts[i].is_valid;
	return false;
}

bool category_is_valid(const char *category)
{
	return text_is_valid(categories, ALL_CATEGORIES, category);
}

bool description_is_valid(const char *description)
{
	return text_is_valid(descriptions, ALL_DESCRIPTIONS, description);
}

bool key_is_valid(const char *key)
{
	return text_is_valid(keys, ALL_KEYS, key);
}

const char *zone_ahead(void)
{
	static const char *zone;

	if (!zone)
		zone = access("/usr/share/zoneinfo/Etc/GMT-5", R_OK) == 0 ? "Etc/GMT-5" : "UTC";
	return zone;
}

void also_print(char also[ALSO_TEXT], const char *namespace_name, const char *category)
{
	size_t used = strlen(also);

	snprintf(also + used, ALSO_TEXT - used, "%s/%s ", namespace_name, category);
}

void tags_print(char tags[TAGS_TEXT], const char *key, const char *value)
{
	size_t used = strlen(tags);

	snprintf(tags + used, TAGS_TEXT - used, "%s=%s ", key, value);
}

unsigned tags_count(const struct tags *tags)
{
	unsigned count = 0;

	for (size_t i = 0; i < LABEL_KEYS; i++)
		count += tags->value[i] != 0;
	return count;
}

bool tags_are_valid(const struct tags *tags)
{
	for (size_t i = 0; i < LABEL_KEYS; i++)
		if (tags->value[i] != 0 && !label_values[tags->value[i] - 1].is_valid)
			return false;
	return tags_count(tags) <= BE_LABELS_MAX;
}

unsigned tags_list(const struct tags *tags, struct be_label labels[LABEL_KEYS])
{
	unsigned count = 0;

	for (size_t i = LABEL_KEYS; i-- > 0;) {
		uint8_t value = tags->value[i];

		if (value != 0)
			labels[count++] = (struct be_label){
				label_keys[i],
				value == TAG_ANY ? NULL : label_values[value - 1].text};
	}
	return count;
}

/* ---- rows */

void rows_clear(struct rows *rows, size_t row_size)
{
	rows->count = 0;
	if (rows->row_size == row_size)
		return;
	rows_free(rows);
	rows->row_size = row_size;
}

void rows_add(struct rows *rows, const void *row)
{
	if (rows->count == rows->room) {
		rows->room = rows->room ? 2 * rows->room : 64;
		rows->bytes = realloc(rows->bytes, rows->room * rows->row_size);
		EXPECT(rows->bytes != NULL);
	}
	memcpy(rows->bytes + rows->count++ * rows->row_size, row, rows->row_size);
}

void rows_free(struct rows *rows)
{
	free(rows->bytes);
	*rows = (struct rows){0};
}

void answer_clear(struct answer *answer)
{
	struct rows rows = answer->rows;

	rows.count = 0;
	memset(answer, 0, sizeof *answer);
	answer->rows = rows;
}

/* ---- fields: what a structure is made of, and how it is compared and printed */

enum field_type {
	FIELD_INT64,
	FIELD_UINT64,
	FIELD_UINT32,
	FIELD_ENUM,
	FIELD_STATUS,
	FIELD_BOOL,
	FIELD_TEXT,
};

struct field {
	const char *name;
	size_t offset;
	size_t size;
	enum field_type type;
};

#define FIELD(structure, member, type)                                                             \
	{                                                                                          \
#member, offsetof(struct structure, member),                                       \
			sizeof(((struct structure *)0)->member), type                              \
	}

static const struct field answer_fields[] = {
	FIELD(answer, status, FIELD_STATUS),    FIELD(answer, id, FIELD_UINT64),
	FIELD(answer, reaped, FIELD_UINT64),    FIELD(answer, lapses[0], FIELD_UINT64),
	FIELD(answer, lapses[1], FIELD_UINT64), FIELD(answer, lapses[2], FIELD_UINT64),
	FIELD(answer, lapses[3], FIELD_UINT64), FIELD(answer, lapses[4], FIELD_UINT64),
};

static const struct field decision_fields[] = {
	FIELD(be_decision, size, FIELD_UINT32),     FIELD(be_decision, status, FIELD_STATUS),
	FIELD(be_decision, requested, FIELD_INT64), FIELD(be_decision, available, FIELD_INT64),
	FIELD(be_decision, limit, FIELD_INT64),     FIELD(be_decision, spent, FIELD_INT64),
	FIELD(be_decision, committed, FIELD_INT64), FIELD(be_decision, namespace_name, FIELD_TEXT),
	FIELD(be_decision, category, FIELD_TEXT),   FIELD(be_decision, asked, FIELD_INT64),
	FIELD(be_decision, granted, FIELD_INT64),   FIELD(be_decision, window_end_ns, FIELD_INT64),
};

static const struct field envelope_fields[] = {
	FIELD(be_envelope, size, FIELD_UINT32),
	FIELD(be_envelope, namespace_name, FIELD_TEXT),
	FIELD(be_envelope, category, FIELD_TEXT),
	FIELD(be_envelope, id, FIELD_UINT64),
	FIELD(be_envelope, period, FIELD_ENUM),
	FIELD(be_envelope, period_start_ns, FIELD_INT64),
	FIELD(be_envelope, period_end_ns, FIELD_INT64),
	FIELD(be_envelope, created_ns, FIELD_INT64),
	FIELD(be_envelope, limit, FIELD_INT64),
	FIELD(be_envelope, spent, FIELD_INT64),
	FIELD(be_envelope, committed, FIELD_INT64),
	FIELD(be_envelope, available, FIELD_INT64),
	FIELD(be_envelope, utilization_ppm, FIELD_INT64),
	FIELD(be_envelope, pending_commits, FIELD_UINT64),
	FIELD(be_envelope, children, FIELD_UINT64),
	FIELD(be_envelope, suspended, FIELD_BOOL),
	FIELD(be_envelope, has_parent, FIELD_BOOL),
	FIELD(be_envelope, parent_namespace, FIELD_TEXT),
	FIELD(be_envelope, parent_category, FIELD_TEXT),
	FIELD(be_envelope, commits_granted, FIELD_UINT64),
	FIELD(be_envelope, refused_exceeds_budget, FIELD_UINT64),
	FIELD(be_envelope, refused_suspended, FIELD_UINT64),
	FIELD(be_envelope, expired_released, FIELD_UINT64),
	FIELD(be_envelope, expired_charged, FIELD_UINT64),
	FIELD(be_envelope, orphaned_released, FIELD_UINT64),
	FIELD(be_envelope, orphaned_charged, FIELD_UINT64),
	FIELD(be_envelope, settled_late, FIELD_UINT64),
	FIELD(be_envelope, limit_now, FIELD_INT64),
	FIELD(be_envelope, raise, FIELD_INT64),
	FIELD(be_envelope, raise_until_ns, FIELD_INT64),
	FIELD(be_envelope, roll_over, FIELD_INT64),
	FIELD(be_envelope, carried, FIELD_INT64),
	FIELD(be_envelope, charged, FIELD_INT64),
	FIELD(be_envelope, given_back, FIELD_INT64),
	FIELD(be_envelope, excused, FIELD_UINT64),
	FIELD(be_envelope, begins_on, FIELD_UINT32),
	FIELD(be_envelope, observe_only, FIELD_BOOL),
	FIELD(be_envelope, zone, FIELD_TEXT),
	FIELD(be_envelope, thresholds[0], FIELD_ENUM),
	FIELD(be_envelope, thresholds[1], FIELD_ENUM),
	FIELD(be_envelope, thresholds[2], FIELD_ENUM),
	FIELD(be_envelope, thresholds[3], FIELD_ENUM),
	FIELD(be_envelope, thresholds[4], FIELD_ENUM),
	FIELD(be_envelope, thresholds[5], FIELD_ENUM),
	FIELD(be_envelope, thresholds[6], FIELD_ENUM),
	FIELD(be_envelope, thresholds[7], FIELD_ENUM),
	FIELD(be_envelope, passed, FIELD_UINT32),
};

static const struct field commit_fields[] = {
	FIELD(be_commit_info, size, FIELD_UINT32),
	FIELD(be_commit_info, id, FIELD_UINT64),
	FIELD(be_commit_info, state, FIELD_ENUM),
	FIELD(be_commit_info, reap_policy, FIELD_ENUM),
	FIELD(be_commit_info, owner_pid, FIELD_UINT32),
	FIELD(be_commit_info, amount, FIELD_INT64),
	FIELD(be_commit_info, created_ns, FIELD_INT64),
	FIELD(be_commit_info, deadline_ns, FIELD_INT64),
	FIELD(be_commit_info, detached, FIELD_BOOL),
	FIELD(be_commit_info, owner_alive, FIELD_BOOL),
	FIELD(be_commit_info, namespace_name, FIELD_TEXT),
	FIELD(be_commit_info, category, FIELD_TEXT),
	FIELD(be_commit_info, description, FIELD_TEXT),
	FIELD(be_commit_info, also_count, FIELD_UINT32),
	FIELD(be_commit_info, label_count, FIELD_UINT32),
	FIELD(commit_row, also, FIELD_TEXT),
	FIELD(commit_row, tags, FIELD_TEXT),
};

static const struct field transaction_fields[] = {
	FIELD(be_transaction, size, FIELD_UINT32),
	FIELD(be_transaction, id, FIELD_UINT64),
	FIELD(be_transaction, kind, FIELD_ENUM),
	FIELD(be_transaction, commit_id, FIELD_UINT64),
	FIELD(be_transaction, amount, FIELD_INT64),
	FIELD(be_transaction, held, FIELD_INT64),
	FIELD(be_transaction, corrects, FIELD_UINT64),
	FIELD(be_transaction, envelope_id, FIELD_UINT64),
	FIELD(be_transaction, at_ns, FIELD_INT64),
	FIELD(be_transaction, late, FIELD_BOOL),
	FIELD(be_transaction, namespace_name, FIELD_TEXT),
	FIELD(be_transaction, category, FIELD_TEXT),
	FIELD(be_transaction, description, FIELD_TEXT),
	FIELD(be_transaction, also_count, FIELD_UINT32),
	FIELD(be_transaction, label_count, FIELD_UINT32),
};

static const struct field transaction_row_fields[] = {
	FIELD(transaction_row, also, FIELD_TEXT),
	FIELD(transaction_row, tags, FIELD_TEXT),
};

static const struct field alert_fields[] = {
	FIELD(be_alert, size, FIELD_UINT32),
	FIELD(be_alert, id, FIELD_UINT64),
	FIELD(be_alert, namespace_name, FIELD_TEXT),
	FIELD(be_alert, category, FIELD_TEXT),
	FIELD(be_alert, percent, FIELD_UINT32),
	FIELD(be_alert, envelope_id, FIELD_UINT64),
	FIELD(be_alert, transaction_id, FIELD_UINT64),
	FIELD(be_alert, spender_namespace, FIELD_TEXT),
	FIELD(be_alert, spender_category, FIELD_TEXT),
	FIELD(be_alert, limit, FIELD_INT64),
	FIELD(be_alert, spent, FIELD_INT64),
	FIELD(be_alert, at_ns, FIELD_INT64),
	FIELD(be_alert, period_start_ns, FIELD_INT64),
	FIELD(be_alert, period_end_ns, FIELD_INT64),
	FIELD(be_alert, done_ns, FIELD_INT64),
};

static const struct field verification_fields[] = {
	FIELD(be_verification, size, FIELD_UINT32),
	FIELD(be_verification, envelopes, FIELD_UINT64),
	FIELD(be_verification, commits, FIELD_UINT64),
	FIELD(be_verification, transactions, FIELD_UINT64),
	FIELD(be_verification, differences, FIELD_UINT64),
};

static bool field_differs(const struct field *field, const void *expected, const void *got)
{
	const unsigned char *a = (const unsigned char *)expected + field->offset;
	const unsigned char *b = (const unsigned char *)got + field->offset;

	if (field->type == FIELD_TEXT)
		return strncmp((const char *)a, (const char *)b, field->size) != 0;
	return memcmp(a, b, field->size) != 0;
}

/* A text for people: control characters escaped, and its length in place of its middle when it is
 * long. */
static void text_format(const char *text, size_t most, char *to, size_t size)
{
	size_t length = strnlen(text, most), used = 1;

	to[0] = '"';
	for (size_t i = 0; i < length && (length <= 24 || i < 4) && used + 8 < size; i++)
		used += (size_t)snprintf(to + used, size - used,
					 iscntrl((unsigned char)text[i]) ? "\\x%02x" : "%c",
					 (unsigned char)text[i]);
	if (length > 24)
		snprintf(to + used, size - used, "...\" (%zu bytes)", length);
	else
		snprintf(to + used, size - used, "\"");
}

static void field_format(const struct field *field, const void *structure, char *to, size_t size)
{
	const unsigned char *at = (const unsigned char *)structure + field->offset;
	int64_t number = 0;

	if (field->type == FIELD_TEXT) {
		text_format((const char *)at, field->size, to, size);
		return;
	}
	memcpy(&number, at, field->size);
	if (field->type == FIELD_STATUS) {
		enum be_status status;

		memcpy(&status, at, sizeof status);
		snprintf(to, size, "%s", be_status_name(status));
	} else if (field->type == FIELD_BOOL) {
		snprintf(to, size, "%s", number ? "true" : "false");
	} else if (field->type == FIELD_UINT64) {
		snprintf(to, size, "%" PRIu64, (uint64_t)number);
	} else {
		snprintf(to, size, "%" PRId64, number);
	}
}

static bool structures_differ(const char *what, const struct field *fields, size_t count,
			      const void *expected, const void *got, char *difference, size_t size)
{
	char expected_text[96], got_text[96];

	for (size_t i = 0; i < count; i++) {
		if (!field_differs(&fields[i], expected, got))
			continue;
		field_format(&fields[i], expected, expected_text, sizeof expected_text);
		field_format(&fields[i], got, got_text, sizeof got_text);
		snprintf(difference, size, "%s%s is %s, expected %s", what, fields[i].name,
			 got_text, expected_text);
		return true;
	}
	return false;
}

#define DIFFER(what, fields, expected, got)                                                        \
	structures_differ((what), (fields), COUNT(fields), (expected), (got), difference, size)

static bool rows_differ(enum call_kind kind, const struct rows *expected, const struct rows *got,
			char *difference, size_t size)
{
	for (size_t i = 0; i < expected->count && i < got->count; i++) {
		const void *a = expected->bytes + i * expected->row_size;
		const void *b = got->bytes + i * got->row_size;
		char what[64];
		bool differs;

		snprintf(what, sizeof what, "row %zu of the %s: ", i + 1,
			 kind == CALL_LIST_ENVELOPES ? "envelopes"
			 : kind == CALL_LIST_COMMITS ? "pending commits"
			 : kind == CALL_LIST_ALERTS  ? "alerts"
						     : "transactions");
		if (kind == CALL_LIST_ENVELOPES)
			differs = DIFFER(what, envelope_fields, a, b);
		else if (kind == CALL_LIST_COMMITS)
			differs = DIFFER(what, commit_fields, a, b);
		else if (kind == CALL_LIST_ALERTS)
			differs = DIFFER(what, alert_fields, a, b);
		else
			differs = DIFFER(what, transaction_fields, a, b) ||
				  DIFFER(what, transaction_row_fields, a, b);
		if (differs)
			return true;
	}
	if (expected->count == got->count)
		return false;
	snprintf(difference, size, "%s shows %zu rows, expected %zu", call_names[kind], got->count,
		 expected->count);
	return true;
}

bool answers_differ(enum call_kind kind, const struct answer *expected, const struct answer *got,
		    char *difference, size_t size)
{
	return DIFFER("", answer_fields, expected, got) ||
	       DIFFER("decision.", decision_fields, &expected->decision, &got->decision) ||
	       DIFFER("transaction.", transaction_fields, &expected->transaction,
		      &got->transaction) ||
	       DIFFER("envelope.", envelope_fields, &expected->envelope, &got->envelope) ||
	       DIFFER("verification.", verification_fields, &expected->verification,
		      &got->verification) ||
	       rows_differ(kind, &expected->rows, &got->rows, difference, size);
}

/* ---- printing */

static void print_text(FILE *file, const char *what, const char *text)
{
	char shown[128] = "NULL";

	if (text)
		text_format(text, BE_DESCRIPTION_SIZE, shown, sizeof shown);
	fprintf(file, "%s%s", what, shown);
}

static void print_tags(FILE *file, const struct tags *tags)
{
	struct be_label labels[LABEL_KEYS];
	unsigned count = tags_list(tags, labels);

	for (unsigned i = 0; i < count; i++) {
		print_text(file, " label=", labels[i].key);
		if (labels[i].value)
			print_text(file, "=", labels[i].value);
	}
}

static void print_filter(FILE *file, const struct call *call)
{
	const struct be_filter *filter = &call->filter;

	if (filter->namespace_name)
		print_text(file, " namespace=", filter->namespace_name);
	if (filter->category)
		print_text(file, " category=", filter->category);
	if (filter->since_ns || filter->until_ns)
		fprintf(file, " since=%" PRId64 " until=%" PRId64, filter->since_ns,
			filter->until_ns);
	if (filter->min_amount || filter->max_amount)
		fprintf(file, " min=%" PRId64 " max=%" PRId64, filter->min_amount,
			filter->max_amount);
	if (filter->after_id)
		fprintf(file, " after=%" PRIu64, filter->after_id);
	if (filter->max_count)
		fprintf(file, " max_count=%" PRIu64, filter->max_count);
	print_tags(file, &call->tags);
	if (call->stop_after)
		fprintf(file, " stop-after=%u", call->stop_after);
}

static void print_key(FILE *file, const struct call *call)
{
	if (!call->has_options || !call->key)
		return;
	print_text(file, " key=", call->key);
	fprintf(file, " key-ms=%" PRIu64, call->key_ms);
}

static void print_also(FILE *file, const struct call *call)
{
	for (unsigned i = 0; call->has_options && i < call->also_count; i++) {
		print_text(file, " also=", call->also[i].namespace_name);
		print_text(file, "/", call->also[i].category);
	}
}

static void print_commit_options(FILE *file, const struct call *call)
{
	if (call->has_options)
		fprintf(file, " least=%" PRId64 " ttl-ms=%" PRIu64 "%s%s", call->least,
			call->ttl_ms, call->detached ? " detached" : "",
			call->reap_policy == BE_REAP_CHARGE ? " charge" : "");
	if (!call->has_options || !call->waits)
		return;
	fprintf(file, " waits, meanwhile %s", call_names[call->meanwhile]);
	if (call->meanwhile == CALL_MOVE)
		fprintf(file, " to %" PRId64, call->then_ns);
	else if (call->meanwhile == CALL_SET_LIMIT)
		fprintf(file, " to %" PRId64, call->then_limit);
	else
		fprintf(file, " commit=%" PRIu64, call->id);
}

static void print_settings(FILE *file, const struct call *call)
{
	if (call->zone)
		fprintf(file, " zone=%s begins-on=%u", call->zone, call->begins_on);
	if (call->roll_over)
		fprintf(file, " roll-over=%" PRId64, call->roll_over);
	if (call->observe_only)
		fprintf(file, " observe-only");
	for (size_t i = 0; i < BE_THRESHOLDS_MAX && call->thresholds[i] != 0; i++)
		fprintf(file, "%s%u", i > 0 ? "," : " thresholds=", call->thresholds[i]);
}

static void print_envelope_options(FILE *file, const struct call *call)
{
	fprintf(file, " period=%s", be_period_name(call->period));
	if (!call->has_options)
		return;
	print_settings(file, call);
	if (call->parent_category || call->parent_namespace) {
		print_text(file, " parent=", call->parent_namespace);
		print_text(file, "/", call->parent_category);
	}
	if (call->period_start_ns)
		fprintf(file, " start=%" PRId64, call->period_start_ns);
	if (call->suspended)
		fprintf(file, " suspended");
}

void call_print(FILE *file, const struct call *call, int64_t before_ns)
{
	enum call_kind kind = call->kind;

	fprintf(file, "%-17s", call_names[kind]);
	if (kind == CALL_MOVE)
		fprintf(file, " by %" PRId64 " ns to %" PRId64, call->now_ns - before_ns,
			call->now_ns);
	if (kind <= CALL_COMMIT || kind == CALL_RECORD || kind == CALL_UTILIZATION ||
	    kind == CALL_WORKER_DIES) {
		print_text(file, " ", namespaces[call->handle]);
		print_text(file, "/", call->category);
	}
	if (kind == CALL_RELEASE || kind == CALL_SETTLE || kind == CALL_CHARGE ||
	    kind == CALL_EXTEND)
		fprintf(file, " commit=%" PRIu64, call->id);
	if (kind <= CALL_SET_LIMIT)
		fprintf(file, " limit=%" PRId64, call->amount);
	if (kind == CALL_CHECK || kind == CALL_COMMIT || kind == CALL_SETTLE ||
	    kind == CALL_CHARGE || kind == CALL_RECORD || kind == CALL_EXTEND ||
	    kind == CALL_WORKER_DIES)
		fprintf(file, " amount=%" PRId64, call->amount);
	if (kind == CALL_CORRECT)
		fprintf(file, " transaction=%" PRIu64 " amount=%" PRId64, call->id, call->amount);
	if (kind == CALL_EXTEND)
		fprintf(file, " ttl-ms=%" PRIu64, call->ttl_ms);
	if (kind == CALL_COMMIT || kind == CALL_WORKER_DIES)
		print_commit_options(file, call);
	if (kind == CALL_WORKER_DIES)
		fprintf(file, " commits=%u", call->count);
	if ((kind == CALL_COMMIT || kind == CALL_SETTLE || kind == CALL_CHARGE ||
	     kind == CALL_CORRECT || kind == CALL_RECORD || kind == CALL_WORKER_DIES) &&
	    call->description)
		print_text(file, " ", call->description);
	if (kind == CALL_COMMIT || kind == CALL_SETTLE || kind == CALL_CHARGE ||
	    kind == CALL_CORRECT || kind == CALL_RECORD)
		print_key(file, call);
	if (kind == CALL_COMMIT || kind == CALL_RECORD || kind == CALL_WORKER_DIES)
		print_also(file, call);
	if (call->has_options &&
	    (kind == CALL_COMMIT || kind == CALL_RECORD || kind == CALL_WORKER_DIES ||
	     kind == CALL_SETTLE || kind == CALL_CHARGE))
		print_tags(file, &call->tags);
	if (kind == CALL_CREATE || kind == CALL_ENSURE)
		print_envelope_options(file, call);
	if (kind == CALL_SET) {
		fprintf(file,
			" mask=%x limit=%" PRId64 " period=%s raise=%" PRId64 " until=%" PRId64
			"%s",
			call->mask, call->amount, be_period_name(call->period), call->raise,
			call->raise_until_ns, call->suspended ? " suspended" : "");
		print_settings(file, call);
		if (call->mask & BE_SET_NAME) {
			print_text(file, " name=", call->parent_namespace);
			print_text(file, "/", call->parent_category);
		}
		if (call->mask & BE_SET_PARENT) {
			print_text(file, " parent=", call->parent_namespace);
			print_text(file, "/", call->parent_category);
		}
	}
	if (kind == CALL_ALERT_DONE)
		fprintf(file, " alert=%" PRIu64, call->id);
	if (kind == CALL_LIST_ENVELOPES || kind == CALL_LIST_COMMITS ||
	    kind == CALL_LIST_TRANSACTIONS || kind == CALL_LIST_ALERTS)
		print_filter(file, call);
	fprintf(file, "\n");
}
