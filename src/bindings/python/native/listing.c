/* SPDX-License-Identifier: Apache-2.0 */
/* Listings, a page at a time: gathered without the GIL, and then made into a list of objects. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

/* More are asked for in another page. */
#define PAGE_MAX 1024

struct page_of_objects {
	char *items;
	size_t size; /* of one */
	size_t count, room;
};

static bool keep(struct page_of_objects *page, const void *item)
{
	memcpy(page->items + page->count * page->size, item, page->size);
	page->count++;
	return page->count < page->room;
}

static bool keep_envelope(void *page, const struct be_envelope *envelope)
{
	return keep(page, envelope);
}

static bool keep_commit(void *page, const struct be_commit_info *commit)
{
	return keep(page, commit);
}

static bool keep_transaction(void *page, const struct be_transaction *transaction)
{
	return keep(page, transaction);
}

static PyObject *make_list(const struct page_of_objects *page, PyTypeObject *type)
{
	PyObject *list = PyList_New((Py_ssize_t)page->count);

	for (size_t i = 0; list && i < page->count; i++) {
		PyObject *one = value_make(type);

		if (!one) {
			Py_CLEAR(list);
			break;
		}
		memcpy(&((struct decision_object *)one)->value, page->items + i * page->size,
		       page->size);
		(void)PyList_SetItem(list, (Py_ssize_t)i, one);
	}
	return list;
}

static enum be_status fill(struct be_enforcer *handle, const struct be_filter *filter,
			   const PyTypeObject *type, struct page_of_objects *page)
{
	if (type == envelope_type)
		return be_envelopes_each(handle, filter, keep_envelope, page);
	if (type == commit_type)
		return be_commits_each(handle, filter, keep_commit, page);
	return be_transactions_each(handle, filter, keep_transaction, page);
}

/* (count, namespace, category, since_ns, until_ns, after_id, after_namespace, after_category): the
 * first so many. */
static PyObject *list_page(struct enforcer_object *self, PyObject *arguments, PyTypeObject *type,
			   size_t size)
{
	struct be_filter filter = BE_FILTER_INIT;
	unsigned long long count = 0, after_id = 0;
	long long since_ns = 0, until_ns = 0;
	struct page_of_objects page = {.size = size};
	PyObject *list = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "KzzLLKzz", &count, &filter.namespace_name,
			      &filter.category, &since_ns, &until_ns, &after_id,
			      &filter.after_namespace, &filter.after_category))
		return NULL;
	page.room = count < 1 ? 1 : count > PAGE_MAX ? PAGE_MAX : (size_t)count;
	filter.since_ns = since_ns;
	filter.until_ns = until_ns;
	filter.after_id = after_id;
	filter.max_count = page.room;
	page.items = calloc(page.room, size);
	if (!page.items)
		return PyErr_NoMemory();
	if (!enforcer_enter(self)) {
		free(page.items);
		return NULL;
	}
	WITHOUT_GIL(status = fill(self->handle, &filter, type, &page));
	enforcer_leave(self);
	if (status == BE_OK || status == BE_STOPPED)
		list = make_list(&page, type);
	else
		(void)fail(status, NULL);
	free(page.items);
	return list;
}

PyObject *listing_envelopes(PyObject *self, PyObject *arguments)
{
	return list_page((struct enforcer_object *)self, arguments, envelope_type,
			 sizeof(struct be_envelope));
}

PyObject *listing_commits(PyObject *self, PyObject *arguments)
{
	return list_page((struct enforcer_object *)self, arguments, commit_type,
			 sizeof(struct be_commit_info));
}

PyObject *listing_transactions(PyObject *self, PyObject *arguments)
{
	return list_page((struct enforcer_object *)self, arguments, transaction_type,
			 sizeof(struct be_transaction));
}
