/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/remote/window.h"

#include "storage/remote/link.h"

#include <string.h>

int window_check(struct be_bytes from, struct be_bytes *before, struct be_bytes key)
{
	if (key.size == 0 || key.size > BE_STORAGE_KEY_MAX)
		return link_fail(BE_DAMAGED, "a key in the server is %s",
				 key.size == 0 ? "empty" : "too long");
	if (overlay_compare(key, from) < 0 || overlay_compare(key, *before) <= 0)
		return link_fail(BE_STORAGE_FAILED,
				 "the server lists keys that it was not asked for, or not in "
				 "their order");
	*before = key;
	return 0;
}

void window_take(struct window *window, struct be_bytes from, const struct be_bytes *last)
{
	window->is_known = true;
	window->is_end = !last;
	if (from.size > 0)
		memcpy(window->low, from.data, from.size);
	window->low_size = from.size;
	if (last) {
		memcpy(window->high, last->data, last->size);
		window->high_size = last->size;
	}
	if (window->most < WINDOW_MAX)
		window->most *= WINDOW_GROWTH;
}

static struct be_bytes low_of(const struct window *window)
{
	return (struct be_bytes){window->low, window->low_size};
}

static struct be_bytes high_of(const struct window *window)
{
	return (struct be_bytes){window->high, window->high_size};
}

static bool is_within(const struct window *window, struct be_bytes key)
{
	return window->is_known && overlay_compare(key, low_of(window)) >= 0 &&
	       (window->is_end || overlay_compare(key, high_of(window)) <= 0);
}

/* The first record that is known to be the first from `from` on. */
static const struct overlay_record *next_known(const struct window *window,
					       const struct overlay *overlay, struct be_bytes from)
{
	for (size_t i = overlay_seek(overlay, from); i < overlay->count; i++) {
		const struct overlay_record *record = overlay->records[i];

		if (!is_within(window, overlay_key(record)))
			break;
		if (overlay_shows(record))
			return record;
	}
	return NULL;
}

int window_next(struct window *window, const struct overlay *overlay, struct be_bytes from,
		struct be_bytes *key, struct be_bytes *value,
		int (*scan)(void *context, struct be_bytes from), void *context)
{
	unsigned char place[BE_STORAGE_KEY_MAX + 2];
	struct be_bytes at = {place, from.size};
	const struct overlay_record *known;

	if (from.size > BE_STORAGE_KEY_MAX + 1)
		return BE_STORAGE_NOT_FOUND;
	if (from.size > 0)
		memcpy(place, from.data, from.size);
	known = overlay_find(overlay, at);
	if (known && overlay_shows(known)) {
		/* Nothing can come before it. */
		*key = overlay_key(known);
		*value = overlay_value(known);
		return 0;
	}
	for (;;) {
		int status = is_within(window, at) ? 0 : scan(context, at);
		const struct overlay_record *record;

		if (status != 0)
			return status;
		record = next_known(window, overlay, at);
		if (record) {
			*key = overlay_key(record);
			*value = overlay_value(record);
			return 0;
		}
		if (window->is_end)
			return BE_STORAGE_NOT_FOUND;
		/* All up to `high` is gone. */
		memcpy(place, window->high, window->high_size);
		place[window->high_size] = 0;
		at.size = window->high_size + 1;
	}
}
