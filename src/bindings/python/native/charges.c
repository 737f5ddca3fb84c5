/* SPDX-License-Identifier: Apache-2.0 */
/* What charges, and what gives back: each returns the line of the ledger that it has written. */
#include "native.h"

/* What has been said of one charge. */
struct charging {
	PyObject *amount, *labels, *also;
	const char *description;
	unsigned long long key_ms;
	int64_t nanos;
	struct be_charge_options options;
	struct given_labels given;
	struct given_names names;
	struct item_note note; /* of the line */
};

#define CHARGING_INIT                                                                              \
	{                                                                                          \
		.options = BE_CHARGE_OPTIONS_INIT                                                  \
	}

/* A transaction to be filled by a call that has begun; NULL: an exception is set. */
static PyObject *begin(struct enforcer_object *self, struct charging *charging)
{
	struct be_charge_options *options = &charging->options;
	PyObject *made = NULL;

	if (!amount_read(charging->amount, &charging->nanos) ||
	    !given_read(charging->labels, &charging->given, charging->also, &charging->names))
		return NULL;
	options->key_ms = charging->key_ms;
	options->labels = charging->given.labels;
	options->label_count = charging->given.count;
	options->also = charging->names.names;
	options->also_count = charging->names.count;
	made = value_make(transaction_type);
	if (made && enforcer_enter(self))
		return made;
	Py_XDECREF(made);
	given_drop(&charging->given, &charging->names);
	return NULL;
}

static PyObject *end(struct enforcer_object *self, struct charging *charging, PyObject *made,
		     enum be_status status)
{
	enforcer_leave(self);
	given_drop(&charging->given, &charging->names);
	made = made_or_failed(made, status);
	if (made && !note_give(&charging->note, made))
		PyErr_Clear(); /* the money is charged all the same: they are told of when read */
	note_free(&charging->note);
	return made;
}

/* (category, amount, description, *, key, key_ms, labels, also) */
PyObject *charges_record(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"category", "amount", "description", "key",
					    "key_ms",   "labels", "also",        NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct charging charging = CHARGING_INIT;
	struct be_transaction *transaction = NULL;
	const char *category = NULL;
	PyObject *made = NULL;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|z$zKOO:record", names, &category, &charging.amount,
		   &charging.description, &charging.options.key, &charging.key_ms, &charging.labels,
		   &charging.also))
		return NULL;
	made = begin(self, &charging);
	if (!made)
		return NULL;
	transaction = &((struct transaction_object *)made)->value;
	WITHOUT_GIL(status = be_record_with(self->handle, category, charging.nanos,
					    charging.description, &charging.options, transaction);
		    if (status == BE_OK) note_read(self->handle, transaction, &charging.note));
	return end(self, &charging, made, status);
}

typedef enum be_status (*charger)(struct be_enforcer *handle, uint64_t id, int64_t amount,
				  const char *description, const struct be_charge_options *options,
				  struct be_transaction *transaction);

/* (id, amount, description, *, key, key_ms, labels): of a commit or a transaction, whose labels and
 * envelopes only the ledger has. */
static PyObject *charge(PyObject *object, PyObject *arguments, PyObject *keywords,
			const char *format, const char *const *names, charger make)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct charging charging = CHARGING_INIT;
	struct be_transaction *transaction = NULL;
	unsigned long long id = 0;
	PyObject *made = NULL;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, format, names, &id, &charging.amount, &charging.description,
		   &charging.options.key, &charging.key_ms, &charging.labels))
		return NULL;
	made = begin(self, &charging);
	if (!made)
		return NULL;
	transaction = &((struct transaction_object *)made)->value;
	WITHOUT_GIL(status = make(self->handle, id, charging.nanos, charging.description,
				  &charging.options, transaction);
		    if (status == BE_OK) note_read(self->handle, transaction, &charging.note));
	return end(self, &charging, made, status);
}

static const char *const of_commit[] = {"commit_id", "amount", "description", "key",
					"key_ms",    "labels", NULL};
static const char *const of_transaction[] = {"transaction_id", "amount", "description", "key",
					     "key_ms",         NULL};

PyObject *charges_settle(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	return charge(object, arguments, keywords, "KO|z$zKO:settle", of_commit, be_settle_with);
}

PyObject *charges_part(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	return charge(object, arguments, keywords, "KO|z$zKO:charge", of_commit, be_charge_with);
}

PyObject *charges_correct(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	return charge(object, arguments, keywords, "KO|z$zK:correct", of_transaction,
		      be_correct_with);
}
