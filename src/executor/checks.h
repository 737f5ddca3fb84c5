/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What checks have read of a storage for which each trip counts, kept for a while
 * (be_options.check_age_ms).
 *
 * All that one check reads, in one txn, is noted as it goes by: each get and next with its answer.
 * A later check of the same envelope is made over these notes, by the same rules, at the time that
 * it is then. What was not asked before is not known, and the check makes its trip; so does each
 * that is not permitted, for a refusal has to be true now.
 *
 * An operation through the handle makes all notes old that were begun before it has ended. So
 * nobody who has its answer is told what was so before it.
 */
#ifndef CHECKS_H
#define CHECKS_H

#include "rules/rules.h"

struct checks;

struct checks *checks_make(int64_t age_ns);
void checks_free(struct checks *checks);

/* An operation has ended. */
void checks_outdate(struct checks *checks);

/* Is it permitted by what is known? False: it has to be asked for, and the question is as it was
 * but for its refusal. */
bool checks_permit(struct checks *checks, struct rules_question *question);

/* A read txn whose answers are noted. */
struct checks_reading {
	const struct be_storage *inner;
	struct be_storage storage; /* to be read instead of the inner one */
	uint64_t change;           /* how many operations had ended when it began */
	int64_t begun_ns;
	bool is_whole;
	size_t size;
	size_t room;
	unsigned char *bytes;
};

void checks_begin(struct checks *checks, const struct be_storage *storage,
		  struct checks_reading *reading);

/* After the txn: keeps the notes for that envelope if the check was permitted. Else there are none,
 * nor older ones: a refusal stops at the envelope that refuses. */
void checks_end(struct checks *checks, const struct record_key *key, enum be_status status,
		struct checks_reading *reading);

#endif
