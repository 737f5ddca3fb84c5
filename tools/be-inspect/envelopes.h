/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes copied from an environment, in little memory. Beside each envelope is what a view wants
 * to know of the commits that are pending in it and below it. */
#ifndef ENVELOPES_H
#define ENVELOPES_H

#include "pack.h"

#include <budget_enforcer.h>

#define ENVELOPES_NONE SIZE_MAX

/* Begins zeroed, with `beside_size` set. */
struct envelopes {
	size_t beside_size; /* of what is beside each envelope */
	struct pack pack;   /* the envelopes, in the library's order */
	size_t *places;     /* theirs in the pack */
	size_t count;
	size_t room;
	char *beside; /* zeroed once they are there */
};

/* Adds the envelopes that pass the filter. */
enum be_status envelopes_fill(struct envelopes *envelopes, struct be_enforcer *handle,
			      const struct be_filter *filter);

/* An envelope by its number, 0 to count - 1, and what is beside it. */
void envelopes_read(const struct envelopes *envelopes, size_t number, struct be_envelope *envelope);
void *envelopes_beside(const struct envelopes *envelopes, size_t number);

/* The number of that envelope; ENVELOPES_NONE when there is none. */
size_t envelopes_find(const struct envelopes *envelopes, const char *namespace_name,
		      const char *category);

/* Calls `add` for each pending commit, with what is beside its envelope and beside each
 * ancestor. */
enum be_status envelopes_add_commits(const struct envelopes *envelopes, struct be_enforcer *handle,
				     void (*add)(void *beside,
						 const struct be_commit_info *commit));

void envelopes_free(struct envelopes *envelopes);

#endif
