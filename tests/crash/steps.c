/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See steps.h.
 *
 * Every environment but a new one holds: the envelope "llm" below "day", with 5 recorded; "spare",
 * in which nothing is held, below "day" too; "paused", which is suspended. Of "llm" are commit 1,
 * detached, pending; commit 2, which has expired and was reaped; and, made by the victim, commit 3,
 * freed when its owner dies, and commit 4, charged then.
 */
#include "steps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DETACHED = 1,
	REAPED = 2,
	OWN = 3,
	OWN_CHARGED = 4,
	EXPIRING = 40,     /* two pages of the reaper */
	EXPIRING_FULL = 4, /* where each txn waits for the disk */
	ORPHANS = 4,
	TRANSACTIONS = 128,
	TEXT_SIZE = 32768
};

static int64_t stage_clock(void *context)
{
	return atomic_load((_Atomic int64_t *)context);
}

struct be_enforcer *stage_open(const struct trial *trial, const char *path,
			       enum be_durability durability, uint32_t flags)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = flags;
	options.durability = durability;
	options.now = stage_clock;
	options.now_context = &trial->stage->now_ns;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

static uint64_t commit(struct be_enforcer *handle, int64_t amount, uint64_t ttl_ms, bool detached,
		       enum be_reap_policy policy)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	options.ttl_ms = ttl_ms;
	options.detached = detached;
	options.reap_policy = policy;
	EXPECT_OK(be_commit_with(handle, "llm", amount, "held", &options, &id, NULL));
	return id;
}

static void pass_a_second(const struct trial *trial)
{
	atomic_fetch_add(&trial->stage->now_ns, BE_UNIT);
}

static void create(struct be_enforcer *handle, const char *category, int64_t limit,
		   const char *parent, bool suspended)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = parent;
	options.suspended = suspended;
	EXPECT_OK(be_envelope_create(handle, category, limit, BE_PERIOD_TOTAL, &options));
}

void stage_make(struct trial *trial)
{
	struct be_enforcer *handle = stage_open(trial, trial->path, BE_DURABILITY_PROCESS, 0);

	create(handle, "day", 1000, NULL, false);
	create(handle, "llm", 500, "day", false);
	create(handle, "spare", 10, "day", false);
	create(handle, "paused", 10, NULL, true);
	EXPECT_OK(be_record(handle, "llm", 5, "recorded", NULL));
	EXPECT_EQUAL(commit(handle, 10, 0, true, BE_REAP_RELEASE), DETACHED);
	EXPECT_EQUAL(commit(handle, 15, 1000, true, BE_REAP_RELEASE), REAPED);
	pass_a_second(trial);
	EXPECT_OK(be_reap(handle, NULL));
	be_close(handle);
}

void stage_prepare(const struct step *step, struct trial *trial)
{
	if (step->opens)
		return;
	if (!step->inherits) {
		trial->handle = stage_open(trial, trial->path, trial->durability,
					   step->is_direct ? BE_OPEN_DIRECT : 0);
		EXPECT_EQUAL(commit(trial->handle, 20, 0, false, BE_REAP_RELEASE), OWN);
		EXPECT_EQUAL(commit(trial->handle, 30, 0, false, BE_REAP_CHARGE), OWN_CHARGED);
	}
	if (step->prepare)
		step->prepare(trial);
}

/* ---- the operations */

static int count_expiring(const struct trial *trial)
{
	return trial->durability == BE_DURABILITY_FULL ? EXPIRING_FULL : EXPIRING;
}

static int leave_orphans(int index, void *context)
{
	struct trial *trial = context;
	struct be_enforcer *handle = stage_open(trial, trial->path, trial->durability, 0);
	int i;

	(void)index;
	for (i = 0; i < ORPHANS; i++)
		commit(handle, 1, 0, false, i % 2 ? BE_REAP_CHARGE : BE_REAP_RELEASE);
	return 0;
}

/* Expired commits and orphans take up all but less than 40 of "llm". */
static void fill_with_dead_commits(struct trial *trial)
{
	int count = count_expiring(trial), i;

	for (i = 0; i < count; i++)
		commit(trial->handle, 400 / count, 1000, i % 3 == 0,
		       i % 2 ? BE_REAP_CHARGE : BE_REAP_RELEASE);
	EXPECT_EQUAL(child_wait(child_start(leave_orphans, 0, trial)), 0);
	pass_a_second(trial);
}

static void run_open(struct trial *trial)
{
	stage_open(trial, trial->path, trial->durability, 0);
}

static void run_open_with_other_durability(struct trial *trial)
{
	stage_open(trial, trial->path,
		   trial->durability == BE_DURABILITY_FULL ? BE_DURABILITY_PROCESS
							   : BE_DURABILITY_FULL,
		   0);
}

static void run_close(struct trial *trial)
{
	be_close(trial->handle);
}

static void run_create(struct trial *trial)
{
	create(trial->handle, "new", 70, "llm", true);
}

static void run_ensure(struct trial *trial)
{
	EXPECT_OK(be_envelope_ensure(trial->handle, "new", 70, BE_PERIOD_DAILY, NULL));
}

static void run_set_limit(struct trial *trial)
{
	EXPECT_OK(be_envelope_set_limit(trial->handle, "llm", 600));
}

static void run_suspend(struct trial *trial)
{
	EXPECT_OK(be_envelope_suspend(trial->handle, "llm"));
}

static void run_resume(struct trial *trial)
{
	EXPECT_OK(be_envelope_resume(trial->handle, "paused"));
}

static void run_reset(struct trial *trial)
{
	EXPECT_OK(be_envelope_reset(trial->handle, "llm"));
}

static void rename_to(struct trial *trial, const char *category, const char *new_category)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_NAME;
	settings.new_category = new_category;
	EXPECT_OK(be_envelope_set(trial->handle, category, &settings, NULL));
}

static void run_rename(struct trial *trial)
{
	rename_to(trial, "llm", "models");
}

static void run_rename_of_a_parent(struct trial *trial)
{
	rename_to(trial, "day", "today");
}

static void move_spare(struct trial *trial, const char *parent)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_PARENT;
	settings.parent_category = parent;
	EXPECT_OK(be_envelope_set(trial->handle, "spare", &settings, NULL));
}

static void run_move(struct trial *trial)
{
	move_spare(trial, "paused");
}

static void prepare_move_of_a_parent(struct trial *trial)
{
	create(trial->handle, "task", 10, "spare", false);
	create(trial->handle, "deep", 10, "paused", false);
}

/* It comes to lie deeper, so that what is below it is looked at. */
static void run_move_of_a_parent(struct trial *trial)
{
	move_spare(trial, "deep");
}

static void prepare_namespace(struct trial *trial)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_enforcer *task;

	EXPECT_OK(be_open_namespace(trial->handle, "task", &task));
	create(task, "a", 10, NULL, false);
	create(task, "b", 10, "a", false);
	options.parent_namespace = "";
	options.parent_category = "day";
	EXPECT_OK(be_envelope_create(task, "c", 10, BE_PERIOD_TOTAL, &options));
	be_close(task);
}

static void run_end_of_a_namespace(struct trial *trial)
{
	struct be_enforcer *task;
	uint64_t removed;

	EXPECT_OK(be_open_namespace(trial->handle, "task", &task));
	EXPECT_OK(be_namespace_end(task, 0, &removed, NULL));
	EXPECT_EQUAL(removed, 3);
	be_close(task);
}

static void run_end_with_commits(struct trial *trial)
{
	EXPECT_OK(be_namespace_end(trial->handle, BE_END_RELEASE, NULL, NULL));
}

/* What is left of it by a kill is ended by who calls next. */
static void check_end_with_commits(struct trial *trial)
{
	struct be_enforcer *handle =
		stage_open(trial, trial->path, trial->durability, BE_OPEN_EXISTING);
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_namespace_end(handle, BE_END_RELEASE, NULL, NULL));
	EXPECT_STATUS(be_utilization(handle, "day", &envelope), BE_NO_ENVELOPE);
	EXPECT_EQUAL(count_commits(handle), 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

static void run_remove(struct trial *trial)
{
	EXPECT_OK(be_envelope_remove(trial->handle, "spare"));
}

static void run_commit(struct trial *trial)
{
	commit(trial->handle, 40, 0, false, BE_REAP_CHARGE);
}

static void run_commit_with_ttl(struct trial *trial)
{
	commit(trial->handle, 40, 1000, true, BE_REAP_RELEASE);
}

static void run_extend(struct trial *trial)
{
	EXPECT_OK(be_extend(trial->handle, OWN_CHARGED, 35, 1000, NULL));
}

static void run_release(struct trial *trial)
{
	EXPECT_OK(be_release(trial->handle, OWN));
}

static void run_release_of_another(struct trial *trial)
{
	EXPECT_OK(be_release(trial->handle, DETACHED));
}

static void run_settle(struct trial *trial)
{
	EXPECT_OK(be_settle(trial->handle, OWN, 18, "settled", NULL));
}

static void run_settle_of_another(struct trial *trial)
{
	EXPECT_OK(be_settle(trial->handle, DETACHED, 12, NULL, NULL));
}

static void run_late_settle(struct trial *trial)
{
	EXPECT_OK(be_settle(trial->handle, REAPED, 12, NULL, NULL));
}

static void run_record(struct trial *trial)
{
	EXPECT_OK(be_record(trial->handle, "llm", 8, "one more", NULL));
}

static void run_reap(struct trial *trial)
{
	uint64_t reaped;

	EXPECT_OK(be_reap(trial->handle, &reaped));
	EXPECT_EQUAL(reaped, count_expiring(trial) + ORPHANS);
}

static void run_apply(struct trial *trial)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	struct be_envelope_change changes[] = {
		BE_ENVELOPE_CHANGE_INIT,
		BE_ENVELOPE_CHANGE_INIT,
		BE_ENVELOPE_CHANGE_INIT,
	};

	below.parent_category = "day";
	changes[0].operation = BE_OPERATION_CREATE;
	changes[0].category = "new";
	changes[0].limit = 30;
	changes[0].options = &below;
	changes[1].operation = BE_OPERATION_SET_LIMIT;
	changes[1].category = "llm";
	changes[1].limit = 700;
	changes[2].operation = BE_OPERATION_REMOVE;
	changes[2].category = "spare";
	EXPECT_OK(be_envelopes_apply(trial->handle, changes, 3, NULL));
}

static void run_prune(struct trial *trial)
{
	EXPECT_OK(
		be_prune(trial->handle, atomic_load(&trial->stage->now_ns) + 1, NULL, NULL, NULL));
}

/* ---- files beside the environment */

/* Holds what the victim saw: its own two commits, of which one is freed and one charged at the
 * opening. */
static void expect_whole(struct trial *trial, bool of_victim)
{
	struct be_enforcer *handle =
		stage_open(trial, trial->restored, BE_DURABILITY_FULL, BE_OPEN_EXISTING);

	if (of_victim)
		EXPECT_BALANCE(handle, "llm", 35, 10);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

static void run_backup(struct trial *trial)
{
	EXPECT_OK(be_backup(trial->handle, trial->backup));
}

/* What has the backup's name is whole; where nothing has, the next backup is made as if nothing had
 * been. */
static void check_backup(struct trial *trial)
{
	struct be_enforcer *handle = stage_open(trial, trial->path, trial->durability, 0);
	enum be_status status = be_backup(handle, trial->backup);

	if (status != BE_OK)
		EXPECT_STATUS(status, BE_ALREADY_THERE);
	be_close(handle);
	EXPECT_OK(be_restore(trial->backup, trial->restored));
	expect_whole(trial, status == BE_ALREADY_THERE);
}

static void prepare_restore(struct trial *trial)
{
	EXPECT_OK(be_backup(trial->handle, trial->backup));
}

static void run_restore(struct trial *trial)
{
	EXPECT_OK(be_restore(trial->backup, trial->restored));
}

/* The same of an environment that is restored. */
static void check_restore(struct trial *trial)
{
	enum be_status status = be_restore(trial->backup, trial->restored);

	if (status != BE_OK)
		EXPECT_STATUS(status, BE_ALREADY_THERE);
	expect_whole(trial, true);
}

/* ---- all of them */

const struct step steps[] = {
	{.name = "open, new",
	 .run = run_open,
	 .opens = true,
	 .is_long = true,
	 .is_new = true,
	 .is_invisible = true},
	{.name = "open", .run = run_open, .opens = true, .is_long = true, .is_invisible = true},
	{.name = "open with the other durability",
	 .run = run_open_with_other_durability,
	 .opens = true,
	 .is_long = true,
	 .is_invisible = true,
	 .keeper_forbids = true},
	{.name = "close", .run = run_close, .is_invisible = true},
	{.name = "create", .run = run_create},
	{.name = "ensure", .run = run_ensure},
	{.name = "set_limit", .run = run_set_limit},
	{.name = "suspend", .run = run_suspend},
	{.name = "resume", .run = run_resume},
	{.name = "reset", .run = run_reset},
	{.name = "rename", .run = run_rename},
	{.name = "rename of a parent", .run = run_rename_of_a_parent},
	{.name = "release after a rename", .prepare = run_rename, .run = run_release},
	{.name = "settle, late, after a rename", .prepare = run_rename, .run = run_late_settle},
	{.name = "another parent", .run = run_move},
	{.name = "another parent of a parent",
	 .prepare = prepare_move_of_a_parent,
	 .run = run_move_of_a_parent},
	{.name = "remove", .run = run_remove},
	{.name = "end of a namespace", .prepare = prepare_namespace, .run = run_end_of_a_namespace},
	{.name = "end of a namespace with commits",
	 .run = run_end_with_commits,
	 .is_in_parts = true,
	 .check = check_end_with_commits},
	{.name = "commit", .run = run_commit},
	{.name = "commit with a ttl", .run = run_commit_with_ttl},
	{.name = "commit that reaps first", .prepare = fill_with_dead_commits, .run = run_commit},
	{.name = "commit by an inherited handle",
	 .run = run_commit,
	 .inherits = true,
	 .is_long = true},
	{.name = "extend", .run = run_extend},
	{.name = "release", .run = run_release},
	{.name = "release of another's", .run = run_release_of_another},
	{.name = "settle", .run = run_settle},
	{.name = "settle of another's", .run = run_settle_of_another},
	{.name = "settle, late", .run = run_late_settle},
	{.name = "record", .run = run_record},
	{.name = "commit, directly", .run = run_commit, .is_direct = true},
	{.name = "settle, directly", .run = run_settle, .is_direct = true},
	{.name = "apply", .run = run_apply},
	{.name = "prune", .run = run_prune, .is_in_parts = true},
	{.name = "backup", .run = run_backup, .check = check_backup, .is_invisible = true},
	{.name = "restore",
	 .prepare = prepare_restore,
	 .run = run_restore,
	 .check = check_restore,
	 .is_long = true,
	 .is_invisible = true},
	{.name = "reap", .prepare = fill_with_dead_commits, .run = run_reap, .is_invisible = true},
};
const int step_count = sizeof steps / sizeof *steps;

/* ---- what can be told */

struct text {
	char *bytes;
	size_t used;
	int transactions;
	struct be_transaction ledger[TRANSACTIONS];
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text->used += (size_t)vsnprintf(text->bytes + text->used, TEXT_SIZE - text->used, format,
					arguments);
	va_end(arguments);
	EXPECT(text->used < TEXT_SIZE);
}

static bool add_envelope(void *context, const struct be_envelope *envelope)
{
	add(context,
	    "%s below \"%s\": limit %" PRId64 " spent %" PRId64 " committed %" PRId64
	    " pending %" PRIu64 " children %" PRIu64 "%s\n",
	    envelope->category, envelope->parent_category, envelope->limit, envelope->spent,
	    envelope->committed, envelope->pending_commits, envelope->children,
	    envelope->suspended ? " suspended" : "");
	return true;
}

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	EXPECT(commit->detached); /* what was tied to the dead process has gone */
	add(context, "commit %" PRIu64 ": %" PRId64 " until %" PRId64 "\n", commit->id,
	    commit->amount, commit->deadline_ns);
	return true;
}

static bool keep_transaction(void *context, const struct be_transaction *transaction)
{
	struct text *text = context;

	EXPECT(text->transactions < TRANSACTIONS);
	EXPECT(text->transactions == 0 ||
	       text->ledger[text->transactions - 1].id < transaction->id);
	text->ledger[text->transactions++] = *transaction;
	return true;
}

/* Whose commits are reaped first is nobody's business: so the ledger is shown by commits, without
 * its ids. */
static int compare_transactions(const void *left, const void *right)
{
	const struct be_transaction *one = left, *other = right;

	if (one->commit_id != other->commit_id)
		return one->commit_id < other->commit_id ? -1 : 1;
	return (one->id > other->id) - (one->id < other->id);
}

static void add_ledger(struct text *text, struct be_enforcer *handle)
{
	int i;

	text->transactions = 0;
	EXPECT_OK(be_transactions_each(handle, NULL, keep_transaction, text));
	qsort(text->ledger, (size_t)text->transactions, sizeof *text->ledger, compare_transactions);
	for (i = 0; i < text->transactions; i++)
		add(text, "%s %" PRId64 " of %" PRId64 " held for commit %" PRIu64 "%s: %s\n",
		    be_transaction_kind_name(text->ledger[i].kind), text->ledger[i].amount,
		    text->ledger[i].held, text->ledger[i].commit_id,
		    text->ledger[i].late ? " late" : "", text->ledger[i].description);
}

char *stage_describe(const struct trial *trial, struct be_enforcer *handle)
{
	struct text *text = calloc(1, sizeof *text);
	uint64_t id, last;
	char *bytes;

	EXPECT(text != NULL);
	text->bytes = calloc(1, TEXT_SIZE);
	EXPECT(text->bytes != NULL);
	EXPECT_OK(be_envelopes_each(handle, NULL, add_envelope, text));
	EXPECT_OK(be_commits_each(handle, NULL, add_commit, text));
	add_ledger(text, handle);
	/* As many as any step makes, and more. */
	last = OWN_CHARGED + (uint64_t)count_expiring(trial) + ORPHANS + 2;
	for (id = 1; id <= last; id++)
		add(text, "settle of commit %" PRIu64 ": %s\n", id,
		    be_status_name(be_settle(handle, id, 1, "told afterwards", NULL)));
	EXPECT_OK(be_envelopes_each(handle, NULL, add_envelope, text));
	add_ledger(text, handle);
	bytes = text->bytes;
	free(text);
	return bytes;
}
