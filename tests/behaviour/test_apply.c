/* SPDX-License-Identifier: Apache-2.0 */
/* Many changes of envelopes at once: all of them or none, in their order, and which one it was that
 * could not be made. */
#include "fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Members that a test leaves out are 0. */
#define CHANGE(...)                                                                                \
	{                                                                                          \
		.size = sizeof(struct be_envelope_change), __VA_ARGS__                             \
	}
#define CREATE(name, amount)                                                                       \
	CHANGE(.operation = BE_OPERATION_CREATE, .category = (name), .limit = (amount))

/* All is refused with `wanted` because of the change with this index, and nothing has changed. */
#define assert_none(changes, wanted, index)                                                        \
	do {                                                                                       \
		size_t failed_ = 99;                                                               \
		assert_refused(be_envelopes_apply(budget, changes, COUNT(changes), &failed_),      \
			       wanted);                                                            \
		assert_number(failed_, index);                                                     \
	} while (0)

BEHAVIOUR_TEST(apply, makes_all_changes_in_their_order)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT,
				   paused = BE_ENVELOPE_OPTIONS_INIT;
	const struct be_envelope_change changes[] = {
		CREATE("pool", 9 * BE_UNIT),
		CHANGE(.operation = BE_OPERATION_CREATE, .namespace_name = "task",
		       .category = "llm", .limit = BE_UNIT, .period = BE_PERIOD_DAILY,
		       .options = &below),
		CHANGE(.operation = BE_OPERATION_ENSURE, .category = "old", .limit = 1),
		CHANGE(.operation = BE_OPERATION_ENSURE, .category = "paused", .limit = 2,
		       .options = &paused),
		CHANGE(.operation = BE_OPERATION_SET_LIMIT, .category = "old",
		       .limit = 4 * BE_UNIT),
		CHANGE(.operation = BE_OPERATION_SUSPEND, .category = "pool"),
		CHANGE(.operation = BE_OPERATION_RESUME, .category = "paused"),
		CHANGE(.operation = BE_OPERATION_RESET, .category = "spent"),
		CHANGE(.operation = BE_OPERATION_REMOVE, .category = "gone"),
	};
	struct be_enforcer *task = fixture_open("task");
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	size_t failed = 0;

	below.parent_namespace = "";
	below.parent_category = "pool";
	paused.suspended = true;
	fixture_create(budget, "old", 3 * BE_UNIT);
	fixture_create(budget, "spent", 3 * BE_UNIT);
	fixture_create(budget, "gone", 3 * BE_UNIT);
	assert_ok(be_record(budget, "old", TENTH, NULL, NULL));
	assert_ok(be_record(budget, "spent", TENTH, NULL, NULL));

	assert_ok(be_envelopes_apply(budget, changes, COUNT(changes), &failed));
	assert_number(failed, COUNT(changes));

	envelope = fixture_envelope(task, "llm");
	assert_number(envelope.limit, BE_UNIT);
	assert_number(envelope.period, BE_PERIOD_DAILY);
	assert_text(envelope.parent_namespace, "");
	assert_text(envelope.parent_category, "pool");
	envelope = fixture_envelope(budget, "old");
	assert_number(envelope.limit, 4 * BE_UNIT);
	assert_number(envelope.spent, TENTH);
	cr_assert(fixture_envelope(budget, "pool").suspended);
	cr_assert_not(fixture_envelope(budget, "paused").suspended);
	assert_balance(budget, "spent", 0, 0);
	assert_status(be_utilization(budget, "gone", &envelope), BE_NO_ENVELOPE);
}

BEHAVIOUR_TEST(apply, a_parent_without_a_namespace_is_in_the_childs)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	const struct be_envelope_change changes[] = {
		CHANGE(.operation = BE_OPERATION_CREATE, .namespace_name = "task",
		       .category = "pool", .limit = 9),
		CHANGE(.operation = BE_OPERATION_CREATE, .namespace_name = "task",
		       .category = "llm", .limit = 9, .options = &below),
	};
	struct be_enforcer *task = fixture_open("task");

	below.parent_category = "pool";
	assert_ok(be_envelopes_apply(budget, changes, COUNT(changes), NULL));
	assert_text(fixture_envelope(task, "llm").parent_namespace, "task");
}

BEHAVIOUR_TEST(apply, one_refusal_undoes_all_before_it)
{
	struct be_envelope_options orphan = BE_ENVELOPE_OPTIONS_INIT;
	const struct be_envelope_change exists[] = {
		CREATE("a", 1),
		CHANGE(.operation = BE_OPERATION_SET_LIMIT, .category = "held",
		       .limit = 5 * BE_UNIT),
		CREATE("held", 1),
		CREATE("b", 1),
	};
	const struct be_envelope_change twice[] = {CREATE("a", 1), CREATE("a", 1)};
	const struct be_envelope_change missing[] = {
		CREATE("a", 1), CHANGE(.operation = BE_OPERATION_SUSPEND, .category = "nowhere")};
	const struct be_envelope_change parentless[] = {CREATE("a", 1), CREATE("b", 1),
							CHANGE(.operation = BE_OPERATION_CREATE,
							       .category = "c", .limit = 1,
							       .options = &orphan)};
	const struct be_envelope_change removed[] = {
		CHANGE(.operation = BE_OPERATION_REMOVE, .category = "idle"),
		CHANGE(.operation = BE_OPERATION_REMOVE, .category = "held")};

	orphan.parent_category = "nobody";
	fixture_create(budget, "held", 3 * BE_UNIT);
	fixture_create(budget, "idle", 3 * BE_UNIT);
	fixture_commit(budget, "held", TENTH);
	assert_none(exists, BE_ENVELOPE_EXISTS, 2);
	assert_none(twice, BE_ENVELOPE_EXISTS, 1);
	assert_none(missing, BE_NO_ENVELOPE, 1);
	assert_none(parentless, BE_NO_PARENT, 2);
	assert_none(removed, BE_HAS_COMMITS, 1);
}

BEHAVIOUR_TEST(apply, faults_of_the_call_are_named_by_index)
{
	struct be_envelope_options strange = {.size = 1};
	const struct be_envelope_change wrong[][2] = {
		{CREATE("a", 1), CREATE("b", 0)},
		{CREATE("a", 1), CREATE("", 1)},
		{CREATE("a", 1), CREATE(NULL, 1)},
		{CREATE("a", 1), CHANGE(.operation = BE_OPERATION_CREATE, .category = "b",
					.limit = 1, .period = (enum be_period)9)},
		{CREATE("a", 1), CHANGE(.operation = BE_OPERATION_CREATE, .category = "b",
					.limit = 1, .options = &strange)},
		{CREATE("a", 1),
		 CHANGE(.operation = BE_OPERATION_COMMIT, .category = "b", .limit = 1)},
		{CREATE("a", 1),
		 {.size = 2, .operation = BE_OPERATION_CREATE, .category = "b", .limit = 1}},
		{CREATE("a", 1), CHANGE(.operation = BE_OPERATION_RESUME, .namespace_name = "a\nb",
					.category = "b")},
	};
	static const enum be_status statuses[] = {
		BE_INVALID_LIMIT, BE_INVALID_NAME,     BE_INVALID_ARGUMENT, BE_INVALID_PERIOD,
		BE_INVALID_SIZE,  BE_INVALID_ARGUMENT, BE_INVALID_SIZE,     BE_INVALID_NAME,
	};

	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_none(wrong[i], statuses[i], 1);
	assert_status(be_envelopes_apply(NULL, wrong[0], 1, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_envelopes_apply(budget, NULL, 1, NULL), BE_INVALID_ARGUMENT);
	assert_ok(be_envelopes_apply(budget, NULL, 0, NULL));
}

/* Programs built against a later header have larger changes. */
BEHAVIOUR_TEST(apply, changes_of_another_size_are_walked_by_it)
{
	struct {
		struct be_envelope_change change;
		uint64_t later;
	} changes[2] = {{CREATE("a", 1), 0}, {CREATE("b", 2), 0}};
	const struct be_envelope_change *first = &changes[0].change;

	changes[0].change.size = changes[1].change.size = sizeof changes[0];
	assert_ok(be_envelopes_apply(budget, first, 2, NULL));
	assert_number(fixture_envelope(budget, "b").limit, 2);
	changes[0].change.category = "c";
	changes[1].change.category = "d";
	changes[1].later = 1;
	assert_refused(be_envelopes_apply(budget, first, 2, NULL), BE_INVALID_SIZE);
}

BEHAVIOUR_TEST(apply, a_read_only_handle_changes_nothing)
{
	const struct be_envelope_change changes[] = {CREATE("a", 1)};
	struct be_options options = fixture_options();
	size_t failed = 99;

	options.flags |= BE_OPEN_READ_ONLY;
	assert_status(be_envelopes_apply(fixture_open_with(&options), changes, 1, &failed),
		      BE_READ_ONLY);
	assert_number(failed, 1);
}

static char seen[256];

static void note(void *context, const struct be_event *event)
{
	(void)context;
	snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %s %s%s; ",
		 be_operation_name(event->operation), event->category,
		 be_status_name(event->status), event->envelope ? " as it is" : "");
}

BEHAVIOUR_TEST(apply, observers_are_told_of_all_or_of_the_refused_one)
{
	const struct be_envelope_change changes[] = {
		CREATE("a", 1),
		CHANGE(.operation = BE_OPERATION_SET_LIMIT, .category = "a", .limit = 2)};
	struct be_options options = fixture_options();
	struct be_enforcer *watched;

	options.observe = note;
	watched = fixture_open_with(&options);
	assert_ok(be_envelopes_apply(watched, changes, 2, NULL));
	assert_text(seen, "create a ok as it is; set_limit a ok as it is; ");
	seen[0] = '\0';
	assert_status(be_envelopes_apply(watched, changes, 2, NULL), BE_ENVELOPE_EXISTS);
	assert_text(seen, "create a envelope_exists; ");
}
