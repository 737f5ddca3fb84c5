/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of server is, for server.c: each has a file that has these. */
#ifndef KIND_H
#define KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server_kind {
	const char *name;
	const char *directory; /* a template for mkdtemp(): short, since it goes into an address */
	const char *user;      /* whom it runs as when the test is root's; NULL: root */
	const char *socket;    /* the name of its socket */

	/* Looks for the programs, or skips the test. */
	void (*find)(void);

	/* Makes its files; its program and arguments, the last of which is NULL. */
	void (*make)(const char *mode);
	const char *const *(*arguments)(void);

	/* The URL by the socket in a directory. */
	void (*url)(const char *directory, char *text, size_t size);

	/* A standby of the running server, which was made with the mode "primary", in the folder
	 * "standby" of its directory: makes its files; its program and arguments. */
	const char *const *(*standby)(void);

	/* Waits until the standby has all that the server has; `synchronise`: and has the server
	 * wait for it from now on before it answers (NULL: it cannot). `part`: it hears of nothing
	 * more. `promote`: it is a server of its own. */
	void (*catch_up)(void);
	void (*synchronise)(void);
	void (*part)(void);
	void (*promote)(void);

	/* Of what a client sends: does it commit changes, and is it one that is waited for?
	 * `answered`: the server has sent something since the client did before. */
	bool (*commits)(const char *bytes, size_t size);
	bool (*is_trip)(const char *bytes, size_t size, bool answered);
};

extern const struct server_kind server_kind;

/* Runs a program as the server's user, to its end. */
void server_run(const char *const *arguments);

#endif
