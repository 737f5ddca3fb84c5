/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: what the library should answer, worked out in the most simple-minded way. It keeps
 * the list of envelopes ever made, of commits ever made and of everything ever charged, and adds up
 * every balance from these lists anew for each call. It shares no line with the library.
 *
 * It is written from the header and from the invariants. Where these leave something open, and the
 * library must still do the one or the other, the oracle says so at its place, beginning with
 * "Open:".
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "call.h"

/* Mistakes that the oracle can be told to make. The library then seems to make the opposite one,
 * and a comparison that is worth something finds it. */
enum mistake {
	MISTAKE_NONE,
	MISTAKE_HOLDS_END_WITH_WINDOW,
	MISTAKE_WINDOW_ENDS_LATE,
	MISTAKE_WINDOWS_DRIFT,
	MISTAKE_CLOCK_BACK_RESETS,
	MISTAKE_READING_ROLLS_OVER,
	MISTAKE_RESET_REACHES_PARENT,
	MISTAKE_RESET_DROPS_HOLDS,
	MISTAKE_LIMIT_CLEARS_SPENT,
	MISTAKE_ENSURE_SETS_LIMIT,
	MISTAKE_ALL_BUT_THE_LAST,
	MISTAKE_ONLY_LEAF_DECIDES,
	MISTAKE_ANCESTORS_NEVER_SUSPENDED,
	MISTAKE_REFUSAL_NAMES_LEAF,
	MISTAKE_CHARGE_STOPS_AT_PARENT,
	MISTAKE_RELEASE_FORGETS_PARENT,
	MISTAKE_RELEASED_TWICE,
	MISTAKE_SETTLE_FREES_ACTUAL,
	MISTAKE_REMOVE_REFUNDS_PARENT,
	MISTAKE_REMOVE_WITH_COMMITS,
	MISTAKE_REFUSED_WITHOUT_REAPING,
	MISTAKE_REAPED_NOT_RETRIED,
	MISTAKE_EXPIRES_LATE,
	MISTAKE_REAPED_IN_ORDER_OF_ID,
	MISTAKE_DETACHED_DIES_TOO,
	MISTAKE_LATE_IS_FREE,
	MISTAKE_LATE_NOT_FLAGGED,
	MISTAKE_LATE_HITS_SUCCESSOR,
	MISTAKE_CHARGED_TWICE,
	MISTAKE_EXTEND_ASKS_FOR_ALL,
	MISTAKE_EXTEND_KEEPS_DEADLINE,
	MISTAKE_ONE_TOO_DEEP,
	MISTAKE_OVERFLOW_SATURATES,
	MISTAKE_UTILIZATION_ROUNDS_UP,
	MISTAKE_CHECK_REAPS_NOTHING,
	MISTAKE_DAY_ENDS_WITH_UTC,
	MISTAKE_MONTH_BEGINS_TOO_LATE,
	MISTAKE_RAISE_LASTS,
	MISTAKE_RAISE_IS_CARRIED,
	MISTAKE_CARRIES_WITHOUT_CAP,
	MISTAKE_IDLE_WINDOWS_CARRY_NOTHING,
	MISTAKE_OBSERVER_REFUSES,
	MISTAKE_OBSERVER_COUNTS_NOTHING,
	MISTAKE_CHARGED_IS_RESET,
	MISTAKE_PERIOD_CLEARS_SPENT,
	MISTAKE_SPENT_MOVES_WINDOW,
	MISTAKE_LEAST_GETS_NO_MORE,
	MISTAKE_PART_STAYS_HELD,
	MISTAKE_KEYED_IS_DONE_AGAIN,
	MISTAKE_KEYED_ANSWERS_ANYTHING,
	MISTAKE_KEY_FOR_ALL_NAMESPACES,
	MISTAKE_KEY_LASTS,
	MISTAKE_KEYED_IS_GRANTED_WHEN_ENDED,
	MISTAKE_ALSO_IS_NOT_ASKED,
	MISTAKE_ALSO_IS_NOT_CHARGED,
	MISTAKE_ALSO_STAYS_HELD,
	MISTAKE_SHARED_IS_HELD_TWICE,
	MISTAKE_LATE_GOES_TO_THE_REST,
	MISTAKE_LABELS_ARE_REPLACED,
	MISTAKE_REAPED_LOSES_LABELS,
	MISTAKE_ANY_LABEL_PASSES,
	MISTAKE_KEYED_IGNORES_LABELS,
	MISTAKE_LAPSES_COUNT_AT_LEAF,
	MISTAKE_ALERTS_REPEAT,
	MISTAKE_ALERTS_ONCE_EVER,
	MISTAKE_ALERTS_AT_LEAF,
	MISTAKE_ALERTS_FOR_CHARGES_ONLY,
	MISTAKE_DONE_TWICE,
	MISTAKE_GIVES_TOO_MUCH_BACK,
	MISTAKE_CORRECTION_STOPS_AT_LEAF,
	MISTAKE_CORRECTION_FREES_TODAY,
	MISTAKE_RENAME_LEAVES_COMMITS,
	MISTAKE_RENAME_CHANGES_HISTORY,
	MISTAKE_RENAME_LOSES_THE_REAPED,
	MISTAKE_MOVE_TAKES_HISTORY,
	MISTAKE_MOVES_WHAT_IS_HELD,
	MISTAKE_LATE_GOES_TO_THOSE_OF_THEN,
	MISTAKE_WAITING_IS_IN_VAIN,
	MISTAKE_WAITS_FOR_WHAT_CANNOT_BE,
	MISTAKE_TTL_BEGINS_BEFORE_WAITING,
	MISTAKE_REFUSAL_COUNTS_AT_LEAF, /* from here on found over LMDB only */
	MISTAKE_FIRST_TRY_COUNTS,
	MISTAKE_WAITING_COUNTS,
	MISTAKES
};

extern const char *const mistake_texts[MISTAKES];

/* What happened, for the line that tells how much a test has covered. */
struct coverage {
	uint64_t reaped_expired, reaped_orphaned, reaped_on_refusal, settled_late, windows,
		carried_over, over_several, granted_late, waited_in_vain, moved;
	unsigned deepest;
};

struct oracle;

/* `sees_deaths`: does the library learn of dead workers by itself? Over a storage that only one
 * process knows it cannot, and the caller of be_reap() tells it. */
struct oracle *oracle_create(int64_t now_ns, bool sees_deaths, enum mistake mistake);
void oracle_destroy(struct oracle *oracle);

/* Answers a call as the library should. `answer` is empty before. */
void oracle_answer(struct oracle *oracle, const struct call *call, struct answer *answer);

const struct coverage *oracle_coverage(const struct oracle *oracle);

/* What steps are resolved with. */
int64_t oracle_now(const struct oracle *oracle);
uint64_t oracle_nth_pending(const struct oracle *oracle, uint64_t nth); /* 0: there is none */
uint64_t oracle_nth_reaped(const struct oracle *oracle, uint64_t nth);
uint64_t oracle_nth_commit(const struct oracle *oracle, uint64_t nth);
/* Of those that are remembered with a key; NULL: there are none. */
const struct call *oracle_nth_request(const struct oracle *oracle, uint64_t nth);
uint64_t oracle_charges(const struct oracle *oracle); /* so many transactions there are */
int64_t oracle_charged(const struct oracle *oracle, uint64_t id); /* and was not given back */
uint64_t oracle_alerts(const struct oracle *oracle);              /* so many were given */
uint64_t oracle_commits(const struct oracle *oracle);             /* and so many made */
int64_t oracle_held(const struct oracle *oracle, uint64_t id);
int64_t oracle_deadline(const struct oracle *oracle, uint64_t id);

/* Of the envelope named, or of the commit's if `id` is not 0; 0 when there is none. Over the whole
 * chain. */
int64_t oracle_available(struct oracle *oracle, const struct call *call, uint64_t id);
int64_t oracle_countable(struct oracle *oracle, const struct call *call, uint64_t id);
int64_t oracle_window_end(struct oracle *oracle, const struct call *call);

#endif
