/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes copied from an environment, in little memory. Beside each envelope is what a view wants
 * to know of the commits that are pending in it and below it. */
#ifndef ENVELOPES_H
#define ENVELOPES_H

#include "arguments.h"
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
	char *beside;              /* zeroed once they are there */
	struct numbered *numbered; /* once one was looked for so */
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

/* The same by id, whatever it is called by now. */
size_t envelopes_find_id(struct envelopes *envelopes, uint64_t id);

/* The number of the envelope above that one; ENVELOPES_NONE when there is none. */
size_t envelopes_parent(const struct envelopes *envelopes, size_t number);

/* Whether it is the envelope of that name, or lies below it. */
bool envelopes_is_below(const struct envelopes *envelopes, size_t number,
			const char *namespace_name, const char *category);

/* Whether the envelope is there that --below names, if it does: nothing would be below it
 * otherwise. Says so. */
bool envelopes_has(const struct envelopes *envelopes, const struct arguments *arguments);

/* Calls `add` for each pending commit, with what is beside its envelope and beside each
 * ancestor. */
enum be_status envelopes_add_commits(const struct envelopes *envelopes, struct be_enforcer *handle,
				     void (*add)(void *beside,
						 const struct be_commit_info *commit));

void envelopes_free(struct envelopes *envelopes);

#endif
