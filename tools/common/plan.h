/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be done so that an environment becomes what a file declares. */
#ifndef PLAN_H
#define PLAN_H

#include "declaration.h"

struct texts;

/* An envelope that is there and not declared. Kept small, since there may be a million. */
struct other {
	const char *namespace_name;
	const char *category;
	const char *parent_namespace; /* NULL: no parent; likewise the category */
	const char *parent_category;
	const char *stays_below; /* an envelope that would be left below it; NULL: none */
	int64_t limit, spent, committed;
	bool has_commits;
	bool is_removed; /* in the plan */
	uint8_t depth;   /* of its chain */
};

/* Goes with the change of the same index. */
struct plan_step {
	const struct declared *declared; /* NULL: it is not, and is to be removed */
	int64_t limit, spent;            /* set-limit, remove: before */
	bool is_half; /* set: it leaves its parent, and a later step brings it below another */
	const char *from_namespace; /* set: its parent before; NULL: none */
	const char *from_category;
};

enum note_kind {
	NOTE_START, /* its windows begin otherwise than is declared */
	NOTE_LEFT,  /* it is not declared and keeps what is spent, while others are created beside
	              it */
};

/* What differs, and is not changed. */
struct note {
	enum note_kind kind;
	const char *namespace_name;
	const char *category;
	int64_t limit, spent, committed; /* LEFT */
	int64_t start_ns, declared_ns;   /* START: of the current window, and what the file says */
};

struct plan {
	struct be_envelope_change *changes;
	struct plan_step *steps;
	size_t count, room;
	struct note *notes;
	size_t note_count;
	struct other *others; /* in order of namespace and category */
	size_t other_count;
	struct options_block *options; /* what the changes point to, */
	struct new_parent *moves;      /* and this, too */
	struct texts *texts;
};

/* Plans for the environment behind `handle`; NULL is one that does not exist yet. BE_OK, or a fault
 * of the library's; what cannot be done is complained of in the declaration's name. To be freed in
 * any case. */
enum be_status plan_make(struct plan *plan, struct declaration *declaration,
			 struct be_enforcer *handle, bool prune);
void plan_free(struct plan *plan);

#endif
