/* SPDX-License-Identifier: Apache-2.0 */
/* See known.h. */
#include "known.h"

#define HOUR_NS (3600 * BE_UNIT)

#define CALL(...)                                                                                  \
	{                                                                                          \
		.call = {.category = "a", __VA_ARGS__ }                                            \
	}
#define PLAIN(kind_) CALL(.kind = (kind_))
#define CREATE(limit, period_) CALL(.kind = CALL_CREATE, .amount = (limit), .period = (period_))
#define COMMIT(amount_) CALL(.kind = CALL_COMMIT, .amount = (amount_))
#define COMMIT_WITH(amount_, ...)                                                                  \
	CALL(.kind = CALL_COMMIT, .amount = (amount_), .has_options = true, __VA_ARGS__)
#define WORKER_DIES(amount_, policy)                                                               \
	CALL(.kind = CALL_WORKER_DIES, .count = 1, .amount = (amount_), .has_options = true,       \
	     .reap_policy = (policy))
#define RECORD(amount_) CALL(.kind = CALL_RECORD, .amount = (amount_))
#define EXTEND(id_, amount_, ttl_ms_)                                                              \
	CALL(.kind = CALL_EXTEND, .id = (id_), .amount = (amount_), .ttl_ms = (ttl_ms_))
#define SETTLE(id_, amount_) CALL(.kind = CALL_SETTLE, .id = (id_), .amount = (amount_))
#define MOVE(distance)                                                                             \
	{                                                                                          \
		.call = {.kind = CALL_MOVE, .now_ns = (distance)}, .time_base = TIME_NOW           \
	}

const struct known_game known_games[] = {
	{"a ttl beyond all times comes before a negative amount",
	 2,
	 {CREATE(10, BE_PERIOD_TOTAL), EXTEND(1, -1, UINT64_MAX)}},

	{"who made a detached commit lives on when it closes and opens the environment",
	 3,
	 {CREATE(10, BE_PERIOD_TOTAL), COMMIT_WITH(1, .detached = true), PLAIN(CALL_REOPEN)}},

	{"a late settle charges no envelope made under the same name since",
	 7,
	 {CREATE(10, BE_PERIOD_TOTAL), COMMIT_WITH(1, .ttl_ms = 1), MOVE(HOUR_NS), PLAIN(CALL_REAP),
	  PLAIN(CALL_REMOVE), CREATE(10, BE_PERIOD_TOTAL), SETTLE(1, 1)}},

	{"an expired commit that is extended beyond the budget is reaped first",
	 4,
	 {CREATE(10, BE_PERIOD_TOTAL), COMMIT_WITH(5, .ttl_ms = 1), MOVE(HOUR_NS),
	  EXTEND(1, 11, 1000)}},

	{"an orphan that could not be charged is found again when it can",
	 9,
	 {CREATE(INT64_MAX, BE_PERIOD_HOURLY), RECORD(INT64_MAX - 5),
	  WORKER_DIES(5, BE_REAP_CHARGE), RECORD(3), PLAIN(CALL_REAP), MOVE(HOUR_NS),
	  COMMIT(INT64_MAX), MOVE(1), COMMIT(1)}},
};

const size_t known_game_count = sizeof known_games / sizeof known_games[0];
