/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes copied from an environment, kept small, and beside each what a view wants to know of
 * what is pending in it and below it. */
#ifndef GATHERING_H
#define GATHERING_H

#include "pack.h"

#include <budget_enforcer.h>

#define GATHERING_NONE SIZE_MAX

/* Begins zeroed, with `beside_size` set. */
struct gathering {
	size_t beside_size; /* of what is beside each envelope */
	struct pack pack;   /* the envelopes, in the library's order */
	size_t *places;     /* theirs in the pack */
	size_t count;
	size_t room;
	char *beside; /* zeroed once they are there */
};

/* Adds the envelopes that pass the filter. */
enum be_status gathering_fill(struct gathering *gathering, struct be_enforcer *handle,
			      const struct be_filter *filter);

/* An envelope by its number, 0 to count - 1, and what is beside it. */
void gathering_read(const struct gathering *gathering, size_t number, struct be_envelope *envelope);
void *gathering_beside(const struct gathering *gathering, size_t number);

/* The number of that envelope; GATHERING_NONE when there is none. */
size_t gathering_find(const struct gathering *gathering, const char *namespace_name,
		      const char *category);

/* Calls `add` for each pending commit, with what is beside its envelope and beside each
 * ancestor. */
enum be_status gathering_add_commits(const struct gathering *gathering, struct be_enforcer *handle,
				     void (*add)(void *beside,
						 const struct be_commit_info *commit));

void gathering_free(struct gathering *gathering);

#endif
