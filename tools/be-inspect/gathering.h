/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes copied from an environment, with what each view wants to know of what is pending below
 * them. */
#ifndef GATHERING_H
#define GATHERING_H

#include <budget_enforcer.h>

/* Begins empty, with `size` set: that of an element, whose first member is its struct
 * be_envelope. */
struct gathering {
	size_t size;
	char *elements; /* in the library's order; given back with free() */
	size_t count;
	size_t room;
};

/* Adds an element for each envelope that passes the filter; what follows the envelope in it is
 * zeroed. */
enum be_status gathering_fill(struct gathering *gathering, struct be_enforcer *handle,
			      const struct be_filter *filter);

/* The element of that envelope; NULL when there is none. */
void *gathering_find(const struct gathering *gathering, const char *namespace_name,
		     const char *category);

/* Calls `add` for each pending commit, with the element of its envelope and with that of each
 * ancestor. */
enum be_status gathering_add_commits(const struct gathering *gathering, struct be_enforcer *handle,
				     void (*add)(void *element,
						 const struct be_commit_info *commit));

#endif
