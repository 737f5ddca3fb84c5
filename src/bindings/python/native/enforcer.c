/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle and its calls, each one call of the library. What is more than that is written in
 * Python.
 */
#include "native.h"
#include "server.h"

#include <budget_enforcer_storage.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static PyTypeObject *enforcer_type;

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

/* With the last handle that is on it. */
static void close_storage(struct enforcer_object *origin)
{
	struct be_storage *memory = origin->memory;
	struct py_server *server = origin->server;

	if (origin->handle || origin->sharers > 0)
		return;
	origin->memory = NULL;
	origin->server = NULL;
	WITHOUT_GIL(be_storage_memory_destroy(memory); server_close(server));
}

static void close_handle(struct enforcer_object *self)
{
	struct enforcer_object *origin = self->origin ? self->origin : self;
	struct be_enforcer *handle = self->handle;

	if (origin == self)
		self->sharers++; /* for as long as this one closes, too */
	self->handle = NULL;
	WITHOUT_GIL(be_close(handle));
	origin->sharers--;
	close_storage(origin);
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

/* What an event points at, as an object of the type, or None. */
static PyObject *told_of(PyTypeObject *type, const void *value, size_t size)
{
	PyObject *made = NULL;

	if (!value)
		return Py_BuildValue("");
	made = value_make(type);
	if (made)
		memcpy(&((struct decision_object *)made)->value, value, size);
	return made;
}

static void observed(void *context, const struct be_event *event)
{
	PyGILState_STATE state = PyGILState_Ensure();
	struct enforcer_object *self = context;
	PyObject *told = NULL, *result = NULL, *amount = NULL, *envelope = NULL, *alert = NULL;
	PyObject *type = NULL, *value = NULL, *trace = NULL;

	/* What ended a commit that waited is the caller's to raise. */
	PyErr_Fetch(&type, &value, &trace);
	amount = amount_make(event->amount);
	envelope = told_of(envelope_type, event->envelope, sizeof *event->envelope);
	alert = told_of(alert_type, event->alert, sizeof *event->alert);
	if (amount && envelope && alert)
		told = PyObject_CallFunction(
			event_type, "ssKKOLssOOO", be_operation_name(event->operation),
			be_status_name(event->status), (unsigned long long)event->commit_id,
			(unsigned long long)event->transaction_id, amount, (long long)event->at_ns,
			event->namespace_name, event->category,
			event->repeated ? Py_True : Py_False, envelope, alert);
	if (told)
		result = PyObject_CallFunctionObjArgs(self->observe, told, NULL);
	if (!result)
		PyErr_WriteUnraisable(self->observe);
	Py_XDECREF(result);
	Py_XDECREF(told);
	Py_XDECREF(alert);
	Py_XDECREF(envelope);
	Py_XDECREF(amount);
	PyErr_Restore(type, value, trace);
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

/* A server keeps no files, and is as durable as it is set up. */
static enum be_status connect_to(struct enforcer_object *self, const char *url,
				 struct be_options *options)
{
	enum be_status status = BE_OK;

	if (options->durability != BE_DURABILITY_FULL || options->mode != 0 ||
	    options->map_size != 0) {
		be_storage_explain("durability, mode and map_size are for a directory, not a "
				   "server");
		return BE_INVALID_ARGUMENT;
	}
	status = server_open(url, &self->server);
	if (status != BE_OK)
		return status;
	options->storage = server_storage(self->server);
	status = be_open(NULL, options, &self->handle);
	self->is_server = status == BE_OK;
	if (status == BE_OK)
		return BE_OK;
	server_close(self->server);
	self->server = NULL;
	return status;
}

/* A path or URL, or None for a storage in memory. */
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
		WITHOUT_GIL(status = place && server_is_url(place)
					     ? connect_to(self, place, options)
					     : be_open(place, options, &self->handle));
	}
	Py_XDECREF(bytes);
	if (status == BE_OK)
		return true;
	(void)fail(status, NULL);
	be_storage_memory_destroy(self->memory);
	self->memory = NULL;
	return false;
}

static int enforcer_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"path",      "namespace", "durability",   "create",
					    "read_only", "owning",    "mode",         "map_size",
					    "observe",   "lease_ms",  "check_age_ms", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_options options = BE_OPTIONS_INIT;
	PyObject *path = NULL, *observe = Py_None;
	const char *durability = "full";
	int create = 1, read_only = 0, owning = 0;
	unsigned mode = 0;
	unsigned long long map_size = 0;
	long long lease_ms = 0, check_age_ms = 0;

	if (!PARSE(arguments, keywords, "O|z$spppIKOLL", names, &path, &options.namespace_name,
		   &durability, &create, &read_only, &owning, &mode, &map_size, &observe, &lease_ms,
		   &check_age_ms) ||
	    !read_durability(durability, &options.durability))
		return -1;
	if (self->handle || self->origin || self->closing) {
		PyErr_SetString(PyExc_RuntimeError, "it was opened already");
		return -1;
	}
	options.flags = (create ? 0U : (unsigned)BE_OPEN_EXISTING) |
			(read_only ? (unsigned)BE_OPEN_READ_ONLY : 0U) |
			(owning ? (unsigned)BE_OPEN_OWNING : 0U);
	options.mode = mode;
	options.map_size = map_size;
	options.lease_ms = lease_ms;
	options.check_age_ms = check_age_ms;
	if (observe != Py_None) {
		Py_INCREF(observe);
		self->observe = observe;
		options.observe = observed;
		options.observe_context = self;
	}
	return open_it(self, path, &options) ? 0 : -1;
}

/* _open_namespace(origin, namespace), of one that is not open yet */
static PyObject *enforcer_open_namespace(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object, *from = NULL;
	PyObject *given = NULL;
	const char *name = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "O!s:_open_namespace", enforcer_type, &given, &name))
		return NULL;
	from = (struct enforcer_object *)given;
	if (self->handle || self->origin) {
		PyErr_SetString(PyExc_RuntimeError, "it is open already");
		return NULL;
	}
	if (!enforcer_enter(from))
		return NULL;
	self->forks = atomic_load(&forks);
	WITHOUT_GIL(status = be_open_namespace(from->handle, name, &self->handle));
	if (status == BE_OK) {
		self->origin = from->origin ? from->origin : from;
		Py_INCREF((PyObject *)self->origin);
		self->origin->sharers++;
		self->is_server = from->is_server;
	}
	enforcer_leave(from);
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}

static int enforcer_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(((struct enforcer_object *)object)->observe);
	Py_VISIT((PyObject *)((struct enforcer_object *)object)->origin);
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
	Py_XDECREF((PyObject *)self->origin);
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

/* A read of this may wait: for a server, or for one that copies and wants the GIL meanwhile. */
static bool may_wait(const struct enforcer_object *self)
{
	return self->is_server || upkeep_copies > 0;
}

static PyObject *enforcer_check(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	const char *category = NULL;
	PyObject *amount = NULL, *made = NULL;
	struct be_decision *decision;
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
	decision = &((struct decision_object *)made)->value;
	/* A check of memory costs less than to let go of the lock. */
	if (may_wait(self))
		WITHOUT_GIL(status = be_check(self->handle, category, nanos, decision));
	else
		status = be_check(self->handle, category, nanos, decision);
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

/* Whether a commit goes on waiting for money: what the caller says, and signals, such as Ctrl-C. */
static bool keep_waiting(void *context)
{
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *keep = context, *said = NULL;
	bool goes_on = PyErr_CheckSignals() == 0;

	if (goes_on && keep) {
		said = PyObject_CallObject(keep, NULL);
		goes_on = said && PyObject_IsTrue(said) == 1;
		Py_XDECREF(said);
	}
	PyGILState_Release(state);
	return goes_on;
}

/* What keep_waiting() has raised; a commit that was granted all the same is given back, but for one
 * with a key: it may be that of an earlier request, and its next one finds it. */
static PyObject *interrupted(struct be_enforcer *handle, uint64_t id, const char *key)
{
	PyObject *type = NULL, *value = NULL, *trace = NULL;

	PyErr_Fetch(&type, &value, &trace);
	if (id != 0 && !key) {
		WITHOUT_GIL((void)!be_release(handle, id));
	}
	PyErr_Restore(type, value, trace);
	return NULL;
}

static PyObject *enforcer_commit(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {
		"category", "amount",       "description", "ttl_ms", "detached", "on_death", "key",
		"wait_ms",  "keep_waiting", "labels",      "also",   "least",    "key_ms",   NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	const char *category = NULL, *description = NULL, *on_death = "release";
	PyObject *amount = NULL, *keep = Py_None, *labels = NULL, *also = NULL, *least = NULL;
	PyObject *made = NULL;
	struct given_labels given;
	struct given_names names_given;
	unsigned long long ttl_ms = 0, key_ms = 0;
	long long wait_ms = 0;
	int detached = 0;
	int64_t nanos = 0;
	uint64_t id = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|z$KpszLOOOOK:commit", names, &category, &amount,
		   &description, &ttl_ms, &detached, &on_death, &options.key, &wait_ms, &keep,
		   &labels, &also, &least, &key_ms) ||
	    !amount_read(amount, &nanos) || !read_on_death(on_death, &options.reap_policy) ||
	    (least && least != Py_None && !amount_read(least, &options.least)))
		return NULL;
	if (!given_read(labels, &given, also, &names_given))
		return NULL;
	if (!enforcer_enter(self)) {
		given_drop(&given, &names_given);
		return NULL;
	}
	options.labels = given.labels;
	options.label_count = given.count;
	options.also = names_given.names;
	options.also_count = names_given.count;
	options.key_ms = key_ms;
	options.ttl_ms = ttl_ms;
	options.detached = detached;
	options.wait_ms = wait_ms;
	options.keep_waiting = keep_waiting;
	options.wait_context = keep == Py_None ? NULL : keep;
	WITHOUT_GIL(status = be_commit_with(self->handle, category, nanos, description, &options,
					    &id, &decision));
	if (wait_ms != 0 && PyErr_Occurred())
		made = interrupted(self->handle, id, options.key);
	else
		made = status == BE_OK ? PyLong_FromUnsignedLongLong(id)
				       : refuse(status, &decision);
	enforcer_leave(self);
	given_drop(&given, &names_given);
	return made;
}

static PyObject *enforcer_extend(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"commit_id", "amount", "ttl_ms", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_decision decision = BE_DECISION_INIT;
	PyObject *amount = Py_None;
	unsigned long long id = 0, ttl_ms = 0;
	int64_t nanos = BE_HELD_AMOUNT;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "K|O$K:extend", names, &id, &amount, &ttl_ms) ||
	    (amount != Py_None && !amount_read(amount, &nanos)) || !enforcer_enter(self))
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

/* How many transactions were removed. */
static PyObject *enforcer_prune(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_pruning pruning = BE_PRUNING_INIT;
	long long before_ns = 0;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "L:prune", &before_ns) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_prune(self->handle, before_ns, NULL, NULL, &pruning));
	enforcer_leave(self);
	return status == BE_OK ? PyLong_FromUnsignedLongLong(pruning.transactions)
			       : fail(status, NULL);
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

/* (removed, released): how many envelopes, and how many commits. */
static PyObject *enforcer_end(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"release", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	uint64_t removed = 0, released = 0;
	int release = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "|$p:end_namespace", names, &release) ||
	    !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_namespace_end(self->handle, release ? BE_END_RELEASE : 0, &removed,
					      &released));
	enforcer_leave(self);
	if (status != BE_OK)
		return fail(status, NULL);
	return Py_BuildValue("KK", (unsigned long long)removed, (unsigned long long)released);
}

static PyObject *enforcer_utilization(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_envelope *envelope;
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
	envelope = &((struct envelope_object *)made)->value;
	if (may_wait(self))
		WITHOUT_GIL(status = be_utilization(self->handle, category, envelope));
	else
		status = be_utilization(self->handle, category, envelope);
	enforcer_leave(self);
	return made_or_failed(made, status);
}

/* True: this call was the first to mark it as done. */
static PyObject *enforcer_alert_done(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	unsigned long long id = 0;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "K:alert_done", &id) || !enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_alert_done(self->handle, id));
	enforcer_leave(self);
	if (status != BE_OK && status != BE_ALREADY_DONE)
		return fail(status, NULL);
	return PyBool_FromLong(status == BE_OK);
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

static PyObject *enforcer_stats(PyObject *object, PyObject *unused)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	PyObject *made = value_make(statistics_type);
	enum be_status status = BE_OK;

	(void)unused;
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = be_stats(self->handle, &((struct statistics_object *)made)->value));
	enforcer_leave(self);
	return made_or_failed(made, status);
}

/* ---- the type */

#define WITH_KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
	{"_open_namespace", enforcer_open_namespace, METH_VARARGS, NULL},
	{"check", enforcer_check, METH_VARARGS, NULL},
	{"commit", WITH_KEYWORDS(enforcer_commit), METH_VARARGS | METH_KEYWORDS, NULL},
	{"extend", WITH_KEYWORDS(enforcer_extend), METH_VARARGS | METH_KEYWORDS, NULL},
	{"release", enforcer_release, METH_VARARGS, NULL},
	{"settle", WITH_KEYWORDS(charges_settle), METH_VARARGS | METH_KEYWORDS, NULL},
	{"charge", WITH_KEYWORDS(charges_part), METH_VARARGS | METH_KEYWORDS, NULL},
	{"record", WITH_KEYWORDS(charges_record), METH_VARARGS | METH_KEYWORDS, NULL},
	{"correct", WITH_KEYWORDS(charges_correct), METH_VARARGS | METH_KEYWORDS, NULL},
	{"reap", enforcer_reap, METH_NOARGS, NULL},
	{"prune", enforcer_prune, METH_VARARGS, NULL},
	{"create_envelope", WITH_KEYWORDS(settings_create), METH_VARARGS | METH_KEYWORDS, NULL},
	{"set_envelope", WITH_KEYWORDS(settings_change), METH_VARARGS | METH_KEYWORDS, NULL},
	{"apply", settings_apply, METH_O, NULL},
	{"set_limit", enforcer_set_limit, METH_VARARGS, NULL},
	{"suspend", enforcer_suspend, METH_VARARGS, NULL},
	{"resume", enforcer_resume, METH_VARARGS, NULL},
	{"reset", enforcer_reset, METH_VARARGS, NULL},
	{"remove_envelope", enforcer_remove, METH_VARARGS, NULL},
	{"end_namespace", WITH_KEYWORDS(enforcer_end), METH_VARARGS | METH_KEYWORDS, NULL},
	{"utilization", enforcer_utilization, METH_VARARGS, NULL},
	{"verify", enforcer_verify, METH_NOARGS, NULL},
	{"stats", enforcer_stats, METH_NOARGS, NULL},
	{"owners", listing_owners, METH_NOARGS, NULL},
	{"backup", upkeep_backup, METH_VARARGS, NULL},
	{"copy", WITH_KEYWORDS(upkeep_copy), METH_VARARGS | METH_KEYWORDS, NULL},
	{"_envelopes", listing_envelopes, METH_VARARGS, NULL},
	{"_commits", listing_commits, METH_VARARGS, NULL},
	{"_transactions", listing_transactions, METH_VARARGS, NULL},
	{"_alerts", listing_alerts, METH_VARARGS, NULL},
	{"_daily_sums", listing_daily_sums, METH_VARARGS, NULL},
	{"alert_done", enforcer_alert_done, METH_VARARGS, NULL},
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
	enforcer_type = (PyTypeObject *)type;
	Py_XINCREF(type); /* one reference is the module's, one ours */
	return type && PyModule_AddObject(module, "Enforcer", type) == 0;
}
