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
	{"GIVEN-BACK", "given_back", FIELD_AMOUNT, ENVELOPE(given_back), true,
	 "what of that corrections have given back"},
	{"OBSERVE-ONLY", "observe_only", FIELD_YES, ENVELOPE(observe_only), true,
	 "whether it refuses nothing for lack of budget"},
	{"EXCUSED", "excused", FIELD_COUNT, ENVELOPE(excused), true,
	 "what it would have refused otherwise"},
	{"PASSED", "passed", FIELD_SMALL_COUNT, ENVELOPE(passed), true,
	 "the largest threshold, in per cent, that gave an alert in this window; 0: none did"},
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
	{"ALSO", "also", FIELD_ALSO, MEMBER(struct commit_row, also), true,
	 "the further envelopes that it holds its amount in"},
	{"LABELS", "labels", FIELD_LABELS, MEMBER(struct commit_row, labels), true,
	 "its labels, as in customer=acme"},
};

#define TRANSACTION(member) MEMBER(struct be_transaction, member)
static const struct field of_transactions[] = {
	{"ID", "id", FIELD_COUNT, TRANSACTION(id), false, "ascending, never used again"},
	{"AT", "at", FIELD_TIME, TRANSACTION(at_ns), false, "when it was charged"},
	{"KIND", "kind", FIELD_KIND, TRANSACTION(kind), false,
	 "record, settle, charge, expired, orphaned or correction"},
	{"NAMESPACE", "namespace", FIELD_TEXT, TRANSACTION(namespace_name), false, "namespace"},
	{"CATEGORY", "category", FIELD_TEXT, TRANSACTION(category), false, "category"},
	{"AMOUNT", "amount", FIELD_AMOUNT, TRANSACTION(amount), false,
	 "what was charged; below zero: given back"},
	{"HELD", "held", FIELD_AMOUNT, TRANSACTION(held), false, "what its commit had held"},
	{"COMMIT", "commit_id", FIELD_ID, TRANSACTION(commit_id), false,
	 "the commit that it ended"},
	{"LATE", "late", FIELD_YES, TRANSACTION(late), true,
	 "whether its commit had been reaped before"},
	{"CORRECTS", "corrects", FIELD_ID, TRANSACTION(corrects), true,
	 "the transaction of which it gives back"},
	{"ENVELOPE-ID", "envelope_id", FIELD_COUNT, TRANSACTION(envelope_id), true,
	 "the id of the envelope charged, which may have another name by now"},
	{"DESCRIPTION", "description", FIELD_TEXT, TRANSACTION(description), false, "description"},
	{"ALSO", "also", FIELD_ALSO, MEMBER(struct transaction_row, also), true,
	 "the further envelopes that it was charged to"},
	{"LABELS", "labels", FIELD_LABELS, MEMBER(struct transaction_row, labels), true,
	 "its labels, as in customer=acme"},
};

#define ALERT(member) MEMBER(struct be_alert, member)
static const struct field of_alerts[] = {
	{"ID", "id", FIELD_COUNT, ALERT(id), false, "ascending, never used again"},
	{"AT", "at", FIELD_TIME, ALERT(at_ns), false, "when the threshold was crossed"},
	{"NAMESPACE", "namespace", FIELD_TEXT, ALERT(namespace_name), false,
	 "namespace of the envelope"},
	{"CATEGORY", "category", FIELD_TEXT, ALERT(category), false, "its category"},
	{"PERCENT", "percent", FIELD_SMALL_COUNT, ALERT(percent), false,
	 "the threshold: so many per cent of the limit"},
	{"SPENT", "spent", FIELD_AMOUNT, ALERT(spent), false, "what was then spent"},
	{"LIMIT", "limit", FIELD_AMOUNT, ALERT(limit), false, "what might be spent"},
	{"BY-NAMESPACE", "spender_namespace", FIELD_TEXT, ALERT(spender_namespace), true,
	 "namespace of the envelope that was charged"},
	{"BY", "spender_category", FIELD_TEXT, ALERT(spender_category), false,
	 "its category; none where another change than a charge crossed it"},
	{"TXN", "transaction_id", FIELD_ID, ALERT(transaction_id), true,
	 "the transaction that crossed it"},
	{"ENVELOPE", "envelope_id", FIELD_COUNT, ALERT(envelope_id), true,
	 "number of the envelope"},
	{"STARTED", "period_start", FIELD_TIME, ALERT(period_start_ns), true,
	 "when the window began"},
	{"ENDED", "period_end", FIELD_TIME, ALERT(period_end_ns), true, "when it was to end"},
	{"DONE", "done", FIELD_TIME, ALERT(done_ns), false, "when somebody had dealt with it"},
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
	{"PRUNED", "pruned_id", FIELD_COUNT, STATS(pruned_id), false,
	 "the last transaction that prune has removed; 0: none"},
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
	{"HISTORIES", "history_changes", FIELD_COUNT, STATS(history_changes), false,
	 "how often another server took over, or was set back; ids leapt then"},
	{"LOSSES", "losses", FIELD_COUNT, STATS(losses), false,
	 "hosts that found changes gone which a server had acknowledged to them"},
	{"OWNERS", "owners", FIELD_SMALL_COUNT, STATS(owners), false,
	 "live processes that have it open to change it"},
	{"WAITING", "waiting", FIELD_SMALL_COUNT, STATS(waiting), false,
	 "commits that wait for money now"},
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
/* What only rows of commits and transactions have. */
#define NOTES 2
const struct fields commit_row_fields = ALL_OF(of_commits);
const struct fields commit_fields = {of_commits, sizeof of_commits / sizeof *of_commits - NOTES};
const struct fields transaction_row_fields = ALL_OF(of_transactions);
const struct fields transaction_fields = {of_transactions,
					  sizeof of_transactions / sizeof *of_transactions - NOTES};
const struct fields alert_fields = ALL_OF(of_alerts);
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

char *field_make_also(const struct be_envelope_name *also, uint32_t count)
{
	char *made = NULL;
	size_t size;
	FILE *stream;

	if (count == 0)
		return NULL;
	stream = open_memstream(&made, &size);
	if (!stream)
		tool_out_of_memory();
	for (uint32_t i = 0; i < count; i++)
		fprintf(stream, "%s%c%s%c", also[i].namespace_name, '\0', also[i].category, '\0');
	putc('\0', stream); /* the name of no namespace, */
	putc('\0', stream); /* and of no category */
	if (fclose(stream) != 0)
		tool_out_of_memory();
	return made;
}

/* Takes the next of such names; false behind the last. */
static bool take_also(const char **at, const char **namespace_name, const char **category)
{
	if (!*at)
		return false;
	*namespace_name = *at;
	*category = *namespace_name + strlen(*namespace_name) + 1;
	*at = *category + strlen(*category) + 1;
	return **category != '\0';
}

static void also_text(const char *also, char text[FIELD_TEXT_SIZE])
{
	const char *namespace_name, *category, *between = "";
	size_t used = 0;

	strcpy(text, "-");
	while (take_also(&also, &namespace_name, &category)) {
		used += (size_t)snprintf(text + used, FIELD_TEXT_SIZE - used, "%s%s%s%s", between,
					 namespace_name, *namespace_name ? "/" : "", category);
		between = ", ";
	}
}

char *field_make_labels(const struct be_label *labels, uint32_t count)
{
	char *made = NULL;
	size_t size;
	FILE *stream;

	if (count == 0)
		return NULL;
	stream = open_memstream(&made, &size);
	if (!stream)
		tool_out_of_memory();
	for (uint32_t i = 0; i < count; i++)
		fprintf(stream, "%s%c%s%c", labels[i].key, '\0', labels[i].value, '\0');
	putc('\0', stream); /* no key */
	if (fclose(stream) != 0)
		tool_out_of_memory();
	return made;
}

/* Takes the next label; false behind the last. */
static bool take_label(const char **at, struct be_label *label)
{
	if (!*at || **at == '\0')
		return false;
	label->key = *at;
	label->value = label->key + strlen(label->key) + 1;
	*at = label->value + strlen(label->value) + 1;
	return true;
}

static void labels_text(const char *labels, char text[FIELD_TEXT_SIZE])
{
	const char *between = "";
	struct be_label label;
	size_t used = 0;

	strcpy(text, "-");
	while (take_label(&labels, &label)) {
		used += (size_t)snprintf(text + used, FIELD_TEXT_SIZE - used, "%s%s=%s", between,
					 label.key, label.value);
		between = ", ";
	}
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

static void pointer_text(const char *from, char text[FIELD_TEXT_SIZE])
{
	snprintf(text, FIELD_TEXT_SIZE, "%s", from && *from ? from : "-");
}

static void count_text(uint64_t count, bool is_name, char text[FIELD_TEXT_SIZE])
{
	if (is_name && count == 0)
		strcpy(text, "-");
	else
		count_format(count, text);
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
		count_text(*(const uint64_t *)value, field->kind == FIELD_ID, text);
		break;
	case FIELD_PID:
	case FIELD_SMALL_COUNT:
		count_text(*(const uint32_t *)value, field->kind == FIELD_PID, text);
		break;
	case FIELD_PERCENT:
		percent_text(*(const int64_t *)value, text);
		break;
	case FIELD_TEXT:
	case FIELD_FIGURE:
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
	case FIELD_ALSO:
		also_text(*(const char *const *)value, text);
		break;
	case FIELD_LABELS:
		labels_text(*(const char *const *)value, text);
		break;
	case FIELD_DURABILITY:
		strcpy(text, *(const enum be_durability *)value == BE_DURABILITY_FULL ? "full"
										      : "process");
		break;
	case FIELD_POINTER:
		pointer_text(*(const char *const *)value, text);
		break;
	case FIELD_BAR:
		count_format((uint64_t) * (const int64_t *)value, text);
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
	case FIELD_POINTER:
		if (!*(const char *const *)value)
			return FIELD_VALUE_NONE;
		take_text(*(const char *const *)value, text);
		return FIELD_VALUE_TEXT;
	case FIELD_FIGURE:
		if (!*(const char *)value)
			return FIELD_VALUE_NONE;
		strcpy(text, value);
		return FIELD_VALUE_TEXT;
	case FIELD_BAR:
		return FIELD_VALUE_NONE;
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
	case FIELD_ALSO:
	case FIELD_LABELS:
		field_text(field, record, now_ns, text);
		return strcmp(text, "-") == 0 ? FIELD_VALUE_NONE : FIELD_VALUE_TEXT;
	default:
		field_text(field, record, now_ns, text);
		return FIELD_VALUE_TEXT;
	}
	field_text(field, record, now_ns, text);
	return FIELD_VALUE_WORD;
}

static json_t *json_of_name(const char *namespace_name, const char *category)
{
	char namespace_text[FIELD_TEXT_SIZE], category_text[FIELD_TEXT_SIZE];

	take_text(namespace_name, namespace_text);
	take_text(category, category_text);
	return json_pack("{s:s, s:s}", "namespace", namespace_text, "category", category_text);
}

static json_t *json_of_parent(const struct be_envelope *envelope)
{
	return envelope->has_parent
		       ? json_of_name(envelope->parent_namespace, envelope->parent_category)
		       : json_null();
}

static json_t *json_of_also(const char *also)
{
	const char *namespace_name, *category;
	json_t *names = json_array();

	while (names && take_also(&also, &namespace_name, &category))
		if (json_array_append_new(names, json_of_name(namespace_name, category)) != 0)
			tool_out_of_memory();
	return names;
}

/* As an object, sorted by key as they are. */
static json_t *json_of_labels(const char *labels)
{
	char key[FIELD_TEXT_SIZE], value[FIELD_TEXT_SIZE];
	json_t *object = json_object();
	struct be_label label;

	while (object && take_label(&labels, &label)) {
		take_text(label.key, key);
		take_text(label.value, value);
		if (json_object_set_new(object, key, json_string(value)) != 0)
			tool_out_of_memory();
	}
	return object;
}

json_t *field_json(const struct field *field, const void *record, int64_t now_ns)
{
	char text[FIELD_TEXT_SIZE];

	if (field->kind == FIELD_PARENT)
		return json_of_parent(record);
	if (field->kind == FIELD_ALSO)
		return json_of_also(*(const char *const *)((const char *)record + field->offset));
	if (field->kind == FIELD_LABELS)
		return json_of_labels(*(const char *const *)((const char *)record + field->offset));
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
	case FIELD_FIGURE:
		return true;
	default:
		return false;
	}
}
