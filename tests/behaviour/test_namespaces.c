/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of other namespaces from one at hand. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static struct be_enforcer *open_namespace(struct be_enforcer *handle, const char *name)
{
	struct be_enforcer *other;

	assert_ok(be_open_namespace(handle, name, &other));
	return other;
}

BEHAVIOUR_TEST(namespaces, each_handle_has_its_own)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	struct be_enforcer *again = open_namespace(task, "");

	fixture_create(budget, "llm", 10);
	fixture_create(task, "llm", 20);
	assert_ok(be_record(task, "llm", 3, NULL, NULL));
	assert_ok(be_record(again, "llm", 4, NULL, NULL));
	assert_balance(budget, "llm", 4, 0);
	assert_balance(fixture_open("task"), "llm", 3, 0);
	assert_text(fixture_envelope(task, "llm").namespace_name, "task");
	be_close(again);
	be_close(task);
	assert_balance(budget, "llm", 4, 0);
}

BEHAVIOUR_TEST(namespaces, handles_are_closed_in_any_order)
{
	struct be_options options = fixture_options();
	struct be_enforcer *first, *second, *third;
	uint64_t id;

	assert_ok(be_open(fixture_path(), &options, &first));
	second = open_namespace(first, "task");
	be_close(first);
	fixture_create(second, "llm", 10);
	id = fixture_commit(second, "llm", 2);
	third = open_namespace(second, "other");
	be_close(second);
	assert_ok(be_settle(third, id, 1, NULL, NULL));
	be_close(third);
	assert_balance(fixture_open("task"), "llm", 1, 0);
}

BEHAVIOUR_TEST(namespaces, what_is_no_namespace_is_refused)
{
	struct be_enforcer *other = budget;
	char long_name[BE_NAME_SIZE + 1];

	memset(long_name, 'x', BE_NAME_SIZE);
	long_name[BE_NAME_SIZE] = '\0';
	assert_status(be_open_namespace(budget, long_name, &other), BE_INVALID_NAME);
	cr_assert_null(other);
	assert_status(be_open_namespace(budget, "\n", &other), BE_INVALID_NAME);
	assert_status(be_open_namespace(NULL, "a", &other), BE_INVALID_ARGUMENT);
	assert_status(be_open_namespace(budget, NULL, &other), BE_INVALID_ARGUMENT);
	assert_status(be_open_namespace(budget, "a", NULL), BE_INVALID_ARGUMENT);
}

static void count_event(void *context, const struct be_event *event)
{
	(void)event;
	++*(int *)context;
}

BEHAVIOUR_TEST(namespaces, the_observer_is_told_by_both)
{
	struct be_options options = fixture_options();
	struct be_enforcer *observed, *other;
	int events = 0, before;

	options.observe = count_event;
	options.observe_context = &events;
	observed = fixture_open_with(&options);
	other = open_namespace(observed, "task");
	before = events;
	fixture_create(observed, "llm", 1);
	fixture_create(other, "llm", 1);
	assert_number(events, before + 2);
	be_close(other);
}

/* The environment that is open, wherever it lies by now. */
LMDB_TEST(namespaces, the_path_is_not_looked_at_again)
{
	char moved[sizeof fixture.path + 8];
	struct be_enforcer *task, *none;
	struct be_options options = fixture_options();

	fixture_create(budget, "llm", 10);
	snprintf(moved, sizeof moved, "%s-moved", fixture.path);
	cr_assert(rename(fixture.path, moved) == 0);
	options.flags |= BE_OPEN_EXISTING;
	assert_status(be_open(fixture.path, &options, &none), BE_NOT_FOUND);
	task = open_namespace(budget, "task");
	fixture_create(task, "llm", 10);
	assert_number(fixture_envelope(task, "llm").id, 2);
	be_close(task);
	cr_assert(rename(moved, fixture.path) == 0);
}

/* A child that has not used the handle yet, and one that uses the parent's of another. */
LMDB_TEST(namespaces, fork_children_have_their_own)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	int status;
	pid_t child;

	fixture_create(task, "llm", 10);
	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		struct be_enforcer *other;

		if (be_open_namespace(budget, "task", &other) != BE_OK ||
		    be_record(other, "llm", 1, NULL, NULL) != BE_OK ||
		    be_record(task, "llm", 2, NULL, NULL) != BE_OK)
			_exit(1);
		be_close(task);
		if (be_record(other, "llm", 4, NULL, NULL) != BE_OK)
			_exit(2);
		be_close(other);
		_exit(0);
	}
	cr_assert(waitpid(child, &status, 0) == child && status == 0);
	assert_balance(task, "llm", 7, 0);
	be_close(task);
}

/* ---- by full name */

BEHAVIOUR_TEST(namespaces, commit_and_record_by_full_name)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_charge_options charge = BE_CHARGE_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id, again;

	fixture_create(budget, "llm", 10);
	fixture_create(task, "llm", 20);
	options.namespace_name = "task";
	options.key = "once";
	assert_ok(be_commit_with(budget, "llm", 15, NULL, &options, &id, &decision));
	assert_balance(task, "llm", 0, 15);
	assert_balance(budget, "llm", 0, 0);
	/* The key is of that namespace. */
	options.namespace_name = NULL;
	assert_ok(be_commit_with(task, "llm", 15, NULL, &options, &again, &decision));
	assert_number(again, id);
	assert_ok(be_release(task, id));
	charge.namespace_name = "task";
	assert_ok(be_record_with(budget, "llm", 3, NULL, &charge, NULL));
	assert_balance(task, "llm", 3, 0);
	charge.namespace_name = "";
	assert_ok(be_record_with(task, "llm", 4, NULL, &charge, NULL));
	assert_balance(budget, "llm", 4, 0);
	options.namespace_name = "none";
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, &decision),
		       BE_NO_ENVELOPE);
	assert_text(decision.namespace_name, "none");
	options.namespace_name = "\n";
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, &decision),
		       BE_INVALID_NAME);
	assert_refused(be_settle_with(budget, id, 1, NULL, &charge, NULL), BE_INVALID_ARGUMENT);
	be_close(task);
}

/* ---- the end */

/* Children before their parents, whatever their names; and what was charged stays. */
BEHAVIOUR_TEST(namespaces, the_end_removes_all_envelopes_and_keeps_the_ledger)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	struct be_enforcer *tasks = open_namespace(budget, "tasks");
	uint64_t removed = 9, released = 9;

	fixture_create(budget, "all", 100);
	fixture_create_below(task, "b", 50, "", "all");
	fixture_create_below(task, "a", 40, "task", "b");
	fixture_create_below(task, "c", 30, "task", "a");
	fixture_create(task, "alone", 10);
	fixture_create(tasks, "a", 10);
	assert_ok(be_record(task, "c", 7, NULL, NULL));
	assert_ok(be_namespace_end(task, 0, &removed, &released));
	assert_number(removed, 4);
	assert_number(released, 0);
	assert_status(be_check(task, "b", 0, NULL), BE_NO_ENVELOPE);
	assert_balance(budget, "all", 7, 0);
	assert_number(fixture_envelope(budget, "all").children, 0);
	assert_balance(tasks, "a", 0, 0);
	assert_ok(be_namespace_end(task, 0, &removed, NULL));
	assert_number(removed, 0);
	be_close(task);
	be_close(tasks);
}

BEHAVIOUR_TEST(namespaces, the_end_waits_for_commits_and_for_children_elsewhere)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	struct be_enforcer *sub = open_namespace(budget, "sub");
	uint64_t id;

	fixture_create(task, "a", 50);
	fixture_create(task, "b", 50);
	fixture_create_below(sub, "c", 30, "task", "b");
	assert_refused(be_namespace_end(task, 0, NULL, NULL), BE_HAS_CHILDREN);
	assert_refused(be_namespace_end(task, BE_END_RELEASE, NULL, NULL), BE_HAS_CHILDREN);
	assert_ok(be_namespace_end(sub, 0, NULL, NULL));
	id = fixture_commit(task, "b", 5);
	assert_refused(be_namespace_end(task, 0, NULL, NULL), BE_HAS_COMMITS);
	assert_refused(be_namespace_end(task, 2, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_namespace_end(NULL, 0, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_ok(be_settle(task, id, 5, NULL, NULL));
	assert_ok(be_namespace_end(task, 0, NULL, NULL));
	be_close(task);
	be_close(sub);
}

BEHAVIOUR_TEST(namespaces, the_end_releases_what_is_committed_if_told_to)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t removed, released, own, beside;

	fixture_create(budget, "all", 100);
	fixture_create_below(task, "a", 50, "", "all");
	fixture_create(task, "b", 50);
	own = fixture_commit(task, "a", 5);
	options.also = &(struct be_envelope_name){"task", "b"};
	options.also_count = 1;
	assert_ok(be_commit_with(budget, "all", 3, NULL, &options, &beside, NULL));
	assert_ok(be_envelope_suspend(task, "b"));
	assert_ok(be_namespace_end(task, BE_END_RELEASE, &removed, &released));
	assert_number(removed, 2);
	assert_number(released, 2);
	assert_balance(budget, "all", 0, 0);
	assert_refused(be_settle(task, own, 1, NULL, NULL), BE_ALREADY_RELEASED);
	assert_refused(be_settle(task, beside, 1, NULL, NULL), BE_ALREADY_RELEASED);
	be_close(task);
}

/* Commits until there is nothing to commit to any more. */
static void *keep_committing(void *context)
{
	struct be_enforcer *task = context;
	enum be_status status;
	uint64_t id;

	do
		status = be_commit(task, "a", 1, NULL, &id);
	while (status == BE_OK || status == BE_EXCEEDS_BUDGET || status == BE_SUSPENDED);
	return (void *)(intptr_t)status;
}

BEHAVIOUR_TEST(namespaces, the_end_comes_while_others_commit)
{
	struct be_enforcer *task = open_namespace(budget, "task");
	pthread_t threads[4];
	uint64_t removed;

	fixture_create(budget, "all", 100000);
	fixture_create_below(task, "a", 50000, "", "all");
	for (size_t i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, keep_committing, task) == 0);
	while (fixture_envelope(budget, "all").committed == 0)
		sched_yield();
	assert_ok(be_namespace_end(task, BE_END_RELEASE, &removed, NULL));
	assert_number(removed, 1);
	for (size_t i = 0; i < 4; i++) {
		void *status;

		cr_assert(pthread_join(threads[i], &status) == 0);
		assert_number((intptr_t)status, BE_NO_ENVELOPE);
	}
	assert_balance(budget, "all", 0, 0);
	be_close(task);
}
