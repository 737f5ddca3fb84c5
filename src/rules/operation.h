/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations are values: every change to an environment is one struct operation, applied by
 * rules_apply() to a storage txn, giving one struct result. Both are plain data without pointers,
 * so that they can be batched, replayed, compared with a model and carried between processes.
 */
#ifndef OPERATION_H
#define OPERATION_H

#include "records/name.h"
#include "sharing/owner.h"

struct operation {
	enum be_operation kind;
	enum be_period period;           /* create, ensure */
	enum be_reap_policy reap_policy; /* commit */
	enum be_commit_state reap_as;    /* reap: BE_COMMIT_EXPIRED or BE_COMMIT_ORPHANED */
	bool detached;                   /* commit */
	bool suspended;                  /* create, ensure */
	bool has_description;            /* settle: else the commit's own is kept */
	uint16_t description_size;
	int64_t now_ns;
	int64_t amount;          /* a limit for create, ensure and set-limit */
	int64_t deadline_ns;     /* commit, extend; 0: none */
	int64_t period_start_ns; /* create, ensure; 0: now */
	uint64_t id;             /* release, settle, extend, reap: of the commit */
	struct owner owner;      /* commit: who holds it; reap as orphaned: who was found dead */
	struct name name;        /* of the envelope, where no id names it */
	struct name parent;      /* create, ensure */
	char description[BE_DESCRIPTION_SIZE];
};

struct result {
	enum be_status status;
	bool has_envelope;
	uint64_t commit_id; /* 0: none */
	uint64_t refuser;   /* commit, extend: tally of the envelope that refused, if one did */
	int64_t held;       /* release, reap: what the commit had reserved */
	struct be_decision decision; /* commit, extend: filled whenever the envelope was found */
	struct be_envelope envelope; /* as it is afterwards, if has_envelope */
	struct be_transaction transaction; /* id 0: none was written */
};

#endif
