/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of tests/patterns are as users write them, and open a directory by be_open(). Linked
 * with this and --wrap=be_open, the same objects open by a URL what is in a server: here is what
 * becomes of that call, and nothing else of theirs is different.
 */
#include "place.h"

#include <budget_enforcer_storage.h>
#include <stdlib.h>

/* The linker calls them so. */
enum be_status __real_be_open(const char *path, const struct be_options *options,
			      struct be_enforcer **handle);
enum be_status __wrap_be_open(const char *url, const struct be_options *options,
			      struct be_enforcer **handle);

static struct be_storage *server; /* a program opens one environment, as often as it likes */

static void close_server(void)
{
	place_close(server);
}

enum be_status __wrap_be_open(const char *url, const struct be_options *options,
			      struct be_enforcer **handle)
{
	struct be_options in_server = BE_OPTIONS_INIT;
	enum be_status status;

	if (options)
		in_server = *options;
	if (!server) {
		status = place_open(url, NULL, &server);
		if (status != BE_OK)
			return status;
		atexit(close_server);
	}
	in_server.storage = server;
	return __real_be_open(NULL, &in_server, handle);
}
