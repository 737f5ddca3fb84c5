/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/remote/overlay.h"

#include <stdlib.h>
#include <string.h>

int overlay_compare(struct be_bytes a, struct be_bytes b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

struct be_bytes overlay_key(const struct overlay_record *record)
{
	return (struct be_bytes){record->bytes, record->key_size};
}

struct be_bytes overlay_value(const struct overlay_record *record)
{
	return (struct be_bytes){record->bytes + record->key_size, record->value_size};
}

size_t overlay_seek(const struct overlay *overlay, struct be_bytes key)
{
	size_t from = 0, to = overlay->count;

	/* What is read in order comes behind all that is there. */
	if (to > 0 && overlay_compare(overlay_key(overlay->records[to - 1]), key) < 0)
		return to;
	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (overlay_compare(overlay_key(overlay->records[middle]), key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool is_at(const struct overlay *overlay, size_t at, struct be_bytes key)
{
	return at < overlay->count && overlay_compare(overlay_key(overlay->records[at]), key) == 0;
}

struct overlay_record *overlay_find(const struct overlay *overlay, struct be_bytes key)
{
	size_t at = overlay_seek(overlay, key);

	return is_at(overlay, at, key) ? overlay->records[at] : NULL;
}

static size_t size_of(const struct overlay_record *record)
{
	return sizeof *record + record->key_size + record->value_size;
}

static bool is_change(enum overlay_state state)
{
	return state == OVERLAY_PUT || state == OVERLAY_DELETED;
}

static struct overlay_record *make_record(struct be_bytes key, struct be_bytes value,
					  enum overlay_state state)
{
	struct overlay_record *made = malloc(sizeof *made + key.size + value.size);

	if (!made)
		return NULL;
	made->state = state;
	made->key_size = (uint32_t)key.size;
	made->value_size = (uint32_t)value.size;
	if (key.size > 0)
		memcpy(made->bytes, key.data, key.size);
	if (value.size > 0)
		memcpy(made->bytes + key.size, value.data, value.size);
	return made;
}

static bool make_room(struct overlay *overlay)
{
	size_t room = overlay->room ? 2 * overlay->room : 64;
	struct overlay_record **records;

	if (overlay->count < overlay->room)
		return true;
	records = reallocarray(overlay->records, room, sizeof(struct overlay_record *));
	if (!records)
		return false;
	overlay->records = records;
	overlay->room = room;
	return true;
}

bool overlay_set(struct overlay *overlay, struct be_bytes key, struct be_bytes value,
		 enum overlay_state state)
{
	size_t at = overlay_seek(overlay, key);
	bool replaces = is_at(overlay, at, key);
	struct overlay_record *record;

	/* What was read before is the same, and may be in use. */
	if (replaces && !is_change(state))
		return true;
	if (!replaces && !make_room(overlay))
		return false;
	record = make_record(key, value, state);
	if (!record)
		return false;
	if (replaces) {
		overlay->changes -= is_change(overlay->records[at]->state);
		overlay->bytes -= size_of(overlay->records[at]);
		free(overlay->records[at]);
	} else {
		memmove(overlay->records + at + 1, overlay->records + at,
			(overlay->count - at) * sizeof(struct overlay_record *));
		overlay->count++;
	}
	overlay->records[at] = record;
	overlay->changes += is_change(state);
	overlay->bytes += size_of(record);
	return true;
}

void overlay_forget(struct overlay *overlay)
{
	for (size_t i = 0; i < overlay->count; i++)
		free(overlay->records[i]);
	overlay->count = 0;
	overlay->bytes = 0;
	overlay->changes = 0;
}

void overlay_free(struct overlay *overlay)
{
	overlay_forget(overlay);
	free(overlay->records);
}
