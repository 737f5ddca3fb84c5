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
#define ALSO_MAX 3
#define KEYS 3
#define ALL_KEYS 6
#define LABEL_KEYS 10
#define LABEL_VALUES 4
#define ALL_LABEL_VALUES 6
extern const char *const namespaces[NAMESPACES];
extern const struct text categories[ALL_CATEGORIES];
extern const struct text descriptions[ALL_DESCRIPTIONS];
extern const struct text keys[ALL_KEYS];
extern const char *const label_keys[LABEL_KEYS]; /* all valid, and sorted */
extern const struct text label_values[ALL_LABEL_VALUES];

/* The labels with these keys: 0: there is none; else the number of its value, from 1 on. */
struct tags {
	uint8_t value[LABEL_KEYS];
};
#define TAG_ANY UINT8_MAX /* filters */

unsigned tags_count(const struct tags *tags);
bool tags_are_valid(const struct tags *tags);
/* Fills in the labels, the last key first, and returns how many there are. */
unsigned tags_list(const struct tags *tags, struct be_label labels[LABEL_KEYS]);

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
	CALL_CORRECT,
	CALL_REAP,
	CALL_UTILIZATION,
	CALL_LIST_ENVELOPES,
	CALL_LIST_COMMITS,
	CALL_LIST_TRANSACTIONS,
	CALL_LIST_ALERTS,
	CALL_ALERT_DONE,
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
	int64_t least;            /* commit */
	bool waits;               /* commit, with options: until the caller ends it, */
	enum call_kind meanwhile; /* and has meanwhile moved the clock to then_ns, set the limit of
	                             the envelope to then_limit, or released the commit `id` */
	int64_t then_ns, then_limit;
	uint64_t key_ms;
	const char *key;     /* with options; NULL: none */
	unsigned also_count; /* commit, record; with options */
	struct be_envelope_name also[ALSO_MAX];
	struct tags tags; /* commit, record, settle, charge, with options; commits and
	                     transactions: the filter's */
	uint32_t mask;    /* set */
	uint32_t begins_on;
	bool observe_only;
	int64_t raise;
	int64_t raise_until_ns;
	int64_t roll_over;
	uint16_t thresholds[BE_THRESHOLDS_MAX];
	const char *zone; /* NULL, "UTC", or one that is five hours ahead (zone_ahead()) */
	const char *category;
	const char *description;
	const char *parent_namespace;
	const char *parent_category; /* set: as for parent_namespace the new name */
	struct be_filter filter;
};

/* Commits and transactions, with the names of their further envelopes and their labels as text. */
#define ALSO_TEXT (ALSO_MAX * 2 * (BE_NAME_SIZE + 2))
#define TAGS_TEXT (BE_LABELS_MAX * (BE_LABEL_KEY_SIZE + BE_LABEL_VALUE_SIZE))
struct commit_row {
	struct be_commit_info info;
	char also[ALSO_TEXT];
	char tags[TAGS_TEXT];
};
struct transaction_row {
	struct be_transaction transaction;
	char also[ALSO_TEXT];
	char tags[TAGS_TEXT];
};

/* Adds a name to such a text. */
void also_print(char also[ALSO_TEXT], const char *namespace_name, const char *category);
void tags_print(char tags[TAGS_TEXT], const char *key, const char *value);

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
