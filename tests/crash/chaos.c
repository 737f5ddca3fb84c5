/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chaos: 16 workers do everything there is to do on 8 envelopes, most of them in trees, and end
 * each other's commits, while the main process kills a random one every few milliseconds and starts
 * another in its place. Each worker writes down what it is about to do and what it was told
 * (chaos.h). When all are dead, the audit finds every acknowledged operation exactly once, none
 * twice, every balance right and nothing held.
 *
 * usage: chaos process|full [--seconds N]
 */
#include "chaos.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	KILLS = TEST_SANITIZED ? 200 : 1000,
	HELD_MAX = 12,
	EXCHANGE = 32
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

/* In shared memory. */
struct shared {
	_Atomic uint64_t
		exchange[EXCHANGE]; /* ids of commits that anybody may take and end; 0: none */
	_Atomic uint64_t answers;
};

struct chaos {
	char path[PATH_MAX];
	enum be_durability durability;
	struct shared *shared;
	struct gate ready;
	uint64_t seed;
	int started; /* workers so far */
	int kills;   /* wanted; 0: as many as come in so many seconds */
	int seconds;
	pid_t workers[PLACES];
};

struct worker {
	struct be_enforcer *handle;
	struct shared *shared;
	int place;
	int log;
	uint32_t lines;
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
	snprintf(description, 64, "%d-%" PRIu32, worker->place, line.asked);
	return line;
}

static void answer(struct worker *worker, struct line line, enum be_status status,
		   uint64_t transaction_id)
{
	line.is_answer = true;
	line.status = status;
	line.transaction_id = transaction_id;
	append(worker, &line);
	atomic_fetch_add(&worker->shared->answers, 1);
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

static int run_worker(int place, void *context)
{
	struct chaos *chaos = context;
	struct worker worker = {.place = place, .shared = chaos->shared};
	char path[PATH_MAX];
	struct stat about;

	worker.random = chaos->seed + (uint64_t)chaos->started;
	chaos_log_path(path, place);
	worker.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	EXPECT(worker.log >= 0 && fstat(worker.log, &about) == 0);
	EXPECT_EQUAL(about.st_size % (off_t)sizeof(struct line), 0);
	worker.lines = (uint32_t)(about.st_size / (off_t)sizeof(struct line));
	worker.handle = open_at_place(chaos, place);
	work(&worker);
}

/* ---- the killer */

static void start_worker(struct chaos *chaos, int place)
{
	chaos->started++;
	chaos->workers[place] = child_start(run_worker, place, chaos);
}

static bool is_over(const struct chaos *chaos, int kills, int64_t start)
{
	return chaos->seconds > 0 ? test_seconds_since(start) >= chaos->seconds
				  : kills >= chaos->kills;
}

static void kill_and_replace(struct chaos *chaos)
{
	int64_t start = test_monotonic_ns();
	uint64_t random = chaos->seed;
	int kills, place;

	for (place = 0; place < PLACES; place++)
		start_worker(chaos, place);
	for (kills = 0; !is_over(chaos, kills, start); kills++) {
		struct timespec pause = {.tv_nsec = (long)(test_random(&random) % 8000000)};

		/* The moment of the kill is random; nothing depends on it. */
		nanosleep(&pause, NULL);
		place = (int)(test_random(&random) % PLACES);
		kill_child(chaos->workers[place]);
		start_worker(chaos, place);
	}
	for (place = 0; place < PLACES; place++)
		kill_child(chaos->workers[place]);
	printf("%s durability: %d workers killed in %.1f s, and the last %d; %" PRIu64
	       " calls were answered\n",
	       crash_durability_name(chaos->durability), kills, test_seconds_since(start), PLACES,
	       atomic_load(&chaos->shared->answers));
}

static void create_envelopes(struct be_enforcer *handle)
{
	int i;

	for (i = 0; i < ENVELOPES; i++) {
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		options.parent_category = envelopes[i].parent;
		EXPECT_OK(be_envelope_create(handle, envelopes[i].category, envelopes[i].limit,
					     BE_PERIOD_TOTAL, &options));
	}
}

/* That all owners are dead is noticed by whoever opens. */
static void expect_nothing_is_held(struct chaos *chaos)
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

static void read_arguments(struct chaos *chaos, int argc, char **argv)
{
	EXPECT(argc == 2 || (argc == 4 && strcmp(argv[2], "--seconds") == 0));
	if (argc == 4)
		chaos->seconds = atoi(argv[3]);
	test_begin(100 + (unsigned)chaos->seconds * 2);
	chaos->durability = crash_durability(argc, argv);
	chaos->kills = test_is_long() ? 10 * KILLS : KILLS;
}

int main(int argc, char **argv)
{
	static struct chaos chaos;
	struct be_enforcer *handle;

	read_arguments(&chaos, argc, argv);
	chaos.seed = test_seed();
	chaos.shared = shared_make(sizeof *chaos.shared);
	test_path(chaos.path, "environment");
	handle = test_open(chaos.path, chaos.durability);
	create_envelopes(handle);
	kill_and_replace(&chaos);
	expect_nothing_is_held(&chaos);
	EXPECT_VERIFIED(handle);
	chaos_audit(handle);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
