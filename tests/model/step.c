/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See step.h. Everything random is decided here, in steps_generate(), and every kind of call,
 * argument and mishap has its chance here. What is likely was chosen so that most envelopes exist,
 * about half of the commits are granted, and every status comes up many times in a few thousand
 * steps.
 */
#include "step.h"

#include "oracle.h"
#include "support.h"

#include <string.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define DAY (86400 * SECOND)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Envelopes: each namespace and valid category makes one. */
#define PAIRS (NAMESPACES * CATEGORIES)

struct generator {
	uint64_t random;
	bool renames;                 /* of half the seeds: new names take chains apart */
	bool moves;                   /* of most: so do other parents */
	unsigned parent_is_neighbour; /* per cent: how long and thin the trees are */
	int64_t largest_limit;
};

static uint64_t below(struct generator *generator, uint64_t end)
{
	return test_random(&generator->random) % end;
}

static bool chance(struct generator *generator, unsigned permille)
{
	return below(generator, 1000) < permille;
}

static int64_t between(struct generator *generator, int64_t low, int64_t high)
{
	return low + (int64_t)below(generator, (uint64_t)(high - low) + 1);
}

/* ---- amounts and times */

static int64_t any_amount(struct generator *generator)
{
	uint64_t die = below(generator, 100);

	if (die < 12)
		return 0;
	if (die < 70)
		return between(generator, 1, 100);
	if (die < 92)
		return between(generator, 1, 2000);
	if (die < 94)
		return between(generator, 1, INT64_MAX / 4);
	if (die < 95)
		return INT64_MAX - between(generator, 0, 2);
	if (die < 97)
		return die == 95 ? -between(generator, 1, 100) : INT64_MIN;
	return between(generator, 1, BE_UNIT);
}

static int64_t any_limit(struct generator *generator)
{
	uint64_t die = below(generator, 100);

	if (die < 3)
		return -between(generator, 0, 5);
	if (die < 15)
		return between(generator, 1, 20);
	if (die < 90)
		return between(generator, 1, generator->largest_limit);
	if (die < 95)
		return INT64_MAX - between(generator, 0, 2);
	return between(generator, 1, INT64_MAX - 1);
}

static uint64_t any_ttl_ms(struct generator *generator)
{
	uint64_t die = below(generator, 100);

	if (die < 40)
		return 0;
	if (die < 85)
		return 1 + below(generator, 20000);
	if (die < 98)
		return 1 + below(generator, 40 * (uint64_t)(DAY / MS));
	return die == 98 ? UINT64_MAX : (uint64_t)(INT64_MAX / MS) + below(generator, 2);
}

/* Sets the distance that the clock moves. */
static void move(struct generator *generator, struct step *step)
{
	uint64_t die = below(generator, 100);
	int64_t *distance = &step->call.now_ns;

	step->time_base = TIME_NOW;
	if (die < 35) {
		*distance = between(generator, 1, 10 * SECOND);
	} else if (die < 62) {
		step->time_base = TIME_WINDOW_END;
		*distance = between(generator, -1, 1);
	} else if (die < 80) {
		step->time_base = TIME_DEADLINE;
		*distance = between(generator, -1, 1);
	} else if (die < 90) {
		*distance = between(generator, 1, 3 * 3600 * SECOND);
	} else if (die < 94) {
		*distance = between(generator, 1, 40 * DAY);
	} else if (die < 95) {
		*distance = between(generator, 1, 400 * DAY);
	} else {
		*distance = -between(generator, 1, die < 98 ? 3 * 3600 * SECOND : 40 * DAY);
	}
}

/* ---- names */

static const char *any_category(struct generator *generator)
{
	if (chance(generator, 20))
		return categories[CATEGORIES + below(generator, ALL_CATEGORIES - CATEGORIES)].text;
	return categories[below(generator, CATEGORIES)].text;
}

static const char *any_description(struct generator *generator)
{
	if (chance(generator, 20))
		return descriptions[DESCRIPTIONS +
				    below(generator, ALL_DESCRIPTIONS - DESCRIPTIONS)]
			.text;
	return descriptions[below(generator, DESCRIPTIONS)].text;
}

/* A parent among the other envelopes: often the one before in the order of all, which makes long
 * chains. */
static void any_parent(struct generator *generator, struct call *call)
{
	size_t own = 0, pair;

	for (size_t i = 0; i < CATEGORIES; i++)
		if (categories[i].text == call->category)
			own = call->handle * CATEGORIES + i;
	if (own == 0 || chance(generator, 10 * (100 - generator->parent_is_neighbour) / 2))
		return;
	pair = below(generator, PAIRS);
	if (chance(generator, 10 * generator->parent_is_neighbour))
		pair = (own + PAIRS - 1) % PAIRS;
	call->parent_category = categories[pair % CATEGORIES].text;
	if (pair / CATEGORIES != call->handle || chance(generator, 500))
		call->parent_namespace = namespaces[pair / CATEGORIES];
	if (chance(generator, 10))
		call->parent_category = any_category(generator);
	if (chance(generator, 10))
		call->parent_namespace = categories[ALL_CATEGORIES - 1 - below(generator, 3)].text;
}

/* ---- steps of each kind */

/* A period, its zone and the day on which windows begin; sometimes none that can be. */
static void any_window(struct generator *generator, struct call *call)
{
	call->period = (enum be_period)below(generator, 7);
	if (chance(generator, 10))
		call->period = (enum be_period)9;
	if (chance(generator, call->period == BE_PERIOD_TOTAL ? 10 : 400))
		call->zone = chance(generator, 500) ? "UTC" : zone_ahead();
	if (call->zone && call->period == BE_PERIOD_WEEKLY && chance(generator, 500))
		call->begins_on = (uint32_t)below(generator, chance(generator, 50) ? 9 : 8);
	else if (call->zone && call->period == BE_PERIOD_MONTHLY && chance(generator, 500))
		call->begins_on = (uint32_t)below(generator, chance(generator, 50) ? 33 : 32);
	else if (chance(generator, 10))
		call->begins_on = 1;
}

static void any_trial(struct generator *generator, struct call *call)
{
	call->observe_only = chance(generator, 100);
	if (chance(generator, 250))
		call->roll_over = any_amount(generator);
	/* About what a window leaves, so that the cap does not hide the rest. */
	if (chance(generator, 50))
		call->roll_over = between(generator, 1, 3 * generator->largest_limit);
}

static void any_thresholds(struct generator *generator, struct call *call)
{
	uint64_t count = below(generator, BE_THRESHOLDS_MAX + 1);
	uint16_t percent = 0;

	for (size_t i = 0; i < count; i++)
		call->thresholds[i] = percent += (uint16_t)(1 + below(generator, 40));
	if (chance(generator, 30))
		call->thresholds[below(generator, BE_THRESHOLDS_MAX)] =
			(uint16_t)below(generator, 1200);
}

static void any_settings(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	for (int bit = 0; bit < 8; bit++)
		if (chance(generator, 250))
			call->mask |= 1U << bit;
	if (chance(generator, 10))
		call->mask |= 1024;
	if (generator->renames && chance(generator, 200)) {
		call->mask = (chance(generator, 500) ? call->mask : 0) | BE_SET_NAME;
		if (chance(generator, 600))
			call->parent_namespace = namespaces[below(generator, NAMESPACES)];
		if (chance(generator, 980))
			call->parent_category = any_category(generator);
	} else if (generator->moves && chance(generator, 250)) {
		call->mask = (chance(generator, 500) ? call->mask : 0) | BE_SET_PARENT;
		if (chance(generator, 850))
			any_parent(generator, call);
	}
	call->amount = any_limit(generator);
	call->suspended = chance(generator, 100);
	any_window(generator, call);
	any_trial(generator, call);
	if (chance(generator, 900))
		call->raise = any_amount(generator);
	step->has_raise = chance(generator, 950);
	any_thresholds(generator, call);
	call->raise_until_ns = between(generator, -1, chance(generator, 500) ? 9000 * SECOND : DAY);
}

static void any_envelope(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	call->amount = any_limit(generator);
	any_window(generator, call);
	call->has_options = chance(generator, generator->parent_is_neighbour > 90 ? 980 : 850);
	if (!call->has_options)
		return;
	call->suspended = chance(generator, 20);
	any_trial(generator, call);
	any_parent(generator, call);
	step->has_start =
		chance(generator, call->zone || call->period > BE_PERIOD_MONTHLY ? 10 : 250);
	if (step->has_start)
		call->period_start_ns =
			-between(generator, -1, chance(generator, 500) ? 9000 * SECOND : 100 * DAY);
}

/* Sometimes a key, or the same request as one before. */
static void any_key(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	step->again = chance(generator, 60);
	if (!chance(generator, 80))
		return;
	call->has_options = true;
	call->key =
		keys[chance(generator, 20) ? below(generator, ALL_KEYS) : below(generator, KEYS)]
			.text;
	if (chance(generator, 700))
		call->key_ms = chance(generator, 50) ? UINT64_MAX - below(generator, 2)
						     : 1 + below(generator, 20000);
}

/* Sometimes further envelopes, among them neighbours, which often share ancestors. */
static void any_also(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	if (!chance(generator, 250))
		return;
	call->has_options = true;
	call->also_count = 1 + (unsigned)below(generator, ALSO_MAX);
	for (unsigned i = 0; i < call->also_count; i++) {
		size_t nth = below(generator, NAMESPACES);

		call->also[i].namespace_name = nth == call->handle ? NULL : namespaces[nth];
		call->also[i].category = chance(generator, 990)
						 ? categories[below(generator, CATEGORIES)].text
						 : any_category(generator);
	}
}

/* Sometimes labels, which decide nothing: with numbers of their own, never on a commit without
 * options, and never too many together, so that all else is as it would be without them. */
static void any_labels(struct step *step)
{
	struct generator own = {.random = step->nth ^ UINT32_C(0x1abe15)};
	struct call *call = &step->call;
	unsigned permille = chance(&own, 800) ? 200 : 800;

	if (!chance(&own, 300))
		return;
	if ((call->kind == CALL_COMMIT || call->kind == CALL_WORKER_DIES) && !call->has_options)
		return;
	call->has_options = true;
	for (size_t i = LABEL_KEYS - BE_LABELS_MAX; i < LABEL_KEYS; i++)
		if (chance(&own, permille))
			call->tags.value[i] = (uint8_t)(1 + below(&own, LABEL_VALUES));
}

/* The same of what a listing looks for. */
static void any_wanted_labels(struct step *step)
{
	struct generator own = {.random = step->nth ^ UINT32_C(0x1abe15)};

	for (size_t i = 0; i < BE_LABELS_MAX && chance(&own, 300); i++)
		step->call.tags.value[below(&own, LABEL_KEYS)] =
			chance(&own, 500) ? TAG_ANY : (uint8_t)(1 + below(&own, 2));
}

static void any_commit(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	call->amount = any_amount(generator);
	call->description = any_description(generator);
	call->has_options = chance(generator, 600);
	call->reap_policy = chance(generator, 400) ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	call->ttl_ms = any_ttl_ms(generator);
	call->detached = chance(generator, 300);
	if (chance(generator, 150))
		call->least = chance(generator, 950) && call->amount > 0
				      ? between(generator, 1, call->amount)
				      : between(generator, -1, 20);
}

/* Sometimes it waits. This has numbers of its own, so that all others are as they would be. */
static void any_waiting(struct step *step)
{
	static const enum call_kind meanwhile[] = {CALL_RELEASE, CALL_RELEASE, CALL_SET_LIMIT,
						   CALL_MOVE};
	struct generator own = {.random = step->nth, .largest_limit = 2000};
	struct call *call = &step->call;

	call->waits = chance(&own, 700);
	call->meanwhile = meanwhile[below(&own, COUNT(meanwhile))];
	call->then_limit = any_limit(&own);
	if (call->waits && call->meanwhile == CALL_MOVE) {
		move(&own, step);
		call->then_ns = call->now_ns;
		call->now_ns = 0;
	}
}

static void relative_amount(struct generator *generator, struct step *step, enum amount_base base,
			    unsigned permille)
{
	if (!chance(generator, permille))
		return;
	step->amount_base = base;
	step->call.amount = between(generator, -1, 1);
}

static void any_filter(struct generator *generator, struct step *step)
{
	struct be_filter *filter = &step->call.filter;

	if (chance(generator, 400))
		filter->namespace_name = namespaces[below(generator, NAMESPACES)];
	if (chance(generator, 300))
		filter->category = categories[below(generator, CATEGORIES)].text;
	step->has_since = chance(generator, 200);
	step->has_until = chance(generator, 200);
	filter->since_ns = step->has_since ? -between(generator, 0, 2 * DAY) : 0;
	filter->until_ns = step->has_until ? -between(generator, -1, DAY) : 0;
	if (chance(generator, 200))
		filter->min_amount = between(generator, 0, 100);
	if (chance(generator, 200))
		filter->max_amount = between(generator, 0, 1000);
	if (chance(generator, 200))
		filter->after_id = below(generator, 500);
	if (chance(generator, 300))
		filter->max_count = 1 + below(generator, 100);
	any_wanted_labels(step);
	if (chance(generator, 200))
		step->call.stop_after = 1 + (unsigned)below(generator, 70);
}

static void fill(struct generator *generator, struct step *step)
{
	struct call *call = &step->call;

	switch (call->kind) {
	case CALL_CREATE:
	case CALL_ENSURE:
		any_envelope(generator, step);
		break;
	case CALL_SET_LIMIT:
		call->amount = any_limit(generator);
		break;
	case CALL_SET:
		any_settings(generator, step);
		break;
	case CALL_WORKER_DIES:
		call->count = chance(generator, 100) ? 40 : 1 + (unsigned)below(generator, 3);
		any_commit(generator, step);
		any_also(generator, step);
		any_labels(step);
		break;
	case CALL_CHECK:
	case CALL_COMMIT:
		any_commit(generator, step);
		if (call->kind == CALL_COMMIT) {
			any_key(generator, step);
			any_also(generator, step);
			any_waiting(step);
			any_labels(step);
		}
		relative_amount(generator, step, AMOUNT_AVAILABLE, 200);
		break;
	case CALL_SETTLE:
	case CALL_CHARGE:
	case CALL_RECORD:
		call->amount = any_amount(generator);
		call->description = any_description(generator);
		relative_amount(generator, step, AMOUNT_HELD, call->kind != CALL_RECORD ? 300 : 0);
		relative_amount(generator, step, AMOUNT_COUNTABLE, 15);
		any_key(generator, step);
		any_labels(step);
		if (call->kind == CALL_RECORD)
			any_also(generator, step);
		break;
	case CALL_CORRECT:
		call->amount = any_amount(generator);
		call->description = any_description(generator);
		relative_amount(generator, step, AMOUNT_CHARGED, 400);
		any_key(generator, step);
		break;
	case CALL_EXTEND:
		call->amount = any_amount(generator);
		call->ttl_ms = any_ttl_ms(generator);
		relative_amount(generator, step, AMOUNT_HELD, 300);
		relative_amount(generator, step, AMOUNT_AVAILABLE, 200);
		break;
	case CALL_LIST_ENVELOPES:
	case CALL_LIST_COMMITS:
	case CALL_LIST_TRANSACTIONS:
	case CALL_LIST_ALERTS:
		any_filter(generator, step);
		break;
	case CALL_MOVE:
		move(generator, step);
		break;
	default:
		break;
	}
}

/* ---- generating */

/* How likely each kind is, in 10 000ths. */
static const struct {
	enum call_kind kind;
	unsigned weight;
} weights[] = {
	{CALL_COMMIT, 1950},        {CALL_SET, 400},          {CALL_MOVE, 850},
	{CALL_SETTLE, 700},         {CALL_CHARGE, 250},       {CALL_RELEASE, 650},
	{CALL_RECORD, 700},         {CALL_EXTEND, 650},       {CALL_CHECK, 500},
	{CALL_CREATE, 350},         {CALL_ENSURE, 350},       {CALL_SET_LIMIT, 400},
	{CALL_RESET, 350},          {CALL_RESUME, 440},       {CALL_SUSPEND, 20},
	{CALL_REMOVE, 200},         {CALL_UTILIZATION, 300},  {CALL_REAP, 200},
	{CALL_LIST_ENVELOPES, 100}, {CALL_LIST_COMMITS, 100}, {CALL_LIST_TRANSACTIONS, 100},
	{CALL_WORKER_DIES, 50},     {CALL_REOPEN, 20},        {CALL_VERIFY, 20},
	{CALL_LIST_ALERTS, 50},     {CALL_ALERT_DONE, 50},    {CALL_CORRECT, 250},
};

static enum call_kind any_kind(struct generator *generator)
{
	uint64_t die = below(generator, 10000);

	for (size_t i = 0; i < COUNT(weights); i++) {
		if (die < weights[i].weight)
			return weights[i].kind;
		die -= weights[i].weight;
	}
	return CALL_COMMIT;
}

static enum commit_base any_commit_base(struct generator *generator)
{
	uint64_t die = below(generator, 100);

	return die < 70   ? COMMIT_PENDING
	       : die < 80 ? COMMIT_REAPED
	       : die < 97 ? COMMIT_ANY
			  : COMMIT_NONE;
}

int64_t steps_begin_ns(uint64_t seed)
{
	/* Most begin in 2023, some at the beginning of all times, and some shortly before their
	 * end. */
	if (seed % 8 == 3)
		return 1;
	if (seed % 8 == 7)
		return INT64_MAX - 400 * DAY;
	return INT64_C(1700000000) * SECOND;
}

void steps_generate(uint64_t seed, struct step *steps, size_t count)
{
	static const unsigned neighbours[] = {10, 50, 97};
	static const int64_t limits[] = {500, 5000, 100000, 10 * BE_UNIT};
	struct generator generator = {.random = seed};

	generator.renames = seed % 2 == 0;
	generator.moves = seed % 4 != 3;
	generator.parent_is_neighbour = neighbours[below(&generator, COUNT(neighbours))];
	generator.largest_limit = limits[below(&generator, COUNT(limits))];
	for (size_t i = 0; i < count; i++) {
		struct step *step = &steps[i];

		memset(step, 0, sizeof *step);
		step->number = (uint32_t)i;
		step->call.kind = i < PAIRS ? CALL_CREATE : any_kind(&generator);
		step->call.handle =
			(uint8_t)(i < PAIRS ? i / CATEGORIES : below(&generator, NAMESPACES));
		step->call.category =
			i < PAIRS ? categories[i % CATEGORIES].text : any_category(&generator);
		step->commit_base = any_commit_base(&generator);
		step->nth = (uint32_t)below(&generator, UINT32_MAX);
		step->call.id = chance(&generator, 500) ? 0 : UINT64_MAX;
		step->call.filter.size = sizeof step->call.filter;
		fill(&generator, step);
	}
}

/* ---- resolving */

/* The sum, as near as the range from `low` up allows. */
static int64_t add(int64_t a, int64_t b, int64_t low)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b < 0 ? low : INT64_MAX;
	return sum < low ? low : sum;
}

static void resolve_amount(const struct step *step, struct oracle *oracle, struct call *call)
{
	bool by_id = call->kind == CALL_SETTLE || call->kind == CALL_CHARGE ||
		     call->kind == CALL_EXTEND || call->kind == CALL_CORRECT;
	uint64_t id = by_id ? call->id : 0;
	int64_t base = 0;

	if (step->amount_base == AMOUNT_PLAIN || (by_id && id == 0))
		return;
	if (step->amount_base == AMOUNT_HELD || call->kind == CALL_EXTEND)
		base = oracle_held(oracle, id);
	if (step->amount_base == AMOUNT_AVAILABLE)
		base = add(base, oracle_available(oracle, call, id), 0);
	if (step->amount_base == AMOUNT_CHARGED)
		base = oracle_charged(oracle, call->id);
	if (step->amount_base == AMOUNT_COUNTABLE)
		base = oracle_countable(oracle, call, id);
	call->amount = add(base, call->amount, 0);
}

/* A moment at such a distance from now. Times begin at 1: 0 means none. */
static int64_t moment(const struct oracle *oracle, int64_t distance)
{
	return add(oracle_now(oracle), distance, 1);
}

static void resolve_time(const struct step *step, struct oracle *oracle, struct call *call)
{
	int64_t from = oracle_now(oracle);

	if (step->time_base == TIME_WINDOW_END)
		from = oracle_window_end(oracle, call);
	if (step->time_base == TIME_DEADLINE)
		from = oracle_deadline(oracle, call->id);
	if (from == 0)
		from = oracle_now(oracle);
	call->now_ns = oracle_now(oracle);
	if (step->call.waits)
		call->then_ns = add(from, step->call.then_ns, 1);
	else if (step->time_base != TIME_STAYS)
		call->now_ns = add(from, step->call.now_ns, 1);
}

void step_resolve(const struct step *step, struct oracle *oracle, const struct made *made,
		  struct call *call)
{
	*call = step->call;
	if (step->commit_base == COMMIT_PENDING)
		call->id = oracle_nth_pending(oracle, step->nth);
	if (step->commit_base == COMMIT_REAPED)
		call->id = oracle_nth_reaped(oracle, step->nth);
	if (step->commit_base == COMMIT_ANY)
		call->id = oracle_nth_commit(oracle, step->nth);
	if (step->commit_base == COMMIT_OF_STEP)
		call->id = step->of_those < made[step->nth].count
				   ? made[step->nth].first + step->of_those
				   : 0;
	if (call->kind == CALL_CORRECT && step->commit_base == COMMIT_OF_STEP)
		call->id = step->of_those < made[step->nth].charges
				   ? made[step->nth].first_charge + step->of_those
				   : 0;
	else if (call->kind == CALL_CORRECT) /* one of the latest, or beyond them */
		call->id = add((int64_t)oracle_charges(oracle) + 1, -(int64_t)(step->nth % 16), 0);
	if (call->kind == CALL_ALERT_DONE)
		call->id = oracle_alerts(oracle) + (step->nth % 4 == 0);
	resolve_time(step, oracle, call);
	if (step->again && oracle_nth_request(oracle, step->nth)) {
		int64_t now_ns = call->now_ns;

		*call = *oracle_nth_request(oracle, step->nth);
		call->now_ns = now_ns;
		/* Or nearly the same. */
		if (step->nth % 8 == 7 && call->kind != CALL_CORRECT)
			call->tags.value[LABEL_KEYS - 1] ^= 1;
		return;
	}
	resolve_amount(step, oracle, call);
	if (step->has_start)
		call->period_start_ns = moment(oracle, step->call.period_start_ns);
	if (step->has_raise)
		call->raise_until_ns = moment(oracle, step->call.raise_until_ns);
	if (step->has_since)
		call->filter.since_ns = moment(oracle, step->call.filter.since_ns);
	if (step->has_until)
		call->filter.until_ns = moment(oracle, step->call.filter.until_ns);
}
