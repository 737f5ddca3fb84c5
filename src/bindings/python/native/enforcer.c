/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle and its calls, each one call of the library. What is more than that is written in
 * Python.
 */
#include "native.h"

#include <budget_enforcer_storage.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Counts forks. The calls that other threads had under way then never end in the child. */
static atomic_uint forks;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
	atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, count_fork);
}

/* ---- calls under way: be_close() must be the last one */

struct be_enforcer *enforcer_enter(struct enforcer_object *self)
{
	unsigned now = atomic_load(&forks);

	if (self->closing || !self->handle) {
		PyErr_SetString(PyExc_ValueError, "the enforcer is closed");
		return NULL;
	}
	if (self->forks != now) {
		self->forks = now;
		self->users = 0;
	}
	self->users++;
	return self->handle;
}

static void close_handle(struct enforcer_object *self)
{
	struct be_enforcer *handle = self->handle;
	struct be_storage *memory = self->memory;

	self->handle = NULL;
	self->memory = NULL;
	WITHOUT_GIL(be_close(handle); be_storage_memory_destroy(memory));
}

void enforcer_leave(struct enforcer_object *self)
{
	if (--self->users == 0 && self->closing && self->handle)
		close_handle(self);
}

static PyObject *enforcer_close(PyObject *object, PyObject *unused)
{
	struct enforcer_object *self = (struct enforcer_object *)object;

	(void)unused;
	if (!self->handle || self->closing)
		Py_RETURN_NONE;
	if (!enforcer_enter(self))
		return NULL;
	self->closing = true;
	enforcer_leave(self);
	Py_RETURN_NONE;
}

/* ---- opening */

static void observed(void *context, const struct be_event *event)
{
	PyGILState_STATE state = PyGILState_Ensure();
	struct enforcer_object *self = context;
	PyObject *amount = amount_make(event->amount), *told = NULL, *result = NULL;

	if (amount)
		told = PyObject_CallFunction(
			event_type, "ssKKOLss", be_operation_name(event->operation),
			be_status_name(event->status), (unsigned long long)event->commit_id,
			(unsigned long long)event->transaction_id, amount, (long long)event->at_ns,
			event->namespace_name, event->category);
	if (told)
		result = PyObject_CallFunctionObjArgs(self->observe, told, NULL);
	if (!result)
		PyErr_WriteUnraisable(self->observe);
	Py_XDECREF(result);
	Py_XDECREF(told);
	Py_XDECREF(amount);
	PyGILState_Release(state);
}

static bool read_durability(const char *name, enum be_durability *durability)
{
	bool process = strcmp(name, "process") == 0;

	if (!process && strcmp(name, "full") != 0) {
		PyErr_Format(PyExc_ValueError, "durability is \"full\" or \"process\", not \"%s\"",
			     name);
		return false;
	}
	*durability = process ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
	return true;
}

/* A path, or None for a storage in memory. */
static bool open_it(struct enforcer_object *self, PyObject *path, struct be_options *options)
{
	PyObject *bytes = NULL;
	const char *place = NULL;
	enum be_status status = BE_OK;

	if (path == Py_None) {
		status = be_storage_memory_create(&self->memory);
		options->storage = self->memory;
	} else if (PyUnicode_FSConverter(path, &bytes)) {
		place = PyBytes_AsString(bytes);
	} else {
		return false;
	}
	self->forks = atomic_load(&forks);
	if (status == BE_OK) {
		WITHOUT_GIL(status = be_open(place, options, &self->handle));
	}
	Py_XDECREF(bytes);
	if (status != BE_OK)
		(void)fail(status, NULL);
	return status == BE_OK;
}

static int enforcer_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"path",      "namespace", "durability", "create",
					    "read_only", "owning",    "mode",       "map_size",
					    "observe",   NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_options options = BE_OPTIONS_INIT;
	PyObject *path = NULL, *observe = Py_None;
	const char *durability = "full";
	int create = 1, read_only = 0, owning = 0;
	unsigned mode = 0;
	unsigned long long map_size = 0;

	if (!PARSE(arguments, keywords, "O|z$spppIKO", names, &path, &options.namespace_name,
		   &durability, &create, &read_only, &owning, &mode, &map_size, &observe) ||
	    !read_durability(durability, &options.durability))
		return -1;
	if (self->handle) {
		PyErr_SetString(PyExc_RuntimeError, "it is open already");
		return -1;
	}
	options.flags = (create ? 0U : (unsigned)BE_OPEN_EXISTING) |
			(read_only ? (unsigned)BE_OPEN_READ_ONLY : 0U) |
			(owning ? (unsigned)BE_OPEN_OWNING : 0U);
	options.mode = mode;
	options.map_size = map_size;
	if (observe != Py_None) {
		Py_INCREF(observe);
		self->observe = observe;
		options.observe = observed;
		options.observe_context = self;
	}
	return open_it(self, path, &options) ? 0 : -1;
}

static int enforcer_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(((struct enforcer_object *)object)->observe);
#if PY_VERSION_HEX >= 0x03090000
	Py_VISIT(Py_TYPE(object));
#endif
	return 0;
}

static int enforcer_clear(PyObject *object)
{
	(void)object; /* the observer is called until the handle is closed */
	return 0;
}

/* Calls under way hold references, so that there is none. */
static void enforcer_deallocate(PyObject *object)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	PyTypeObject *type = Py_TYPE(object);

	PyObject_GC_UnTrack(object);
	if (self->handle)
		close_handle(self);
	Py_XDECREF(self->observe);
	PyObject_GC_Del(object);
	Py_DECREF(type);
}

/* ---- asking and spending */

static PyObject *refuse(enum be_status status, const struct be_decision *decision)
{
	PyObject *refusal = NULL;

	if (!be_status_is_refusal(status))
		return fail(status, NULL);
	refusal = value_make(decision_type);
	if (refusal) {
		((struct decision_object *)refusal)->value = *decision;
		(void)fail(status, refusal);
		Py_DECREF(refusal);
	}
	return NULL;
}

static PyObject *enforcer_check(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL;
	PyObject *amount = NULL, *made = NULL;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "sO:check", &category, &amount) ||
	    !amount_read(amount, &nanos))
		return NULL;
	made = value_make(decision_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	status = be_check(self->handle, category, nanos, &((struct decision_object *)made)->value);
	enforcer_leave(self);
	/* An observer may have raised, but has been told of. */
	if (status == BE_OK || be_status_is_refusal(status))
		return made;
	Py_DECREF(made);
	return fail(status, NULL);
}

static bool read_on_death(const char *name, enum be_reap_policy *policy)
{
	bool charge = strcmp(name, "charge") == 0;

	if (!charge && strcmp(name, "release") != 0) {
		PyErr_Format(PyExc_ValueError, "on_death is \"release\" or \"charge\", not \"%s\"",
			     name);
		return false;
	}
	*policy = charge ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	return true;
}

static PyObject *enforcer_commit(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"category", "amount",   "description", "ttl_ms",
					    "detached", "on_death", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	const char *category = NULL, *description = NULL, *on_death = "release";
	PyObject *amount = NULL;
	unsigned long long ttl_ms = 0;
	int detached = 0;
	int64_t nanos = 0;
	uint64_t id = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|z$Kps:commit", names, &category, &amount, &description,
		   &ttl_ms, &detached, &on_death) ||
	    !amount_read(amount, &nanos) || !read_on_death(on_death, &options.reap_policy) ||
	    !enforcer_enter(self))
		return NULL;
	options.ttl_ms = ttl_ms;
	options.detached = detached;
	WITHOUT_GIL(status = be_commit_with(self->handle, category, nanos, description, &options,
					    &id, &decision));
	enforcer_leave(self);
	return status == BE_OK ? PyLong_FromUnsignedLongLong(id) : refuse(status, &decision);
}

static PyObject *enforcer_extend(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"commit_id", "amount", "ttl_ms", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_decision decision = BE_DECISION_INIT;
	PyObject *amount = NULL;
	unsigned long long id = 0, ttl_ms = 0;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "KO|$K:extend", names, &id, &amount, &ttl_ms) ||
	    !amount_read(amount, &nanos) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_extend(self->handle, id, nanos, ttl_ms, &decision));
	enforcer_leave(self);
	if (status != BE_OK)
		return refuse(status, &decision);
	Py_RETURN_NONE;
}

static PyObject *enforcer_release(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	unsigned long long id = 0;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "K:release", &id) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_release(self->handle, id));
	enforcer_leave(self);
	switch (status) {
	case BE_OK:
		Py_RETURN_TRUE;
	case BE_ALREADY_RELEASED:
	case BE_ALREADY_SETTLED:
	case BE_ALREADY_REAPED:
	case BE_ALREADY_CHARGED:
		Py_RETURN_FALSE;
	default:
		return fail(status, NULL);
	}
}

static PyObject *charged(PyObject *made, enum be_status status)
{
	if (status == BE_OK)
		return made;
	Py_DECREF(made);
	return fail(status, NULL);
}

static PyObject *enforcer_settle(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"commit_id", "amount", "description", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *description = NULL;
	PyObject *amount = NULL, *made = NULL;
	unsigned long long id = 0;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "KO|z:settle", names, &id, &amount, &description) ||
	    !amount_read(amount, &nanos))
		return NULL;
	made = value_make(transaction_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = be_settle(self->handle, id, nanos, description,
				       &((struct transaction_object *)made)->value));
	enforcer_leave(self);
	return charged(made, status);
}

static PyObject *enforcer_record(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"category", "amount", "description", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL, *description = NULL;
	PyObject *amount = NULL, *made = NULL;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|z:record", names, &category, &amount, &description) ||
	    !amount_read(amount, &nanos))
		return NULL;
	made = value_make(transaction_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = be_record(self->handle, category, nanos, description,
				       &((struct transaction_object *)made)->value));
	enforcer_leave(self);
	return charged(made, status);
}

static PyObject *enforcer_reap(PyObject *object, PyObject *unused)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	uint64_t reaped = 0;
	enum be_status status = BE_OK;

	(void)unused;
	if (!enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_reap(self->handle, &reaped));
	enforcer_leave(self);
	return status == BE_OK ? PyLong_FromUnsignedLongLong(reaped) : fail(status, NULL);
}

/* ---- envelopes */

static enum be_status create(struct be_enforcer *handle, const char *category, int64_t limit,
			     enum be_period period, const struct be_envelope_options *options,
			     bool must_be_new, struct be_envelope *envelope)
{
	enum be_status status = BE_OK;

	if (must_be_new)
		status = be_envelope_create(handle, category, limit, period, options);
	if (status == BE_OK)
		status = be_envelope_ensure_with(handle, category, limit, period, options, envelope,
						 NULL);
	return status;
}

static PyObject *enforcer_create(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"category",        "limit",     "period",      "parent",
					    "period_start_ns", "suspended", "must_be_new", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	const char *category = NULL, *period_name = "total";
	PyObject *limit = NULL, *parent = Py_None, *made = NULL;
	enum be_period period = BE_PERIOD_TOTAL;
	long long start_ns = 0;
	int suspended = 0, must_be_new = 0;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|s$OLpp:create_envelope", names, &category, &limit,
		   &period_name, &parent, &start_ns, &suspended, &must_be_new) ||
	    !amount_read(limit, &nanos))
		return NULL;
	if (parent != Py_None &&
	    !PyArg_ParseTuple(parent, "zs;parent is (namespace, category)",
			      &options.parent_namespace, &options.parent_category))
		return NULL;
	status = be_period_parse(period_name, &period);
	if (status != BE_OK)
		return fail(status, NULL);
	options.period_start_ns = start_ns;
	options.suspended = suspended;
	made = value_make(envelope_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = create(self->handle, category, nanos, period, &options, must_be_new,
				    &((struct envelope_object *)made)->value));
	enforcer_leave(self);
	return charged(made, status);
}

/* What changes an envelope by its name alone. */
static PyObject *steer(PyObject *object, PyObject *arguments,
		       enum be_status (*change)(struct be_enforcer *, const char *))
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "s", &category) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = change(self->handle, category));
	enforcer_leave(self);
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}

static PyObject *enforcer_suspend(PyObject *self, PyObject *arguments)
{
	return steer(self, arguments, be_envelope_suspend);
}

static PyObject *enforcer_resume(PyObject *self, PyObject *arguments)
{
	return steer(self, arguments, be_envelope_resume);
}

static PyObject *enforcer_reset(PyObject *self, PyObject *arguments)
{
	return steer(self, arguments, be_envelope_reset);
}

static PyObject *enforcer_remove(PyObject *self, PyObject *arguments)
{
	return steer(self, arguments, be_envelope_remove);
}

static PyObject *enforcer_set_limit(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL;
	PyObject *limit = NULL;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "sO:set_limit", &category, &limit) ||
	    !amount_read(limit, &nanos) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_envelope_set_limit(self->handle, category, nanos));
	enforcer_leave(self);
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}

static PyObject *enforcer_utilization(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL;
	PyObject *made = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "s:utilization", &category))
		return NULL;
	made = value_make(envelope_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	status = be_utilization(self->handle, category, &((struct envelope_object *)made)->value);
	enforcer_leave(self);
	return charged(made, status);
}

/* All balances recomputed; what differs is told in sentences. */
struct found_differences {
	PyObject *list;
};

static void add_finding(void *context, const char *sentence)
{
	struct found_differences *findings = context;
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *text = PyUnicode_FromString(sentence);

	if (!text || PyList_Append(findings->list, text) < 0)
		PyErr_Clear();
	Py_XDECREF(text);
	PyGILState_Release(state);
}

static PyObject *enforcer_verify(PyObject *object, PyObject *unused)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct found_differences findings = {PyList_New(0)};
	enum be_status status = BE_OK;

	(void)unused;
	if (!findings.list || !enforcer_enter(self)) {
		Py_XDECREF(findings.list);
		return NULL;
	}
	WITHOUT_GIL(status = be_verify(self->handle, add_finding, &findings, NULL));
	enforcer_leave(self);
	if (status == BE_OK || status == BE_UNBALANCED || status == BE_DAMAGED)
		return findings.list;
	Py_DECREF(findings.list);
	return fail(status, NULL);
}

/* ---- the type */

#define WITH_KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
	{"check", enforcer_check, METH_VARARGS, NULL},
	{"commit", WITH_KEYWORDS(enforcer_commit), METH_VARARGS | METH_KEYWORDS, NULL},
	{"extend", WITH_KEYWORDS(enforcer_extend), METH_VARARGS | METH_KEYWORDS, NULL},
	{"release", enforcer_release, METH_VARARGS, NULL},
	{"settle", WITH_KEYWORDS(enforcer_settle), METH_VARARGS | METH_KEYWORDS, NULL},
	{"record", WITH_KEYWORDS(enforcer_record), METH_VARARGS | METH_KEYWORDS, NULL},
	{"reap", enforcer_reap, METH_NOARGS, NULL},
	{"create_envelope", WITH_KEYWORDS(enforcer_create), METH_VARARGS | METH_KEYWORDS, NULL},
	{"set_limit", enforcer_set_limit, METH_VARARGS, NULL},
	{"suspend", enforcer_suspend, METH_VARARGS, NULL},
	{"resume", enforcer_resume, METH_VARARGS, NULL},
	{"reset", enforcer_reset, METH_VARARGS, NULL},
	{"remove_envelope", enforcer_remove, METH_VARARGS, NULL},
	{"utilization", enforcer_utilization, METH_VARARGS, NULL},
	{"verify", enforcer_verify, METH_NOARGS, NULL},
	{"_envelopes", listing_envelopes, METH_VARARGS, NULL},
	{"_commits", listing_commits, METH_VARARGS, NULL},
	{"_transactions", listing_transactions, METH_VARARGS, NULL},
	{"close", enforcer_close, METH_NOARGS, NULL},
	{0},
};

static PyType_Slot slots[] = {
	{Py_tp_init, (void *)enforcer_init},
	{Py_tp_new, (void *)PyType_GenericNew},
	{Py_tp_traverse, (void *)enforcer_traverse},
	{Py_tp_clear, (void *)enforcer_clear},
	{Py_tp_dealloc, (void *)enforcer_deallocate},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {"budget_enforcer._native.Enforcer", sizeof(struct enforcer_object), 0,
			   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

bool enforcer_add(PyObject *module)
{
	PyObject *type = PyType_FromSpec(&spec);

	pthread_once(&forks_once, watch_forks);
	return type && PyModule_AddObject(module, "Enforcer", type) == 0;
}
