/* SPDX-License-Identifier: Apache-2.0 */
/* May this be spent? One function through which every change goes, and one that only asks. */
#ifndef RULES_H
#define RULES_H

#include "records/ledger.h"
#include "rules/operation.h"

/*
 * Applies an operation (any kind but check) within a write txn of `ledger` and fills `result`. Pure
 * of I/O, of locks and of clocks: the same records and the same operation give the same result.
 *
 * A result whose status is not BE_OK has written nothing: everything is checked before the first
 * record is put. The value returned is BE_OK even then; a negative one is a fault of the storage or
 * of its records, after which the txn must be aborted, since it may be half done. result->status is
 * then the same fault.
 */
enum be_status rules_apply(struct ledger *ledger, const struct operation *operation,
			   struct result *result);

/* The time of a check, which is not read unless an envelope with a period is met. */
struct rules_moment {
	int64_t (*read)(const void *context); /* NULL: now_ns it is */
	const void *context;
	int64_t now_ns;
};

/* A check: what is asked, and what is answered. */
struct rules_question {
	const struct record_key *key; /* of the envelope */
	int64_t amount;
	struct rules_moment moment;

	struct be_decision *decision; /* may be NULL. Its size is left alone, and on a fault what it
	                                 holds is undefined */
	struct be_envelope
		*after; /* if not NULL, the envelope asked about, if has_envelope says so */
	bool has_envelope;
	struct refusal refusal; /* when an envelope refused */
	struct name refuser;    /* its name; or the name that was asked for, when there is none */
};

/* Would a commit be granted? For a read txn. For the key of a name that is not valid the answer is
 * BE_NO_ENVELOPE, the decision names none, and refuser.category_size is 0. */
enum be_status rules_check(struct ledger *ledger, struct rules_question *question);

/* Ends a raise, and brings an envelope to the window that `now_ns` lies in; transactions count for
 * it from `next_transaction_id` on. A clock that stands before the window changes nothing. */
enum be_status rules_roll_over_now(struct ledger *ledger, struct envelope *envelope, int64_t now_ns,
				   uint64_t next_transaction_id);
static inline enum be_status rules_roll_over(struct ledger *ledger, struct envelope *envelope,
					     int64_t now_ns, uint64_t next_transaction_id)
{
	if ((envelope->period_end_ns == 0 || now_ns < envelope->period_end_ns) &&
	    envelope->raise_until_ns == 0)
		return BE_OK; /* as it is as good as always */
	return rules_roll_over_now(ledger, envelope, now_ns, next_transaction_id);
}

/* BE_OK for a pending commit; otherwise how it refuses to be ended again. */
enum be_status rules_commit_status(const struct commit *commit);

/* An envelope, rolled over, as callers see it. */
void rules_describe_envelope(const struct envelope *envelope, struct be_envelope *description);

/* A transaction of the ledger, in the same way. */
void rules_describe_transaction(const struct transaction *transaction,
				struct be_transaction *description);
void rules_describe_alert(const struct alert *alert, struct be_alert *description);

#endif
