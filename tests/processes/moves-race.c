/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes move envelopes to other parents, leaves and some that have children, while others
 * commit, settle, release and record on the leaves, and some are killed at random moments. In the
 * end all that was acknowledged is in the ledger and nothing else, and what each envelope was
 * charged is what was spent below it while it was above: what was spent stays with those of then.
 *
 * Who was above a leaf when it was charged the observer tells, as of the same txn. Where the group
 * above it lay then follows from the ids of transactions that its mover has seen before and after.
 * What neither tells, of a process that was killed or of a charge during a move, must lie between:
 * each envelope was charged at least what is known, and at most what may be.
 */
#include "support.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
	WORKERS = 6,
	LEAF_MOVERS = 2,
	PLACES = WORKERS + LEAF_MOVERS + 1, /* the last one moves groups */
	GROUP_MOVER = PLACES - 1,
	STEPS = 2000, /* of each worker, in all its lives */
	KILLS = 40,
	TRIES = 100,  /* of a move */
	MOVES = 4096, /* of groups, that are noted */
	HELD_MAX = 3,
	MOST_HELD = 20000,
	MOST_LEFT = 100, /* by the dead, to be charged */
	MOST_SETTLED = 10
};

/* Groups lie below the tops, or below one that is below a top: deeper then. Leaves lie below
 * groups, or below a top themselves, or alone. */
enum place {
	G0,
	G1,
	TOP0,
	TOP1,
	DEEP,
	TOP2,
	LEAF0,
	LEAVES = 4,
	ENVELOPES = LEAF0 + LEAVES,
	NOBODY = ENVELOPES,
	UNKNOWN
};

static const char *const names[ENVELOPES] = {"g0",   "g1",     "top0",   "top1",   "deep",
					     "top2", "leaf-0", "leaf-1", "leaf-2", "leaf-3"};
static const enum place leaf_targets[] = {G0, G1, TOP0, NOBODY};
static const enum place group_targets[] = {TOP0, TOP1, DEEP};

static const int64_t limit = 30000;

/* What a worker was about to do, and what it was told. */
struct step {
	enum be_operation kind; /* 0: it was not asked for */
	bool acknowledged;
	bool charges; /* a commit, when its owner dies */
	bool ending;  /* a commit: somebody has begun to end it */
	bool found;   /* in the ledger */
	enum place parent;
	int leaf;
	int64_t amount;
	uint64_t transaction_id;
};

struct group_move {
	enum place to;
	uint64_t not_before; /* the first transaction that may find it there */
	uint64_t surely;     /* the first one that does; 0: it is not known to have moved */
};

struct race {
	char path[PATH_MAX];
	enum be_durability durability;
	uint64_t seed;
	atomic_int lives;     /* begun so far */
	atomic_ulong done;    /* steps and moves */
	atomic_long recorded; /* which no limit refuses */
	atomic_int moves, deeper, refused_moves, granted, refused;
	int suspended[PLACES]; /* 1 more than the envelope that its mover has suspended */
	atomic_bool is_done[WORKERS];
	int steps_done[WORKERS];
	struct step steps[WORKERS][STEPS];
	uint64_t kept[WORKERS]; /* a commit that outlives the race; 0: none */
	int move_count[2];
	struct group_move group_moves[2][MOVES];
};

struct worker {
	struct race *race;
	struct be_enforcer *handle;
	int place;
	uint64_t random;
	enum place seen; /* above the leaf of the last operation */
	struct {
		uint64_t id;
		int64_t amount;
		int leaf;
		struct step *step;
	} held[HELD_MAX];
	int held_count;
};

static bool is_over(const struct race *race)
{
	for (int i = 0; i < WORKERS; i++)
		if (!race->is_done[i])
			return false;
	return true;
}

static uint64_t below(struct worker *worker, uint64_t bound)
{
	return test_random(&worker->random) % bound;
}

static enum place find(const char *category)
{
	int i = 0;

	if (*category == '\0')
		return NOBODY;
	while (strcmp(names[i], category) != 0)
		EXPECT(++i < ENVELOPES);
	return (enum place)i;
}

/* Commits never pass a limit, in any envelope; recorded costs may. */
static void expect_within_limit(const struct race *race, const struct be_envelope *envelope)
{
	EXPECT(envelope->spent + envelope->committed <= envelope->limit + race->recorded);
}

static void observe(void *context, const struct be_event *event)
{
	struct worker *worker = context;

	worker->seen = UNKNOWN;
	if (!event->envelope)
		return;
	worker->seen = find(event->envelope->parent_category);
	expect_within_limit(worker->race, event->envelope);
}

/* Every third takes no part in group commit. */
static void begin(struct worker *worker, struct race *race, int place)
{
	struct be_options options = BE_OPTIONS_INIT;

	memset(worker, 0, sizeof *worker);
	worker->race = race;
	worker->place = place;
	worker->random = race->seed + (uint64_t)atomic_fetch_add(&race->lives, 1);
	options.durability = race->durability;
	options.flags = place % 3 == 2 ? BE_OPEN_DIRECT : 0;
	options.observe = observe;
	options.observe_context = worker;
	EXPECT_OK(be_open(race->path, &options, &worker->handle));
}

/* ---- those who spend */

static struct step *ask(struct worker *worker, enum be_operation kind, int leaf, int64_t amount,
			char description[32])
{
	int number = worker->race->steps_done[worker->place]++;
	struct step *step = &worker->race->steps[worker->place][number];

	EXPECT(number < STEPS);
	step->leaf = leaf;
	step->amount = amount;
	step->parent = UNKNOWN;
	step->kind = kind;
	snprintf(description, 32, "%d-%d", worker->place, number);
	return step;
}

static void commit(struct worker *worker)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	bool charges = below(worker, 3) == 0;
	int64_t amount = 1 + (int64_t)below(worker, charges ? MOST_LEFT : MOST_HELD);
	int leaf = (int)below(worker, LEAVES);
	char description[32];
	struct step *step = ask(worker, BE_OPERATION_COMMIT, leaf, amount, description);
	enum be_status status;
	uint64_t id;

	if (charges)
		options.reap_policy = BE_REAP_CHARGE;
	step->charges = charges;
	status = be_commit_with(worker->handle, names[LEAF0 + leaf], amount, description, &options,
				&id, NULL);
	if (status == BE_EXCEEDS_BUDGET || status == BE_SUSPENDED) {
		step->ending = true;
		worker->race->refused += status == BE_EXCEEDS_BUDGET;
		return;
	}
	EXPECT_OK(status);
	step->acknowledged = true;
	worker->race->granted++;
	worker->held[worker->held_count].id = id;
	worker->held[worker->held_count].amount = amount;
	worker->held[worker->held_count].leaf = leaf;
	worker->held[worker->held_count++].step = step;
}

static void end(struct worker *worker, bool settles)
{
	struct be_transaction line = BE_TRANSACTION_INIT;
	int i = (int)below(worker, (uint64_t)worker->held_count);
	uint64_t id = worker->held[i].id;
	char description[32];
	struct step *step;
	int64_t amount = 1 + (int64_t)below(worker, MOST_SETTLED);

	worker->held[i].step->ending = true;
	if (amount > worker->held[i].amount)
		amount = worker->held[i].amount;
	step = ask(worker, settles ? BE_OPERATION_SETTLE : BE_OPERATION_RELEASE,
		   worker->held[i].leaf, amount, description);
	if (settles)
		EXPECT_OK(be_settle(worker->handle, id, amount, description, &line));
	else
		EXPECT_OK(be_release(worker->handle, id));
	step->parent = worker->seen;
	step->transaction_id = line.id;
	step->acknowledged = true;
	worker->held[i] = worker->held[--worker->held_count];
}

static void record(struct worker *worker)
{
	struct be_transaction line = BE_TRANSACTION_INIT;
	int leaf = (int)below(worker, LEAVES);
	char description[32];
	struct step *step = ask(worker, BE_OPERATION_RECORD, leaf, 1, description);

	worker->race->recorded++;
	EXPECT_OK(be_record(worker->handle, names[LEAF0 + leaf], 1, description, &line));
	step->parent = worker->seen;
	step->transaction_id = line.id;
	step->acknowledged = true;
}

static void look(struct worker *worker)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(worker->handle, names[below(worker, ENVELOPES)], &envelope));
	expect_within_limit(worker->race, &envelope);
}

/* What it leaves committed nobody can move, from then on. */
static void keep_one(struct worker *worker)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	const char *category = names[LEAF0 + below(worker, LEAVES)];
	enum be_status status;

	options.detached = true;
	status = be_commit_with(worker->handle, category, 1 + (int64_t)below(worker, 100), "kept",
				&options, &worker->race->kept[worker->place], NULL);
	EXPECT(status == BE_OK || status == BE_EXCEEDS_BUDGET || status == BE_SUSPENDED);
}

static void work(struct worker *worker)
{
	const int *done = &worker->race->steps_done[worker->place];

	while (*done < STEPS - HELD_MAX) {
		uint64_t choice = below(worker, 10);

		if (choice < 4 && worker->held_count < HELD_MAX)
			commit(worker);
		else if (choice < 8 && worker->held_count > 0)
			end(worker, choice % 2 == 0);
		else if (choice == 8)
			record(worker);
		else
			look(worker);
		worker->race->done++;
	}
	while (worker->held_count > 0)
		end(worker, true);
}

/* ---- those who move */

static uint64_t next_transaction(struct be_enforcer *handle)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(handle, &stats));
	return stats.next_transaction_id;
}

/* What was charged before *not_before, unless that is NULL, was so before the move. */
static enum be_status move(struct worker *worker, enum place who, enum place to,
			   uint64_t *not_before)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_envelope after = BE_ENVELOPE_INIT;
	enum be_status status;

	settings.mask = BE_SET_PARENT;
	settings.parent_category = to == NOBODY ? NULL : names[to];
	if (not_before)
		*not_before = next_transaction(worker->handle);
	status = be_envelope_set(worker->handle, names[who], &settings, &after);
	if (status == BE_OK)
		EXPECT(find(after.parent_category) == to);
	else
		EXPECT_STATUS(status, BE_HAS_COMMITS);
	if (status == BE_OK)
		worker->race->moves++;
	else
		worker->race->refused_moves++;
	worker->race->done++;
	return status;
}

static void resume(struct worker *worker)
{
	int *suspended = &worker->race->suspended[worker->place];

	if (*suspended != 0)
		EXPECT_OK(be_envelope_resume(worker->handle, names[*suspended - 1]));
	*suspended = 0;
}

/* The way that the header names: suspends it and waits, until what is pending has ended, or for
 * some time. What the dead hold is reaped by who asks. */
static bool move_in_the_end(struct worker *worker, enum place who, enum place to,
			    uint64_t *not_before)
{
	int64_t start = test_monotonic_ns();
	enum be_status status = move(worker, who, to, not_before);

	if (status != BE_OK) {
		worker->race->suspended[worker->place] = (int)who + 1;
		EXPECT_OK(be_envelope_suspend(worker->handle, names[who]));
	}
	for (int i = 0; status != BE_OK && i < TRIES && !is_over(worker->race); i++) {
		EXPECT(test_wait_on(start, 60));
		EXPECT_OK(be_reap(worker->handle, NULL));
		status = move(worker, who, to, not_before);
	}
	resume(worker);
	return status == BE_OK;
}

/* Only one process at a time moves groups, so that all their moves are noted, in their order. */
static void move_group(struct worker *worker, int group, enum place to)
{
	struct race *race = worker->race;
	struct group_move *note = &race->group_moves[group][race->move_count[group]];

	if (note[-1].to == to || race->move_count[group] == MOVES - 1)
		return;
	note->to = to;
	note->surely = 0;
	race->move_count[group]++;
	if (move_in_the_end(worker, (enum place)(G0 + group), to, &note->not_before)) {
		note->surely = next_transaction(worker->handle);
		race->deeper += to == DEEP;
	} else {
		race->move_count[group]--;
	}
}

/* Where its predecessor was killed at a move, this was made or not. All before stand. */
static void resolve(struct worker *worker, int group)
{
	struct race *race = worker->race;
	struct group_move *last = &race->group_moves[group][race->move_count[group] - 1];
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum place parent;

	EXPECT_OK(be_utilization(worker->handle, names[G0 + group], &envelope));
	parent = find(envelope.parent_category);
	if (last->surely == 0 && parent == last->to)
		last->surely = next_transaction(worker->handle);
	else if (last->surely == 0)
		EXPECT_EQUAL(parent, last[-1].to);
	else
		EXPECT_EQUAL(parent, last->to);
	if (last->surely == 0)
		race->move_count[group]--;
}

static void move_groups(struct worker *worker)
{
	for (int group = 0; group < 2; group++)
		resolve(worker, group);
	while (!is_over(worker->race))
		move_group(worker, (int)below(worker, 2), group_targets[below(worker, 3)]);
}

static void move_leaves(struct worker *worker)
{
	while (!is_over(worker->race))
		move_in_the_end(worker, (enum place)(LEAF0 + (int)below(worker, LEAVES)),
				leaf_targets[below(worker, 4)], NULL);
}

/* ---- the race */

static int run_place(int place, void *context)
{
	struct worker worker;

	begin(&worker, context, place);
	resume(&worker);
	if (place == GROUP_MOVER) {
		move_groups(&worker);
	} else if (place >= WORKERS) {
		move_leaves(&worker);
	} else if (!worker.race->is_done[place]) {
		work(&worker);
		keep_one(&worker);
		worker.race->is_done[place] = true;
	}
	be_close(worker.handle);
	return 0;
}

static void create(struct be_enforcer *handle, enum place who, enum place parent)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	if (parent != NOBODY)
		options.parent_category = names[parent];
	EXPECT_OK(be_envelope_create(handle, names[who], limit, BE_PERIOD_TOTAL, &options));
}

static struct be_enforcer *prepare(struct race *race)
{
	struct be_enforcer *handle = test_open(race->path, race->durability);

	create(handle, TOP0, NOBODY);
	create(handle, TOP1, NOBODY);
	create(handle, TOP2, NOBODY);
	create(handle, DEEP, TOP2);
	create(handle, G0, TOP0);
	create(handle, G1, TOP1);
	for (int i = 0; i < LEAVES; i++)
		create(handle, (enum place)(LEAF0 + i), i % 2 == 0 ? G0 : G1);
	for (int i = 0; i < 2; i++) {
		race->move_count[i] = 1;
		race->group_moves[i][0].to = i == 0 ? TOP0 : TOP1;
		race->group_moves[i][0].surely = 1;
	}
	return handle;
}

static bool has_failed(const pid_t *children)
{
	for (int i = 0; i < PLACES; i++) {
		siginfo_t info = {.si_pid = 0};

		EXPECT(waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0);
		if (info.si_pid != 0 && info.si_status != 0)
			return true;
	}
	return false;
}

/* Each time when some more was done. Whoever was killed has a successor. */
static int kill_some(struct race *race, pid_t *children, uint64_t *seed)
{
	int kills = 0;

	for (int i = 0; i < KILLS && !is_over(race); i++) {
		int64_t start = test_monotonic_ns();
		uint64_t until = race->done + test_random(seed) % (WORKERS * STEPS / KILLS);
		int place = (int)(test_random(seed) % PLACES);

		while (race->done < until && !is_over(race) && !has_failed(children))
			EXPECT(test_wait_on(start, 60));
		if (has_failed(children))
			break;
		if (place < WORKERS && race->is_done[place])
			continue;
		EXPECT(kill(children[place], SIGKILL) == 0);
		kills += child_wait(children[place]) == 128 + SIGKILL;
		children[place] = child_start(run_place, place, race);
	}
	return kills;
}

/* ---- what is true in the end */

struct audit {
	struct race *race;
	struct be_enforcer *handle;
	int64_t least[ENVELOPES]; /* that it was charged, as far as that is known */
	int64_t most[ENVELOPES];
	int64_t committed[ENVELOPES];
	int64_t charged;
	uint64_t kept;
};

/* Some of what was charged was so to this envelope, surely or perhaps; what was to DEEP, was to the
 * one above it, too. */
static void charge(struct audit *audit, enum place who, int64_t amount, bool surely)
{
	if (who == NOBODY)
		return;
	audit->most[who] += amount;
	if (surely)
		audit->least[who] += amount;
	if (who == DEEP)
		charge(audit, TOP2, amount, surely);
}

/* Those that were above a group when this transaction was written: the last that it was surely
 * below, or one that it was being moved to meanwhile. */
static void charge_above(struct audit *audit, enum place group, uint64_t id, int64_t amount)
{
	const struct group_move *moves = audit->race->group_moves[group];
	int last = 0, maybe = 0;

	for (int i = 1; i < audit->race->move_count[group]; i++)
		if (id >= moves[i].surely)
			last = i;
	if (last + 1 < audit->race->move_count[group] && id >= moves[last + 1].not_before)
		maybe = last + 1;
	charge(audit, moves[last].to, amount, maybe == 0);
	if (maybe != 0)
		charge(audit, moves[maybe].to, amount, false);
}

static void charge_all(struct audit *audit, const struct step *step, uint64_t id)
{
	charge(audit, (enum place)(LEAF0 + step->leaf), step->amount, true);
	if (step->parent != UNKNOWN) {
		charge(audit, step->parent, step->amount, true);
		if (step->parent <= G1)
			charge_above(audit, step->parent, id, step->amount);
		return;
	}
	for (int i = G0; i <= DEEP; i++)
		charge(audit, (enum place)i, step->amount, false);
}

/* Each line of the ledger was asked for once, and stands under the id that was told. */
static bool check_line(void *context, const struct be_transaction *line)
{
	struct audit *audit = context;
	struct step *step;
	int place, number;

	EXPECT(sscanf(line->description, "%d-%d", &place, &number) == 2);
	EXPECT(place >= 0 && place < WORKERS && number >= 0 && number < STEPS);
	step = &audit->race->steps[place][number];
	EXPECT(!step->found);
	step->found = true;
	EXPECT(find(line->category) == (enum place)(LEAF0 + step->leaf));
	EXPECT_EQUAL(line->amount, step->amount);
	if (line->kind == BE_TRANSACTION_ORPHANED) {
		EXPECT(step->kind == BE_OPERATION_COMMIT && step->charges);
	} else {
		EXPECT_EQUAL(step->kind, line->kind == BE_TRANSACTION_RECORD ? BE_OPERATION_RECORD
									     : BE_OPERATION_SETTLE);
		EXPECT(!step->acknowledged || step->transaction_id == line->id);
	}
	charge_all(audit, step, line->id);
	audit->charged += line->amount;
	return true;
}

/* What was acknowledged is there. A commit that nobody has begun to end is one of the dead. */
static void check_step(const struct step *step)
{
	bool is_charge = step->kind == BE_OPERATION_SETTLE || step->kind == BE_OPERATION_RECORD;

	if (step->acknowledged && is_charge)
		EXPECT(step->found);
	if (step->acknowledged && step->kind == BE_OPERATION_COMMIT && !step->ending)
		EXPECT_EQUAL(step->found, step->charges);
}

static void show(struct be_enforcer *handle, enum place who, struct be_envelope *envelope)
{
	*envelope = (struct be_envelope)BE_ENVELOPE_INIT;
	EXPECT_OK(be_utilization(handle, names[who], envelope));
}

/* What is held is held in all that are above now. */
static bool check_kept(void *context, const struct be_commit_info *commit)
{
	struct audit *audit = context;
	struct be_envelope envelope;

	EXPECT_TEXT(commit->description, "kept");
	for (enum place at = find(commit->category); at != NOBODY;
	     at = find(envelope.parent_category)) {
		audit->committed[at] += commit->amount;
		show(audit->handle, at, &envelope);
	}
	for (int i = 0; i < WORKERS; i++)
		audit->kept += audit->race->kept[i] == commit->id;
	return true;
}

static void check_envelopes(const struct audit *audit)
{
	struct be_envelope envelope;
	int64_t deep = 0;

	for (int i = 0; i < ENVELOPES; i++) {
		show(audit->handle, (enum place)i, &envelope);
		if (envelope.charged < audit->least[i] || envelope.charged > audit->most[i])
			test_fail(__FILE__, __LINE__,
				  "%s was charged %" PRId64 ", not %" PRId64 " to %" PRId64,
				  names[i], envelope.charged, audit->least[i], audit->most[i]);
		EXPECT_EQUAL(envelope.spent, envelope.charged);
		EXPECT_EQUAL(envelope.committed, audit->committed[i]);
		expect_within_limit(audit->race, &envelope);
		EXPECT(!envelope.suspended);
		if (i == DEEP)
			deep = envelope.charged;
		if (i == TOP2)
			EXPECT_EQUAL(envelope.charged, deep);
	}
	for (int i = 0; i < 2; i++) {
		show(audit->handle, (enum place)(G0 + i), &envelope);
		EXPECT_EQUAL(find(envelope.parent_category),
			     audit->race->group_moves[i][audit->race->move_count[i] - 1].to);
	}
}

static bool give_back(void *context, const struct be_transaction *line)
{
	struct audit *audit = context;

	if (line->corrects == 0)
		EXPECT_OK(be_correct(audit->handle, line->id, line->amount, NULL, NULL));
	return true;
}

static bool release(void *context, const struct be_commit_info *commit)
{
	struct audit *audit = context;

	EXPECT_OK(be_release(audit->handle, commit->id));
	return true;
}

/* Corrections find all who were charged, and leave nothing spent. */
static void undo_all(struct audit *audit)
{
	struct be_filter filter = BE_FILTER_INIT;
	struct be_envelope envelope;

	filter.max_count = next_transaction(audit->handle);
	EXPECT_OK(be_transactions_each(audit->handle, &filter, give_back, audit));
	EXPECT_OK(be_commits_each(audit->handle, NULL, release, audit));
	for (int i = 0; i < ENVELOPES; i++) {
		show(audit->handle, (enum place)i, &envelope);
		EXPECT_EQUAL(envelope.given_back, envelope.charged);
		EXPECT_EQUAL(envelope.spent, 0);
		EXPECT_EQUAL(envelope.committed, 0);
		EXPECT_EQUAL(envelope.pending_commits, 0);
	}
	EXPECT_VERIFIED(audit->handle);
}

/* How much of what was charged is not known to have been so to a certain top. */
static int check(struct race *race, struct be_enforcer *handle)
{
	struct audit audit = {.race = race, .handle = handle};
	uint64_t kept = 0;
	int64_t unsure;

	EXPECT_OK(be_reap(handle, NULL));
	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_transactions_each(handle, NULL, check_line, &audit));
	for (int i = 0; i < WORKERS; i++)
		for (int k = 0; k < STEPS; k++)
			check_step(&race->steps[i][k]);
	EXPECT_OK(be_commits_each(handle, NULL, check_kept, &audit));
	for (int i = 0; i < WORKERS; i++)
		kept += race->kept[i] != 0;
	EXPECT_EQUAL(audit.kept, kept);
	check_envelopes(&audit);
	unsure = audit.most[TOP0] - audit.least[TOP0] + audit.most[TOP1] - audit.least[TOP1] +
		 audit.most[TOP2] - audit.least[TOP2];
	undo_all(&audit);
	return (int)(100 * unsure / (3 * audit.charged));
}

static void run(struct race *race, uint64_t *seed)
{
	struct be_enforcer *handle;
	pid_t children[PLACES];
	int kills, unsure;

	race->seed = test_random(seed);
	test_path(race->path, "moves");
	handle = prepare(race);
	children_start(children, PLACES, run_place, race);
	kills = kill_some(race, children, seed);
	children_expect_success(children, PLACES);
	unsure = check(race, handle);
	printf("%s durability: %d moves, %d of them deeper, and %d refused; %d commits, and %d "
	       "exceeded a budget; %d kills; of %d%% it is not known to whom it was charged\n",
	       race->durability == BE_DURABILITY_FULL ? "full" : "process", race->moves,
	       race->deeper, race->refused_moves, race->granted, race->refused, kills, unsure);
	EXPECT(kills > 0 && race->granted > 0);
	be_close(handle);
	test_remove(race->path);
}

int main(void)
{
	uint64_t seed = test_seed();
	int rounds = test_is_long() ? 20 : 2;
	int moves = 0, deeper = 0, refused_moves = 0, refused = 0;

	test_begin(120);
	test_in_memory();
	for (int i = 0; i < rounds; i++) {
		struct race *race = shared_make(sizeof *race);

		race->durability = i % 2 == 0 ? BE_DURABILITY_FULL : BE_DURABILITY_PROCESS;
		run(race, &seed);
		moves += race->moves;
		deeper += race->deeper;
		refused_moves += race->refused_moves;
		refused += race->refused;
	}
	EXPECT(moves > 0 && deeper > 0 && refused_moves > 0 && refused > 0);
	return 0;
}
