/* SPDX-License-Identifier: Apache-2.0 */
/* See oracle.h. Every list only grows, and what is looked for is looked for from one end to the
 * other. */
#include "oracle.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NONE (-1)

/* Sums of amounts do not overflow this. */
__extension__ typedef __int128 wide;

/* An envelope, there or removed. */
struct account {
	uint64_t id;
	const char *namespace_name;
	const char *category;
	int parent; /* index; NONE */
	bool removed;
	bool suspended;
	enum be_period period;
	int64_t limit;
	uint64_t refused_exceeds_budget, refused_suspended;
	int64_t created_ns;
	const char *zone; /* NULL: the windows follow no calendar */
	uint32_t begins_on;
	bool observe_only;
	uint64_t excused;
	int64_t roll_over;
	uint16_t thresholds[BE_THRESHOLDS_MAX];
	uint32_t passed; /* the largest that gave an alert in the window last written down */
	int64_t raise, raise_until_ns; /* as last written down, */
	int64_t carried;               /* and so is this */
	int64_t window_ns;             /* when the last window that somebody wrote down began, */
	int64_t window_end_ns;
	size_t counts_from; /* and the first charge that counts for it */

	/* As added up for one moment. */
	int64_t start_ns, end_ns;
	size_t from;
	int64_t raise_now, carried_now;
	wide spent_before; /* in the window that was written down */
	wide charged;
	wide given_back;
	wide spent;
	wide committed;
	uint64_t pending;
	uint64_t children;
	uint64_t granted;
	uint64_t expired_released, expired_charged, orphaned_released, orphaned_charged,
		settled_late;
};

/* Envelopes that something is over, by index: the one named, and those named beside it. */
struct over {
	int first;
	unsigned also_count;
	int also[ALSO_MAX];
	/* What it is held in or charged to, as it was when it was written down; 0: not yet. */
	unsigned member_count;
	int members[(1 + ALSO_MAX) * (BE_DEPTH_MAX + 1)];
	/* Their names then, first that of the one named. */
	const char *then[1 + ALSO_MAX][2];
};

/* A commit, pending or ended. Its id is its index and 1. */
struct hold {
	struct over over;
	int64_t amount;
	int64_t created_ns;
	int64_t deadline_ns;
	enum be_reap_policy reap_policy;
	enum be_commit_state state;
	bool detached;
	enum be_commit_state reaped_as; /* pending: it was not */
	bool charged;                   /* when it was reaped */
	bool late;                      /* settled, after it had been reaped */
	uint64_t owner;                 /* 0: this process; else a worker, by number */
	const char *description;
	struct tags tags;
	int64_t astray; /* what a mistake leaves committed for it when it has ended */
};

/* A transaction. Its id is its index and 1. */
struct charge {
	struct over over;
	enum be_transaction_kind kind;
	uint64_t commit_id;
	uint64_t corrects; /* 0: none */
	int64_t amount;    /* of a correction below 0 */
	int64_t held;
	int64_t at_ns;
	bool late;
	const char *description;
	struct tags tags;
};

/* A request that was carried out under a key. */
struct request {
	struct call call;
	int64_t until_ns;
	bool forgotten;
	uint64_t id;
	struct be_decision decision;
	struct be_transaction transaction;
};

/* A threshold that was crossed. Its id is its index and 1. */
struct alarm {
	int account;
	int spender;                /* NONE */
	const char *namespace_name; /* of then, as are the next */
	const char *category;
	const char *spender_namespace;
	const char *spender_category;
	uint32_t percent;
	uint64_t transaction_id;
	int64_t limit, spent;
	int64_t at_ns, start_ns, end_ns, done_ns;
};

struct oracle {
	struct account *accounts;
	struct request *requests;
	size_t request_count, request_room;
	struct hold *holds;
	struct charge *charges;
	struct alarm *alarms;
	size_t alarm_count, alarm_room;
	size_t account_count, account_room;
	size_t hold_count, hold_room;
	size_t charge_count, charge_room;
	uint64_t workers;  /* so many there were, */
	bool worker_lives; /* and the last of them is still at work */
	int64_t now_ns;
	int64_t stepped_back_ns; /* so late it is after the call; 0: as late as in it */
	bool sees_deaths;
	enum mistake mistake;
	struct coverage coverage;
};

const char *const mistake_texts[MISTAKES] = {
	[MISTAKE_NONE] = "none",
	[MISTAKE_HOLDS_END_WITH_WINDOW] = "pending commits do not carry over",
	[MISTAKE_WINDOW_ENDS_LATE] = "a window still lasts in the nanosecond it ends",
	[MISTAKE_WINDOWS_DRIFT] = "a new window begins at its first access",
	[MISTAKE_CLOCK_BACK_RESETS] = "a clock that steps back begins a window",
	[MISTAKE_READING_ROLLS_OVER] = "reading writes a new window down",
	[MISTAKE_RESET_REACHES_PARENT] = "a reset clears the parent too",
	[MISTAKE_RESET_DROPS_HOLDS] = "a reset frees what is pending",
	[MISTAKE_LIMIT_CLEARS_SPENT] = "a new limit begins a new window",
	[MISTAKE_ENSURE_SETS_LIMIT] = "ensure changes what is there",
	[MISTAKE_ALL_BUT_THE_LAST] = "the last nano is never granted",
	[MISTAKE_ONLY_LEAF_DECIDES] = "ancestors are not asked",
	[MISTAKE_ANCESTORS_NEVER_SUSPENDED] = "a suspended ancestor is not seen",
	[MISTAKE_REFUSAL_NAMES_LEAF] = "a refusal names the envelope asked for",
	[MISTAKE_CHARGE_STOPS_AT_PARENT] = "grandparents are not charged",
	[MISTAKE_RELEASE_FORGETS_PARENT] = "a release frees nothing in the ancestors",
	[MISTAKE_RELEASED_TWICE] = "a second release frees again",
	[MISTAKE_SETTLE_FREES_ACTUAL] = "settling frees the cost instead of what was held",
	[MISTAKE_REMOVE_REFUNDS_PARENT] = "a removed envelope takes its costs along",
	[MISTAKE_REMOVE_WITH_COMMITS] = "an envelope is removed under its commits",
	[MISTAKE_REFUSED_WITHOUT_REAPING] = "a refused commit reaps nothing",
	[MISTAKE_REAPED_NOT_RETRIED] = "a refused commit reaps, but is not tried again",
	[MISTAKE_EXPIRES_LATE] = "a commit outlives its deadline by a nanosecond",
	[MISTAKE_REAPED_IN_ORDER_OF_ID] = "expired commits are reaped in the order they were made",
	[MISTAKE_DETACHED_DIES_TOO] = "a detached commit dies with its owner",
	[MISTAKE_LATE_IS_FREE] = "a late settle is not charged",
	[MISTAKE_LATE_NOT_FLAGGED] = "a late settle is not flagged",
	[MISTAKE_LATE_HITS_SUCCESSOR] =
		"a late settle is charged to another envelope of the same name",
	[MISTAKE_CHARGED_TWICE] = "what reaping charged is charged again",
	[MISTAKE_EXTEND_ASKS_FOR_ALL] = "extending asks for the whole amount",
	[MISTAKE_EXTEND_KEEPS_DEADLINE] = "extending keeps an old deadline",
	[MISTAKE_ONE_TOO_DEEP] = "a chain may be one envelope longer",
	[MISTAKE_OVERFLOW_SATURATES] = "an overflow stops at the largest number",
	[MISTAKE_UTILIZATION_ROUNDS_UP] = "the utilization is rounded up",
	[MISTAKE_CHECK_REAPS_NOTHING] = "a refused check reaps nothing",
	[MISTAKE_DAY_ENDS_WITH_UTC] = "a zone's calendar is that of UTC",
	[MISTAKE_MONTH_BEGINS_TOO_LATE] = "windows begin on the first day whatever was asked for",
	[MISTAKE_RAISE_LASTS] = "a raise has no end",
	[MISTAKE_RAISE_IS_CARRIED] = "what a raise left over is carried",
	[MISTAKE_CARRIES_WITHOUT_CAP] = "more is carried than may be",
	[MISTAKE_IDLE_WINDOWS_CARRY_NOTHING] = "a window in which nobody came carries nothing",
	[MISTAKE_OBSERVER_REFUSES] = "an envelope that only observes refuses",
	[MISTAKE_OBSERVER_COUNTS_NOTHING] = "what would have been refused is not counted",
	[MISTAKE_CHARGED_IS_RESET] = "what is charged in all begins anew with a window",
	[MISTAKE_PERIOD_CLEARS_SPENT] = "a new period begins with nothing spent",
	[MISTAKE_SPENT_MOVES_WINDOW] = "setting spent to nothing begins a window",
	[MISTAKE_LEAST_GETS_NO_MORE] = "the least is granted where more is available",
	[MISTAKE_PART_STAYS_HELD] = "what is charged of a commit stays held",
	[MISTAKE_KEYED_IS_DONE_AGAIN] = "a request is carried out again under its key",
	[MISTAKE_KEYED_ANSWERS_ANYTHING] = "a key answers another request",
	[MISTAKE_KEY_FOR_ALL_NAMESPACES] = "a key is one in all namespaces",
	[MISTAKE_KEY_LASTS] = "a key is never forgotten",
	[MISTAKE_KEYED_IS_GRANTED_WHEN_ENDED] = "a commit that has ended is granted to its key",
	[MISTAKE_ALSO_IS_NOT_ASKED] = "envelopes that are named beside the first are not asked",
	[MISTAKE_ALSO_IS_NOT_CHARGED] = "they are not charged",
	[MISTAKE_ALSO_STAYS_HELD] = "a release frees nothing in them",
	[MISTAKE_SHARED_IS_HELD_TWICE] = "an ancestor that they share holds for each of them",
	[MISTAKE_LATE_GOES_TO_THE_REST] = "a late settle is charged to those that are left",
	[MISTAKE_LABELS_ARE_REPLACED] = "labels of a settle take the place of the commit's",
	[MISTAKE_REAPED_LOSES_LABELS] = "what is reaped is charged without labels",
	[MISTAKE_ANY_LABEL_PASSES] = "one of the labels that are looked for is enough",
	[MISTAKE_KEYED_IGNORES_LABELS] = "a request with other labels is the same",
	[MISTAKE_LAPSES_COUNT_AT_LEAF] = "what was reaped counts in its own envelope only",
	[MISTAKE_ALERTS_REPEAT] = "every charge beyond a threshold gives an alert",
	[MISTAKE_ALERTS_ONCE_EVER] = "a new window gives no alerts again",
	[MISTAKE_ALERTS_AT_LEAF] = "only the envelope that is charged gives alerts",
	[MISTAKE_ALERTS_FOR_CHARGES_ONLY] = "a lower limit gives no alert",
	[MISTAKE_DONE_TWICE] = "an alert is marked as done twice",
	[MISTAKE_GIVES_TOO_MUCH_BACK] = "two corrections give back more than was charged",
	[MISTAKE_CORRECTION_STOPS_AT_LEAF] = "a correction gives nothing back to ancestors",
	[MISTAKE_CORRECTION_FREES_TODAY] = "correcting what was charged before frees money now",
	[MISTAKE_RENAME_LEAVES_COMMITS] = "pending commits show the name of then",
	[MISTAKE_RENAME_CHANGES_HISTORY] = "the ledger shows the name of now",
	[MISTAKE_MOVE_TAKES_HISTORY] = "another parent has what was charged before it",
	[MISTAKE_MOVES_WHAT_IS_HELD] = "an envelope gets another parent while money is held",
	[MISTAKE_LATE_GOES_TO_THOSE_OF_THEN] = "a late settle goes to those that were above",
	[MISTAKE_RENAME_LOSES_THE_REAPED] = "what was reaped before a new name cannot be settled",
	[MISTAKE_WAITING_IS_IN_VAIN] = "a commit that waits is not tried again",
	[MISTAKE_WAITS_FOR_WHAT_CANNOT_BE] = "a commit waits for more than the limit",
	[MISTAKE_TTL_BEGINS_BEFORE_WAITING] = "the time to live begins before a commit waits",
	[MISTAKE_REFUSAL_COUNTS_AT_LEAF] = "a refusal counts at the envelope asked for",
	[MISTAKE_FIRST_TRY_COUNTS] = "a refusal counts although reaping let the second try through",
	[MISTAKE_WAITING_COUNTS] = "a refusal counts although the commit waits",
};

static bool makes(const struct oracle *oracle, enum mistake mistake)
{
	return oracle->mistake == mistake;
}

/* ---- lists */

struct oracle *oracle_create(int64_t now_ns, bool sees_deaths, enum mistake mistake)
{
	struct oracle *oracle = calloc(1, sizeof *oracle);

	EXPECT(oracle != NULL);
	oracle->now_ns = now_ns;
	oracle->sees_deaths = sees_deaths;
	oracle->mistake = mistake;
	return oracle;
}

void oracle_destroy(struct oracle *oracle)
{
	free(oracle->accounts);
	free(oracle->holds);
	free(oracle->charges);
	free(oracle->requests);
	free(oracle->alarms);
	free(oracle);
}

/* Room for one more of `size` bytes in a list. */
static void *grow(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	*room = *room ? 2 * *room : 64;
	list = realloc(list, *room * size);
	EXPECT(list != NULL);
	return list;
}

static int find(const struct oracle *oracle, const char *namespace_name, const char *category)
{
	for (size_t i = 0; i < oracle->account_count; i++) {
		const struct account *account = &oracle->accounts[i];

		if (!account->removed && strcmp(account->namespace_name, namespace_name) == 0 &&
		    strcmp(account->category, category) == 0)
			return (int)i;
	}
	return NONE;
}

static int find_named(const struct oracle *oracle, const struct call *call)
{
	return find(oracle, namespaces[call->handle], call->category);
}

static struct hold *find_hold(const struct oracle *oracle, uint64_t id)
{
	return id >= 1 && id <= oracle->hold_count ? &oracle->holds[id - 1] : NULL;
}

static bool is_dead(const struct oracle *oracle, uint64_t owner)
{
	return owner != 0 && !(oracle->worker_lives && owner == oracle->workers);
}

static struct account *parent_of(const struct oracle *oracle, const struct account *account)
{
	return account->parent == NONE ? NULL : &oracle->accounts[account->parent];
}

static unsigned depth_of(const struct oracle *oracle, const struct account *account)
{
	unsigned depth = 0;

	for (; account; account = parent_of(oracle, account))
		depth++;
	return depth;
}

/* Room for all envelopes of several chains. */
struct members {
	size_t count;
	struct account *list[(1 + ALSO_MAX) * (BE_DEPTH_MAX + 1)];
};

static void add_members(const struct oracle *oracle, int leaf, struct members *members)
{
	for (struct account *account = &oracle->accounts[leaf]; account;
	     account = parent_of(oracle, account)) {
		bool is_there = false;

		for (size_t i = 0; i < members->count; i++)
			is_there = is_there || members->list[i] == account;
		if (!is_there || makes(oracle, MISTAKE_SHARED_IS_HELD_TWICE))
			members->list[members->count++] = account;
	}
}

/* The envelope named and its ancestors, then the next one, and so on: each once. Those of then, if
 * they were written down. */
static void collect(const struct oracle *oracle, const struct over *over, struct members *members)
{
	members->count = 0;
	for (unsigned i = 0; i < over->member_count; i++)
		members->list[members->count++] = &oracle->accounts[over->members[i]];
	if (members->count > 0)
		return;
	add_members(oracle, over->first, members);
	for (unsigned i = 0; i < over->also_count; i++)
		add_members(oracle, over->also[i], members);
}

/* Is it in the chain of the first one? */
static bool is_of_first(const struct oracle *oracle, const struct over *over,
			const struct account *wanted)
{
	for (struct account *account = &oracle->accounts[over->first]; account;
	     account = parent_of(oracle, account))
		if (account == wanted)
			return true;
	return false;
}

/* ---- adding up */

static int64_t length_ns(enum be_period period)
{
	static const int64_t seconds[] = {0, 3600, 86400, 604800, 2592000, 0, 0};

	return seconds[period] * INT64_C(1000000000);
}

/* Where the window that contains `now_ns` begins, when one began at `start_ns`. */
static int64_t window_at(const struct oracle *oracle, enum be_period period, int64_t start_ns,
			 int64_t now_ns)
{
	int64_t length = length_ns(period);

	if (makes(oracle, MISTAKE_CLOCK_BACK_RESETS) && length > 0 && now_ns < start_ns)
		return now_ns;
	if (makes(oracle, MISTAKE_WINDOW_ENDS_LATE))
		now_ns--;
	if (length == 0 || now_ns < start_ns || now_ns - start_ns < length)
		return start_ns;
	if (makes(oracle, MISTAKE_WINDOWS_DRIFT))
		return now_ns;
	return start_ns + (now_ns - start_ns) / length * length;
}

/* ---- calendars, as the C library knows them */

static int64_t ahead_s(const struct oracle *oracle, const char *zone)
{
	return strcmp(zone, "UTC") == 0 || makes(oracle, MISTAKE_DAY_ENDS_WITH_UTC) ? 0 : 5 * 3600;
}

static bool begins_here(const struct account *account, uint32_t on, const struct tm *tm)
{
	struct tm last = *tm;

	switch (account->period) {
	case BE_PERIOD_WEEKLY:
		return tm->tm_wday == (int)on % 7;
	case BE_PERIOD_MONTHLY:
		last.tm_mon++;
		last.tm_mday = 0;
		timegm(&last);
		return tm->tm_mday == ((int)on < last.tm_mday ? (int)on : last.tm_mday);
	case BE_PERIOD_QUARTERLY:
		return tm->tm_mday == 1 && tm->tm_mon % 3 == 0;
	case BE_PERIOD_YEARLY:
		return tm->tm_yday == 0;
	default:
		return true;
	}
}

/* The first beginning of a window at or after a local moment, or the last one before or at it. */
static int64_t beginning(const struct oracle *oracle, const struct account *account,
			 int64_t local_s, int step)
{
	uint32_t on = account->begins_on && !makes(oracle, MISTAKE_MONTH_BEGINS_TOO_LATE)
			      ? account->begins_on
			      : 1;
	int64_t unit = account->period == BE_PERIOD_HOURLY ? 3600 : 86400;
	time_t at = local_s - (local_s % unit + unit) % unit;
	struct tm tm;

	if (step > 0)
		at += unit;
	while (gmtime_r(&at, &tm), !begins_here(account, on, &tm))
		at += step * unit;
	return at;
}

static int64_t clamp(wide ns)
{
	return ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

/* The window by the calendar that now_ns lies in. */
static void calendar_at(const struct oracle *oracle, const struct account *account, int64_t now_ns,
			int64_t *start_ns, int64_t *end_ns)
{
	int64_t ahead = ahead_s(oracle, account->zone);
	int64_t local_s = now_ns / BE_UNIT - (now_ns % BE_UNIT < 0) + ahead;

	*start_ns = clamp((wide)(beginning(oracle, account, local_s, -1) - ahead) * BE_UNIT);
	*end_ns = clamp((wide)(beginning(oracle, account, local_s, +1) - ahead) * BE_UNIT);
}

/* Works out the window that now_ns lies in, and what is carried into it, one window after the
 * other. */
static void find_window(const struct oracle *oracle, struct account *account, int64_t now_ns)
{
	int64_t end_ns = account->window_end_ns;
	wide left = (wide)account->limit + account->carried - account->spent_before;
	wide most = account->roll_over;

	account->raise_now = account->raise;
	if (account->raise_until_ns != 0 && now_ns >= account->raise_until_ns &&
	    !makes(oracle, MISTAKE_RAISE_LASTS))
		account->raise_now = 0;
	account->end_ns = end_ns;
	account->carried_now = account->carried;
	if (!account->zone)
		account->start_ns = window_at(oracle, account->period, account->window_ns, now_ns);
	else if (now_ns >= end_ns && end_ns != INT64_MAX)
		calendar_at(oracle, account, now_ns, &account->start_ns, &account->end_ns);
	else
		account->start_ns = account->window_ns;
	account->from = account->start_ns == account->window_ns ? account->counts_from
								: oracle->charge_count;
	if (account->start_ns == account->window_ns)
		return;
	if (!account->zone)
		account->end_ns = clamp((wide)account->start_ns + length_ns(account->period));
	if (makes(oracle, MISTAKE_RAISE_IS_CARRIED))
		left += account->raise;
	if (makes(oracle, MISTAKE_CARRIES_WITHOUT_CAP) && most > 0)
		most = INT64_MAX;
	left = left < 0 ? 0 : left > most ? most : left;
	while (left < most && end_ns < account->start_ns &&
	       !makes(oracle, MISTAKE_IDLE_WINDOWS_CARRY_NOTHING)) {
		int64_t start_ns;

		left = left + account->limit > most ? most : left + account->limit;
		if (account->zone)
			calendar_at(oracle, account, end_ns, &start_ns, &end_ns);
		else
			end_ns = clamp((wide)end_ns + length_ns(account->period));
	}
	account->carried_now = (int64_t)left;
}

static int64_t limit_now(const struct account *account)
{
	return clamp((wide)account->limit + account->raise_now + account->carried_now);
}

/* Does a commit reserve anything in `account`, which is in its chain? */
static int64_t reserves(const struct oracle *oracle, const struct hold *hold,
			const struct account *account)
{
	bool in_ancestor = account != &oracle->accounts[hold->over.first];

	if (hold->state == BE_COMMIT_PENDING) {
		if (makes(oracle, MISTAKE_HOLDS_END_WITH_WINDOW) &&
		    hold->created_ns < account->start_ns)
			return 0;
		return hold->amount;
	}
	if (makes(oracle, MISTAKE_RELEASE_FORGETS_PARENT) && hold->state == BE_COMMIT_RELEASED &&
	    in_ancestor)
		return hold->amount;
	if (makes(oracle, MISTAKE_ALSO_STAYS_HELD) && hold->state == BE_COMMIT_RELEASED &&
	    !is_of_first(oracle, &hold->over, account))
		return hold->amount;
	return hold->astray;
}

/* The place in the ledger by which a charge belongs to a window or not. */
static size_t counts_as(const struct oracle *oracle, size_t i)
{
	const struct charge *charge = &oracle->charges[i];

	return charge->corrects && !makes(oracle, MISTAKE_CORRECTION_FREES_TODAY)
		       ? charge->corrects - 1
		       : i;
}

static void add_up_charges(struct oracle *oracle)
{
	for (size_t i = 0; i < oracle->charge_count; i++) {
		const struct charge *charge = &oracle->charges[i];
		struct account *leaf = &oracle->accounts[charge->over.first];
		struct members members;

		if (makes(oracle, MISTAKE_REMOVE_REFUNDS_PARENT) && leaf->removed)
			continue;
		collect(oracle, &charge->over, &members);
		for (size_t k = 0; k < members.count; k++) {
			struct account *account = members.list[k];

			account->settled_late +=
				charge->late &&
				(k == 0 || !makes(oracle, MISTAKE_LAPSES_COUNT_AT_LEAF));
			if (makes(oracle, MISTAKE_CHARGE_STOPS_AT_PARENT) && k > 1)
				break;
			if (makes(oracle, MISTAKE_ALSO_IS_NOT_CHARGED) &&
			    !is_of_first(oracle, &charge->over, account))
				break;
			if (charge->corrects && account != leaf &&
			    makes(oracle, MISTAKE_CORRECTION_STOPS_AT_LEAF))
				break;
			if (counts_as(oracle, i) >= account->from)
				account->spent += charge->amount;
			if (charge->corrects)
				account->given_back -= charge->amount;
			else
				account->charged += charge->amount;
			if (makes(oracle, MISTAKE_CHARGED_IS_RESET))
				account->charged = account->spent;
		}
	}
	for (size_t i = 0; i < oracle->account_count; i++)
		if (makes(oracle, MISTAKE_OVERFLOW_SATURATES) &&
		    oracle->accounts[i].spent > INT64_MAX)
			oracle->accounts[i].spent = INT64_MAX;
}

/* Counts how a commit that nobody ended in time has ended, in the envelope and those above it. */
static void add_up_lapses(struct oracle *oracle, const struct hold *hold)
{
	bool expired = hold->reaped_as == BE_COMMIT_EXPIRED;
	bool orphaned = hold->reaped_as == BE_COMMIT_ORPHANED;

	struct members members;

	collect(oracle, &hold->over, &members);
	for (size_t i = 0; i < members.count; i++) {
		struct account *account = members.list[i];

		account->expired_released += expired && !hold->charged;
		account->expired_charged += expired && hold->charged;
		account->orphaned_released += orphaned && !hold->charged;
		account->orphaned_charged += orphaned && hold->charged;
		if (makes(oracle, MISTAKE_LAPSES_COUNT_AT_LEAF))
			break;
	}
}

/* What was charged in the windows that were written down. */
static void add_up_before(struct oracle *oracle)
{
	for (size_t i = 0; i < oracle->account_count; i++)
		oracle->accounts[i].spent_before = 0;
	for (size_t i = 0; i < oracle->charge_count; i++) {
		struct members members;

		collect(oracle, &oracle->charges[i].over, &members);
		for (size_t k = 0; k < members.count; k++)
			if (counts_as(oracle, i) >= members.list[k]->counts_from)
				members.list[k]->spent_before += oracle->charges[i].amount;
	}
}

/* Every balance, as it is at `now_ns`, from the lists. */
static void add_up(struct oracle *oracle, int64_t now_ns)
{
	add_up_before(oracle);
	for (size_t i = 0; i < oracle->account_count; i++) {
		struct account *account = &oracle->accounts[i];

		find_window(oracle, account, now_ns);
		account->charged = account->given_back = 0;
		account->spent = account->committed = 0;
		account->pending = account->children = account->granted = 0;
		account->expired_released = account->expired_charged = 0;
		account->orphaned_released = account->orphaned_charged = 0;
		account->settled_late = 0;
	}
	add_up_charges(oracle);
	for (size_t i = 0; i < oracle->hold_count; i++) {
		const struct hold *hold = &oracle->holds[i];
		struct members members;

		collect(oracle, &hold->over, &members);
		for (size_t k = 0; k < members.count; k++)
			members.list[k]->granted++;
		add_up_lapses(oracle, hold);
		if (hold->state != BE_COMMIT_PENDING && oracle->mistake == MISTAKE_NONE)
			continue;
		for (size_t k = 0; k < members.count; k++) {
			members.list[k]->committed += reserves(oracle, hold, members.list[k]);
			members.list[k]->pending += hold->state == BE_COMMIT_PENDING;
		}
	}
	for (size_t i = 0; i < oracle->account_count; i++)
		if (!oracle->accounts[i].removed && oracle->accounts[i].parent != NONE)
			parent_of(oracle, &oracle->accounts[i])->children++;
}

static wide available(const struct account *account)
{
	wide left = (wide)limit_now(account) - account->spent - account->committed;

	return left > 0 ? left : 0;
}

/* Writes down the window that an envelope is in.
 *
 * Open: a clock may step back over the end of a window that only readers have seen ending. Windows
 * are written down by whatever changes something of the envelope: its balances, its children, its
 * settings. */
static void keep_window(struct oracle *oracle, struct account *account)
{
	if (account->start_ns != account->window_ns) {
		if (!makes(oracle, MISTAKE_ALERTS_ONCE_EVER))
			account->passed = 0;
		oracle->coverage.windows++;
		oracle->coverage.carried_over += account->pending > 0;
	}
	account->window_ns = account->start_ns;
	account->window_end_ns = account->end_ns;
	account->counts_from = account->from;
	account->carried = account->carried_now;
	account->raise = account->raise_now;
	if (account->raise == 0)
		account->raise_until_ns = 0;
}

static void keep_windows(struct oracle *oracle, const struct over *over)
{
	struct members members;

	collect(oracle, over, &members);
	for (size_t i = 0; i < members.count; i++)
		keep_window(oracle, members.list[i]);
}

/* ---- alerts */

/* Gives an alert for each threshold that `spent` has come to, unless the window has given it.
 *
 * Open: a raise that ends may take an envelope over a threshold. That gives its alert with the next
 * charge, or the next change of its settings. */
static void give_alerts(struct oracle *oracle, struct account *account, wide spent, int spender)
{
	uint32_t passed = makes(oracle, MISTAKE_ALERTS_REPEAT) ? 0 : account->passed;

	for (size_t i = 0; i < BE_THRESHOLDS_MAX && account->thresholds[i] != 0; i++) {
		uint32_t percent = account->thresholds[i];

		if (percent <= passed || spent * 100 < (wide)limit_now(account) * percent)
			continue;
		account->passed = percent;
		oracle->alarms = grow(oracle->alarms, oracle->alarm_count, &oracle->alarm_room,
				      sizeof *oracle->alarms);
		oracle->alarms[oracle->alarm_count++] = (struct alarm){
			.account = (int)(account - oracle->accounts),
			.spender = spender,
			.namespace_name = account->namespace_name,
			.category = account->category,
			.spender_namespace =
				spender == NONE ? "" : oracle->accounts[spender].namespace_name,
			.spender_category =
				spender == NONE ? "" : oracle->accounts[spender].category,
			.percent = percent,
			.transaction_id = spender == NONE ? 0 : oracle->charge_count,
			.limit = limit_now(account),
			.spent = (int64_t)spent,
			.at_ns = oracle->now_ns,
			.start_ns = account->start_ns,
			.end_ns = account->period == BE_PERIOD_TOTAL ? 0 : account->end_ns,
		};
	}
}

/* After something else than a charge has changed. */
static void look_at_thresholds(struct oracle *oracle, struct account *account)
{
	add_up(oracle, oracle->now_ns);
	if (!makes(oracle, MISTAKE_ALERTS_FOR_CHARGES_ONLY))
		give_alerts(oracle, account, account->spent, NONE);
}

static void show_alarm(const struct oracle *oracle, size_t index, struct be_alert *alert)
{
	const struct alarm *alarm = &oracle->alarms[index];

	*alert = (struct be_alert)BE_ALERT_INIT;
	alert->percent = alarm->percent;
	alert->id = index + 1;
	alert->envelope_id = oracle->accounts[alarm->account].id;
	alert->transaction_id = alarm->transaction_id;
	alert->limit = alarm->limit;
	alert->spent = alarm->spent;
	alert->at_ns = alarm->at_ns;
	alert->period_start_ns = alarm->start_ns;
	alert->period_end_ns = alarm->end_ns;
	alert->done_ns = alarm->done_ns;
	strcpy(alert->namespace_name, alarm->namespace_name);
	strcpy(alert->category, alarm->category);
	strcpy(alert->spender_namespace, alarm->spender_namespace);
	strcpy(alert->spender_category, alarm->spender_category);
}

static enum be_status answer_alert_done(struct oracle *oracle, const struct call *call)
{
	struct alarm *alarm;

	if (call->id == 0 || call->id > oracle->alarm_count)
		return BE_NO_ALERT;
	alarm = &oracle->alarms[call->id - 1];
	if (alarm->done_ns != 0 && !makes(oracle, MISTAKE_DONE_TWICE))
		return BE_ALREADY_DONE;
	alarm->done_ns = oracle->now_ns;
	return BE_OK;
}

/* ---- showing */

static void show_envelope(const struct oracle *oracle, const struct account *account,
			  struct be_envelope *envelope)
{
	const struct account *parent = parent_of(oracle, account);
	wide used = (account->spent + account->committed) * 1000000;
	wide ppm = used / limit_now(account);

	if (makes(oracle, MISTAKE_UTILIZATION_ROUNDS_UP) && used % limit_now(account) > 0)
		ppm++;
	*envelope = (struct be_envelope)BE_ENVELOPE_INIT;
	envelope->period = account->period;
	envelope->id = account->id;
	envelope->limit = account->limit;
	envelope->spent = (int64_t)account->spent;
	envelope->committed = (int64_t)account->committed;
	envelope->available = (int64_t)available(account);
	/* Open: what is beyond int64_t is shown as its largest number, here and for the end of a
	 * window. */
	envelope->utilization_ppm = ppm > INT64_MAX ? INT64_MAX : (int64_t)ppm;
	envelope->period_start_ns = account->start_ns;
	envelope->period_end_ns = account->period == BE_PERIOD_TOTAL ? 0 : account->end_ns;
	envelope->limit_now = limit_now(account);
	envelope->raise = account->raise_now;
	envelope->raise_until_ns = account->raise_now > 0 ? account->raise_until_ns : 0;
	envelope->roll_over = account->roll_over;
	envelope->carried = account->carried_now;
	envelope->charged = clamp(account->charged);
	envelope->given_back = clamp(account->given_back);
	envelope->excused = account->excused;
	memcpy(envelope->thresholds, account->thresholds, sizeof envelope->thresholds);
	envelope->passed = account->start_ns == account->window_ns ? account->passed : 0;
	envelope->begins_on = account->begins_on;
	envelope->observe_only = account->observe_only;
	strcpy(envelope->zone, account->zone ? account->zone : "");
	envelope->created_ns = account->created_ns;
	envelope->pending_commits = account->pending;
	envelope->children = account->children;
	envelope->commits_granted = account->granted;
	envelope->expired_released = account->expired_released;
	envelope->expired_charged = account->expired_charged;
	envelope->orphaned_released = account->orphaned_released;
	envelope->orphaned_charged = account->orphaned_charged;
	envelope->settled_late = account->settled_late;
	envelope->refused_exceeds_budget = account->refused_exceeds_budget;
	envelope->refused_suspended = account->refused_suspended;
	envelope->suspended = account->suspended;
	strcpy(envelope->namespace_name, account->namespace_name);
	strcpy(envelope->category, account->category);
	if (!parent)
		return;
	envelope->has_parent = true;
	strcpy(envelope->parent_namespace, parent->namespace_name);
	strcpy(envelope->parent_category, parent->category);
}

static bool is_expired(const struct oracle *oracle, const struct hold *hold)
{
	int64_t late = makes(oracle, MISTAKE_EXPIRES_LATE) ? 1 : 0;

	return hold->state == BE_COMMIT_PENDING && hold->deadline_ns != 0 &&
	       hold->deadline_ns <= oracle->now_ns - late;
}

/* As what a pending commit would be reaped now. */
static enum be_commit_state due_as(const struct oracle *oracle, const struct hold *hold)
{
	if (is_expired(oracle, hold))
		return BE_COMMIT_EXPIRED;
	return oracle->sees_deaths && is_dead(oracle, hold->owner) && !hold->detached
		       ? BE_COMMIT_ORPHANED
		       : BE_COMMIT_PENDING;
}

/* Writes down whom it concerns, unless that was done before. */
static void note_members(const struct oracle *oracle, struct over *over)
{
	struct members members;

	if (makes(oracle, MISTAKE_MOVE_TAKES_HISTORY))
		return;
	collect(oracle, over, &members);
	over->member_count = (unsigned)members.count;
	for (size_t i = 0; i < members.count; i++)
		over->members[i] = (int)(members.list[i] - oracle->accounts);
}

static void note_names(const struct oracle *oracle, struct over *over)
{
	for (unsigned i = 0; i <= over->also_count; i++) {
		int index = i == 0 ? over->first : over->also[i - 1];

		over->then[i][0] = oracle->accounts[index].namespace_name;
		over->then[i][1] = oracle->accounts[index].category;
	}
}

/* Of a commit the names of now, of a line of the ledger those of then. */
static struct over names_now(const struct oracle *oracle, const struct over *over)
{
	struct over now = *over;

	if (!makes(oracle, MISTAKE_RENAME_LEAVES_COMMITS))
		note_names(oracle, &now);
	return now;
}

static struct over names_then(const struct oracle *oracle, const struct over *over)
{
	struct over then = *over;

	if (makes(oracle, MISTAKE_RENAME_CHANGES_HISTORY))
		note_names(oracle, &then);
	return then;
}

static void show_also(const struct over *over, char *text)
{
	*text = '\0';
	for (unsigned i = 1; i <= over->also_count; i++)
		also_print(text, over->then[i][0], over->then[i][1]);
}

static void show_tags(const struct tags *tags, char *text)
{
	struct be_label labels[LABEL_KEYS];

	*text = '\0';
	for (unsigned i = tags_list(tags, labels); i-- > 0;)
		tags_print(text, labels[i].key, labels[i].value);
}

static void show_commit(const struct oracle *oracle, const struct hold *hold,
			struct be_commit_info *info)
{
	const struct over over = names_now(oracle, &hold->over);

	*info = (struct be_commit_info){
		.size = sizeof *info,
		.state = due_as(oracle, hold),
		.reap_policy = hold->reap_policy,
		.owner_pid = oracle->sees_deaths ? (uint32_t)hold->owner : 0,
		.id = (uint64_t)(hold - oracle->holds) + 1,
		.amount = hold->amount,
		.created_ns = hold->created_ns,
		.deadline_ns = hold->deadline_ns,
		.detached = hold->detached,
		.owner_alive = !oracle->sees_deaths || !is_dead(oracle, hold->owner),
		.also_count = hold->over.also_count,
		.label_count = tags_count(&hold->tags),
	};
	strcpy(info->namespace_name, over.then[0][0]);
	strcpy(info->category, over.then[0][1]);
	strcpy(info->description, hold->description ? hold->description : "");
}

static void show_transaction(const struct oracle *oracle, size_t index,
			     struct be_transaction *transaction)
{
	const struct charge *charge = &oracle->charges[index];
	const struct over over = names_then(oracle, &charge->over);

	*transaction = (struct be_transaction){
		.size = sizeof *transaction,
		.kind = charge->kind,
		.id = index + 1,
		.commit_id = charge->commit_id,
		.corrects = charge->corrects,
		.envelope_id = oracle->accounts[charge->over.first].id,
		.amount = charge->amount,
		.held = charge->held,
		.at_ns = charge->at_ns,
		.late = charge->late,
		.also_count = charge->over.also_count,
		.label_count = tags_count(&charge->tags),
	};
	strcpy(transaction->namespace_name, over.then[0][0]);
	strcpy(transaction->category, over.then[0][1]);
	strcpy(transaction->description, charge->description ? charge->description : "");
}

/* ---- charging and reaping */

/* Writes one line more, under the name that the envelope has now. */
static void add_charge(struct oracle *oracle, const struct charge *charge)
{
	struct charge *added;

	oracle->charges = grow(oracle->charges, oracle->charge_count, &oracle->charge_room,
			       sizeof *oracle->charges);
	added = &oracle->charges[oracle->charge_count++];
	*added = *charge;
	note_names(oracle, &added->over);
	note_members(oracle, &added->over);
}

/* Charges a chain, whose balances are added up: unless one would leave the range of int64_t, or it
 * has too many labels. */
static enum be_status charge_chain(struct oracle *oracle, const struct charge *charge)
{
	struct members members;

	collect(oracle, &charge->over, &members);
	for (size_t i = 0; i < members.count; i++)
		if (members.list[i]->spent + charge->amount > INT64_MAX &&
		    !makes(oracle, MISTAKE_OVERFLOW_SATURATES))
			return BE_OVERFLOW;
	if (tags_count(&charge->tags) > BE_LABELS_MAX)
		return BE_INVALID_LABEL;
	keep_windows(oracle, &charge->over);
	add_charge(oracle, charge);
	for (size_t i = 0; i < members.count; i++)
		if (i == 0 || !makes(oracle, MISTAKE_ALERTS_AT_LEAF))
			give_alerts(oracle, members.list[i],
				    members.list[i]->spent + charge->amount, charge->over.first);
	return BE_OK;
}

/* Those of a commit and those that are given with a charge, which count where both have one. */
static struct tags both_tags(const struct oracle *oracle, const struct tags *own,
			     const struct call *call)
{
	struct tags both = *own;

	if (!call->has_options || tags_count(&call->tags) == 0)
		return both;
	if (makes(oracle, MISTAKE_LABELS_ARE_REPLACED))
		return call->tags;
	for (size_t i = 0; i < LABEL_KEYS; i++)
		if (call->tags.value[i] != 0)
			both.value[i] = call->tags.value[i];
	return both;
}

/* Ends a commit by its own policy. Open: one that cannot be charged, because a balance would leave
 * the range of int64_t, stays pending: its money stays reserved. */
static bool reap_one(struct oracle *oracle, struct hold *hold, enum be_commit_state state)
{
	add_up(oracle, oracle->now_ns);
	if (hold->reap_policy == BE_REAP_CHARGE) {
		struct charge charge = {
			.over = hold->over,
			.kind = state == BE_COMMIT_EXPIRED ? BE_TRANSACTION_EXPIRED
							   : BE_TRANSACTION_ORPHANED,
			.commit_id = (uint64_t)(hold - oracle->holds) + 1,
			.amount = hold->amount,
			.held = hold->amount,
			.at_ns = oracle->now_ns,
			.description = hold->description,
		};

		if (!makes(oracle, MISTAKE_REAPED_LOSES_LABELS))
			charge.tags = hold->tags;
		if (charge_chain(oracle, &charge) != BE_OK)
			return false;
		hold->charged = true;
	} else {
		keep_windows(oracle, &hold->over);
	}
	hold->state = hold->reaped_as = state;
	if (state == BE_COMMIT_EXPIRED)
		oracle->coverage.reaped_expired++;
	else
		oracle->coverage.reaped_orphaned++;
	return true;
}

/* Is `a` to be reaped before `b`? They lie in the order of their ids. */
static bool is_sooner(const struct oracle *oracle, const struct hold *a, const struct hold *b)
{
	if (makes(oracle, MISTAKE_REAPED_IN_ORDER_OF_ID) || a->deadline_ns == b->deadline_ns)
		return a < b;
	return a->deadline_ns < b->deadline_ns;
}

/* Ends what has expired, in the order of deadlines, and then, if the library can know of them or is
 * told, what dead workers left, in the order of ids. Returns how many ended. */
static uint64_t reap(struct oracle *oracle, bool orphans)
{
	struct hold *last = NULL;
	uint64_t reaped = 0;

	for (;;) {
		struct hold *next = NULL;

		for (size_t i = 0; i < oracle->hold_count; i++) {
			struct hold *hold = &oracle->holds[i];

			if (is_expired(oracle, hold) && (!last || is_sooner(oracle, last, hold)) &&
			    (!next || is_sooner(oracle, hold, next)))
				next = hold;
		}
		if (!next)
			break;
		reaped += reap_one(oracle, next, BE_COMMIT_EXPIRED);
		last = next;
	}
	for (size_t i = 0; orphans && i < oracle->hold_count; i++) {
		struct hold *hold = &oracle->holds[i];

		if (hold->state == BE_COMMIT_PENDING && is_dead(oracle, hold->owner) &&
		    (!hold->detached || makes(oracle, MISTAKE_DETACHED_DIES_TOO)))
			reaped += reap_one(oracle, hold, BE_COMMIT_ORPHANED);
	}
	return reaped;
}

/* ---- asking */

static void decide(struct be_decision *decision, enum be_status status,
		   const struct account *account)
{
	decision->status = status;
	decision->limit = limit_now(account);
	decision->window_end_ns = account->period == BE_PERIOD_TOTAL ? 0 : account->end_ns;
	decision->spent = (int64_t)account->spent;
	decision->committed = (int64_t)account->committed;
	decision->available = (int64_t)available(account);
	strcpy(decision->namespace_name, account->namespace_name);
	strcpy(decision->category, account->category);
}

/* May so much more be committed? Balances are added up. */
static enum be_status ask(const struct oracle *oracle, const struct over *over, int64_t amount,
			  struct be_decision *decision)
{
	const struct account *first = &oracle->accounts[over->first];
	struct members members;

	collect(oracle, over, &members);
	for (size_t i = 0; i < members.count; i++) {
		const struct account *account = members.list[i];
		bool too_much =
			amount > available(account) || (makes(oracle, MISTAKE_ALL_BUT_THE_LAST) &&
							amount > 0 && amount == available(account));
		enum be_status status = BE_OK;

		if (account->suspended &&
		    (account == first || !makes(oracle, MISTAKE_ANCESTORS_NEVER_SUSPENDED)))
			status = BE_SUSPENDED;
		else if (too_much &&
			 (!account->observe_only || makes(oracle, MISTAKE_OBSERVER_REFUSES) ||
			  account->committed + amount > INT64_MAX))
			status = BE_EXCEEDS_BUDGET;
		if (status != BE_OK) {
			decide(decision, status,
			       makes(oracle, MISTAKE_REFUSAL_NAMES_LEAF) ? first : account);
			return status;
		}
		if (makes(oracle, MISTAKE_ONLY_LEAF_DECIDES) ||
		    (makes(oracle, MISTAKE_ALSO_IS_NOT_ASKED) && account->parent == NONE))
			break;
	}
	decide(decision, BE_OK, first);
	return BE_OK;
}

/* Counts what was let through. */
static void excuse(struct oracle *oracle, const struct over *over, int64_t amount)
{
	struct members members;

	collect(oracle, over, &members);
	for (size_t i = 0; i < members.count; i++)
		members.list[i]->excused += amount > available(members.list[i]) &&
					    !makes(oracle, MISTAKE_OBSERVER_COUNTS_NOTHING);
}

/* Counts a refusal at the envelope that the decision names. A storage that only one process knows
 * has no counts. */
static enum be_status count(struct oracle *oracle, enum be_status status, int leaf,
			    const struct be_decision *decision)
{
	struct account *account;

	if (!oracle->sees_deaths || (status != BE_EXCEEDS_BUDGET && status != BE_SUSPENDED))
		return status;
	if (!makes(oracle, MISTAKE_REFUSAL_COUNTS_AT_LEAF))
		leaf = find(oracle, decision->namespace_name, decision->category);
	account = &oracle->accounts[leaf];
	if (status == BE_SUSPENDED)
		account->refused_suspended++;
	else
		account->refused_exceeds_budget++;
	return status;
}

static enum be_status check_name(const struct call *call)
{
	if (!call->category)
		return BE_INVALID_ARGUMENT;
	return category_is_valid(call->category) ? BE_OK : BE_INVALID_NAME;
}

static const char *namespace_of(const struct call *call, const struct be_envelope_name *also)
{
	return also->namespace_name ? also->namespace_name : namespaces[call->handle];
}

/* The envelope named, and those named beside it: false when one is not there, whose name is then in
 * *namespace_name and *category. */
static bool find_all(const struct oracle *oracle, const struct call *call, struct over *over,
		     const char **namespace_name, const char **category)
{
	*over = (struct over){.first = find_named(oracle, call)};
	*namespace_name = namespaces[call->handle];
	*category = call->category;
	if (over->first == NONE)
		return false;
	for (unsigned i = 0; call->has_options && i < call->also_count; i++) {
		*namespace_name = namespace_of(call, &call->also[i]);
		*category = call->also[i].category;
		over->also[i] = find(oracle, *namespace_name, *category);
		if (over->also[i] == NONE)
			return false;
		over->also_count++;
	}
	return true;
}

/* The envelopes named by a check or commit; false: one is not there, and the decision says so. */
static bool find_to_spend(const struct oracle *oracle, const struct call *call, struct over *over,
			  struct be_decision *decision)
{
	const char *namespace_name, *category;

	decision->requested = decision->asked = call->amount;
	if (find_all(oracle, call, over, &namespace_name, &category))
		return true;
	decision->status = BE_NO_ENVELOPE;
	strcpy(decision->namespace_name, namespace_name);
	strcpy(decision->category, category);
	return false;
}

/* Reaps for somebody who was refused: true when that freed something, so that it is tried again.
 *
 * Open: nothing need be reaped when it cannot help: `asked` would not be available, either, if
 * nothing were committed in the envelope that refused. */
static bool reap_for(struct oracle *oracle, enum be_status status, int64_t asked,
		     const struct be_decision *decision)
{
	uint64_t reaped;

	if (status != BE_EXCEEDS_BUDGET || makes(oracle, MISTAKE_REFUSED_WITHOUT_REAPING) ||
	    asked > decision->limit - decision->spent)
		return false;
	reaped = reap(oracle, oracle->sees_deaths);
	oracle->coverage.reaped_on_refusal += reaped;
	return reaped > 0 && !makes(oracle, MISTAKE_REAPED_NOT_RETRIED);
}

static enum be_status answer_check(struct oracle *oracle, const struct call *call,
				   struct answer *answer)
{
	enum be_status status = check_name(call);
	struct over over;

	answer->decision = (struct be_decision)BE_DECISION_INIT;
	if (status != BE_OK)
		return status;
	if (call->amount < 0)
		return BE_AMOUNT_NEGATIVE;
	if (!find_to_spend(oracle, call, &over, &answer->decision))
		return BE_NO_ENVELOPE;
	status = ask(oracle, &over, call->amount, &answer->decision);
	if (!makes(oracle, MISTAKE_CHECK_REAPS_NOTHING) &&
	    reap_for(oracle, status, call->amount, &answer->decision)) {
		answer->decision = (struct be_decision)BE_DECISION_INIT;
		answer->decision.requested = answer->decision.asked = call->amount;
		add_up(oracle, oracle->now_ns);
		status = ask(oracle, &over, call->amount, &answer->decision);
	}
	return count(oracle, status, over.first, &answer->decision);
}

/* A deadline of 0 is none; false when it would lie beyond all times. */
static bool deadline(const struct oracle *oracle, uint64_t ttl_ms, int64_t *deadline_ns)
{
	wide end = (wide)oracle->now_ns + (wide)ttl_ms * 1000000;

	*deadline_ns = ttl_ms == 0 ? 0 : (int64_t)end;
	return ttl_ms == 0 || end <= INT64_MAX;
}

static bool has_key(const struct call *call)
{
	return call->has_options && call->key;
}

static enum be_status check_texts(const struct call *call)
{
	if (!description_is_valid(call->description))
		return BE_INVALID_DESCRIPTION;
	if (call->has_options && !tags_are_valid(&call->tags))
		return BE_INVALID_LABEL;
	return has_key(call) && !key_is_valid(call->key) ? BE_INVALID_KEY : BE_OK;
}

/* The names of further envelopes, one after the other. */
static enum be_status check_also(const struct call *call)
{
	for (unsigned i = 0; call->has_options && i < call->also_count; i++) {
		if (!call->also[i].category)
			return BE_INVALID_ARGUMENT;
		if (!category_is_valid(call->also[i].category))
			return BE_INVALID_NAME;
	}
	return BE_OK;
}

static enum be_status check_commit(const struct oracle *oracle, const struct call *call,
				   int64_t *deadline_ns)
{
	*deadline_ns = 0;
	if (!call->category || (call->has_options && !deadline(oracle, call->ttl_ms, deadline_ns)))
		return BE_INVALID_ARGUMENT;
	if (!category_is_valid(call->category))
		return BE_INVALID_NAME;
	if (check_also(call) != BE_OK)
		return check_also(call);
	if (call->amount < 0 || (call->has_options && call->least < 0))
		return BE_AMOUNT_NEGATIVE;
	if (call->has_options && call->least > call->amount)
		return BE_INVALID_ARGUMENT;
	return check_texts(call);
}

/* As much as is available in the whole chain, between the least and what is asked for. Who only
 * observes has all that can be counted. */
static int64_t choose(const struct oracle *oracle, const struct over *over, const struct call *call)
{
	wide most = call->amount;
	struct members members;

	if (!call->has_options || call->least <= 0)
		return call->amount;
	collect(oracle, over, &members);
	for (size_t i = 0; i < members.count; i++) {
		const struct account *account = members.list[i];

		if (account->observe_only)
			most = account->committed + most > INT64_MAX
				       ? INT64_MAX - account->committed
				       : most;
		else if (available(account) < most)
			most = available(account);
	}
	if (most < call->least ||
	    (makes(oracle, MISTAKE_LEAST_GETS_NO_MORE) && most < call->amount))
		most = call->least;
	return (int64_t)most;
}

static enum be_status try_commit(struct oracle *oracle, const struct call *call, uint64_t owner,
				 int64_t deadline_ns, struct answer *answer)
{
	enum be_status status;
	struct over over;
	int64_t amount;

	if (!find_to_spend(oracle, call, &over, &answer->decision))
		return BE_NO_ENVELOPE;
	add_up(oracle, oracle->now_ns);
	amount = choose(oracle, &over, call);
	status = ask(oracle, &over, amount, &answer->decision);
	if (status != BE_OK) {
		if (call->has_options && call->least > 0)
			answer->decision.requested = answer->decision.asked = call->least;
		return status;
	}
	answer->decision.asked = amount;
	answer->decision.requested = call->amount;
	answer->decision.granted = amount;
	excuse(oracle, &over, amount);
	keep_windows(oracle, &over);
	note_names(oracle, &over);
	note_members(oracle, &over);
	oracle->holds =
		grow(oracle->holds, oracle->hold_count, &oracle->hold_room, sizeof *oracle->holds);
	oracle->holds[oracle->hold_count++] = (struct hold){
		.over = over,
		.amount = amount,
		.created_ns = oracle->now_ns,
		.deadline_ns = deadline_ns,
		.reap_policy = call->has_options ? call->reap_policy : BE_REAP_RELEASE,
		.detached = call->has_options && call->detached,
		.owner = owner,
		.description = call->description,
	};
	if (call->has_options)
		oracle->holds[oracle->hold_count - 1].tags = call->tags;
	answer->id = oracle->hold_count;
	/* Open: the figures of a commit that was granted are those afterwards. */
	add_up(oracle, oracle->now_ns);
	decide(&answer->decision, BE_OK, &oracle->accounts[over.first]);
	oracle->coverage.over_several += over.also_count > 0;
	return BE_OK;
}

/* ---- requests with keys */

/* How a commit that is not pending answers. */
static enum be_status ended(const struct hold *hold)
{
	switch (hold->state) {
	case BE_COMMIT_PENDING:
		return BE_OK;
	case BE_COMMIT_RELEASED:
		return BE_ALREADY_RELEASED;
	case BE_COMMIT_SETTLED:
		return BE_ALREADY_SETTLED;
	default:
		return hold->charged ? BE_ALREADY_CHARGED : BE_ALREADY_REAPED;
	}
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_also(const struct call *a, const struct call *b)
{
	if (a->also_count != b->also_count)
		return false;
	for (unsigned i = 0; i < a->also_count; i++)
		if (!same_text(namespace_of(a, &a->also[i]), namespace_of(b, &b->also[i])) ||
		    !same_text(a->also[i].category, b->also[i].category))
			return false;
	return true;
}

static bool same_request(const struct oracle *oracle, const struct call *a, const struct call *b)
{
	bool by_id = a->kind == CALL_SETTLE || a->kind == CALL_CHARGE || a->kind == CALL_CORRECT;

	if (a->kind != b->kind || a->amount != b->amount ||
	    !same_text(a->description, b->description))
		return false;
	if (memcmp(&a->tags, &b->tags, sizeof a->tags) != 0 &&
	    !makes(oracle, MISTAKE_KEYED_IGNORES_LABELS))
		return false;
	/* No description is the commit's own, which is another than an empty one. */
	if (by_id)
		return a->id == b->id && !a->description == !b->description;
	return same_text(a->category, b->category) && same_also(a, b) &&
	       (a->kind == CALL_RECORD ||
		(a->least == b->least && a->ttl_ms == b->ttl_ms && a->detached == b->detached &&
		 a->reap_policy == b->reap_policy));
}

/* The last one that was carried out under the call's key, unless its time is over. */
static const struct request *find_request(const struct oracle *oracle, const struct call *call)
{
	if (!has_key(call) || makes(oracle, MISTAKE_KEYED_IS_DONE_AGAIN))
		return NULL;
	for (size_t i = oracle->request_count; i-- > 0;) {
		const struct request *request = &oracle->requests[i];

		if (!request->forgotten && strcmp(request->call.key, call->key) == 0 &&
		    (request->call.handle == call->handle ||
		     makes(oracle, MISTAKE_KEY_FOR_ALL_NAMESPACES)))
			return request->until_ns > oracle->now_ns ||
					       makes(oracle, MISTAKE_KEY_LASTS)
				       ? request
				       : NULL;
	}
	return NULL;
}

static bool is_forgotten_sooner(const struct request *a, const struct request *b)
{
	int by_namespace = strcmp(namespaces[a->call.handle], namespaces[b->call.handle]);

	if (a->until_ns != b->until_ns)
		return a->until_ns < b->until_ns;
	return by_namespace < 0 || (by_namespace == 0 && strcmp(a->call.key, b->call.key) < 0);
}

/* Forgets what the call's key stood for before, and a few whose time is over.
 *
 * Open: when the clock steps back, the time of one that has been forgotten may not be over any
 * more. Two are forgotten whenever one is remembered. */
static void forget(struct oracle *oracle, const struct call *call)
{
	for (size_t i = 0; i < oracle->request_count; i++)
		if (oracle->requests[i].call.handle == call->handle &&
		    strcmp(oracle->requests[i].call.key, call->key) == 0)
			oracle->requests[i].forgotten = true;
	for (unsigned count = 0; count < 2; count++) {
		struct request *first = NULL;

		for (size_t i = 0; i < oracle->request_count; i++) {
			struct request *request = &oracle->requests[i];

			if (!request->forgotten && request->until_ns <= oracle->now_ns &&
			    (!first || is_forgotten_sooner(request, first)))
				first = request;
		}
		if (first)
			first->forgotten = true;
	}
}

/* Answers as it was answered before. Open: what a refused one decided has no figures. */
static enum be_status repeat(const struct oracle *oracle, const struct request *request,
			     const struct call *call, struct answer *answer)
{
	const struct hold *hold = find_hold(oracle, request->id);
	enum be_status status = BE_OK;

	if (!same_request(oracle, &request->call, call) &&
	    !makes(oracle, MISTAKE_KEYED_ANSWERS_ANYTHING))
		status = BE_KEY_REUSED;
	else if (hold && !makes(oracle, MISTAKE_KEYED_IS_GRANTED_WHEN_ENDED))
		status = ended(hold);
	if (status == BE_OK) {
		answer->id = request->id;
		answer->decision = request->decision;
		answer->transaction = request->transaction;
	} else if (call->kind == CALL_COMMIT) {
		answer->decision.status = status;
	}
	return status;
}

static enum be_status remember(struct oracle *oracle, const struct call *call,
			       enum be_status status, const struct answer *answer)
{
	wide until =
		(wide)oracle->now_ns + (wide)(call->key_ms ? call->key_ms : 86400000) * 1000000;

	if (status != BE_OK || !has_key(call))
		return status;
	forget(oracle, call);
	oracle->requests = grow(oracle->requests, oracle->request_count, &oracle->request_room,
				sizeof *oracle->requests);
	oracle->requests[oracle->request_count++] = (struct request){
		.call = *call,
		.until_ns = clamp(until),
		.id = answer->id,
		.decision = answer->decision,
		.transaction = answer->transaction,
	};
	return BE_OK;
}

const struct call *oracle_nth_request(const struct oracle *oracle, uint64_t nth)
{
	/* One of the last, which may still be remembered. */
	size_t few = oracle->request_count < 8 ? oracle->request_count : 8;

	return few == 0 ? NULL : &oracle->requests[oracle->request_count - 1 - nth % few].call;
}

/* Tries it, and once more if reaping freed something. */
static enum be_status decide_commit(struct oracle *oracle, const struct call *call, uint64_t owner,
				    int64_t deadline_ns, struct answer *answer)
{
	enum be_status status;

	answer->decision = (struct be_decision)BE_DECISION_INIT;
	status = try_commit(oracle, call, owner, deadline_ns, answer);
	if (!reap_for(oracle, status, answer->decision.requested, &answer->decision))
		return status;
	if (makes(oracle, MISTAKE_FIRST_TRY_COUNTS))
		count(oracle, status, find_named(oracle, call), &answer->decision);
	answer->decision = (struct be_decision)BE_DECISION_INIT;
	return try_commit(oracle, call, owner, deadline_ns, answer);
}

static enum be_status answer_release(struct oracle *oracle, const struct call *call);
static enum be_status answer_steer(struct oracle *oracle, const struct call *call);

/* What its caller does while it waits. */
static void meanwhile(struct oracle *oracle, const struct call *call)
{
	struct call other = *call;

	other.kind = call->meanwhile;
	/* A commit is not tried at an earlier time than before. */
	if (other.kind == CALL_MOVE && call->then_ns < oracle->now_ns) {
		oracle->stepped_back_ns = call->then_ns;
	} else if (other.kind == CALL_MOVE) {
		oracle->now_ns = call->then_ns;
	} else if (other.kind == CALL_RELEASE) {
		answer_release(oracle, &other);
	} else {
		other.amount = call->then_limit;
		answer_steer(oracle, &other);
	}
	add_up(oracle, oracle->now_ns);
}

/* Waits, if that may be of any use: until its caller has done what it does meanwhile. */
static enum be_status wait_for_money(struct oracle *oracle, const struct call *call, uint64_t owner,
				     int64_t deadline_ns, struct answer *answer)
{
	enum be_status status = BE_EXCEEDS_BUDGET;

	if (!call->has_options || !call->waits ||
	    (answer->decision.requested > answer->decision.limit &&
	     !makes(oracle, MISTAKE_WAITS_FOR_WHAT_CANNOT_BE)))
		return status;
	if (makes(oracle, MISTAKE_WAITING_COUNTS))
		count(oracle, status, find_named(oracle, call), &answer->decision);
	meanwhile(oracle, call);
	if (makes(oracle, MISTAKE_WAITING_IS_IN_VAIN))
		return status;
	if (!makes(oracle, MISTAKE_TTL_BEGINS_BEFORE_WAITING))
		deadline(oracle, call->ttl_ms, &deadline_ns);
	status = decide_commit(oracle, call, owner, deadline_ns, answer);
	oracle->coverage.granted_late += status == BE_OK;
	oracle->coverage.waited_in_vain += status == BE_EXCEEDS_BUDGET;
	return status;
}

static enum be_status answer_commit(struct oracle *oracle, const struct call *call, uint64_t owner,
				    struct answer *answer)
{
	const struct request *request = find_request(oracle, call);
	int64_t deadline_ns;
	enum be_status status = check_commit(oracle, call, &deadline_ns);

	answer->id = 0;
	answer->decision = (struct be_decision)BE_DECISION_INIT;
	if (status != BE_OK)
		return status;
	if (request)
		return repeat(oracle, request, call, answer);
	status = decide_commit(oracle, call, owner, deadline_ns, answer);
	if (status == BE_EXCEEDS_BUDGET)
		status = wait_for_money(oracle, call, owner, deadline_ns, answer);
	remember(oracle, call, status, answer);
	return count(oracle, status, find_named(oracle, call), &answer->decision);
}

/* The answer is that to the last of the commits. */
static enum be_status answer_worker_dies(struct oracle *oracle, const struct call *call,
					 struct answer *answer)
{
	enum be_status status = BE_OK;
	int64_t deadline_ns;

	oracle->workers++;
	oracle->worker_lives = true;
	/* Its first call that has to look at anything opens the environment, which reaps. */
	if (oracle->sees_deaths && call->count > 0 &&
	    check_commit(oracle, call, &deadline_ns) == BE_OK)
		reap(oracle, true);
	for (unsigned i = 0; i < call->count; i++)
		status = answer_commit(oracle, call, oracle->workers, answer);
	oracle->worker_lives = false;
	return status;
}

/* ---- ending */

static enum be_status answer_release(struct oracle *oracle, const struct call *call)
{
	struct hold *hold = find_hold(oracle, call->id);
	enum be_status status = hold ? ended(hold) : BE_NO_COMMIT;

	if (status == BE_ALREADY_RELEASED && makes(oracle, MISTAKE_RELEASED_TWICE))
		hold->astray = -hold->amount;
	if (status != BE_OK)
		return status;
	keep_windows(oracle, &hold->over);
	hold->state = BE_COMMIT_RELEASED;
	return BE_OK;
}

/* Are all envelopes there that granted it? */
static bool find_late(const struct oracle *oracle, struct over *over)
{
	const struct account *first = &oracle->accounts[over->first];

	if (first->removed && makes(oracle, MISTAKE_LATE_HITS_SUCCESSOR))
		over->first = find(oracle, first->namespace_name, first->category);
	if (over->first == NONE || oracle->accounts[over->first].removed)
		return false;
	for (unsigned i = 0; i < over->also_count; i++)
		if (oracle->accounts[over->also[i]].removed) {
			if (!makes(oracle, MISTAKE_LATE_GOES_TO_THE_REST))
				return false;
			over->also[i] = over->first;
		}
	return true;
}

static enum be_status answer_settle(struct oracle *oracle, const struct call *call,
				    struct answer *answer)
{
	const struct request *request = find_request(oracle, call);
	struct hold *hold = find_hold(oracle, call->id);
	struct charge charge = {.kind = BE_TRANSACTION_SETTLE};
	enum be_status status;

	answer->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
	if (call->amount < 0)
		return BE_AMOUNT_NEGATIVE;
	status = check_texts(call);
	if (status != BE_OK)
		return status;
	if (request)
		return repeat(oracle, request, call, answer);
	status = hold ? ended(hold) : BE_NO_COMMIT;
	charge.late = status == BE_ALREADY_REAPED && !makes(oracle, MISTAKE_LATE_NOT_FLAGGED);
	if (status == BE_ALREADY_CHARGED && makes(oracle, MISTAKE_CHARGED_TWICE))
		status = BE_ALREADY_REAPED;
	if (status != BE_OK && status != BE_ALREADY_REAPED)
		return status;
	charge.over = hold->over;
	if (status == BE_ALREADY_REAPED && !makes(oracle, MISTAKE_LATE_GOES_TO_THOSE_OF_THEN))
		charge.over.member_count = 0;
	if (status == BE_ALREADY_REAPED && makes(oracle, MISTAKE_LATE_IS_FREE))
		return status;
	if (makes(oracle, MISTAKE_RENAME_LOSES_THE_REAPED) && status == BE_ALREADY_REAPED &&
	    find(oracle, hold->over.then[0][0], hold->over.then[0][1]) != hold->over.first)
		return BE_NO_ENVELOPE;
	if (!find_late(oracle, &charge.over))
		return BE_NO_ENVELOPE;
	charge.commit_id = call->id;
	charge.amount = call->amount;
	charge.held = hold->amount;
	charge.at_ns = oracle->now_ns;
	charge.description = call->description ? call->description : hold->description;
	charge.tags = both_tags(oracle, &hold->tags, call);
	status = charge_chain(oracle, &charge);
	if (status != BE_OK)
		return status;
	oracle->coverage.settled_late += charge.late;
	hold->late = charge.late;
	hold->state = BE_COMMIT_SETTLED;
	if (makes(oracle, MISTAKE_SETTLE_FREES_ACTUAL) && call->amount < hold->amount)
		hold->astray = hold->amount - call->amount;
	show_transaction(oracle, oracle->charge_count - 1, &answer->transaction);
	return remember(oracle, call, BE_OK, answer);
}

static enum be_status answer_charge(struct oracle *oracle, const struct call *call,
				    struct answer *answer)
{
	const struct request *request = find_request(oracle, call);
	struct hold *hold = find_hold(oracle, call->id);
	struct charge charge = {.kind = BE_TRANSACTION_CHARGE};
	enum be_status status;

	answer->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
	if (call->amount < 0)
		return BE_AMOUNT_NEGATIVE;
	status = check_texts(call);
	if (status != BE_OK)
		return status;
	if (request)
		return repeat(oracle, request, call, answer);
	status = hold ? ended(hold) : BE_NO_COMMIT;
	if (status != BE_OK)
		return status;
	charge.over = hold->over;
	charge.commit_id = call->id;
	charge.amount = call->amount;
	charge.held = hold->amount;
	charge.at_ns = oracle->now_ns;
	charge.description = call->description ? call->description : hold->description;
	charge.tags = both_tags(oracle, &hold->tags, call);
	status = charge_chain(oracle, &charge);
	if (status != BE_OK)
		return status;
	if (!makes(oracle, MISTAKE_PART_STAYS_HELD))
		hold->amount -= call->amount < hold->amount ? call->amount : hold->amount;
	show_transaction(oracle, oracle->charge_count - 1, &answer->transaction);
	return remember(oracle, call, BE_OK, answer);
}

static enum be_status answer_record(struct oracle *oracle, const struct call *call,
				    struct answer *answer)
{
	const struct request *request = find_request(oracle, call);
	enum be_status status = check_name(call);
	struct charge charge = {.kind = BE_TRANSACTION_RECORD};
	const char *namespace_name, *category;

	answer->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
	if (status == BE_OK)
		status = check_also(call);
	if (status != BE_OK)
		return status;
	if (call->amount < 0)
		return BE_AMOUNT_NEGATIVE;
	status = check_texts(call);
	if (status != BE_OK)
		return status;
	if (request)
		return repeat(oracle, request, call, answer);
	if (!find_all(oracle, call, &charge.over, &namespace_name, &category))
		return BE_NO_ENVELOPE;
	charge.amount = call->amount;
	charge.at_ns = oracle->now_ns;
	charge.description = call->description;
	if (call->has_options)
		charge.tags = call->tags;
	status = charge_chain(oracle, &charge);
	if (status != BE_OK)
		return status;
	show_transaction(oracle, oracle->charge_count - 1, &answer->transaction);
	return remember(oracle, call, BE_OK, answer);
}

/* What a commit is to hold. */
static int64_t extended_to(const struct oracle *oracle, const struct call *call)
{
	return call->amount == BE_HELD_AMOUNT ? oracle_held(oracle, call->id) : call->amount;
}

static enum be_status try_extend(struct oracle *oracle, const struct call *call,
				 int64_t deadline_ns, struct answer *answer)
{
	struct hold *hold = find_hold(oracle, call->id);
	struct be_decision *decision = &answer->decision;
	int64_t amount, more;

	*decision = (struct be_decision)BE_DECISION_INIT;
	/* Open: the decision on a commit that is not pending has no figures; it names the status
	 * only. */
	decision->status = hold ? ended(hold) : BE_NO_COMMIT;
	if (decision->status != BE_OK)
		return decision->status;
	add_up(oracle, oracle->now_ns);
	amount = extended_to(oracle, call);
	more = amount - hold->amount;
	decision->requested = amount;
	decision->asked = more > 0 ? more : 0;
	if (more > 0 && makes(oracle, MISTAKE_EXTEND_ASKS_FOR_ALL))
		more = amount;
	if (more > 0) {
		enum be_status status = ask(oracle, &hold->over, more, decision);

		if (status != BE_OK)
			return status;
		excuse(oracle, &hold->over, more);
	}
	keep_windows(oracle, &hold->over);
	hold->amount = amount;
	if (!makes(oracle, MISTAKE_EXTEND_KEEPS_DEADLINE))
		hold->deadline_ns = deadline_ns;
	add_up(oracle, oracle->now_ns);
	decide(decision, BE_OK, &oracle->accounts[hold->over.first]);
	decision->granted = amount;
	return BE_OK;
}

int64_t oracle_charged(const struct oracle *oracle, uint64_t id)
{
	int64_t left;

	if (id == 0 || id > oracle->charge_count || oracle->charges[id - 1].corrects)
		return 0;
	left = oracle->charges[id - 1].amount;
	for (size_t i = 0; i < oracle->charge_count; i++)
		if (oracle->charges[i].corrects == id)
			left += oracle->charges[i].amount;
	return left;
}

static enum be_status answer_correct(struct oracle *oracle, const struct call *call,
				     struct answer *answer)
{
	struct charge charge = {.kind = BE_TRANSACTION_CORRECTION,
				.corrects = call->id,
				.at_ns = oracle->now_ns,
				.description = call->description};
	const struct request *request = find_request(oracle, call);
	const struct charge *wrong;
	enum be_status status;

	answer->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
	if (call->amount < 0)
		return BE_AMOUNT_NEGATIVE;
	charge.amount = -call->amount;
	status = check_texts(call);
	if (status != BE_OK)
		return status;
	if (request)
		return repeat(oracle, request, call, answer);
	if (call->id == 0 || call->id > oracle->charge_count)
		return BE_NO_TRANSACTION;
	wrong = &oracle->charges[call->id - 1];
	if (wrong->corrects || call->amount > (makes(oracle, MISTAKE_GIVES_TOO_MUCH_BACK)
						       ? wrong->amount
						       : oracle_charged(oracle, call->id)))
		return BE_EXCEEDS_CHARGE;
	for (unsigned i = 0; i < wrong->over.also_count; i++)
		if (oracle->accounts[wrong->over.also[i]].removed)
			return BE_NO_ENVELOPE;
	if (oracle->accounts[wrong->over.first].removed)
		return BE_NO_ENVELOPE;
	charge.over = wrong->over;
	charge.tags = wrong->tags;
	keep_windows(oracle, &charge.over);
	add_charge(oracle, &charge);
	show_transaction(oracle, oracle->charge_count - 1, &answer->transaction);
	return remember(oracle, call, BE_OK, answer);
}

static enum be_status answer_extend(struct oracle *oracle, const struct call *call,
				    struct answer *answer)
{
	int64_t deadline_ns;
	enum be_status status;

	answer->decision = (struct be_decision)BE_DECISION_INIT;
	if (!deadline(oracle, call->ttl_ms, &deadline_ns))
		return BE_INVALID_ARGUMENT;
	if (call->amount < 0 && call->amount != BE_HELD_AMOUNT)
		return BE_AMOUNT_NEGATIVE;
	status = try_extend(oracle, call, deadline_ns, answer);
	/* Reaping may have ended the very commit that is to be extended. */
	if (reap_for(oracle, status, extended_to(oracle, call) - oracle_held(oracle, call->id),
		     &answer->decision))
		status = try_extend(oracle, call, deadline_ns, answer);
	if (status == BE_NO_COMMIT)
		return status;
	return count(oracle, status, find_hold(oracle, call->id)->over.first, &answer->decision);
}

/* ---- envelopes */

static bool namespace_is_valid(const char *namespace_name)
{
	for (size_t i = 0; i < NAMESPACES; i++)
		if (strcmp(namespaces[i], namespace_name) == 0)
			return true;
	return false;
}

static enum be_status check_window(enum be_period period, const char *zone, uint32_t begins_on)
{
	bool by_calendar = zone || period == BE_PERIOD_QUARTERLY || period == BE_PERIOD_YEARLY;
	uint32_t most = !by_calendar                  ? 0
			: period == BE_PERIOD_WEEKLY  ? 7
			: period == BE_PERIOD_MONTHLY ? 31
						      : 0;

	if (period > BE_PERIOD_YEARLY || (zone && period == BE_PERIOD_TOTAL) || begins_on > most)
		return BE_INVALID_PERIOD;
	return BE_OK;
}

static void set_window(struct oracle *oracle, struct account *account, enum be_period period,
		       const char *zone, uint32_t begins_on)
{
	account->period = period;
	account->zone = zone ? zone : period >= BE_PERIOD_QUARTERLY ? "UTC" : NULL;
	account->begins_on = begins_on;
	account->window_ns = oracle->now_ns;
	account->window_end_ns = clamp((wide)oracle->now_ns + length_ns(period));
	if (account->zone)
		calendar_at(oracle, account, oracle->now_ns, &account->window_ns,
			    &account->window_end_ns);
}

static enum be_status check_create(const struct oracle *oracle, const struct call *call)
{
	const char *parent_namespace = call->has_options ? call->parent_namespace : NULL;
	const char *parent_category = call->has_options ? call->parent_category : NULL;

	if (!call->category || (parent_namespace && !parent_category))
		return BE_INVALID_ARGUMENT;
	if (!category_is_valid(call->category) ||
	    (parent_category && !category_is_valid(parent_category)) ||
	    (parent_namespace && !namespace_is_valid(parent_namespace)))
		return BE_INVALID_NAME;
	if (call->amount <= 0)
		return BE_INVALID_LIMIT;
	if (call->has_options &&
	    (call->period_start_ns > oracle->now_ns ||
	     (call->period_start_ns != 0 && (call->zone || call->period > BE_PERIOD_MONTHLY))))
		return BE_INVALID_PERIOD;
	if (call->has_options && call->roll_over < 0)
		return BE_AMOUNT_NEGATIVE;
	return check_window(call->period, call->has_options ? call->zone : NULL,
			    call->has_options ? call->begins_on : 0);
}

/* The parent asked for: NONE when none was. */
static enum be_status find_parent(const struct oracle *oracle, const struct call *call, int *parent)
{
	const char *namespace_name =
		call->parent_namespace ? call->parent_namespace : namespaces[call->handle];
	unsigned deepest = BE_DEPTH_MAX + (makes(oracle, MISTAKE_ONE_TOO_DEEP) ? 1 : 0);

	*parent = NONE;
	if (!call->has_options || !call->parent_category)
		return BE_OK;
	if (strcmp(namespace_name, namespaces[call->handle]) == 0 &&
	    strcmp(call->parent_category, call->category) == 0)
		return BE_PARENT_CYCLE;
	*parent = find(oracle, namespace_name, call->parent_category);
	if (*parent == NONE)
		return BE_NO_PARENT;
	return depth_of(oracle, &oracle->accounts[*parent]) < deepest ? BE_OK : BE_TOO_DEEP;
}

static enum be_status answer_create(struct oracle *oracle, const struct call *call)
{
	enum be_status status = check_create(oracle, call);
	struct account *account;
	int there, parent;

	if (status != BE_OK)
		return status;
	there = find_named(oracle, call);
	if (there != NONE) {
		if (call->kind == CALL_ENSURE && makes(oracle, MISTAKE_ENSURE_SETS_LIMIT))
			oracle->accounts[there].limit = call->amount;
		return call->kind == CALL_ENSURE ? BE_OK : BE_ENVELOPE_EXISTS;
	}
	status = find_parent(oracle, call, &parent);
	if (status != BE_OK)
		return status;
	if (parent != NONE)
		keep_window(oracle, &oracle->accounts[parent]);
	oracle->accounts = grow(oracle->accounts, oracle->account_count, &oracle->account_room,
				sizeof *oracle->accounts);
	account = &oracle->accounts[oracle->account_count++];
	*account = (struct account){
		.id = oracle->account_count,
		.namespace_name = namespaces[call->handle],
		.category = call->category,
		.parent = parent,
		.suspended = call->has_options && call->suspended,
		.period = call->period,
		.limit = call->amount,
		.created_ns = oracle->now_ns,
		.window_ns = oracle->now_ns,
		.counts_from = oracle->charge_count,
		.observe_only = call->has_options && call->observe_only,
		.roll_over = call->has_options ? call->roll_over : 0,
	};
	set_window(oracle, account, call->period, call->has_options ? call->zone : NULL,
		   call->has_options ? call->begins_on : 0);
	if (call->has_options && call->period_start_ns != 0) {
		account->window_ns =
			window_at(oracle, call->period, call->period_start_ns, oracle->now_ns);
		account->window_end_ns =
			clamp((wide)account->window_ns + length_ns(account->period));
	}
	if (depth_of(oracle, account) > oracle->coverage.deepest)
		oracle->coverage.deepest = depth_of(oracle, account);
	return BE_OK;
}

static enum be_status remove_account(struct oracle *oracle, struct account *account)
{
	if (account->children > 0)
		return BE_HAS_CHILDREN;
	if (account->pending > 0 && !makes(oracle, MISTAKE_REMOVE_WITH_COMMITS))
		return BE_HAS_COMMITS;
	if (account->parent != NONE)
		keep_window(oracle, parent_of(oracle, account));
	account->removed = true;
	return BE_OK;
}

static void reset_account(struct oracle *oracle, struct account *account)
{
	struct account *parent = parent_of(oracle, account);

	account->window_ns = oracle->now_ns;
	if (!account->zone)
		account->window_end_ns = clamp((wide)oracle->now_ns + length_ns(account->period));
	account->carried = 0;
	account->counts_from = oracle->charge_count;
	account->passed = 0;
	if (parent && makes(oracle, MISTAKE_RESET_REACHES_PARENT))
		parent->counts_from = oracle->charge_count;
	for (size_t i = 0; makes(oracle, MISTAKE_RESET_DROPS_HOLDS) && i < oracle->hold_count; i++)
		if (&oracle->accounts[oracle->holds[i].over.first] == account)
			oracle->holds[i].state = BE_COMMIT_RELEASED;
}

/* Set-limit, suspend, resume, reset, remove: what concerns one envelope. */
static enum be_status answer_steer(struct oracle *oracle, const struct call *call)
{
	enum be_status status = check_name(call);
	struct account *account;
	int there;

	if (status != BE_OK)
		return status;
	if (call->kind == CALL_SET_LIMIT && call->amount <= 0)
		return BE_INVALID_LIMIT;
	there = find_named(oracle, call);
	if (there == NONE)
		return BE_NO_ENVELOPE;
	account = &oracle->accounts[there];
	if (call->kind == CALL_REMOVE)
		return remove_account(oracle, account);
	keep_window(oracle, account);
	if (call->kind == CALL_RESET)
		reset_account(oracle, account);
	if (call->kind == CALL_SUSPEND || call->kind == CALL_RESUME)
		account->suspended = call->kind == CALL_SUSPEND;
	if (call->kind == CALL_SET_LIMIT) {
		account->limit = call->amount;
		if (makes(oracle, MISTAKE_LIMIT_CLEARS_SPENT))
			account->counts_from = oracle->charge_count;
	}
	look_at_thresholds(oracle, account);
	return BE_OK;
}

static enum be_status check_set(const struct oracle *oracle, const struct call *call)
{
	enum be_status status = check_name(call);

	if (status != BE_OK)
		return status;
	if (call->mask == 0 || call->mask > 1023)
		return BE_INVALID_ARGUMENT;
	if (call->mask & BE_SET_NAME && !call->parent_category)
		return BE_INVALID_ARGUMENT;
	if (call->mask & BE_SET_NAME && !category_is_valid(call->parent_category))
		return BE_INVALID_NAME;
	if (call->mask & BE_SET_PARENT && call->parent_namespace && !call->parent_category)
		return BE_INVALID_ARGUMENT;
	if (call->mask & BE_SET_PARENT && call->parent_category &&
	    (!category_is_valid(call->parent_category) ||
	     (call->parent_namespace && !namespace_is_valid(call->parent_namespace))))
		return BE_INVALID_NAME;
	if (call->mask & BE_SET_LIMIT && call->amount <= 0)
		return BE_INVALID_LIMIT;
	if (call->mask & BE_SET_ROLL_OVER && call->roll_over < 0)
		return BE_AMOUNT_NEGATIVE;
	if (call->mask & BE_SET_RAISE && call->raise < 0)
		return BE_AMOUNT_NEGATIVE;
	if (call->mask & BE_SET_RAISE && call->raise > 0 && call->raise_until_ns <= oracle->now_ns)
		return BE_INVALID_ARGUMENT;
	for (size_t i = 0; call->mask & BE_SET_THRESHOLDS && i < BE_THRESHOLDS_MAX; i++) {
		uint16_t before = i > 0 ? call->thresholds[i - 1] : 0;

		if (call->thresholds[i] > BE_THRESHOLD_MAX ||
		    (call->thresholds[i] != 0 && call->thresholds[i] <= before) ||
		    (call->thresholds[i] != 0 && before == 0 && i > 0))
			return BE_INVALID_ARGUMENT;
	}
	return call->mask & BE_SET_PERIOD ? check_window(call->period, call->zone, call->begins_on)
					  : BE_OK;
}

/* A window that follows no calendar goes on, unless it would be over. */
static void change_window(struct oracle *oracle, struct account *account, const struct call *call)
{
	int64_t start_ns = account->window_ns, end_ns;

	set_window(oracle, account, call->period, call->zone, call->begins_on);
	end_ns = clamp((wide)start_ns + length_ns(account->period));
	if (!account->zone && (account->period == BE_PERIOD_TOTAL || end_ns > oracle->now_ns)) {
		account->window_ns = start_ns;
		account->window_end_ns = end_ns;
	}
	if (makes(oracle, MISTAKE_PERIOD_CLEARS_SPENT))
		account->counts_from = oracle->charge_count;
}

/* Envelopes in the longest chain from this one down, itself included. */
static unsigned height_of(const struct oracle *oracle, const struct account *account)
{
	unsigned highest = 1;

	for (size_t i = 0; i < oracle->account_count; i++) {
		const struct account *other = &oracle->accounts[i];
		unsigned height = 1;

		while (!oracle->accounts[i].removed && other && other != account) {
			other = parent_of(oracle, other);
			height++;
		}
		if (other == account && height > highest)
			highest = height;
	}
	return highest;
}

/* Another parent: whatever is charged, and nothing is held, as long as it has this one. */
static enum be_status move_account(struct oracle *oracle, struct account *account,
				   const struct call *call)
{
	const char *namespace_name =
		call->parent_namespace ? call->parent_namespace : account->namespace_name;
	struct account *above = NULL;

	if (call->parent_category) {
		int parent = find(oracle, namespace_name, call->parent_category);

		if (parent == NONE)
			return BE_NO_PARENT;
		above = &oracle->accounts[parent];
	}
	for (struct account *at = above; at; at = parent_of(oracle, at))
		if (at == account)
			return BE_PARENT_CYCLE;
	if (above == parent_of(oracle, account))
		return BE_OK;
	if (depth_of(oracle, above) + height_of(oracle, account) > BE_DEPTH_MAX)
		return BE_TOO_DEEP;
	add_up(oracle, oracle->now_ns);
	if (account->pending > 0 && !makes(oracle, MISTAKE_MOVES_WHAT_IS_HELD))
		return BE_HAS_COMMITS;
	if (account->parent != NONE)
		keep_window(oracle, parent_of(oracle, account));
	if (above)
		keep_window(oracle, above);
	account->parent = above ? (int)(above - oracle->accounts) : NONE;
	if (depth_of(oracle, account) > oracle->coverage.deepest)
		oracle->coverage.deepest = depth_of(oracle, account);
	oracle->coverage.moved++;
	return BE_OK;
}

static enum be_status answer_set(struct oracle *oracle, const struct call *call,
				 struct answer *answer)
{
	enum be_status status = check_set(oracle, call);
	struct account *account;
	int there;

	answer->envelope = (struct be_envelope)BE_ENVELOPE_INIT;
	if (status != BE_OK)
		return status;
	there = find_named(oracle, call);
	if (there == NONE)
		return BE_NO_ENVELOPE;
	account = &oracle->accounts[there];
	if (call->mask & BE_SET_NAME) {
		const char *namespace_name =
			call->parent_namespace ? call->parent_namespace : account->namespace_name;
		int other = find(oracle, namespace_name, call->parent_category);

		if (other != NONE && other != there)
			return BE_ENVELOPE_EXISTS;
		account->namespace_name = namespace_name;
		account->category = call->parent_category;
	}
	if (call->mask & BE_SET_PARENT)
		status = move_account(oracle, account, call);
	if (status != BE_OK)
		return status;
	keep_window(oracle, account);
	if (call->mask & BE_SET_LIMIT)
		account->limit = call->amount;
	if (call->mask & BE_SET_PERIOD)
		change_window(oracle, account, call);
	if (call->mask & BE_SET_SUSPENDED)
		account->suspended = call->suspended;
	if (call->mask & BE_SET_SPENT) {
		account->counts_from = oracle->charge_count;
		account->passed = 0;
		if (makes(oracle, MISTAKE_SPENT_MOVES_WINDOW))
			account->window_ns = oracle->now_ns;
	}
	if (call->mask & BE_SET_RAISE) {
		account->raise = call->raise;
		account->raise_until_ns = call->raise > 0 ? call->raise_until_ns : 0;
	}
	if (call->mask & BE_SET_ROLL_OVER)
		account->roll_over = call->roll_over;
	if (call->mask & BE_SET_OBSERVE_ONLY)
		account->observe_only = call->observe_only;
	if (call->mask & BE_SET_THRESHOLDS)
		memcpy(account->thresholds, call->thresholds, sizeof account->thresholds);
	look_at_thresholds(oracle, account);
	show_envelope(oracle, account, &answer->envelope);
	return BE_OK;
}

/* ---- reading */

static enum be_status answer_utilization(struct oracle *oracle, const struct call *call,
					 struct answer *answer)
{
	enum be_status status = check_name(call);
	int there;

	answer->envelope = (struct be_envelope)BE_ENVELOPE_INIT;
	if (status != BE_OK)
		return status;
	there = find_named(oracle, call);
	if (there == NONE)
		return BE_NO_ENVELOPE;
	show_envelope(oracle, &oracle->accounts[there], &answer->envelope);
	if (makes(oracle, MISTAKE_READING_ROLLS_OVER))
		keep_window(oracle, &oracle->accounts[there]);
	return BE_OK;
}

static bool passes(const struct be_filter *filter, const char *namespace_name, const char *category,
		   int64_t at_ns, int64_t amount)
{
	return (!filter->namespace_name || strcmp(filter->namespace_name, namespace_name) == 0) &&
	       (!filter->category || strcmp(filter->category, category) == 0) &&
	       (filter->since_ns == 0 || at_ns >= filter->since_ns) &&
	       (filter->until_ns == 0 || at_ns < filter->until_ns) &&
	       (filter->min_amount == 0 || amount >= filter->min_amount) &&
	       (filter->max_amount == 0 || amount <= filter->max_amount);
}

/* The same where any of several may pass. */
static bool any_passes(const struct be_filter *filter, const struct over *over, int64_t at_ns,
		       int64_t amount)
{
	for (unsigned i = 0; i <= over->also_count; i++)
		if (passes(filter, over->then[i][0], over->then[i][1], at_ns, amount))
			return true;
	return false;
}

/* Are all labels there that are looked for? */
static bool tags_pass(const struct oracle *oracle, const struct tags *wanted,
		      const struct tags *tags)
{
	bool any = tags_count(wanted) == 0, all = true;

	for (size_t i = 0; i < LABEL_KEYS; i++) {
		bool is_there = tags->value[i] != 0 &&
				(wanted->value[i] == tags->value[i] || wanted->value[i] == TAG_ANY);

		any = any || is_there;
		all = all && (wanted->value[i] == 0 || is_there);
	}
	return makes(oracle, MISTAKE_ANY_LABEL_PASSES) ? any : all;
}

/* Shows one row more; false when no other is wanted, and then *status says why. */
static bool show_row(const struct call *call, struct rows *rows, const void *row,
		     enum be_status *status)
{
	rows_add(rows, row);
	if (call->stop_after != 0 && rows->count == call->stop_after) {
		*status = BE_STOPPED;
		return false;
	}
	return call->filter.max_count == 0 || rows->count < call->filter.max_count;
}

static bool comes_before(const struct account *a, const struct account *b)
{
	int order = strcmp(a->namespace_name, b->namespace_name);

	return order < 0 || (order == 0 && strcmp(a->category, b->category) < 0);
}

static enum be_status list_envelopes(struct oracle *oracle, const struct call *call,
				     struct rows *rows)
{
	const struct account *last = NULL;
	enum be_status status = BE_OK;
	struct be_envelope row;

	rows_clear(rows, sizeof row);
	for (;;) {
		const struct account *next = NULL;

		for (size_t i = 0; i < oracle->account_count; i++) {
			const struct account *account = &oracle->accounts[i];

			if (!account->removed && (!last || comes_before(last, account)) &&
			    (!next || comes_before(account, next)))
				next = account;
		}
		if (!next)
			return status;
		last = next;
		if (!passes(&call->filter, next->namespace_name, next->category, next->created_ns,
			    next->limit))
			continue;
		show_envelope(oracle, next, &row);
		if (!show_row(call, rows, &row, &status))
			return status;
	}
}

static enum be_status list_commits(const struct oracle *oracle, const struct call *call,
				   struct rows *rows)
{
	enum be_status status = BE_OK;
	struct commit_row row;

	rows_clear(rows, sizeof row);
	for (size_t i = 0; i < oracle->hold_count; i++) {
		const struct hold *hold = &oracle->holds[i];
		const struct over over = names_now(oracle, &hold->over);

		if (hold->state != BE_COMMIT_PENDING || i < call->filter.after_id ||
		    !any_passes(&call->filter, &over, hold->created_ns, hold->amount) ||
		    !tags_pass(oracle, &call->tags, &hold->tags))
			continue;
		show_tags(&hold->tags, row.tags);
		show_commit(oracle, hold, &row.info);
		show_also(&over, row.also);
		if (!show_row(call, rows, &row, &status))
			break;
	}
	return status;
}

static enum be_status list_transactions(const struct oracle *oracle, const struct call *call,
					struct rows *rows)
{
	enum be_status status = BE_OK;
	struct transaction_row row;

	rows_clear(rows, sizeof row);
	for (size_t i = 0; i < oracle->charge_count; i++) {
		const struct charge *charge = &oracle->charges[i];
		const struct over over = names_then(oracle, &charge->over);

		if (i < call->filter.after_id ||
		    !any_passes(&call->filter, &over, charge->at_ns, charge->amount) ||
		    !tags_pass(oracle, &call->tags, &charge->tags))
			continue;
		show_tags(&charge->tags, row.tags);
		show_transaction(oracle, i, &row.transaction);
		show_also(&over, row.also);
		if (!show_row(call, rows, &row, &status))
			break;
	}
	return status;
}

static enum be_status list_alerts(const struct oracle *oracle, const struct call *call,
				  struct rows *rows)
{
	enum be_status status = BE_OK;
	struct be_alert row;

	rows_clear(rows, sizeof row);
	for (size_t i = call->filter.after_id; i < oracle->alarm_count; i++) {
		show_alarm(oracle, i, &row);
		if (passes(&call->filter, row.namespace_name, row.category, row.at_ns, row.spent) &&
		    !show_row(call, rows, &row, &status))
			break;
	}
	return status;
}

static enum be_status answer_verify(const struct oracle *oracle, struct answer *answer)
{
	struct be_verification *verification = &answer->verification;

	*verification = (struct be_verification)BE_VERIFICATION_INIT;
	for (size_t i = 0; i < oracle->account_count; i++)
		verification->envelopes += !oracle->accounts[i].removed;
	for (size_t i = 0; i < oracle->hold_count; i++)
		verification->commits += oracle->holds[i].state == BE_COMMIT_PENDING;
	verification->transactions = oracle->charge_count;
	for (size_t i = 0; i < oracle->hold_count; i++) {
		const struct hold *hold = &oracle->holds[i];

		if (hold->reaped_as != BE_COMMIT_PENDING)
			answer->lapses[2 * (hold->reaped_as == BE_COMMIT_ORPHANED) +
				       hold->charged]++;
		answer->lapses[4] += hold->late;
	}
	return BE_OK;
}

/* ---- one way in */

static enum be_status answer_call(struct oracle *oracle, const struct call *call,
				  struct answer *answer)
{
	switch (call->kind) {
	case CALL_CREATE:
	case CALL_ENSURE:
		return answer_create(oracle, call);
	case CALL_SET_LIMIT:
	case CALL_SUSPEND:
	case CALL_RESUME:
	case CALL_RESET:
	case CALL_REMOVE:
		return answer_steer(oracle, call);
	case CALL_SET:
		return answer_set(oracle, call, answer);
	case CALL_CHECK:
		return answer_check(oracle, call, answer);
	case CALL_COMMIT:
		return answer_commit(oracle, call, 0, answer);
	case CALL_WORKER_DIES:
		return answer_worker_dies(oracle, call, answer);
	case CALL_RELEASE:
		return answer_release(oracle, call);
	case CALL_SETTLE:
		return answer_settle(oracle, call, answer);
	case CALL_CHARGE:
		return answer_charge(oracle, call, answer);
	case CALL_RECORD:
		return answer_record(oracle, call, answer);
	case CALL_CORRECT:
		return answer_correct(oracle, call, answer);
	case CALL_EXTEND:
		return answer_extend(oracle, call, answer);
	case CALL_REAP:
		answer->reaped = reap(oracle, true);
		return BE_OK;
	case CALL_REOPEN:
		reap(oracle, oracle->sees_deaths);
		return BE_OK;
	case CALL_UTILIZATION:
		return answer_utilization(oracle, call, answer);
	case CALL_LIST_ENVELOPES:
		return list_envelopes(oracle, call, &answer->rows);
	case CALL_LIST_COMMITS:
		return list_commits(oracle, call, &answer->rows);
	case CALL_LIST_TRANSACTIONS:
		return list_transactions(oracle, call, &answer->rows);
	case CALL_LIST_ALERTS:
		return list_alerts(oracle, call, &answer->rows);
	case CALL_ALERT_DONE:
		return answer_alert_done(oracle, call);
	case CALL_VERIFY:
		return answer_verify(oracle, answer);
	case CALL_MOVE:
	case CALL_KINDS:
		break;
	}
	return BE_OK;
}

void oracle_answer(struct oracle *oracle, const struct call *call, struct answer *answer)
{
	oracle->now_ns = call->now_ns;
	add_up(oracle, oracle->now_ns);
	oracle->stepped_back_ns = 0;
	answer->status = answer_call(oracle, call, answer);
	if (oracle->stepped_back_ns != 0)
		oracle->now_ns = oracle->stepped_back_ns;
}

const struct coverage *oracle_coverage(const struct oracle *oracle)
{
	return &oracle->coverage;
}

/* ---- what steps ask */

int64_t oracle_now(const struct oracle *oracle)
{
	return oracle->now_ns;
}

/* The nth of the commits in such a state, counted round and round. */
static uint64_t nth_ended(const struct oracle *oracle, uint64_t nth, enum be_status how)
{
	uint64_t count = 0;

	for (size_t i = 0; i < oracle->hold_count; i++)
		count += ended(&oracle->holds[i]) == how;
	if (count == 0)
		return 0;
	nth %= count;
	for (size_t i = 0; i < oracle->hold_count; i++)
		if (ended(&oracle->holds[i]) == how && nth-- == 0)
			return i + 1;
	return 0;
}

uint64_t oracle_nth_pending(const struct oracle *oracle, uint64_t nth)
{
	return nth_ended(oracle, nth, BE_OK);
}

uint64_t oracle_nth_reaped(const struct oracle *oracle, uint64_t nth)
{
	return nth_ended(oracle, nth, BE_ALREADY_REAPED);
}

uint64_t oracle_nth_commit(const struct oracle *oracle, uint64_t nth)
{
	return oracle->hold_count == 0 ? 0 : nth % oracle->hold_count + 1;
}

uint64_t oracle_charges(const struct oracle *oracle)
{
	return oracle->charge_count;
}

uint64_t oracle_alerts(const struct oracle *oracle)
{
	return oracle->alarm_count;
}

uint64_t oracle_commits(const struct oracle *oracle)
{
	return oracle->hold_count;
}

int64_t oracle_held(const struct oracle *oracle, uint64_t id)
{
	const struct hold *hold = find_hold(oracle, id);

	return hold ? hold->amount : 0;
}

int64_t oracle_deadline(const struct oracle *oracle, uint64_t id)
{
	const struct hold *hold = find_hold(oracle, id);

	return hold ? hold->deadline_ns : 0;
}

/* The envelopes that a call is about, their balances added up; none when the first is not there. */
static void find_subject(struct oracle *oracle, const struct call *call, uint64_t id,
			 struct members *members)
{
	const struct hold *hold = find_hold(oracle, id);
	struct over over = {.first = NONE};
	const char *namespace_name, *category;

	add_up(oracle, oracle->now_ns);
	if (hold)
		over = hold->over;
	else if (id == 0 && call->category && check_also(call) == BE_OK)
		(void)find_all(oracle, call, &over, &namespace_name, &category);
	members->count = 0;
	if (over.first != NONE)
		collect(oracle, &over, members);
}

int64_t oracle_available(struct oracle *oracle, const struct call *call, uint64_t id)
{
	struct members members;
	wide least;

	find_subject(oracle, call, id, &members);
	least = members.count > 0 ? available(members.list[0]) : 0;
	for (size_t i = 0; i < members.count; i++)
		if (available(members.list[i]) < least)
			least = available(members.list[i]);
	return least > INT64_MAX ? INT64_MAX : (int64_t)least;
}

int64_t oracle_countable(struct oracle *oracle, const struct call *call, uint64_t id)
{
	struct members members;
	wide most = 0;

	find_subject(oracle, call, id, &members);
	for (size_t i = 0; i < members.count; i++)
		if (members.list[i]->spent > most)
			most = members.list[i]->spent;
	return (int64_t)(INT64_MAX - most);
}

int64_t oracle_window_end(struct oracle *oracle, const struct call *call)
{
	const struct account *account;
	struct members members;

	find_subject(oracle, call, 0, &members);
	if (members.count == 0)
		return 0;
	account = members.list[0];
	return account->period == BE_PERIOD_TOTAL || account->end_ns == INT64_MAX ? 0
										  : account->end_ns;
}
