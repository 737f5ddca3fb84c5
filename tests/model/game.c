/* SPDX-License-Identifier: Apache-2.0 */
/* See game.h. */
#include "game.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

/* Steps mark alerts as done that are among the latest so many. */
#define STILL_DONE 4

struct game {
	struct oracle *oracle;
	struct library *library;
	struct answer expected, got;
	struct made *made;          /* by the number of a step */
	uint64_t transactions_seen; /* the ledger up to this one was compared */
	uint64_t alerts_seen;       /* likewise; the latest may be marked as done */
};

/* Lets both answer, and compares. */
static bool same(struct game *game, const struct call *call, struct failure *failure)
{
	size_t used;

	answer_clear(&game->expected);
	answer_clear(&game->got);
	oracle_answer(game->oracle, call, &game->expected);
	library_answer(game->library, call, &game->got);
	if (!answers_differ(call->kind, &game->expected, &game->got, failure->difference,
			    sizeof failure->difference))
		return true;
	used = strlen(failure->difference);
	if (call->kind == CALL_VERIFY && *library_finding(game->library))
		snprintf(failure->difference + used, sizeof failure->difference - used, ": %s",
			 library_finding(game->library));
	else if (game->got.status != game->expected.status && *be_last_error())
		snprintf(failure->difference + used, sizeof failure->difference - used, " (%s)",
			 be_last_error());
	return false;
}

/* Compares all that is stored, of the ledger what is new. */
static bool same_state(struct game *game, int64_t now_ns, struct failure *failure)
{
	struct call call = {
		.kind = CALL_LIST_ENVELOPES, .now_ns = now_ns, .filter = BE_FILTER_INIT};

	if (!same(game, &call, failure))
		return false;
	call.kind = CALL_LIST_COMMITS;
	if (!same(game, &call, failure))
		return false;
	call.kind = CALL_LIST_ALERTS;
	call.filter.after_id = game->alerts_seen;
	if (!same(game, &call, failure))
		return false;
	if (game->got.rows.count > STILL_DONE)
		game->alerts_seen += game->got.rows.count - STILL_DONE;
	call.kind = CALL_LIST_TRANSACTIONS;
	call.filter.after_id = game->transactions_seen;
	if (!same(game, &call, failure))
		return false;
	game->transactions_seen += game->got.rows.count;
	return true;
}

static bool same_end(struct game *game, int64_t now_ns, struct failure *failure)
{
	struct call call = {.kind = CALL_VERIFY, .now_ns = now_ns};

	failure->call = call;
	game->transactions_seen = game->alerts_seen = 0;
	return same_state(game, now_ns, failure) && same(game, &call, failure);
}

static void count_call(struct tally *tally, const struct call *call, const struct answer *answer)
{
	tally->steps++;
	tally->by_status[-answer->status]++;
	tally->by_kind[call->kind]++;
	tally->granted_by_kind[call->kind] += answer->status == BE_OK;
}

static void count_coverage(struct coverage *sum, const struct coverage *coverage)
{
	sum->reaped_expired += coverage->reaped_expired;
	sum->reaped_orphaned += coverage->reaped_orphaned;
	sum->reaped_on_refusal += coverage->reaped_on_refusal;
	sum->settled_late += coverage->settled_late;
	sum->windows += coverage->windows;
	sum->carried_over += coverage->carried_over;
	sum->over_several += coverage->over_several;
	sum->granted_late += coverage->granted_late;
	sum->waited_in_vain += coverage->waited_in_vain;
	sum->moved += coverage->moved;
	if (coverage->deepest > sum->deepest)
		sum->deepest = coverage->deepest;
}

/* The step again, naming the commit it is about by the step that made it, if that can be told; and
 * a request that is made again as what it is, since which one it was depends on all before. */
static struct step pin(const struct game *game, const struct step *step, const struct call *call,
		       size_t numbers)
{
	bool corrects = call->kind == CALL_CORRECT;
	struct step pinned = *step;

	if (step->again) {
		pinned.call = *call;
		pinned.call.now_ns = step->call.now_ns;
		if (call->waits) {
			pinned.call.then_ns = call->then_ns - oracle_now(game->oracle);
			pinned.time_base = TIME_NOW;
		}
		pinned.commit_base = COMMIT_NONE;
		pinned.amount_base = AMOUNT_PLAIN;
		pinned.again = false;
	}
	for (size_t number = 0; number < numbers && call->kind != CALL_ALERT_DONE; number++) {
		const struct made *made = &game->made[number];
		uint64_t first = corrects ? made->first_charge : made->first;

		if (call->id < first ||
		    call->id - first >= (corrects ? made->charges : made->count))
			continue;
		pinned.commit_base = COMMIT_OF_STEP;
		pinned.nth = (uint32_t)number;
		pinned.of_those = (uint32_t)(call->id - first);
	}
	return pinned;
}

static bool play_step(struct game *game, const struct rules_of_game *rules, const struct step *step,
		      size_t place, const struct record *record, struct failure *failure)
{
	int64_t before_ns = oracle_now(game->oracle);
	uint64_t commits = oracle_commits(game->oracle);
	uint64_t charges = oracle_charges(game->oracle);
	struct call *call = &failure->call;
	bool look = (place + 1) % rules->look_every == 0;

	step_resolve(step, game->oracle, game->made, call);
	if (record->pinned)
		record->pinned[place] = pin(game, step, call, rules->numbers);
	if (record->transcript) {
		fprintf(record->transcript, "%4zu  ", place + 1);
		call_print(record->transcript, call, before_ns);
	}
	if (!same(game, call, failure))
		return false;
	game->made[step->number] = (struct made){
		commits + 1,
		oracle_commits(game->oracle) - commits,
		charges + 1,
		oracle_charges(game->oracle) - charges,
	};
	if (record->tally)
		count_call(record->tally, call, &game->expected);
	return !look || same_state(game, oracle_now(game->oracle), failure);
}

bool game_play(const struct rules_of_game *rules, const struct step *steps, size_t count,
	       const struct record *record, struct failure *failure)
{
	static const struct record nothing;
	struct game game = {
		.oracle = oracle_create(rules->begin_ns, library_sees_deaths(rules->storage),
					rules->mistake),
		.library = library_create(rules->storage, rules->begin_ns),
		.made = calloc(rules->numbers, sizeof *game.made),
	};
	bool good = true;

	EXPECT(game.made != NULL);
	memset(failure, 0, sizeof *failure);
	if (!record)
		record = &nothing;
	while (good && failure->step < count) {
		good = play_step(&game, rules, &steps[failure->step], failure->step, record,
				 failure);
		failure->step += good;
	}
	if (good)
		good = same_end(&game, oracle_now(game.oracle), failure);
	if (record->tally)
		count_coverage(&record->tally->coverage, oracle_coverage(game.oracle));
	oracle_destroy(game.oracle);
	library_destroy(game.library);
	rows_free(&game.expected.rows);
	rows_free(&game.got.rows);
	free(game.made);
	return good;
}

/* ---- shrinking */

struct shrinking {
	struct rules_of_game rules;
	struct step *steps; /* the shortest game so far that fails */
	size_t count;
	struct step *trial;
	struct failure *failure; /* of `steps` */
	uint64_t most_steps;     /* that may still be played in all trials */
};

/* Plays `count` steps of the trial. When they fail they are the shortest game, up to the failing
 * one. */
static bool try(struct shrinking *shrinking, size_t count)
{
	struct failure failure;

	shrinking->most_steps -= count < shrinking->most_steps ? count : shrinking->most_steps;
	if (game_play(&shrinking->rules, shrinking->trial, count, NULL, &failure))
		return false;
	*shrinking->failure = failure;
	shrinking->count = failure.step < count ? failure.step + 1 : count;
	memcpy(shrinking->steps, shrinking->trial, shrinking->count * sizeof *shrinking->steps);
	return true;
}

static bool try_without(struct shrinking *shrinking, size_t first, size_t count)
{
	const struct step *steps = shrinking->steps;
	size_t behind = shrinking->count - first - count;

	memcpy(shrinking->trial, steps, first * sizeof *steps);
	memcpy(shrinking->trial + first, steps + first + count, behind * sizeof *steps);
	return try(shrinking, first + behind);
}

/* Takes out pieces of `size` steps wherever that leaves a game that fails, last ones first: what
 * came late depends on what came before. */
static bool take_out(struct shrinking *shrinking, size_t size)
{
	bool shorter = false;
	size_t end = shrinking->count;

	while (end > 0 && shrinking->most_steps > 0) {
		size_t first = end > size ? end - size : 0;

		if (try_without(shrinking, first, end - first)) {
			shorter = true;
			end = first < shrinking->count ? first : shrinking->count;
		} else {
			end = first;
		}
	}
	return shorter;
}

/* Which commits a step is about must not change with every commit that is taken out before it. */
static void pin_commits(struct shrinking *shrinking)
{
	struct record record = {.pinned = shrinking->trial};
	struct failure failure;

	memcpy(shrinking->trial, shrinking->steps, shrinking->count * sizeof *shrinking->steps);
	game_play(&shrinking->rules, shrinking->steps, shrinking->count, &record, &failure);
	try(shrinking, shrinking->count);
}

/* ---- plainer steps: each of these changes one step, if it applies */

static void without_options(struct step *steps, size_t at)
{
	steps[at].call.has_options = false;
}

static void without_ttl(struct step *steps, size_t at)
{
	steps[at].call.ttl_ms = 0;
}

static void without_description(struct step *steps, size_t at)
{
	steps[at].call.description = NULL;
}

static void without_start(struct step *steps, size_t at)
{
	steps[at].has_start = false;
	steps[at].call.period_start_ns = 0;
}

static void with_one_commit(struct step *steps, size_t at)
{
	steps[at].call.count = 1;
}

static void without_also(struct step *steps, size_t at)
{
	steps[at].call.also_count = 0;
}

static void without_waiting(struct step *steps, size_t at)
{
	steps[at].call.waits = false;
}

static void without_labels(struct step *steps, size_t at)
{
	memset(&steps[at].call.tags, 0, sizeof steps[at].call.tags);
}

static void with_small_amount(struct step *steps, size_t at)
{
	steps[at].amount_base = AMOUNT_PLAIN;
	steps[at].call.amount = 1;
}

/* Moves that depend on no envelope or commit. */
static void with_move(struct step *step, int64_t distance_ns)
{
	if (step->call.kind != CALL_MOVE)
		return;
	step->time_base = TIME_NOW;
	step->commit_base = COMMIT_NONE;
	step->call.now_ns = distance_ns;
}

static void with_step_back(struct step *steps, size_t at)
{
	with_move(&steps[at], -1);
}

static void with_month(struct step *steps, size_t at)
{
	with_move(&steps[at], 2592000 * BE_UNIT);
}

/* A chain without the envelope in between. */
static void with_grandparent(struct step *steps, size_t at)
{
	struct call *call = &steps[at].call;
	const char *parent_namespace =
		call->parent_namespace ? call->parent_namespace : namespaces[call->handle];

	for (size_t i = 0; call->kind == CALL_CREATE && call->parent_category && i < at; i++) {
		const struct call *parent = &steps[i].call;

		if (parent->kind != CALL_CREATE || parent->category != call->parent_category ||
		    namespaces[parent->handle] != parent_namespace || !parent->has_options ||
		    !parent->parent_category)
			continue;
		call->parent_category = parent->parent_category;
		call->parent_namespace = parent->parent_namespace ? parent->parent_namespace
								  : namespaces[parent->handle];
		return;
	}
}

/* In place of what reaps because it is refused, or begins. */
static void as_reap(struct step *steps, size_t at)
{
	if (steps[at].call.kind == CALL_COMMIT || steps[at].call.kind == CALL_EXTEND ||
	    steps[at].call.kind == CALL_CHECK || steps[at].call.kind == CALL_WORKER_DIES)
		steps[at].call.kind = CALL_REAP;
}

static void (*const plainer[])(struct step *steps, size_t at) = {
	without_options,   without_ttl,    without_description, without_start,
	with_one_commit,   without_also,   without_waiting,     without_labels,
	with_small_amount, with_step_back, with_month,          with_grandparent,
	as_reap,
};

static void make_plainer(struct shrinking *shrinking)
{
	const struct step *steps = shrinking->steps;
	struct step *trial = shrinking->trial;

	for (size_t k = 0; k < sizeof plainer / sizeof plainer[0]; k++) {
		for (size_t i = 0; i < shrinking->count && shrinking->most_steps > 0; i++) {
			memcpy(trial, steps, shrinking->count * sizeof *steps);
			plainer[k](trial, i);
			if (memcmp(&trial[i], &steps[i], sizeof *steps) != 0)
				try(shrinking, shrinking->count);
		}
	}
}

/* Takes out single steps until none can be spared. */
static bool take_out_all(struct shrinking *shrinking)
{
	size_t before = shrinking->count;

	while (take_out(shrinking, 1) && shrinking->most_steps > 0)
		;
	return shrinking->count < before;
}

size_t game_shrink(const struct rules_of_game *rules, struct step *steps, size_t count,
		   uint64_t most_steps, struct failure *failure)
{
	struct shrinking shrinking = {
		.rules = *rules,
		.steps = steps,
		.count = count,
		.trial = malloc(count * sizeof *steps),
		.failure = failure,
		.most_steps = most_steps,
	};

	EXPECT(shrinking.trial != NULL);
	/* Looking after every step finds a difference where it begins; unless looking hides it. */
	shrinking.rules.look_every = 1;
	memcpy(shrinking.trial, steps, count * sizeof *steps);
	if (!try(&shrinking, count))
		shrinking.rules = *rules;
	pin_commits(&shrinking);
	for (size_t size = shrinking.count / 2; size > 1; size /= 2)
		take_out(&shrinking, size);
	take_out_all(&shrinking);
	do
		make_plainer(&shrinking);
	while (take_out_all(&shrinking));
	free(shrinking.trial);
	return shrinking.count;
}
