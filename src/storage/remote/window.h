/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking over what lies on a server: the part of the order that a txn has read, of which its
 * overlay knows each record, and what to read when a walk leaves it.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include "storage/remote/overlay.h"

/* Rows of a scan: more with each in a row, so that a look costs little, and a listing few trips. */
#define WINDOW_FIRST 16
#define WINDOW_GROWTH 8
#define WINDOW_MAX 4096

/* Records known without a gap: from `low` on, to `high` or, if `is_end`, to the last. */
struct window {
	bool is_known;
	bool is_end;
	uint32_t most; /* rows of the next scan */
	size_t low_size;
	size_t high_size;
	unsigned char low[BE_STORAGE_KEY_MAX + 1];
	unsigned char high[BE_STORAGE_KEY_MAX + 1];
};

/* Looks at the next key that a server lists from `from` on, in order: *before has the one before it
 * (.size 0: it is the first), and becomes it. A walk over anything else might never end. 0, or what
 * a storage returns. */
int window_check(struct be_bytes from, struct be_bytes *before, struct be_bytes key);

/* The records from `from` to `last` are in the overlay; `last` NULL: to the end. */
void window_take(struct window *window, struct be_bytes from, const struct be_bytes *last);

/* The `next` of a storage. `scan` reads what comes from `from` on into the overlay and the window,
 * or returns what a storage returns; `from` lies in no buffer of the window's. */
int window_next(struct window *window, const struct overlay *overlay, struct be_bytes from,
		struct be_bytes *key, struct be_bytes *value,
		int (*scan)(void *context, struct be_bytes from), void *context);

#endif
