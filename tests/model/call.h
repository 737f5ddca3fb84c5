/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the model test compares: a call of the library with all its arguments, and everything that
 * it answers. What can answer calls can be compared with anything else that can: the oracle
 * (oracle.h) and the library over one storage or another (library.h) do.
 */
#ifndef CALL_H
#define CALL_H

#include <budget_enforcer.h>

#include <stdio.h>

/* A text that a call may carry, and whether the library must accept it. */
struct text {
	const char *text; /* NULL: the caller gave none */
	bool is_valid;
};

/* The valid ones come first. Every namespace is valid: a handle is opened on each. */
#define NAMESPACES 4
#define CATEGORIES 5
#define ALL_CATEGORIES 10
#define DESCRIPTIONS 4
#define ALL_DESCRIPTIONS 7
#define KEYS 3
#define ALL_KEYS 6
extern const char *const namespaces[NAMESPACES];
extern const struct text categories[ALL_CATEGORIES];
extern const struct text descriptions[ALL_DESCRIPTIONS];
extern const struct text keys[ALL_KEYS];

/* A zone whose clocks are always five hours ahead of UTC; UTC where the system does not have it. */
const char *zone_ahead(void);

/* Is it one of the valid texts above? */
bool category_is_valid(const char *category);
bool description_is_valid(const char *description);
bool key_is_valid(const char *key);

enum call_kind {
	CALL_CREATE,
	CALL_ENSURE,
	CALL_SET_LIMIT,
	CALL_SUSPEND,
	CALL_RESUME,
	CALL_RESET,
	CALL_SET,
	CALL_REMOVE,
	CALL_CHECK,
	CALL_COMMIT,
	CALL_RELEASE,
	CALL_SETTLE,
	CALL_CHARGE,
	CALL_RECORD,
	CALL_EXTEND,
	CALL_REAP,
	CALL_UTILIZATION,
	CALL_LIST_ENVELOPES,
	CALL_LIST_COMMITS,
	CALL_LIST_TRANSACTIONS,
	CALL_VERIFY,
	CALL_MOVE,        /* nobody is called: the clock moves */
	CALL_REOPEN,      /* all handles are closed and opened again */
	CALL_WORKER_DIES, /* another process makes `count` commits like this one and is killed */
	CALL_KINDS
};

extern const char *const call_names[CALL_KINDS];

/* Which fields matter depends on the kind. */
struct call {
	enum call_kind kind;
	uint8_t handle; /* the one on namespaces[handle] */
	bool has_options;
	bool detached;
	bool suspended;
	enum be_reap_policy reap_policy;
	enum be_period period;
	unsigned count;      /* commits of a worker that dies */
	unsigned stop_after; /* listings: rows until the callback returns false; 0: never */
	int64_t now_ns;
	int64_t amount; /* or a limit */
	int64_t period_start_ns;
	uint64_t ttl_ms;
	uint64_t id;
	int64_t least; /* commit */
	uint64_t key_ms;
	const char *key; /* with options; NULL: none */
	uint32_t mask;   /* set */
	uint32_t begins_on;
	bool observe_only;
	int64_t raise;
	int64_t raise_until_ns;
	int64_t roll_over;
	const char *zone; /* NULL, "UTC", or one that is five hours ahead (zone_ahead()) */
	const char *category;
	const char *description;
	const char *parent_namespace;
	const char *parent_category;
	struct be_filter filter;
};

/* What a listing showed: `count` structures of one kind. */
struct rows {
	size_t count;
	size_t room;
	size_t row_size;
	unsigned char *bytes;
};

void rows_clear(struct rows *rows, size_t row_size);
void rows_add(struct rows *rows, const void *row);
void rows_free(struct rows *rows);

/* What was not asked for stays zero. An answer is made once and used for many calls. */
struct answer {
	enum be_status status;
	uint64_t id;
	uint64_t reaped;
	struct be_decision decision;
	struct be_transaction transaction;
	struct be_envelope envelope;
	struct be_verification verification;
	uint64_t lapses[5]; /* verify: of be_stats(), in the order in which it names them */
	struct rows rows;
};

/* Empties an answer, but for its rows' memory. */
void answer_clear(struct answer *answer);

/* Writes the first difference between two answers to one call into `difference`, as "what is X,
 * expected Y"; false when there is none. */
bool answers_differ(enum call_kind kind, const struct answer *expected, const struct answer *got,
		    char *difference, size_t size);

/* Prints a call for people, on one line. `before_ns` is the time of the call before. */
void call_print(FILE *file, const struct call *call, int64_t before_ns);

#endif
