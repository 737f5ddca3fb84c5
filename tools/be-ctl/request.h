/* SPDX-License-Identifier: Apache-2.0 */
/* What was asked for on the command line. */
#ifndef REQUEST_H
#define REQUEST_H

#include "tokens.h"

#include <budget_enforcer.h>

struct answer;
struct request;

/* The options of all verbs. A set of them is a mask of 1 << option, in
 * 64 bits. */
enum request_option {
	OPTION_NAMESPACE,
	OPTION_CATEGORY,
	OPTION_ALSO,
	OPTION_LIMIT,
	OPTION_PERIOD,
	OPTION_PARENT,
	OPTION_PARENT_NAMESPACE,
	OPTION_NO_PARENT,
	OPTION_TO,
	OPTION_TO_NAMESPACE,
	OPTION_SUSPENDED,
	OPTION_START,
	OPTION_ZONE,
	OPTION_BEGINS_ON,
	OPTION_ROLL_OVER,
	OPTION_OBSERVE_ONLY,
	OPTION_ENFORCE,
	OPTION_RAISE,
	OPTION_UNTIL,
	OPTION_THRESHOLDS,
	OPTION_KEEP_WINDOW,
	OPTION_RELEASE,
	OPTION_AMOUNT,
	OPTION_LEAST,
	OPTION_TOKENS,
	OPTION_ANSWER,
	OPTION_PRICES,
	OPTION_MODEL,
	OPTION_ESTIMATE,
	OPTION_DESCRIPTION,
	OPTION_LABEL,
	OPTION_KEY,
	OPTION_TTL,
	OPTION_WAIT,
	OPTION_CHARGE_WHEN_REAPED,
	OPTION_COST_FD,
	OPTION_COST_FILE,
	OPTION_CHARGE_ON_FAILURE,
	OPTION_DEATH_SIGNAL,
	OPTION_EXEC,
	OPTION_ONCE,
	OPTION_HEARTBEAT,
	OPTION_TIMEOUT,
	OPTION_BEFORE,
	OPTION_SUMS_BEFORE,
	OPTION_ARCHIVE,
	OPTION_WARN,
	OPTION_CRITICAL,
	OPTION_ALL,
	OPTION_DRY_RUN,
	OPTION_PRUNE,
	OPTION_WHOLE,
	OPTION_DURABILITY,
	OPTION_MODE,
	OPTION_JSON,
	OPTION_COUNT,
};
/* Those that give an amount in tokens. */
#define REQUEST_IN_TOKENS                                                                          \
	(UINT64_C(1) << OPTION_TOKENS | UINT64_C(1) << OPTION_ANSWER |                             \
	 UINT64_C(1) << OPTION_PRICES | UINT64_C(1) << OPTION_MODEL)

/* What follows ENVIRONMENT. */
enum operands {
	OPERANDS_NONE,
	OPERANDS_ID,            /* ID */
	OPERANDS_ID_AMOUNT,     /* ID AMOUNT */
	OPERANDS_ID_MAY_AMOUNT, /* ID [AMOUNT] */
	OPERANDS_MAY_AMOUNT,    /* [AMOUNT] */
	OPERANDS_MAY_LIMIT,     /* [LIMIT] */
	OPERANDS_FILE,          /* FILE */
	OPERANDS_TARGET,        /* TARGET, a directory */
	OPERANDS_COMMAND,       /* [--] COMMAND [ARGUMENT...] */
};

struct verb {
	const char *name;
	const char *summary; /* for the list of verbs */
	const char *details; /* for the verb's own help; NULL: the summary says it all */
	uint64_t takes;      /* options */
	uint64_t needs;      /* those of them that must be given */
	enum operands operands;
	uint32_t open_flags;
	/* Most verbs are one call on an open environment, of which an answer tells. */
	enum be_status (*act)(const struct request *request, struct be_enforcer *handle,
			      struct answer *answer);
	/* The others do all by themselves and return the exit status. */
	int (*run)(const struct request *request);
};

struct request {
	const struct verb *verb;
	uint64_t given; /* options */
	const char *environment;
	const char *namespace_name; /* of the options, as are the next ones. NULL: not given */
	const char *category;
	struct be_envelope_name also[BE_ENVELOPES_MAX - 1];
	uint32_t also_count;
	struct be_label labels[BE_LABELS_MAX];
	uint32_t label_count;
	const char *parent_namespace;
	const char *new_category;
	const char *new_namespace;
	const char *parent_category;
	bool no_parent;
	const char *description;
	const char *key;
	const char *cost_file;
	const char *exec;
	const char *file; /* operands; TARGET, too */
	char **command;
	bool has_amount;
	int64_t amount; /* of --amount, --estimate, AMOUNT or what is given in tokens */
	struct tokens tokens;
	uint64_t id;
	int64_t limit;
	int64_t start_ns;
	int64_t before_ns;
	int64_t sums_before_ns; /* 0: not given */
	const char *archive;
	const char *zone;
	uint32_t begins_on;
	int64_t roll_over;
	int64_t least;
	int64_t raise;
	int64_t until_ns;
	uint16_t thresholds[BE_THRESHOLDS_MAX];
	uint64_t ttl_ms;
	int64_t wait_ms;     /* as be_commit_options has it */
	uint64_t timeout_ms; /* 0: none */
	bool heartbeat;
	int cost_fd;      /* -1: not given */
	int death_signal; /* 0: none */
	uint32_t mode;
	enum be_period period;
	enum be_durability durability;
	bool observe_only, enforce, keep_window, release;
	int64_t warn_ppm, critical_ppm; /* of the limit; 0: not given */
	bool all;
	bool suspended, charge_when_reaped, charge_on_failure, dry_run, prune, whole, once, json;
};

/* Parses what follows the verb, which argv[0] is; ends the process where that is wrong. */
void request_parse(const struct verb *verb, int argc, char **argv, struct request *request);

/* check --warn or --critical. */
bool request_is_alarm(const struct request *request);

#endif
