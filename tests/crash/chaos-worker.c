/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker of the chaos does, what it finds and what it must leave; chaos.h has the log. */
#include "chaos.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HELD_MAX = 12
};

static const struct {
	const char *category;
	const char *parent;
	int64_t limit;
} envelopes[ENVELOPES] = {
	{"day", NULL, 60000},   {"day-llm", "day", 25000},      {"day-tools", "day", 25000},
	{"night", NULL, 40000}, {"night-llm", "night", 20000},  {"night-deep", "night-llm", 15000},
	{"alone", NULL, 30000}, {"strict", NULL, strict_limit},
};

struct worker {
	struct be_enforcer *handle;
	struct chaos_shared *shared;
	int place;
	int log;
	uint32_t lines;
	int64_t asked_ns;
	uint64_t random;
	struct {
		uint64_t id;
		int64_t amount;
		int envelope;
	} held[HELD_MAX];
	int held_count;
};

static uint64_t below(struct worker *worker, uint64_t bound)
{
	return test_random(&worker->random) % bound;
}

/* ---- the log */

static uint32_t append(struct worker *worker, const struct line *line)
{
	EXPECT(write(worker->log, line, sizeof *line) == (ssize_t)sizeof *line);
	return worker->lines++;
}

/* Writes down what is about to be done; the description is what the ledger will know it by. */
static struct line ask(struct worker *worker, struct line line, char description[64])
{
	line.asked = append(worker, &line);
	worker->asked_ns = test_monotonic_ns();
	snprintf(description, 64, "%d-%" PRIu32, worker->place, line.asked);
	return line;
}

static void answer(struct worker *worker, struct line line, enum be_status status,
		   uint64_t transaction_id)
{
	int64_t took_ns = test_monotonic_ns() - worker->asked_ns;

	line.is_answer = true;
	line.status = status;
	line.transaction_id = transaction_id;
	append(worker, &line);
	atomic_fetch_add(&worker->shared->answers, 1);
	if (took_ns > atomic_load(&worker->shared->slowest_ns))
		atomic_store(&worker->shared->slowest_ns, took_ns);
}

/* ---- what workers do */

static void commit(struct worker *worker)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	int envelope = (int)below(worker, ENVELOPES);
	struct line line = {.operation = BE_OPERATION_COMMIT, .envelope = (uint8_t)envelope};
	char description[64];
	enum be_status status;
	uint64_t id;

	line.amount = (int64_t)below(worker, 1000);
	if (envelope != STRICT && below(worker, 3) == 0)
		options.reap_policy = BE_REAP_CHARGE;
	if (envelope != STRICT && below(worker, 4) == 0)
		options.ttl_ms = 1 + below(worker, 20);
	line.policy = options.reap_policy;
	line = ask(worker, line, description);
	status = be_commit_with(worker->handle, envelopes[envelope].category, line.amount,
				description, &options, &id, NULL);
	line.commit_id = id;
	answer(worker, line, status, 0);
	if (status != BE_EXCEEDS_BUDGET && status != BE_SUSPENDED)
		EXPECT_OK(status);
	if (status != BE_OK)
		return;
	if (envelope != STRICT && below(worker, 3) == 0) {
		/* What lay there before is left to the reaper. */
		atomic_store(&worker->shared->exchange[below(worker, EXCHANGE)], id);
	} else if (worker->held_count < HELD_MAX) {
		worker->held[worker->held_count].id = id;
		worker->held[worker->held_count].amount = line.amount;
		worker->held[worker->held_count++].envelope = envelope;
	}
}

/* Takes a commit to end: one of its own, or one that was offered. False: there is none. */
static bool take(struct worker *worker, struct line *line)
{
	int at;

	if (below(worker, 3) == 0) {
		line->commit_id =
			atomic_exchange(&worker->shared->exchange[below(worker, EXCHANGE)], 0);
		line->amount = (int64_t)below(worker, 1200);
		return line->commit_id != 0;
	}
	if (worker->held_count == 0)
		return false;
	at = (int)below(worker, (uint64_t)worker->held_count);
	line->commit_id = worker->held[at].id;
	line->envelope = (uint8_t)worker->held[at].envelope;
	line->amount = (int64_t)below(worker, (uint64_t)worker->held[at].amount + 1);
	worker->held[at] = worker->held[--worker->held_count];
	return true;
}

static bool is_ended(enum be_status status)
{
	return status <= BE_ALREADY_RELEASED && status >= BE_ALREADY_CHARGED;
}

static void settle(struct worker *worker)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct line line = {.operation = BE_OPERATION_SETTLE};
	char description[64];
	enum be_status status;

	if (!take(worker, &line))
		return;
	line = ask(worker, line, description);
	status = be_settle(worker->handle, line.commit_id, line.amount, description, &transaction);
	answer(worker, line, status, transaction.id);
	if (!is_ended(status))
		EXPECT_OK(status);
}

static void release(struct worker *worker)
{
	struct line line = {.operation = BE_OPERATION_RELEASE};
	char description[64];
	enum be_status status;

	if (!take(worker, &line))
		return;
	line = ask(worker, line, description);
	status = be_release(worker->handle, line.commit_id);
	answer(worker, line, status, 0);
	if (!is_ended(status))
		EXPECT_OK(status);
}

static void record(struct worker *worker)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct line line = {.operation = BE_OPERATION_RECORD};
	char description[64];

	line.envelope = (uint8_t)below(worker, STRICT);
	line.amount = (int64_t)below(worker, 300);
	line = ask(worker, line, description);
	EXPECT_OK(be_record(worker->handle, envelopes[line.envelope].category, line.amount,
			    description, &transaction));
	answer(worker, line, BE_OK, transaction.id);
}

/* The amount stays, so that the audit knows what a charge must be. */
static void extend(struct worker *worker)
{
	enum be_status status;
	int at;

	if (worker->held_count == 0)
		return;
	at = (int)below(worker, (uint64_t)worker->held_count);
	status = be_extend(worker->handle, worker->held[at].id, worker->held[at].amount,
			   worker->held[at].envelope == STRICT ? 0 : 1 + below(worker, 20), NULL);
	if (!is_ended(status))
		EXPECT_OK(status);
}

static void steer(struct worker *worker)
{
	const char *category = envelopes[below(worker, STRICT)].category;

	switch (below(worker, 5)) {
	case 0:
		EXPECT_OK(be_envelope_set_limit(worker->handle, category,
						(int64_t)(10000 + below(worker, 50000))));
		break;
	case 1:
		EXPECT_OK(be_envelope_suspend(worker->handle, category));
		EXPECT_OK(be_envelope_resume(worker->handle, category));
		break;
	case 2:
		EXPECT_OK(be_envelope_resume(worker->handle, category));
		break;
	case 3:
		EXPECT_OK(be_envelope_reset(worker->handle, category));
		break;
	default:
		EXPECT_OK(be_envelope_ensure(worker->handle, category, 1, BE_PERIOD_TOTAL, NULL));
	}
}

static bool look_at_one(void *context, const struct be_commit_info *commit)
{
	(void)context;
	EXPECT(commit->amount >= 0 && commit->amount < 1000);
	return true;
}

static void look(struct worker *worker)
{
	struct be_envelope strict = BE_ENVELOPE_INIT;
	enum be_status status = be_check(worker->handle, "day-llm", 100, NULL);

	if (status != BE_EXCEEDS_BUDGET && status != BE_SUSPENDED)
		EXPECT_OK(status);
	EXPECT_OK(be_utilization(worker->handle, "strict", &strict));
	EXPECT(strict.spent + strict.committed <= strict_limit);
	if (below(worker, 20) == 0)
		EXPECT_OK(be_commits_each(worker->handle, NULL, look_at_one, NULL));
	if (below(worker, 200) == 0)
		EXPECT_VERIFIED(worker->handle);
}

static _Noreturn void work(struct worker *worker)
{
	for (;;) {
		uint64_t choice = below(worker, 100);

		if (choice < 40)
			commit(worker);
		else if (choice < 65)
			settle(worker);
		else if (choice < 75)
			release(worker);
		else if (choice < 85)
			record(worker);
		else if (choice < 90)
			extend(worker);
		else if (choice < 92)
			steer(worker);
		else if (choice < 94)
			EXPECT_OK(be_reap(worker->handle, NULL));
		else
			look(worker);
	}
}

/* Every fourth worker takes no part in group commit. */
static struct be_enforcer *open_at_place(const struct chaos *chaos, int place)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = chaos->durability;
	options.flags = place % 4 == 3 ? BE_OPEN_DIRECT : 0;
	EXPECT_OK(be_open(chaos->path, &options, &handle));
	return handle;
}

int chaos_run_worker(int place, void *context)
{
	struct chaos *chaos = context;
	struct worker worker = {.place = place, .shared = chaos->shared};
	char path[PATH_MAX];
	struct stat about;

	worker.random = chaos->seed + atomic_fetch_add(&chaos->shared->started, 1);
	chaos_log_path(path, place);
	worker.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	EXPECT(worker.log >= 0 && fstat(worker.log, &about) == 0);
	EXPECT_EQUAL(about.st_size % (off_t)sizeof(struct line), 0);
	worker.lines = (uint32_t)(about.st_size / (off_t)sizeof(struct line));
	worker.handle = open_at_place(chaos, place);
	work(&worker);
}

void chaos_create_envelopes(struct be_enforcer *handle)
{
	int i;

	for (i = 0; i < ENVELOPES; i++) {
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		options.parent_category = envelopes[i].parent;
		EXPECT_OK(be_envelope_create(handle, envelopes[i].category, envelopes[i].limit,
					     BE_PERIOD_TOTAL, &options));
	}
}

/* That all owners are dead is noticed by the next that opens. */
void chaos_expect_nothing_held(const struct chaos *chaos)
{
	struct be_enforcer *handle = test_open(chaos->path, chaos->durability);
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t reaped;
	int i;

	EXPECT_EQUAL(count_commits(handle), 0);
	for (i = 0; i < ENVELOPES; i++) {
		EXPECT_OK(be_utilization(handle, envelopes[i].category, &envelope));
		EXPECT_EQUAL(envelope.committed, 0);
		EXPECT_EQUAL(envelope.pending_commits, 0);
	}
	EXPECT(envelope.spent <= strict_limit);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 0);
	be_close(handle);
}
