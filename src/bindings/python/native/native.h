/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the Python package: what its files share. It keeps to the limited API of
 * Python 3.9, so that one file serves that version and all later ones, and of the library it sees
 * the public headers only. The other half is Python: ../budget_enforcer.
 *
 * amounts.c reads and makes amounts, values.c has the objects that calls return, enforcer.c the
 * handle and its calls, listing.c the pages of listings, module.c puts it together.
 *
 * The GIL is released around all that may wait for a disk or another process. It is kept around
 * be_check() and be_utilization(), which take no lock and make no system call: to give it up costs
 * more than they do, and to get it back from a busy thread takes up to 5 ms. The library holds no
 * lock while it calls an observer, so that nobody waits for the GIL who keeps others waiting.
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

/* ---- values.c */

struct decision_object {
	PyObject_HEAD struct be_decision value;
};

struct transaction_object {
	PyObject_HEAD struct be_transaction value;
};

struct envelope_object {
	PyObject_HEAD struct be_envelope value;
};

struct commit_object {
	PyObject_HEAD struct be_commit_info value;
};

extern PyTypeObject *decision_type, *transaction_type, *envelope_type, *commit_type;

/* An object of one of these types whose value is initialised; NULL: an exception is set. */
PyObject *value_make(PyTypeObject *type);

bool values_add(PyObject *module);

/* ---- enforcer.c */

struct enforcer_object {
	PyObject_HEAD struct be_enforcer *handle;
	struct be_storage *memory;
	PyObject *observe;
	unsigned users; /* calls under way, each without the GIL */
	unsigned forks; /* of this process, when `users` was right */
	bool closing;
};

/* Begins a call, so that another thread's close() waits for its end; NULL: an exception is set,
 * since it is closed. And ends it. */
struct be_enforcer *enforcer_enter(struct enforcer_object *self);
void enforcer_leave(struct enforcer_object *self);

bool enforcer_add(PyObject *module);

/* ---- listing.c */

PyObject *listing_envelopes(PyObject *self, PyObject *arguments);
PyObject *listing_commits(PyObject *self, PyObject *arguments);
PyObject *listing_transactions(PyObject *self, PyObject *arguments);

/* ---- module.c */

/* From the Python half: decimal.Decimal, what raises a status as an exception, and Event. */
extern PyObject *decimal_type, *raise_status, *event_type;

/* Raises a status with the library's text, and the figures where there are any (else NULL). Returns
 * NULL. */
PyObject *fail(enum be_status status, PyObject *decision);

#endif
