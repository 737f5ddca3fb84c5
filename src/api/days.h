/* SPDX-License-Identifier: Apache-2.0 */
/* What pruning removes, added up by UTC day, kind and the envelopes named: for one step in memory,
 * then in the storage. */
#ifndef DAYS_H
#define DAYS_H

#include "records/ledger.h"

/* Transactions of one day and kind that named the same envelopes, of the same id. */
struct day_group {
	int64_t day;
	enum be_transaction_kind kind;
	uint16_t names_size;
	size_t names; /* where they begin */
	uint64_t number;
	int64_t amount;
	uint64_t count;
	int64_t first_ns, last_ns;
	uint64_t envelope_id; /* of that named first */
};

/* Begins zeroed. */
struct days {
	struct day_group *groups;
	size_t count, room;
	uint32_t *places; /* one more than an index into `groups`; 0: empty */
	size_t place_count;
	uint8_t *names;
	size_t names_size, names_room;
};

/* `names` are packed, as those of struct day_sum. NO_MEMORY, and nothing has changed then. */
enum be_status days_add(struct days *days, const struct transaction *transaction,
			const uint8_t *names, size_t names_size);

/* Adds all of them to what lies in the storage, in a write txn. */
enum be_status days_fold(struct ledger *ledger, const struct days *days);

/* Forgets all, and keeps the memory for others; gives the memory back. */
void days_clear(struct days *days);
void days_free(struct days *days);

#endif
