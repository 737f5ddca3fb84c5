/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of each view, in the order in which they are shown.
 *
 * Amounts and percents are text in JSON too: a reader that takes numbers for floating point would
 * lose the last digits of a balance.
 */
#include "fields.h"

#include "moment.h"
#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)

/* Where a member lies, and how long it is; or several that stand together. */
#define MEMBER(type, member) offsetof(type, member), sizeof((type *)0)->member
#define MEMBERS(type, first, last)                                                                 \
	offsetof(type, first),                                                                     \
		offsetof(type, last) + sizeof((type *)0)->last - offsetof(type, first)

#define ENVELOPE(member) MEMBER(struct be_envelope, member)
#define ENVELOPES(first, last) MEMBERS(struct be_envelope, first, last)
static const struct field of_envelopes[] = {
	{"ID", "id", FIELD_COUNT, ENVELOPE(id), true, "its number, never used again"},
	{"NAMESPACE", "namespace", FIELD_TEXT, ENVELOPE(namespace_name), false, "namespace"},
	{"CATEGORY", "category", FIELD_TEXT, ENVELOPE(category), false, "category"},
	{"LIMIT", "limit", FIELD_AMOUNT, ENVELOPE(limit), false, "what may be spent in a window"},
	{"SPENT", "spent", FIELD_AMOUNT, ENVELOPE(spent), false, "what was spent in this window"},
	{"COMMITTED", "committed", FIELD_AMOUNT, ENVELOPE(committed), false,
	 "what pending commits hold"},
	{"AVAILABLE", "available", FIELD_AMOUNT, ENVELOPE(available), false,
	 "what may still be committed"},
	{"USED%", "utilization_percent", FIELD_PERCENT, ENVELOPE(utilization_ppm), false,
	 "(spent + committed) / limit, rounded down"},
	{"LIMIT-NOW", "limit_now", FIELD_AMOUNT, ENVELOPE(limit_now), true,
	 "limit + raise + carried: what may be spent in this window"},
	{"RAISE", "raise", FIELD_AMOUNT, ENVELOPE(raise), true,
	 "by how much the limit is raised for a time"},
	{"RAISE-ENDS", "raise_until", FIELD_TIME_LEFT, ENVELOPE(raise_until_ns), true,
	 "in how long that ends (JSON: when)"},
	{"CARRIED", "carried", FIELD_AMOUNT, ENVELOPE(carried), true,
	 "what the last window left over for this one"},
	{"ROLL-OVER", "roll_over", FIELD_AMOUNT, ENVELOPE(roll_over), true,
	 "the most that a window may leave over for the next"},
	{"CHARGED", "charged", FIELD_AMOUNT, ENVELOPE(charged), true,
	 "what was charged in all since it was created, here and below"},
	{"OBSERVE-ONLY", "observe_only", FIELD_YES, ENVELOPE(observe_only), true,
	 "whether it refuses nothing for lack of budget"},
	{"EXCUSED", "excused", FIELD_COUNT, ENVELOPE(excused), true,
	 "what it would have refused otherwise"},
	{"REFUSED", "refused", FIELD_REFUSED, ENVELOPES(refused_exceeds_budget, refused_suspended),
	 false, "checks, commits and extensions that it refused since it was created"},
	{"REFUSED-BUDGET", "refused_exceeds_budget", FIELD_COUNT, ENVELOPE(refused_exceeds_budget),
	 true, "those of them that would have exceeded its budget"},
	{"REFUSED-SUSPENDED", "refused_suspended", FIELD_COUNT, ENVELOPE(refused_suspended), true,
	 "those of them that came while it was suspended"},
	{"PERIOD", "period", FIELD_PERIOD, ENVELOPE(period), false,
	 "hourly, daily, weekly, monthly, quarterly, yearly or total"},
	{"ZONE", "zone", FIELD_TEXT, ENVELOPE(zone), true,
	 "the time zone whose calendar windows follow"},
	{"BEGINS-ON", "begins_on", FIELD_SMALL_COUNT, ENVELOPE(begins_on), true,
	 "the day on which weeks or months begin by it; 0 is the first"},
	{"STARTED", "period_start", FIELD_TIME, ENVELOPE(period_start_ns), true,
	 "when this window began"},
	{"ENDS", "period_end", FIELD_TIME_LEFT, ENVELOPE(period_end_ns), false,
	 "in how long this window ends (JSON: when)"},
	{"STATE", "suspended", FIELD_SUSPENDED, ENVELOPE(suspended), false,
	 "active or suspended (JSON: true, false)"},
	{"PARENT", "parent", FIELD_PARENT, ENVELOPES(has_parent, parent_category), false,
	 "namespace/category of the one above it"},
	{"PENDING", "pending_commits", FIELD_COUNT, ENVELOPE(pending_commits), true,
	 "number of pending commits"},
	{"GRANTED", "commits_granted", FIELD_COUNT, ENVELOPE(commits_granted), true,
	 "commits granted since it was created, those below it included"},
	{"EXPIRED-FREED", "expired_released", FIELD_COUNT, ENVELOPE(expired_released), true,
	 "commits whose deadline passed and whose amount was freed, here and below"},
	{"EXPIRED-CHARGED", "expired_charged", FIELD_COUNT, ENVELOPE(expired_charged), true,
	 "the same whose amount was charged"},
	{"ORPHANED-FREED", "orphaned_released", FIELD_COUNT, ENVELOPE(orphaned_released), true,
	 "commits whose owner died and whose amount was freed, here and below"},
	{"ORPHANED-CHARGED", "orphaned_charged", FIELD_COUNT, ENVELOPE(orphaned_charged), true,
	 "the same whose amount was charged"},
	{"LATE", "settled_late", FIELD_COUNT, ENVELOPE(settled_late), true,
	 "commits that were settled after that, here and below"},
	{"CHILDREN", "children", FIELD_COUNT, ENVELOPE(children), true,
	 "number of envelopes below it"},
	{"CREATED", "created", FIELD_TIME, ENVELOPE(created_ns), true, "when it was created"},
	/* What only be-inspect knows. */
	{"HELD-EXPIRED", "held_expired", FIELD_AMOUNT, MEMBER(struct envelope_row, held_expired),
	 true, "what of COMMITTED commits past their deadline hold, until they are reaped"},
	{"HELD-ORPHANED", "held_orphaned", FIELD_AMOUNT, MEMBER(struct envelope_row, held_orphaned),
	 true, "what of it the commits of dead owners hold, until they are reaped"},
};
#define OF_ROWS_ONLY 2

#define COMMIT(member) MEMBER(struct be_commit_info, member)
static const struct field of_commits[] = {
	{"ID", "id", FIELD_COUNT, COMMIT(id), false, "what release and settle take"},
	{"NAMESPACE", "namespace", FIELD_TEXT, COMMIT(namespace_name), false, "namespace"},
	{"CATEGORY", "category", FIELD_TEXT, COMMIT(category), false, "category"},
	{"AMOUNT", "amount", FIELD_AMOUNT, COMMIT(amount), false, "what it holds"},
	{"CREATED", "created", FIELD_TIME, COMMIT(created_ns), true, "when it was made"},
	{"AGE", "age_seconds", FIELD_AGE, COMMIT(created_ns), false, "how long ago that was"},
	{"EXPIRES", "deadline", FIELD_TIME_LEFT, COMMIT(deadline_ns), false,
	 "in how long it may be reaped, -5m when that was 5 minutes ago (JSON: when)"},
	{"DETACHED", "detached", FIELD_YES, COMMIT(detached), true,
	 "whether it outlives its owner"},
	{"OWNER", "owner_pid", FIELD_PID, COMMIT(owner_pid), false, "process that made it"},
	{"ALIVE", "owner_alive", FIELD_YES, COMMIT(owner_alive), true,
	 "whether that process lives"},
	{"STATE", "state", FIELD_COMMIT_STATE, COMMIT(state), false,
	 "pending; expired or orphaned when it waits to be reaped"},
	{"POLICY", "reap_policy", FIELD_REAP_POLICY, COMMIT(reap_policy), true,
	 "release or charge, when it is reaped"},
	{"DESCRIPTION", "description", FIELD_TEXT, COMMIT(description), false, "description"},
};

#define TRANSACTION(member) MEMBER(struct be_transaction, member)
static const struct field of_transactions[] = {
	{"ID", "id", FIELD_COUNT, TRANSACTION(id), false, "ascending, never used again"},
	{"AT", "at", FIELD_TIME, TRANSACTION(at_ns), false, "when it was charged"},
	{"KIND", "kind", FIELD_KIND, TRANSACTION(kind), false,
	 "record, settle, expired or orphaned"},
	{"NAMESPACE", "namespace", FIELD_TEXT, TRANSACTION(namespace_name), false, "namespace"},
	{"CATEGORY", "category", FIELD_TEXT, TRANSACTION(category), false, "category"},
	{"AMOUNT", "amount", FIELD_AMOUNT, TRANSACTION(amount), false, "what was charged"},
	{"HELD", "held", FIELD_AMOUNT, TRANSACTION(held), false, "what its commit had held"},
	{"COMMIT", "commit_id", FIELD_ID, TRANSACTION(commit_id), false,
	 "the commit that it ended"},
	{"LATE", "late", FIELD_YES, TRANSACTION(late), true,
	 "whether its commit had been reaped before"},
	{"DESCRIPTION", "description", FIELD_TEXT, TRANSACTION(description), false, "description"},
};

#define OWNER(member) MEMBER(struct owner_row, member)
static const struct field of_owners[] = {
	{"PID", "pid", FIELD_PID, OWNER(pid), false, "process, in its own pid namespace"},
	{"NAMESPACE", "pid_namespace", FIELD_PID, OWNER(pid_namespace), false,
	 "that pid namespace (/proc/PID/ns/pid)"},
	{"HERE", "pid_here", FIELD_PID, OWNER(pid_here), false,
	 "the pid by which it is seen from here; none where it is not seen, or dead"},
	{"ALIVE", "alive", FIELD_YES, OWNER(alive), false, "whether it lives, as the kernel says"},
	{"COMMITS", "commits", FIELD_COUNT, OWNER(commits), false, "number of its pending commits"},
	{"HELD", "held", FIELD_AMOUNT, OWNER(held), false, "what they hold"},
	{"OLDEST", "oldest_seconds", FIELD_AGE, OWNER(oldest_ns), false,
	 "how long ago the oldest of them was made"},
	{"COMMAND", "command", FIELD_TEXT, OWNER(command), false, "what it runs"},
};

#define STATS(member) MEMBER(struct be_statistics, member)
static const struct field of_stats[] = {
	{"FORMAT", "format_version", FIELD_SMALL_COUNT, STATS(format_version), false,
	 "version of the format of its records"},
	{"CREATED", "created", FIELD_TIME, STATS(created_ns), false, "when it was created"},
	{"DURABILITY", "durability", FIELD_DURABILITY, STATS(durability), false,
	 "full: survives the loss of power; process: the death of processes"},
	{"FILE", "file_bytes", FIELD_COUNT, STATS(file_size), false, "size of data.mdb"},
	{"MAP", "map_bytes", FIELD_COUNT, STATS(map_size), false,
	 "what it can grow to, as opened here"},
	{"PAGE", "page_bytes", FIELD_COUNT, STATS(page_size), false, "size of a page"},
	{"PAGES", "pages", FIELD_COUNT, STATS(pages), false, "pages in use so far"},
	{"FREE", "free_pages", FIELD_COUNT, STATS(free_pages), false,
	 "those of them to be used again"},
	{"RECORDS", "records", FIELD_COUNT, STATS(records), false, "records of all kinds"},
	{"CHANGES", "changes", FIELD_COUNT, STATS(changes), false, "write txns so far"},
	{"NEXT-ENVELOPE", "next_envelope_id", FIELD_COUNT, STATS(next_envelope_id), false,
	 "id that the next envelope will have"},
	{"NEXT-COMMIT", "next_commit_id", FIELD_COUNT, STATS(next_commit_id), false,
	 "the same of commits"},
	{"NEXT-TXN", "next_transaction_id", FIELD_COUNT, STATS(next_transaction_id), false,
	 "the same of transactions"},
	{"EXPIRED-FREED", "expired_released", FIELD_COUNT, STATS(expired_released), false,
	 "commits whose deadline passed and whose amount was freed"},
	{"EXPIRED-CHARGED", "expired_charged", FIELD_COUNT, STATS(expired_charged), false,
	 "the same whose amount was charged"},
	{"ORPHANED-FREED", "orphaned_released", FIELD_COUNT, STATS(orphaned_released), false,
	 "commits whose owner died and whose amount was freed"},
	{"ORPHANED-CHARGED", "orphaned_charged", FIELD_COUNT, STATS(orphaned_charged), false,
	 "the same whose amount was charged"},
	{"LATE", "settled_late", FIELD_COUNT, STATS(settled_late), false,
	 "commits that were settled after that"},
	{"NO-ENVELOPE", "refused_no_envelope", FIELD_COUNT, STATS(refused_no_envelope), false,
	 "checks and commits that named no envelope"},
	{"REFUSALS-KNOWN", "refusals_known", FIELD_YES, STATS(refusals_known), false,
	 "no: be-counts is missing or cannot be used, and all counts of refusals are 0"},
	{"WENT-BACK", "went_back", FIELD_YES, STATS(went_back), false,
	 "yes: when the machine came up the newest txn was not whole and was dropped; nobody had "
	 "been told of it"},
	{"READS-EXCLUDE", "reads_exclude_writes", FIELD_YES, STATS(reads_exclude_writes), false,
	 "yes: the reader table of this liblmdb cannot be made true for several containers, so "
	 "that reading excludes writers, and is slow"},
	{"OWNERS", "owners", FIELD_SMALL_COUNT, STATS(owners), false,
	 "live processes that have it open to change it"},
	{"READERS", "readers", FIELD_COUNT, STATS(readers), false,
	 "slots of reading threads that are taken"},
	{"READERS-MAX", "readers_max", FIELD_COUNT, STATS(readers_max), false,
	 "how many there are"},
	{"STALE", "stale_readers", FIELD_COUNT, STATS(stale_readers), false,
	 "those of dead processes, freed just now"},
	{"LAG", "reader_lag", FIELD_COUNT, STATS(reader_lag), false,
	 "write txns since the oldest state that is being read; large and lasting when a process "
	 "was stopped "
	 "while it read"},
	{"LAGGING", "lagging_pid", FIELD_PID, STATS(lagging_pid), false,
	 "the process that reads it"},
};

#define ALL_OF(table)                                                                              \
	{                                                                                          \
		table, sizeof(table) / sizeof(table)[0]                                            \
	}
const struct fields envelope_row_fields = ALL_OF(of_envelopes);
const struct fields envelope_fields = {of_envelopes,
				       sizeof of_envelopes / sizeof *of_envelopes - OF_ROWS_ONLY};
const struct fields commit_fields = ALL_OF(of_commits);
const struct fields transaction_fields = ALL_OF(of_transactions);
const struct fields owner_fields = ALL_OF(of_owners);
const struct fields stats_fields = ALL_OF(of_stats);

static bool is_name(const char *candidate, const char *name, size_t size)
{
	return strlen(candidate) == size && strncasecmp(candidate, name, size) == 0;
}

const struct field *fields_find(const struct fields *fields, const char *name, size_t size)
{
	const struct field *field;

	for (field = fields->first; field < fields->first + fields->count; field++)
		if (is_name(field->heading, name, size) || is_name(field->key, name, size))
			return field;
	return NULL;
}

/* What is overdue has less than no time left. */
static void time_left(int64_t left_ns, char text[FIELD_TEXT_SIZE])
{
	if (left_ns > 0 && left_ns < SECOND_NS) {
		strcpy(text, "<1s");
		return;
	}
	*text = '-';
	duration_format(left_ns > 0 ? left_ns : -left_ns, text + (left_ns <= 0));
}

/* The column of a moment that may not be there. */
static void time_text(const struct field *field, int64_t at_ns, int64_t now_ns,
		      char text[FIELD_TEXT_SIZE])
{
	if (at_ns == 0)
		strcpy(text, "-");
	else if (field->kind == FIELD_AGE)
		duration_format(now_ns - at_ns, text);
	else if (field->kind == FIELD_TIME)
		moment_format(at_ns, 3, text);
	else
		time_left(at_ns - now_ns, text);
}

static void parent_text(const struct be_envelope *envelope, char text[FIELD_TEXT_SIZE])
{
	if (!envelope->has_parent)
		strcpy(text, "-");
	else
		snprintf(text, FIELD_TEXT_SIZE, "%s%s%s", envelope->parent_namespace,
			 envelope->parent_namespace[0] ? "/" : "", envelope->parent_category);
}

uint64_t field_refusals(const struct be_envelope *envelope)
{
	return envelope->refused_exceeds_budget + envelope->refused_suspended;
}

static const char *state_name(enum be_commit_state state)
{
	switch (state) {
	case BE_COMMIT_EXPIRED:
		return "expired";
	case BE_COMMIT_ORPHANED:
		return "orphaned";
	default:
		return "pending";
	}
}

static void amount_text(int64_t amount, char text[FIELD_TEXT_SIZE])
{
	if (be_amount_format(amount, text, FIELD_TEXT_SIZE) != BE_OK)
		strcpy(text, "?");
}

static void percent_text(int64_t ppm, char text[FIELD_TEXT_SIZE])
{
	size_t size;

	count_format((uint64_t)ppm / 10000, text);
	size = strlen(text);
	text[size] = '.';
	text[size + 1] = (char)('0' + ppm / 1000 % 10);
	text[size + 2] = (char)('0' + ppm / 100 % 10);
	text[size + 3] = '\0';
}

void field_text(const struct field *field, const void *record, int64_t now_ns,
		char text[FIELD_TEXT_SIZE])
{
	const void *value = (const char *)record + field->offset;

	switch (field->kind) {
	case FIELD_AMOUNT:
		amount_text(*(const int64_t *)value, text);
		break;
	case FIELD_ID:
	case FIELD_COUNT:
		if (field->kind == FIELD_ID && *(const uint64_t *)value == 0)
			strcpy(text, "-");
		else
			count_format(*(const uint64_t *)value, text);
		break;
	case FIELD_PID:
	case FIELD_SMALL_COUNT:
		if (field->kind == FIELD_PID && *(const uint32_t *)value == 0)
			strcpy(text, "-");
		else
			count_format(*(const uint32_t *)value, text);
		break;
	case FIELD_PERCENT:
		percent_text(*(const int64_t *)value, text);
		break;
	case FIELD_TEXT:
		strcpy(text, *(const char *)value ? value : "-");
		break;
	case FIELD_YES:
		strcpy(text, *(const bool *)value ? "yes" : "no");
		break;
	case FIELD_TIME:
	case FIELD_TIME_LEFT:
	case FIELD_AGE:
		time_text(field, *(const int64_t *)value, now_ns, text);
		break;
	case FIELD_PERIOD:
		strcpy(text, be_period_name(*(const enum be_period *)value));
		break;
	case FIELD_SUSPENDED:
		strcpy(text, *(const bool *)value ? "suspended" : "active");
		break;
	case FIELD_PARENT:
		parent_text(record, text);
		break;
	case FIELD_REFUSED:
		count_format(field_refusals(record), text);
		break;
	case FIELD_COMMIT_STATE:
		strcpy(text, state_name(*(const enum be_commit_state *)value));
		break;
	case FIELD_REAP_POLICY:
		strcpy(text, *(const enum be_reap_policy *)value == BE_REAP_CHARGE ? "charge"
										   : "release");
		break;
	case FIELD_KIND:
		strcpy(text, be_transaction_kind_name(*(const enum be_transaction_kind *)value));
		break;
	case FIELD_DURABILITY:
		strcpy(text, *(const enum be_durability *)value == BE_DURABILITY_FULL ? "full"
										      : "process");
		break;
	}
}

/* ---- values, as programs read them */

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* What is not UTF-8 cannot be in JSON; it is escaped, as in a column. */
static void take_text(const char *from, char text[FIELD_TEXT_SIZE])
{
	json_t *json = is_ascii(from) ? NULL : json_string(from);
	char *safe;

	if (json || is_ascii(from)) {
		strcpy(text, from);
	} else {
		safe = text_escape(from);
		snprintf(text, FIELD_TEXT_SIZE, "%s", safe);
		free(safe);
	}
	json_decref(json);
}

static enum field_value time_value(int64_t at_ns, char text[FIELD_TEXT_SIZE])
{
	if (at_ns == 0)
		return FIELD_VALUE_NONE;
	moment_format(at_ns, 9, text);
	return FIELD_VALUE_TEXT;
}

static enum field_value word_value(const char *word, char text[FIELD_TEXT_SIZE])
{
	strcpy(text, word);
	return FIELD_VALUE_WORD;
}

static enum field_value age_value(int64_t at_ns, int64_t now_ns, char text[FIELD_TEXT_SIZE])
{
	if (at_ns == 0)
		return FIELD_VALUE_NONE;
	count_format(now_ns > at_ns ? (uint64_t)(now_ns - at_ns) / SECOND_NS : 0, text);
	return FIELD_VALUE_WORD;
}

enum field_value field_value(const struct field *field, const void *record, int64_t now_ns,
			     char text[FIELD_TEXT_SIZE])
{
	const void *value = (const char *)record + field->offset;

	switch (field->kind) {
	case FIELD_ID:
		if (*(const uint64_t *)value == 0)
			return FIELD_VALUE_NONE;
		break;
	case FIELD_PID:
		if (*(const uint32_t *)value == 0)
			return FIELD_VALUE_NONE;
		break;
	case FIELD_TEXT:
		take_text(value, text);
		return FIELD_VALUE_TEXT;
	case FIELD_YES:
	case FIELD_SUSPENDED:
		return word_value(*(const bool *)value ? "true" : "false", text);
	case FIELD_TIME:
	case FIELD_TIME_LEFT:
		return time_value(*(const int64_t *)value, text);
	case FIELD_AGE:
		return age_value(*(const int64_t *)value, now_ns, text);
	case FIELD_COUNT:
	case FIELD_SMALL_COUNT:
	case FIELD_REFUSED:
		break;
	default:
		field_text(field, record, now_ns, text);
		return FIELD_VALUE_TEXT;
	}
	field_text(field, record, now_ns, text);
	return FIELD_VALUE_WORD;
}

static json_t *json_of_parent(const struct be_envelope *envelope)
{
	char namespace_name[FIELD_TEXT_SIZE], category[FIELD_TEXT_SIZE];

	if (!envelope->has_parent)
		return json_null();
	take_text(envelope->parent_namespace, namespace_name);
	take_text(envelope->parent_category, category);
	return json_pack("{s:s, s:s}", "namespace", namespace_name, "category", category);
}

json_t *field_json(const struct field *field, const void *record, int64_t now_ns)
{
	char text[FIELD_TEXT_SIZE];

	if (field->kind == FIELD_PARENT)
		return json_of_parent(record);
	switch (field_value(field, record, now_ns, text)) {
	case FIELD_VALUE_NONE:
		return json_null();
	case FIELD_VALUE_WORD:
		return json_loads(text, JSON_DECODE_ANY, NULL);
	default:
		return json_string(text);
	}
}

void field_add_amount(int64_t *sum, int64_t amount)
{
	if (__builtin_add_overflow(*sum, amount, sum))
		*sum = INT64_MAX;
}

bool field_is_figure(const struct field *field)
{
	switch (field->kind) {
	case FIELD_AMOUNT:
	case FIELD_COUNT:
	case FIELD_ID:
	case FIELD_PID:
	case FIELD_SMALL_COUNT:
	case FIELD_PERCENT:
	case FIELD_REFUSED:
	case FIELD_TIME_LEFT:
	case FIELD_AGE:
		return true;
	default:
		return false;
	}
}
