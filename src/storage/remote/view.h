/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a txn on a server sees: the records that it has read, and over them its changes. Storages in
 * servers begin their txns with one, and have these functions in their tables; they bring what is
 * asked for, and send the changes.
 */
#ifndef VIEW_H
#define VIEW_H

#include "storage/remote/overlay.h"
#include "storage/remote/window.h"

struct view {
	bool write;
	bool is_begun; /* on the server */
	int64_t now_ns;
	uint64_t history; /* of a write txn; 0: not known */
	struct overlay overlay;
	struct window window;

	/* Makes sure that the txn is begun, and that something is known of each key. */
	int (*fetch)(struct view *view, const struct be_bytes *keys, size_t count);

	/* As window_next() wants it. */
	int (*scan)(void *view, struct be_bytes from);
};

/* What a txn asks for in one trip; none of it may be. */
struct question {
	const struct be_bytes *keys;
	size_t count;
	const struct be_bytes *from; /* of a scan */
};

/* The header's: each txn that changes anything reads it first. */
extern const struct be_bytes view_header_key;

/* `get`, `put`, `del`, `next`, `prefetch` and `history` of a storage. */
int view_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value);
int view_put(void *self, void *txn, struct be_bytes key, struct be_bytes value);
int view_del(void *self, void *txn, struct be_bytes key);
int view_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
	      struct be_bytes *value);
int view_prefetch(void *self, void *txn, const struct be_bytes *keys, size_t count);
int view_history(void *self, void *txn, uint64_t *history);

#endif
