/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a txn has read from a server and what it has changed: an ordered map from keys to records.
 * A record's bytes stay where they are until it is replaced or all is forgotten.
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include <budget_enforcer_storage.h>

enum overlay_state {
	OVERLAY_READ,    /* as it is on the server */
	OVERLAY_ABSENT,  /* it is not there */
	OVERLAY_PUT,     /* to be written */
	OVERLAY_DELETED, /* to be removed */
};

struct overlay_record {
	enum overlay_state state;
	uint32_t key_size;
	uint32_t value_size;
	unsigned char bytes[]; /* the key's, then the value's */
};

struct overlay {
	struct overlay_record **records; /* by key */
	size_t count;
	size_t room;
	size_t bytes; /* of all */
	size_t changes;
};

int overlay_compare(struct be_bytes a, struct be_bytes b);
struct be_bytes overlay_key(const struct overlay_record *record);
struct be_bytes overlay_value(const struct overlay_record *record);

/* Is there something for readers? */
static inline bool overlay_shows(const struct overlay_record *record)
{
	return record->state == OVERLAY_READ || record->state == OVERLAY_PUT;
}

/* The first place whose key is `key` or behind it. */
size_t overlay_seek(const struct overlay *overlay, struct be_bytes key);

/* NULL: nothing is known of it. */
struct overlay_record *overlay_find(const struct overlay *overlay, struct be_bytes key);

/* Copies both. What the txn has changed is not replaced by what was read. False: out of memory. */
bool overlay_set(struct overlay *overlay, struct be_bytes key, struct be_bytes value,
		 enum overlay_state state);

void overlay_forget(struct overlay *overlay);
void overlay_free(struct overlay *overlay);

#endif
