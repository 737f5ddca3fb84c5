/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/remote/view.h"

const struct be_bytes view_header_key = {"\3", 1};

int view_prefetch(void *self, void *txn, const struct be_bytes *keys, size_t count)
{
	struct view *view = txn;

	(void)self;
	return view->fetch(view, keys, count);
}

int view_history(void *self, void *txn, uint64_t *history)
{
	struct view *view = txn;
	int status = view->is_begun ? 0 : view->fetch(view, &view_header_key, 1);

	(void)self;
	*history = view->history;
	return status;
}

int view_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct view *view = txn;
	const struct overlay_record *record = overlay_find(&view->overlay, key);

	(void)self;
	if (!record) {
		int status = view->fetch(view, &key, 1);

		if (status != 0)
			return status;
		record = overlay_find(&view->overlay, key);
	}
	if (!record || !overlay_shows(record))
		return BE_STORAGE_NOT_FOUND;
	*value = overlay_value(record);
	return 0;
}

int view_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct view *view = txn;
	int status = view->is_begun ? 0 : view->fetch(view, &view_header_key, 1);

	(void)self;
	if (status != 0)
		return status;
	return overlay_set(&view->overlay, key, value, OVERLAY_PUT) ? 0 : BE_NO_MEMORY;
}

int view_del(void *self, void *txn, struct be_bytes key)
{
	struct view *view = txn;
	struct be_bytes value;
	int status = view_get(self, txn, key, &value);

	if (status != 0)
		return status;
	return overlay_set(&view->overlay, key, (struct be_bytes){NULL, 0}, OVERLAY_DELETED)
		       ? 0
		       : BE_NO_MEMORY;
}

int view_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
	      struct be_bytes *value)
{
	struct view *view = txn;

	(void)self;
	return window_next(&view->window, &view->overlay, from, key, value, view->scan, view);
}
