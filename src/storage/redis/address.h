/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an environment lies, as a URL says it:
 *
 *     redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?environment=NAME]
 *     rediss://...                      the same over TLS; &cacert=, &cert= and &key= name files
 *     redis+unix://[[USER]:PASSWORD@]/PATH/OF/SOCKET[?db=DATABASE&environment=NAME], or unix://...
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_NAME_SIZE 65

struct address {
	char *host; /* or the path of a socket */
	char *user; /* NULL: the default one */
	char *password;
	char *environment;
	char *cacert;
	char *cert;
	char *key;
	int port; /* 0: a socket */
	int database;
	bool has_tls;
	size_t size;
	char *bytes; /* of all of these */
};

/* Returns 0, BE_NO_MEMORY, or BE_INVALID_ARGUMENT with what is wrong as be_last_error(). */
int address_read(const char *url, struct address *address);

/* The password is gone from memory after that. */
void address_free(struct address *address);

#endif
