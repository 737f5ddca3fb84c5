/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an environment by what a user has given: a directory, or the URL of a server. */
#ifndef TOOLS_OPENING_H
#define TOOLS_OPENING_H

#include <budget_enforcer.h>

/* be_open(), also for "postgresql://..." and "redis://..." and their kin. Where the library for
 * that is not installed, be_last_error() says so. The connections last until the process ends. */
BE_MUST_USE enum be_status tool_open(const char *environment, struct be_options *options,
				     struct be_enforcer **handle);

/* What an environment is called when others may read it: a directory as it was given; a URL without
 * who logs in, and what may have a password behind a ?. Ends the tool when there is no memory; to
 * be freed. */
char *tool_name(const char *environment);

/* Is this the URL of a server? */
bool tool_is_server(const char *environment);

/* The storage in a server, which lasts until the process ends, as `url` must. A program may have
 * two of them. */
BE_MUST_USE enum be_status tool_connect(const char *url, struct be_storage **storage);

#endif
