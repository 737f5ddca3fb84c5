/* SPDX-License-Identifier: Apache-2.0 */
/* prune --archive: the lines of the ledger that are to be removed, written to a file before. */
#ifndef ARCHIVE_H
#define ARCHIVE_H

#include "request.h"

/* Writes all transactions charged before request->before_ns up to the first that is younger, as
 * be-inspect transactions --csv does, to the file request->archive, which must not be there: it
 * appears when it is whole and flushed. *below_id is one more than the last id that is in it; 1
 * when there is nothing to be written, and then there is no file. NULL, or a sentence that says
 * what is wrong, to be given back with free(); *status says so, too. */
char *archive_write(const struct request *request, struct be_enforcer *handle, uint64_t *below_id,
		    enum be_status *status);

#endif
