/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the Python package: what its files share. It keeps to the limited API of
 * Python 3.9, so that one file serves that version and all later ones, and of the library it sees
 * the public headers only. The other half is Python: ../budget_enforcer.
 *
 * amounts.c reads and makes amounts, labels.c labels and names of envelopes, values.c has the
 * objects that calls return, enforcer.c the handle and its calls, charges.c those that charge,
 * settings.c what envelopes are made and set to, listing.c the pages of listings, upkeep.c copies
 * environments, server.c connects to servers, module.c puts it together.
 *
 * The GIL is released around all that may wait for a disk or another process. It is kept around
 * be_check() and be_utilization(), which take no lock and make no system call: to give it up costs
 * more than they do, and to get it back from a busy thread takes up to 5 ms. The library holds no
 * lock while it calls an observer, so that nobody waits for the GIL who keeps others waiting. It
 * does while it copies an environment, whose progress takes the GIL: as long as one is copied those
 * two calls release it, too, and a copy of memory, whose writers wait for it and keep out readers,
 * has no progress.
 */
#ifndef NATIVE_H
#define NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <budget_enforcer.h>
#include <stdbool.h>

/* PyArg_ParseTupleAndKeywords(), whose lists of names Python 3.13 declares const at last. */
#define PARSE(arguments, keywords, format, names, ...)                                             \
	PyArg_ParseTupleAndKeywords(arguments, keywords, format, (char **)(names), __VA_ARGS__)

/* Around what may wait. */
#define WITHOUT_GIL(...)                                                                           \
	do {                                                                                       \
		PyThreadState *state_ = PyEval_SaveThread();                                       \
		__VA_ARGS__;                                                                       \
		PyEval_RestoreThread(state_);                                                      \
	} while (0)

/* ---- amounts.c */

/* A Decimal, an int or a str, exactly; anything else is a TypeError: of a float nobody knows how
 * many of its digits were meant. False: an exception is set. */
bool amount_read(PyObject *value, int64_t *nanos);

/* A Decimal. */
PyObject *amount_make(int64_t nanos);

/* ---- labels.c */

/* Labels from a dict of str, which `kept` keeps alive: to be given back. */
struct given_labels {
	PyObject *kept;
	uint32_t count; /* may be more than fit: the library then says that they are too many */
	struct be_label labels[BE_LABELS_MAX];
};

/* None, or NULL, is none at all. `any`: None is a value, too, of filters. False: an exception is
 * set, and nothing is to be given back. */
bool labels_read(PyObject *value, bool any, struct given_labels *given);

/* Names of further envelopes, which `kept` keeps alive: likewise. */
struct given_names {
	PyObject *kept;
	uint32_t count;
	struct be_envelope_name names[BE_ENVELOPES_MAX];
};

/* From a sequence of (namespace, category); None or NULL is none. False: likewise. */
bool names_read(PyObject *value, struct given_names *given);

/* Both. False: nothing is to be given back. */
bool given_read(PyObject *labels, struct given_labels *given, PyObject *names,
		struct given_names *names_given);
void given_drop(struct given_labels *given, struct given_names *names_given);

/* ---- values.c */

struct decision_object {
	PyObject_HEAD struct be_decision value;
};

/* What a structure of the library's points at, and only while a listing shows it. */
struct value_notes {
	PyObject *labels;      /* a dict; NULL: none */
	PyObject *also;        /* a tuple of (namespace, category); NULL: none */
	enum be_status status; /* why they could not be read, if it is not OK */
};

struct transaction_object {
	PyObject_HEAD struct be_transaction value;
	struct value_notes notes;
};

struct envelope_object {
	PyObject_HEAD struct be_envelope value;
};

struct commit_object {
	PyObject_HEAD struct be_commit_info value;
	struct value_notes notes;
};

struct alert_object {
	PyObject_HEAD struct be_alert value;
};

struct daily_sum_object {
	PyObject_HEAD struct be_daily_sum value;
	struct value_notes notes;
};

struct owner_object {
	PyObject_HEAD struct be_owner_info value;
};

struct statistics_object {
	PyObject_HEAD struct be_statistics value;
};

extern PyTypeObject *decision_type, *transaction_type, *envelope_type, *commit_type, *alert_type,
	*daily_sum_type, *owner_type, *statistics_type;

/* An object of one of these types whose value is initialised; NULL: an exception is set. */
PyObject *value_make(PyTypeObject *type);

/* Where an object of this type has them; NULL: it has none. */
struct value_notes *value_notes(PyObject *self);

/* The object when the call that filled it was BE_OK; else it is given back, and the status
 * raised. */
PyObject *made_or_failed(PyObject *made, enum be_status status);

bool values_add(PyObject *module);

/* ---- enforcer.c */

struct enforcer_object {
	PyObject_HEAD struct be_enforcer *handle;
	struct be_storage *memory;
	struct py_server *server;
	PyObject *observe;
	struct enforcer_object *origin; /* whose storage and observer it has; NULL: its own */
	unsigned sharers;               /* open handles whose origin it is */
	unsigned users;                 /* calls under way, each without the GIL */
	unsigned forks;                 /* of this process, when `users` was right */
	bool closing;
	bool is_server; /* every call is a trip */
};

/* Begins a call, so that another thread's close() waits for its end; NULL: an exception is set,
 * since it is closed. And ends it. */
struct be_enforcer *enforcer_enter(struct enforcer_object *self);
void enforcer_leave(struct enforcer_object *self);

bool enforcer_add(PyObject *module);

/* ---- charges.c */

PyObject *charges_record(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *charges_settle(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *charges_part(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *charges_correct(PyObject *object, PyObject *arguments, PyObject *keywords);

/* ---- settings.c */

PyObject *settings_create(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *settings_change(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *settings_apply(PyObject *object, PyObject *sequence);

/* ---- listing.c */

PyObject *listing_envelopes(PyObject *self, PyObject *arguments);
PyObject *listing_commits(PyObject *self, PyObject *arguments);
PyObject *listing_transactions(PyObject *self, PyObject *arguments);
PyObject *listing_alerts(PyObject *self, PyObject *arguments);
PyObject *listing_daily_sums(PyObject *object, PyObject *arguments);
PyObject *listing_owners(PyObject *object, PyObject *unused);

/* The labels and further envelopes of one item of a listing, in C, to become Python's with the
 * GIL. */
struct item_note {
	size_t item;
	uint32_t label_count, also_count;
	char *texts;           /* keys and values, then namespaces and categories */
	enum be_status status; /* why they could not be read, if it is not OK */
};

/* Reads those of a transaction that was just written, if it has any; without the GIL. Where that
 * fails the call does not: the money is charged. Who looks at them then is told why. */
void note_read(struct be_enforcer *handle, const struct be_transaction *transaction,
	       struct item_note *note);

/* Gives them to the object; false: an exception is set. */
bool note_give(const struct item_note *note, PyObject *object);
void note_free(struct item_note *note);

/* ---- upkeep.c */

/* Copies are under way, and may take the GIL while others wait for them; changed with the GIL. */
extern unsigned upkeep_copies;

PyObject *upkeep_backup(PyObject *object, PyObject *arguments);
PyObject *upkeep_copy(PyObject *object, PyObject *arguments, PyObject *keywords);
PyObject *upkeep_restore(PyObject *module, PyObject *arguments);

/* ---- module.c */

/* From the Python half: decimal.Decimal, what raises a status as an exception, and Event. */
extern PyObject *decimal_type, *raise_status, *event_type;

/* Raises a status with the library's text, and the figures where there are any (else NULL). Returns
 * NULL. */
PyObject *fail(enum be_status status, PyObject *decision);

#endif
