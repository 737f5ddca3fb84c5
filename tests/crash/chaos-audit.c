/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of the chaos; chaos.h says what the logs are.
 *
 * Rules. A line that was answered BE_OK is in the ledger exactly once, under the id that was told;
 * one that was answered otherwise is not there; one that was not answered, since its worker was
 * killed, is there once or not at all. What the ledger holds is what some line asked for. Of a
 * commit the library still knows how it ended; that agrees with the answers about it, and with the
 * ledger.
 */
#include "chaos.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line as the audit goes on. */
struct entry {
	struct line line;
	struct line answer;    /* is_answer is false: there was none */
	uint32_t charged;      /* transactions of the ledger that it asked for */
	uint32_t reap_charged; /* of a commit: transactions that reaping it wrote */
	uint64_t transaction_id;
};

/* What is known of a commit. */
struct fate {
	uint64_t id;
	enum be_reap_policy policy;
	uint32_t settled, released; /* answered BE_OK */
	uint32_t unanswered;        /* endings of which nobody knows */
	uint32_t transactions, reap_transactions;
};

struct audit {
	struct entry *entries[PLACES];
	uint32_t counts[PLACES];
	struct fate *fates; /* by id */
	size_t fate_count;
	uint64_t last_transaction_id;
	uint64_t asked, answered, lost,
		found; /* lost: without an answer; found: of these in the ledger */
};

void chaos_log_path(char path[PATH_MAX], int place)
{
	test_path(path, "log-%d", place);
}

/* ---- the logs */

static void read_log(struct audit *audit, int place)
{
	char path[PATH_MAX];
	struct line line;
	FILE *file;
	uint32_t count = 0;

	chaos_log_path(path, place);
	file = fopen(path, "r");
	EXPECT(file != NULL);
	EXPECT(fseek(file, 0, SEEK_END) == 0);
	audit->counts[place] = (uint32_t)(ftell(file) / (long)sizeof line);
	rewind(file);
	audit->entries[place] = calloc(audit->counts[place] + 1U, sizeof *audit->entries[place]);
	EXPECT(audit->entries[place] != NULL);
	while (fread(&line, sizeof line, 1, file) == 1) {
		struct entry *entry = &audit->entries[place][count++];

		entry->line = line;
		if (!line.is_answer) {
			audit->asked++;
			continue;
		}
		EXPECT(line.asked < count && !audit->entries[place][line.asked].line.is_answer);
		entry = &audit->entries[place][line.asked];
		EXPECT(!entry->answer.is_answer);
		entry->answer = line;
		audit->answered++;
	}
	fclose(file);
}

static int compare_fates(const void *left, const void *right)
{
	const struct fate *one = left, *other = right;

	return (one->id > other->id) - (one->id < other->id);
}

static struct fate *find_fate(struct audit *audit, uint64_t id)
{
	struct fate wanted = {.id = id};

	return bsearch(&wanted, audit->fates, audit->fate_count, sizeof wanted, compare_fates);
}

static void for_each(struct audit *audit, void (*visit)(struct audit *audit, struct entry *entry))
{
	int place;
	uint32_t i;

	for (place = 0; place < PLACES; place++)
		for (i = 0; i < audit->counts[place]; i++)
			if (!audit->entries[place][i].line.is_answer)
				visit(audit, &audit->entries[place][i]);
}

static void note_commit(struct audit *audit, struct entry *entry)
{
	if (entry->line.operation != BE_OPERATION_COMMIT || !entry->answer.is_answer ||
	    entry->answer.status != BE_OK)
		return;
	audit->fates[audit->fate_count++] =
		(struct fate){.id = entry->answer.commit_id, .policy = entry->line.policy};
}

/* The commits that workers were told of, each of which has an id of its own. */
static void make_fates(struct audit *audit)
{
	size_t i;

	audit->fates = calloc(audit->answered + 1, sizeof *audit->fates);
	EXPECT(audit->fates != NULL);
	for_each(audit, note_commit);
	qsort(audit->fates, audit->fate_count, sizeof *audit->fates, compare_fates);
	for (i = 0; i < audit->fate_count; i++)
		EXPECT(audit->fates[i].id != 0 &&
		       (i == 0 || audit->fates[i - 1].id < audit->fates[i].id));
}

static void note_ending(struct audit *audit, struct entry *entry)
{
	struct fate *fate;

	if (entry->line.operation != BE_OPERATION_SETTLE &&
	    entry->line.operation != BE_OPERATION_RELEASE)
		return;
	fate = find_fate(audit, entry->line.commit_id);
	EXPECT(fate != NULL); /* its maker wrote it down before anybody else could know of it */
	if (!entry->answer.is_answer)
		fate->unanswered++;
	else if (entry->answer.status == BE_OK && entry->line.operation == BE_OPERATION_SETTLE)
		fate->settled++;
	else if (entry->answer.status == BE_OK)
		fate->released++;
}

/* ---- the ledger */

static struct entry *entry_of(struct audit *audit, const struct be_transaction *transaction)
{
	uint32_t line;
	int place;

	if (sscanf(transaction->description, "%d-%" SCNu32, &place, &line) != 2 || place < 0 ||
	    place >= PLACES || line >= audit->counts[place] ||
	    audit->entries[place][line].line.is_answer)
		test_fail(__FILE__, __LINE__, "a transaction that nobody asked for: \"%s\"",
			  transaction->description);
	return &audit->entries[place][line];
}

static bool audit_transaction(void *context, const struct be_transaction *transaction)
{
	struct audit *audit = context;
	struct entry *entry = entry_of(audit, transaction);
	struct fate *fate = find_fate(audit, transaction->commit_id);
	bool reaped = transaction->kind == BE_TRANSACTION_EXPIRED ||
		      transaction->kind == BE_TRANSACTION_ORPHANED;

	EXPECT(transaction->id > audit->last_transaction_id);
	audit->last_transaction_id = transaction->id;
	EXPECT_EQUAL(transaction->amount, entry->line.amount);
	if (reaped) {
		EXPECT_EQUAL(entry->line.operation, BE_OPERATION_COMMIT);
		EXPECT_EQUAL(entry->line.policy, BE_REAP_CHARGE);
		EXPECT_EQUAL(++entry->reap_charged, 1);
	} else {
		EXPECT_EQUAL(entry->line.operation, transaction->kind == BE_TRANSACTION_RECORD
							    ? BE_OPERATION_RECORD
							    : BE_OPERATION_SETTLE);
		EXPECT_EQUAL(transaction->commit_id, entry->line.commit_id);
		EXPECT_EQUAL(++entry->charged, 1);
		entry->transaction_id = transaction->id;
	}
	if (fate != NULL && reaped)
		fate->reap_transactions++;
	else if (fate != NULL)
		fate->transactions++;
	return true;
}

static void expect_answer_is_true(struct audit *audit, struct entry *entry)
{
	bool charges = entry->line.operation == BE_OPERATION_SETTLE ||
		       entry->line.operation == BE_OPERATION_RECORD;

	if (!entry->answer.is_answer) {
		audit->lost++;
		audit->found += entry->charged;
		return;
	}
	EXPECT_EQUAL(entry->charged, charges && entry->answer.status == BE_OK);
	if (entry->charged)
		EXPECT_EQUAL(entry->transaction_id, entry->answer.transaction_id);
	if (entry->line.operation == BE_OPERATION_COMMIT && entry->answer.status != BE_OK)
		EXPECT_EQUAL(entry->reap_charged, 0);
}

/* ---- the commits */

static void expect_fate(struct be_enforcer *handle, const struct fate *fate)
{
	enum be_status status = be_release(handle, fate->id);
	uint32_t told = fate->settled + fate->released;

	EXPECT(told <= 1);
	if (fate->settled)
		EXPECT_STATUS(status, BE_ALREADY_SETTLED);
	else if (fate->released)
		EXPECT_STATUS(status, BE_ALREADY_RELEASED);
	else if (fate->unanswered == 0)
		EXPECT_STATUS(status, fate->policy == BE_REAP_CHARGE ? BE_ALREADY_CHARGED
								     : BE_ALREADY_REAPED);
	else
		EXPECT(status <= BE_ALREADY_RELEASED && status >= BE_ALREADY_CHARGED);
	EXPECT_EQUAL(fate->transactions, status == BE_ALREADY_SETTLED);
	EXPECT_EQUAL(fate->reap_transactions, status == BE_ALREADY_CHARGED);
}

void chaos_audit(struct be_enforcer *handle)
{
	static struct audit audit;
	size_t i;
	int place;

	for (place = 0; place < PLACES; place++)
		read_log(&audit, place);
	make_fates(&audit);
	for_each(&audit, note_ending);
	EXPECT_OK(be_transactions_each(handle, NULL, audit_transaction, &audit));
	for_each(&audit, expect_answer_is_true);
	for (i = 0; i < audit.fate_count; i++)
		expect_fate(handle, &audit.fates[i]);
	printf("%" PRIu64 " calls, %zu commits granted, %" PRIu64 " transactions; %" PRIu64
	       " calls had no answer, of which %" PRIu64 " are in the ledger\n",
	       audit.asked, audit.fate_count, count_transactions(handle), audit.lost, audit.found);
	for (place = 0; place < PLACES; place++)
		free(audit.entries[place]);
	free(audit.fates);
}
