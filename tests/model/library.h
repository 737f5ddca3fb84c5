/* SPDX-License-Identifier: Apache-2.0 */
/* The library over one storage or another, as somebody who answers the calls of a model test. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include "call.h"

enum library_storage {
	LIBRARY_LMDB, /* a new environment in the test's directory, with process durability */
	LIBRARY_LMDB_DIRECT, /* the same without group commit */
	LIBRARY_MEMORY,
};

/* Does the library learn of dead workers over this storage? */
bool library_sees_deaths(enum library_storage storage);

struct library;

/* Opens a new, empty environment at a time, with a handle on each namespace. */
struct library *library_create(enum library_storage storage, int64_t now_ns);

/* Closes the handles and removes the environment. */
void library_destroy(struct library *library);

/* Calls the library, with outputs that held rubbish before. `answer` is empty before. */
void library_answer(struct library *library, const struct call *call, struct answer *answer);

/* What be_verify() found wrong in the last call of that kind; "" if nothing. */
const char *library_finding(const struct library *library);

#endif
