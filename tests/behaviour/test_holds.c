/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles opened with BE_OPEN_OWNING: what they hold ends when they close, and nothing else does.
 */
#include "fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static struct be_enforcer *open_owning(void)
{
	struct be_options options = fixture_options();

	options.flags |= BE_OPEN_OWNING;
	return fixture_open_with(&options);
}

BEHAVIOUR_TEST(holds, end_when_their_handle_closes)
{
	struct be_enforcer *owning = open_owning();
	struct be_envelope envelope;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	id = fixture_commit(owning, "llm", TENTH);
	assert_balance(budget, "llm", 0, TENTH);
	fixture_close(owning);
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.committed, 0);
	assert_number(envelope.pending_commits, 0);
	assert_number(envelope.orphaned_released, 1);
	assert_status(be_release(budget, id), BE_ALREADY_REAPED);
}

BEHAVIOUR_TEST(holds, that_were_charged_in_part_end_too)
{
	struct be_enforcer *owning = open_owning();
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	id = fixture_commit(owning, "llm", TENTH);
	assert_ok(be_charge(owning, id, 1, NULL, NULL));
	fixture_close(owning);
	assert_balance(budget, "llm", 1, 0);
}

BEHAVIOUR_TEST(holds, of_other_handles_stay)
{
	struct be_enforcer *owning = open_owning(), *other = open_owning();

	fixture_create(budget, "llm", BE_UNIT);
	(void)fixture_commit(budget, "llm", 1);
	(void)fixture_commit(other, "llm", 10);
	(void)fixture_commit(owning, "llm", 100);
	fixture_close(owning);
	assert_balance(budget, "llm", 0, 11);
	fixture_close(other);
	assert_balance(budget, "llm", 0, 1);
}

BEHAVIOUR_TEST(holds, end_each_by_its_policy)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_enforcer *owning = open_owning();
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(owning, "llm", TENTH, "charged", &options, &id, NULL));
	options.reap_policy = BE_REAP_RELEASE;
	options.detached = true;
	assert_ok(be_commit_with(owning, "llm", 2 * TENTH, "detached", &options, &id, NULL));
	fixture_close(owning);
	assert_balance(budget, "llm", TENTH, 2 * TENTH);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_balance(budget, "llm", 2 * TENTH, 0);
}

BEHAVIOUR_TEST(holds, that_were_ended_before_are_ended_once)
{
	struct be_enforcer *owning = open_owning();
	uint64_t settled, released, elsewhere, extended;
	struct be_envelope envelope;

	fixture_create(budget, "llm", BE_UNIT);
	settled = fixture_commit(owning, "llm", 1);
	released = fixture_commit(owning, "llm", 2);
	elsewhere = fixture_commit(owning, "llm", 4);
	extended = fixture_commit(owning, "llm", 8);
	assert_ok(be_settle(owning, settled, 16, NULL, NULL));
	assert_ok(be_release(owning, released));
	assert_ok(be_settle(budget, elsewhere, 32, NULL, NULL));
	assert_ok(be_extend(owning, extended, 64, 0, NULL));
	fixture_close(owning);
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.spent, 48);
	assert_number(envelope.committed, 0);
	assert_number(envelope.orphaned_released, 1);
	assert_status(be_release(budget, released), BE_ALREADY_RELEASED);
}

/* Thousands of ids come and go in the set, so that it grows and closes its gaps. */
BEHAVIOUR_TEST(holds, may_be_many)
{
	enum {
		COMMITS = 2000
	};
	struct be_options options;
	struct be_enforcer *owning;
	static uint64_t ids[COMMITS];
	uint64_t random = 12345;
	int left = COMMITS;

	budget = fixture_reopen_unflushed();
	options = fixture_options();
	options.durability = BE_DURABILITY_PROCESS;
	options.flags |= BE_OPEN_OWNING;
	owning = fixture_open_with(&options);
	fixture_create(budget, "llm", BE_UNIT);
	for (int i = 0; i < COMMITS; i++) {
		ids[i] = fixture_commit(owning, "llm", 1);
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
		if (random >> 63) {
			uint64_t *one = &ids[(random >> 33) % (unsigned)(i + 1)];

			if (*one != 0)
				assert_ok(be_release(owning, *one));
			left -= *one != 0;
			*one = 0;
		}
	}
	assert_balance(budget, "llm", 0, left);
	fixture_close(owning);
	assert_balance(budget, "llm", 0, 0);
	assert_number(fixture_envelope(budget, "llm").orphaned_released, left);
}

static void count_reaped(void *context, const struct be_event *event)
{
	int *reaped = context;

	*reaped += event->operation == BE_OPERATION_REAP && event->status == BE_OK;
}

BEHAVIOUR_TEST(holds, are_told_of_as_they_end)
{
	struct be_options options = fixture_options();
	struct be_enforcer *owning;
	int reaped = 0;

	options.flags |= BE_OPEN_OWNING;
	options.observe = count_reaped;
	options.observe_context = &reaped;
	owning = fixture_open_with(&options);
	fixture_create(budget, "llm", BE_UNIT);
	for (int i = 0; i < 40; i++)
		(void)fixture_commit(owning, "llm", 1);
	fixture_close(owning);
	assert_number(reaped, 40);
}

/* The status of a child that commits with the handle of its parent, or does not, and closes it. */
static int close_in_child(struct be_enforcer *owning, int64_t amount)
{
	pid_t child = fork();
	uint64_t id;
	int status;

	cr_assert(child >= 0);
	if (child == 0) {
		if (amount > 0 && be_commit(owning, "llm", amount, NULL, &id) != BE_OK)
			_exit(1);
		be_close(owning);
		_exit(0);
	}
	cr_assert(waitpid(child, &status, 0) == child);
	return status;
}

LMDB_TEST(holds, of_a_parent_survive_its_childs_closing)
{
	struct be_enforcer *owning = open_owning();

	fixture_create(budget, "llm", BE_UNIT);
	(void)fixture_commit(owning, "llm", 1);
	assert_number(close_in_child(owning, 0), 0);
	assert_balance(budget, "llm", 0, 1);
	assert_number(close_in_child(owning, 10), 0);
	/* The child's own ended with the handle, not because somebody looked for the dead. */
	assert_balance(budget, "llm", 0, 1);
	fixture_close(owning);
	assert_balance(budget, "llm", 0, 0);
}
