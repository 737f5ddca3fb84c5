/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 processes commit over random ones of 50 children of one parent, several at once, while some of
 * them are killed and replaced: no limit is passed, whenever somebody looks, and in the end all
 * sums are equal.
 *
 * Each worker notes in shared memory what it charged, before it charges and again when that was
 * answered, so that what the dead charged is known but for the one call that each was killed in.
 */
#include "crash.h"
#include "support.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 64
#define CHILDREN 50
#define KILLS 40
#define CALLS 4000
/* The children refuse most, the parent some. */
#define CHILD_LIMIT 1500
#define PARENT_LIMIT 9000

static char path[PATH_MAX];
static char names[CHILDREN][24];
static struct shared {
	atomic_bool is_over;
	atomic_uint charges, refusals[2];
	_Atomic int64_t charged[CHILDREN]; /* that was answered, */
	_Atomic int64_t all;
	_Atomic int64_t doubtful[CHILDREN]; /* and what the dead may have charged */
	_Atomic int64_t all_doubtful;
	struct call {
		atomic_bool is_under_way;
		int64_t amount;
		uint64_t chosen; /* a bit for each child */
	} calls[WORKERS];
} * shared;

/* Chooses 1 to 16 children, in any order. */
static uint32_t choose(uint64_t *random, const char *chosen[BE_ENVELOPES_MAX], uint64_t *bits)
{
	uint32_t wanted = 1 + (uint32_t)(test_random(random) % BE_ENVELOPES_MAX), count = 0;

	*bits = 0;
	while (count < wanted) {
		uint64_t child = test_random(random) % CHILDREN;

		if (*bits & UINT64_C(1) << child)
			continue;
		*bits |= UINT64_C(1) << child;
		chosen[count++] = names[child];
	}
	return count;
}

static void add_to(_Atomic int64_t *sums, _Atomic int64_t *all, const struct call *call)
{
	for (int i = 0; i < CHILDREN; i++)
		if (call->chosen & UINT64_C(1) << i)
			sums[i] += call->amount;
	*all += call->amount;
}

/* Commits over several and settles, or not, with what it cost. */
static void spend(struct be_enforcer *handle, struct call *call, uint64_t *random)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_envelope_name also[BE_ENVELOPES_MAX];
	struct be_decision decision = BE_DECISION_INIT;
	const char *chosen[BE_ENVELOPES_MAX];
	uint32_t count = choose(random, chosen, &call->chosen);
	int64_t amount = 1 + (int64_t)(test_random(random) % 20);
	enum be_status status;
	uint64_t id;

	for (uint32_t i = 1; i < count; i++)
		also[i - 1] = (struct be_envelope_name){NULL, chosen[i]};
	options.also = also;
	options.also_count = count - 1;
	status = be_commit_with(handle, chosen[0], amount, NULL, &options, &id, &decision);
	if (status == BE_EXCEEDS_BUDGET) {
		EXPECT(decision.spent + decision.committed <= decision.limit);
		EXPECT(decision.available < amount);
		shared->refusals[strcmp(decision.category, "all") == 0]++;
		return;
	}
	EXPECT_OK(status);
	if (test_random(random) % 4 == 0) {
		EXPECT_OK(be_release(handle, id));
		return;
	}
	call->amount = (int64_t)(test_random(random) % (uint64_t)(amount + 1));
	call->is_under_way = true;
	EXPECT_OK(be_settle(handle, id, call->amount, NULL, NULL));
	add_to(shared->charged, &shared->all, call);
	call->is_under_way = false;
	shared->charges++;
}

static int work(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);
	uint64_t random = *(uint64_t *)context + (uint64_t)index + (uint64_t)getpid();

	while (!shared->is_over)
		spend(handle, &shared->calls[index], &random);
	be_close(handle);
	return 0;
}

/* One that is killed between the answer and the note has both a charge and a doubt. */
static void note_death(struct call *call)
{
	if (call->is_under_way)
		add_to(shared->doubtful, &shared->all_doubtful, call);
	call->is_under_way = false;
}

static void look(struct be_enforcer *handle)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(handle, "all", &envelope));
	EXPECT(envelope.spent + envelope.committed <= PARENT_LIMIT);
	for (int i = 0; i < CHILDREN; i++) {
		EXPECT_OK(be_utilization(handle, names[i], &envelope));
		EXPECT(envelope.spent + envelope.committed <= CHILD_LIMIT);
	}
}

static bool is_enough(void)
{
	return shared->charges + shared->refusals[0] + shared->refusals[1] >= CALLS;
}

static void kill_some(struct be_enforcer *handle, pid_t *children, uint64_t *random)
{
	int64_t begun_ns = test_monotonic_ns();

	for (unsigned killed = 0; killed < KILLS || !is_enough(); killed++) {
		int victim = (int)(test_random(random) % WORKERS);

		usleep((useconds_t)(test_random(random) % 5000));
		EXPECT(kill(children[victim], SIGKILL) == 0);
		EXPECT_EQUAL(child_wait(children[victim]), 128 + SIGKILL);
		note_death(&shared->calls[victim]);
		children[victim] = child_start(work, victim, random);
		look(handle);
		EXPECT(test_wait_on(begun_ns, 60));
	}
	shared->is_over = true;
}

static void create_all(struct be_enforcer *handle)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	EXPECT_OK(be_envelope_create(handle, "all", PARENT_LIMIT, BE_PERIOD_TOTAL, NULL));
	options.parent_category = "all";
	for (int i = 0; i < CHILDREN; i++) {
		snprintf(names[i], sizeof names[i], "child-%d", i);
		EXPECT_OK(be_envelope_create(handle, names[i], CHILD_LIMIT, BE_PERIOD_TOTAL,
					     &options));
	}
}

static void expect_sums(struct be_enforcer *handle)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_reap(handle, NULL));
	for (int i = 0; i < CHILDREN; i++) {
		EXPECT_OK(be_utilization(handle, names[i], &envelope));
		EXPECT_EQUAL(envelope.committed, 0);
		EXPECT(envelope.spent >= shared->charged[i]);
		EXPECT(envelope.spent <= shared->charged[i] + shared->doubtful[i]);
	}
	EXPECT_OK(be_utilization(handle, "all", &envelope));
	printf("%u charges, %u refusals by children and %u by the parent; %" PRId64
	       " charged, %" PRId64 " in doubt\n",
	       shared->charges, shared->refusals[0], shared->refusals[1], envelope.spent,
	       shared->all_doubtful);
	EXPECT_EQUAL(envelope.committed, 0);
	EXPECT_EQUAL(envelope.pending_commits, 0);
	EXPECT(envelope.spent >= shared->all);
	EXPECT(envelope.spent <= shared->all + shared->all_doubtful);
	EXPECT(shared->refusals[0] > 0 && shared->refusals[1] > 0);
	EXPECT_VERIFIED(handle);
}

int main(void)
{
	struct be_enforcer *handle;
	pid_t children[WORKERS];
	uint64_t random;

	test_begin(60);
	random = test_seed();
	shared = shared_make(sizeof *shared);
	test_path(path, "environment");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	create_all(handle);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(work, i, &random);
	kill_some(handle, children, &random);
	children_expect_success(children, WORKERS);
	expect_sums(handle);
	be_close(handle);
	return 0;
}
