/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage in a server that a test is given: tests over LMDB and memory run over the server at
 * the URL in BE_TEST_SERVER instead, where it is set (with-server sets it). "library:PATH" is a
 * storage of somebody else's, in a shared library that has
 *
 *     enum be_status storage_open(const char *name, struct be_storage **storage);
 *     void storage_close(struct be_storage *storage);
 *
 * Each name is another environment, empty at first; of the same name may be opened several at once.
 */
#ifndef PLACE_H
#define PLACE_H

#include <budget_enforcer_storage.h>

/* NULL: the test is given none. */
const char *place_server(void);

/* The storage of an environment of this name (lower-case letters, digits and _; NULL: the URL has
 * it) in the server at `url`, and the end of a storage in a server. */
enum be_status place_open(const char *url, const char *name, struct be_storage **storage);
void place_close(struct be_storage *storage);

#endif
