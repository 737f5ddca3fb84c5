/* SPDX-License-Identifier: Apache-2.0 */
/* Copies all records of one storage into another. */
#ifndef API_COPY_H
#define API_COPY_H

#include <budget_enforcer_storage.h>

/* As be_copy(), which has it. Neither storage may have a txn open in this thread. */
enum be_status copy_records(const struct be_storage *from, const struct be_storage *storage,
			    bool (*progress)(void *context, uint64_t records), void *context);

#endif
