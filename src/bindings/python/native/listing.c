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
	bool grows;              /* its room is no bound */
	struct item_note *notes; /* of those that have any */
	size_t note_count;
	bool failed; /* there was no memory for them */
};

static bool run_out(struct page_of_objects *page)
{
	page->failed = true;
	return false;
}

/* Makes room for the first items, and enters the handle. False: an exception is set. */
static bool begin(struct page_of_objects *page, struct enforcer_object *self)
{
	page->items = calloc(page->room, page->size);
	if (!page->items)
		(void)PyErr_NoMemory();
	if (page->items && enforcer_enter(self))
		return true;
	free(page->items);
	return false;
}

static bool keep(struct page_of_objects *page, const void *item)
{
	if (page->count == page->room) {
		char *items = realloc(page->items, 2 * page->room * page->size);

		if (!items)
			return run_out(page);
		page->items = items;
		page->room *= 2;
	}
	memcpy(page->items + page->count * page->size, item, page->size);
	page->count++;
	return page->grows || page->count < page->room;
}

/* ---- notes: what items point at is valid in the callback only */

static bool fill_note(struct item_note *note, const struct be_label *labels, uint32_t label_count,
		      const struct be_envelope_name *also, uint32_t also_count)
{
	char *at = malloc(label_count * (size_t)(BE_LABEL_KEY_SIZE + BE_LABEL_VALUE_SIZE) +
			  also_count * (size_t)(2 * BE_NAME_SIZE));

	if (!at)
		return false;
	note->texts = at;
	note->label_count = label_count;
	note->also_count = also_count;
	for (uint32_t i = 0; i < label_count; i++) {
		at = stpcpy(at, labels[i].key) + 1;
		at = stpcpy(at, labels[i].value) + 1;
	}
	for (uint32_t i = 0; i < also_count; i++) {
		at = stpcpy(at, also[i].namespace_name) + 1;
		at = stpcpy(at, also[i].category) + 1;
	}
	return true;
}

static bool keep_note(struct page_of_objects *page, const struct be_label *labels,
		      uint32_t label_count, const struct be_envelope_name *also,
		      uint32_t also_count)
{
	struct item_note *notes = NULL;

	if (label_count + also_count == 0)
		return true;
	notes = realloc(page->notes, (page->note_count + 1) * sizeof *notes);
	if (!notes)
		return run_out(page);
	page->notes = notes;
	notes[page->note_count] = (struct item_note){.item = page->count};
	if (!fill_note(&notes[page->note_count], labels, label_count, also, also_count))
		return run_out(page);
	page->note_count++;
	return true;
}

struct wanted_note {
	struct item_note *note;
	uint64_t transaction_id;
	enum be_status status;
};

/* A line that was pruned has none: what comes is then another. */
static bool note_transaction(void *context, const struct be_transaction *one)
{
	struct wanted_note *wanted = context;

	if (one->id == wanted->transaction_id &&
	    !fill_note(wanted->note, one->labels, one->label_count, one->also, one->also_count))
		wanted->status = BE_NO_MEMORY;
	return false;
}

void note_read(struct be_enforcer *handle, const struct be_transaction *transaction,
	       struct item_note *note)
{
	struct wanted_note wanted = {note, transaction->id, BE_OK};
	struct be_filter filter = BE_FILTER_INIT;
	enum be_status status = BE_OK;

	if (transaction->label_count + transaction->also_count == 0)
		return;
	filter.after_id = transaction->id - 1;
	filter.max_count = 1;
	status = be_transactions_each(handle, &filter, note_transaction, &wanted);
	note->status = status == BE_OK || status == BE_STOPPED ? wanted.status : status;
}

/* The next two texts, as a tuple. */
static PyObject *take_pair(const char **at)
{
	const char *first = *at, *second = first + strlen(first) + 1;

	*at = second + strlen(second) + 1;
	return Py_BuildValue("(ss)", first, second);
}

bool note_give(const struct item_note *note, PyObject *object)
{
	struct value_notes *notes = value_notes(object);
	const char *at = note->texts;
	PyObject *labels = note->label_count != 0 ? PyDict_New() : NULL;
	PyObject *also = note->also_count != 0 ? PyTuple_New(note->also_count) : NULL;
	bool good = true;

	for (uint32_t i = 0; labels && good && i < note->label_count; i++) {
		PyObject *pair = take_pair(&at);

		good = pair && PyDict_SetItem(labels, PyTuple_GetItem(pair, 0),
					      PyTuple_GetItem(pair, 1)) == 0;
		Py_XDECREF(pair);
	}
	for (uint32_t i = 0; also && good && i < note->also_count; i++) {
		PyObject *pair = take_pair(&at);

		good = pair && PyTuple_SetItem(also, (Py_ssize_t)i, pair) == 0;
	}
	good = good && (note->label_count == 0 || labels) && (note->also_count == 0 || also);
	if (!good) {
		Py_CLEAR(labels);
		Py_CLEAR(also);
	}
	notes->labels = labels;
	notes->also = also;
	notes->status = good ? note->status : BE_NO_MEMORY;
	return good;
}

void note_free(struct item_note *note)
{
	free(note->texts);
	note->texts = NULL;
}

/* ---- one kind after the other */

static bool keep_envelope(void *page, const struct be_envelope *envelope)
{
	return keep(page, envelope);
}

static bool keep_commit(void *page, const struct be_commit_info *commit)
{
	return keep_note(page, commit->labels, commit->label_count, commit->also,
			 commit->also_count) &&
	       keep(page, commit);
}

static bool keep_transaction(void *page, const struct be_transaction *transaction)
{
	return keep_note(page, transaction->labels, transaction->label_count, transaction->also,
			 transaction->also_count) &&
	       keep(page, transaction);
}

static bool keep_daily_sum(void *page, const struct be_daily_sum *sum)
{
	return keep_note(page, NULL, 0, sum->also, sum->also_count) && keep(page, sum);
}

static bool keep_alert(void *page, const struct be_alert *alert)
{
	return keep(page, alert);
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
	for (size_t i = 0; list && i < page->note_count; i++)
		if (!note_give(&page->notes[i],
			       PyList_GetItem(list, (Py_ssize_t)page->notes[i].item)))
			Py_CLEAR(list);
	return list;
}

/* The list, or an exception; the page is empty afterwards. */
static PyObject *finish(struct page_of_objects *page, PyTypeObject *type, enum be_status status)
{
	PyObject *list = NULL;

	if (page->failed)
		(void)PyErr_NoMemory();
	else if (status == BE_OK || status == BE_STOPPED)
		list = make_list(page, type);
	else
		(void)fail(status, NULL);
	for (size_t i = 0; i < page->note_count; i++)
		note_free(&page->notes[i]);
	free(page->notes);
	free(page->items);
	return list;
}

static enum be_status fill(struct be_enforcer *handle, const struct be_filter *filter,
			   const PyTypeObject *type, struct page_of_objects *page)
{
	if (type == envelope_type)
		return be_envelopes_each(handle, filter, keep_envelope, page);
	if (type == commit_type)
		return be_commits_each(handle, filter, keep_commit, page);
	if (type == alert_type)
		return be_alerts_each(handle, filter, keep_alert, page);
	return be_transactions_each(handle, filter, keep_transaction, page);
}

/* (count, namespace, category, since_ns, until_ns, after_id, after_namespace, after_category,
 * labels): the first so many. */
static PyObject *list_page(struct enforcer_object *self, PyObject *arguments, PyTypeObject *type,
			   size_t size)
{
	struct be_filter filter = BE_FILTER_INIT;
	unsigned long long count = 0, after_id = 0;
	long long since_ns = 0, until_ns = 0;
	struct page_of_objects page = {.size = size};
	PyObject *labels = NULL;
	struct given_labels given;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "KzzLLKzz|O", &count, &filter.namespace_name,
			      &filter.category, &since_ns, &until_ns, &after_id,
			      &filter.after_namespace, &filter.after_category, &labels) ||
	    !labels_read(labels, true, &given))
		return NULL;
	filter.labels = given.labels;
	filter.label_count = given.count;
	page.room = count < 1 ? 1 : count > PAGE_MAX ? PAGE_MAX : (size_t)count;
	filter.since_ns = since_ns;
	filter.until_ns = until_ns;
	filter.after_id = after_id;
	filter.max_count = page.room;
	if (!begin(&page, self)) {
		Py_XDECREF(given.kept);
		return NULL;
	}
	WITHOUT_GIL(status = fill(self->handle, &filter, type, &page));
	enforcer_leave(self);
	Py_XDECREF(given.kept);
	return finish(&page, type, status);
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

PyObject *listing_alerts(PyObject *self, PyObject *arguments)
{
	return list_page((struct enforcer_object *)self, arguments, alert_type,
			 sizeof(struct be_alert));
}

/* (namespace, category, since_ns, until_ns): all of them, and the last transaction in them. */
PyObject *listing_daily_sums(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_filter filter = BE_FILTER_INIT;
	struct page_of_objects page = {
		.size = sizeof(struct be_daily_sum), .room = 64, .grows = true};
	long long since_ns = 0, until_ns = 0;
	uint64_t last_id = 0;
	PyObject *list = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "zzLL", &filter.namespace_name, &filter.category,
			      &since_ns, &until_ns))
		return NULL;
	filter.since_ns = since_ns;
	filter.until_ns = until_ns;
	if (!begin(&page, self))
		return NULL;
	WITHOUT_GIL(status = be_daily_sums_each(self->handle, &filter, keep_daily_sum, &page,
						&last_id));
	enforcer_leave(self);
	list = finish(&page, daily_sum_type, status);
	return list ? Py_BuildValue("NK", list, (unsigned long long)last_id) : NULL;
}

static bool keep_owner(void *page, const struct be_owner_info *owner)
{
	return keep(page, owner);
}

PyObject *listing_owners(PyObject *object, PyObject *unused)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct page_of_objects page = {
		.size = sizeof(struct be_owner_info), .room = 64, .grows = true};
	enum be_status status = BE_OK;

	(void)unused;
	if (!begin(&page, self))
		return NULL;
	WITHOUT_GIL(status = be_owners_each(self->handle, keep_owner, &page));
	enforcer_leave(self);
	return finish(&page, owner_type, status);
}
