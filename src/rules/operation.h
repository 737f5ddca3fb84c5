/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations are values: every change to an environment is one struct operation, applied by
 * rules_apply() to a storage txn, giving one struct result. Both are plain data without pointers,
 * so that they can be batched, replayed, compared with a model and carried between processes.
 */
#ifndef OPERATION_H
#define OPERATION_H

#include "records/labels.h"
#include "records/name.h"
#include "sharing/owner.h"

#define FURTHER_NAMES_MAX ((BE_ENVELOPES_MAX - 1) * NAME_PACKED_MAX)

struct operation {
	enum be_operation kind;
	enum be_period period;           /* create, ensure, set */
	enum be_reap_policy reap_policy; /* commit */
	enum be_commit_state reap_as;    /* reap: BE_COMMIT_EXPIRED or BE_COMMIT_ORPHANED */
	bool detached;                   /* commit */
	bool suspended;                  /* create, ensure, set */
	bool observe_only;               /* create, ensure, set */
	bool has_description;            /* settle, charge: else the commit's own is kept */
	uint8_t by_storage_clock;        /* its times are of the storage's clock, if it has one */
	uint8_t by_lease;                /* reap as orphaned: the owner is of another host, whose
	                                    lease has ended */
	bool unasked;                    /* release: no caller hears what becomes of it */
	uint8_t begins_on;               /* create, ensure, set; as for zone */
	uint8_t zone_size;
	uint8_t key_size; /* commit, record, settle, charge, correct: of the request; 0: none */
	uint8_t threshold_count; /* set */
	uint8_t further_count;   /* commit, record: envelopes named beside `name`; set: 1 with a new
	                            name */
	uint8_t label_count;     /* commit, record, settle, charge */
	uint16_t further_size;   /* bytes of their names */
	uint16_t labels_size;
	uint16_t description_size;
	uint32_t mask; /* set: enum be_setting */
	int64_t now_ns;
	int64_t amount;          /* a limit for create, ensure, set and set-limit */
	int64_t least;           /* commit; 0: the whole amount */
	int64_t deadline_ns;     /* commit, extend; 0: none */
	int64_t period_start_ns; /* create, ensure; 0: now */
	int64_t raise;           /* set, as is the next one */
	int64_t raise_until_ns;
	int64_t roll_over;    /* create, ensure, set */
	uint64_t id;          /* release, settle, charge, extend, reap: of the commit; correct,
	                            alert-done: of the transaction, of the alert */
	uint64_t request_sum; /* with a key: of all that is asked for, see operation_sum() */
	int64_t key_until_ns; /* with a key: when the request is forgotten; 1 or more */
	uint64_t heard;       /* on a server: the last batch of the group's in which something of
	                            its process was acknowledged; 0: none */
	struct owner owner;   /* commit: who holds it; reap as orphaned: who was found dead */
	struct name name;     /* of the envelope, where no id names it; with a key always its
	                            namespace */
	struct name parent;   /* create, ensure, set; its category is empty: none */
	struct name hint;     /* where an id names it: of the envelope, to be read ahead. Nothing
	                            hinges on it */
	uint16_t thresholds[BE_THRESHOLDS_MAX]; /* set: zeroes behind the last */
	char zone[BE_ZONE_SIZE];                /* its name */
	/* Of create, ensure and set the packed zone, if it is another than UTC. */
	char description[BE_DESCRIPTION_SIZE];
	char key[BE_KEY_SIZE];              /* undefined if there is none */
	uint8_t further[FURTHER_NAMES_MAX]; /* as name_pack() packs them, one behind the other */
	uint8_t labels[LABELS_PACKED_MAX];  /* as labels_pack() packs them */
};

/* Why a check, commit or extension was refused as SUSPENDED or EXCEEDS_BUDGET: the envelope that
 * refused it as it then was. */
struct refusal {
	uint64_t tally;  /* its, in be-counts; 0: none refused */
	uint64_t reaped; /* EXCEEDS_BUDGET: commits reaped before, in the whole environment */
	int64_t asked;   /* what would have had to be available: for an extension, the difference */
	int64_t limit;
	int64_t spent;
	int64_t committed;
	int64_t window_end_ns; /* 0: never */
};

/* Would it be otherwise if less were committed? */
static inline bool refusal_hinges_on_commits(const struct refusal *refusal)
{
	return refusal->asked <= refusal->limit - refusal->spent;
}

/* And may that come to pass? More than the limit does not fit into an empty window, either. */
static inline bool refusal_may_pass(const struct refusal *refusal)
{
	return refusal->asked <= refusal->limit;
}

struct result {
	enum be_status status;
	bool has_envelope;
	bool made;                   /* ensure: it was not there before */
	bool repeated;               /* nothing was done: the answer is that to the same request
	                                before */
	uint64_t commit_id;          /* 0: none */
	uint64_t tally;              /* ensure, set: of the envelope, in be-counts */
	uint64_t next_alert_id;      /* in that txn; 0: it was not looked at */
	struct refusal refusal;      /* commit, extend: when an envelope refused */
	int64_t held;                /* release, reap: what the commit had reserved; commit: what it
	                                was granted of its amount, if not all */
	struct be_decision decision; /* commit, extend: filled whenever the envelope was found */
	struct be_envelope envelope; /* as it is afterwards, if has_envelope */
	struct be_transaction transaction; /* id 0: none was written */
};

/* May the rules be given this operation? They check no more. What a caller gave has been checked
 * before, with texts for people; this is for operations from a file that other processes write, and
 * for assertions. It can be asked about any bytes, also those of the bools. */
bool operation_is_valid(const struct operation *operation);

/* May it leave more available than there was? */
static inline bool operation_frees(const struct operation *operation)
{
	return operation->kind != BE_OPERATION_COMMIT && operation->kind != BE_OPERATION_RECORD;
}

/* A sum of all that a request with a key asks for: alike for the same request, whenever it is
 * made. */
uint64_t operation_sum(const struct operation *operation);

/* It is carried out at a later time than it was made for: what is to end some time after that does
 * so later. Never goes back. */
void operation_move_to(struct operation *operation, int64_t now_ns);

/* Copies an operation into shared memory, and of its texts only what is in use. */
void operation_post(struct operation *shared, const struct operation *operation);

/* The same from there; false when the copy is not valid. */
bool operation_take(struct operation *copy, const struct operation *shared);

/* The same for a result: its status is one that an operation can have, its texts end, and each bool
 * is 0 or 1. */
bool result_is_valid(const struct result *result);

/* Copies a result, without the transaction where there is none. */
void result_copy(struct result *to, const struct result *from);

#endif
