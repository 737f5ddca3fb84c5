/* SPDX-License-Identifier: Apache-2.0 */
/* What an envelope is made with, and what it is set to afterwards. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

static bool read_period(const char *name, enum be_period *period)
{
	enum be_status status = be_period_parse(name, period);

	if (status != BE_OK)
		(void)fail(status, NULL);
	return status == BE_OK;
}

/* ---- making one */

struct new_envelope {
	const char *category;
	int64_t limit;
	enum be_period period;
	struct be_envelope_options options;
	bool must_be_new;
};

static enum be_status create(struct be_enforcer *handle, const struct new_envelope *new,
			     struct be_envelope *envelope)
{
	enum be_status status = BE_OK;

	if (new->must_be_new)
		status = be_envelope_create(handle, new->category, new->limit, new->period,
					    &new->options);
	if (status == BE_OK)
		status = be_envelope_ensure_with(handle, new->category, new->limit, new->period,
						 &new->options, envelope, NULL);
	return status;
}

static bool read_new(PyObject *arguments, PyObject *keywords, struct new_envelope *new)
{
	static const char *const names[] = {
		"category",    "limit", "period",    "parent",    "period_start_ns", "suspended",
		"must_be_new", "zone",  "begins_on", "roll_over", "observe_only",    NULL};
	struct be_envelope_options *options = &new->options;
	const char *period_name = "total";
	PyObject *limit = NULL, *parent = Py_None, *roll_over = NULL;
	long long start_ns = 0;
	int suspended = 0, must_be_new = 0, observe_only = 0;
	unsigned begins_on = 0;

	if (!PARSE(arguments, keywords, "sO|s$OLppzIOp:create_envelope", names, &new->category,
		   &limit, &period_name, &parent, &start_ns, &suspended, &must_be_new,
		   &options->zone, &begins_on, &roll_over, &observe_only) ||
	    !amount_read(limit, &new->limit) ||
	    (roll_over && !amount_read(roll_over, &options->roll_over)) ||
	    !read_period(period_name, &new->period))
		return false;
	if (parent != Py_None && !PyTuple_Check(parent)) {
		PyErr_SetString(PyExc_TypeError, "parent is (namespace, category)");
		return false;
	}
	if (parent != Py_None &&
	    !PyArg_ParseTuple(parent, "zs;parent is (namespace, category)",
			      &options->parent_namespace, &options->parent_category))
		return false;
	options->period_start_ns = start_ns;
	options->suspended = suspended;
	options->begins_on = begins_on;
	options->observe_only = observe_only;
	new->must_be_new = must_be_new;
	return true;
}

PyObject *settings_create(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct new_envelope new = {.options = BE_ENVELOPE_OPTIONS_INIT};
	PyObject *made = NULL;
	enum be_status status = BE_OK;

	if (!read_new(arguments, keywords, &new))
		return NULL;
	made = value_make(envelope_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = create(self->handle, &new, &((struct envelope_object *)made)->value));
	enforcer_leave(self);
	return made_or_failed(made, status);
}

/* ---- changing one */

/* An amount; nothing is changed where it is not given. */
static bool read_amount(PyObject *value, uint32_t bit, int64_t *nanos, uint32_t *mask)
{
	if (!value)
		return true;
	*mask |= bit;
	return amount_read(value, nanos);
}

/* Likewise, for True and False. */
static bool read_flag(PyObject *value, uint32_t bit, bool *flag, uint32_t *mask)
{
	int truth = value ? PyObject_IsTrue(value) : 0;

	if (value)
		*mask |= bit;
	*flag = truth > 0;
	return truth >= 0;
}

/* (amount, until_ns), or None for the end of one. */
static bool read_raise(PyObject *value, struct be_settings *settings)
{
	PyObject *amount = NULL;
	long long until_ns = 0;

	if (!value)
		return true;
	settings->mask |= BE_SET_RAISE;
	if (value == Py_None)
		return true;
	if (!PyTuple_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "raised is (amount, until_ns) or None");
		return false;
	}
	if (!PyArg_ParseTuple(value, "OL;raised is (amount, until_ns) or None", &amount,
			      &until_ns) ||
	    !amount_read(amount, &settings->raise))
		return false;
	settings->raise_until_ns = until_ns;
	return true;
}

static bool read_threshold(PyObject *list, Py_ssize_t at, uint16_t *threshold)
{
	PyObject *one = PySequence_GetItem(list, at);
	long percent = one ? PyLong_AsLong(one) : -1;

	Py_XDECREF(one);
	if (PyErr_Occurred())
		return false;
	if (percent < 1 || percent > BE_THRESHOLD_MAX) {
		PyErr_Format(PyExc_ValueError, "a threshold is a percentage from 1 to %d",
			     BE_THRESHOLD_MAX);
		return false;
	}
	*threshold = (uint16_t)percent;
	return true;
}

/* Percentages; an empty sequence for none. */
static bool read_thresholds(PyObject *list, struct be_settings *settings)
{
	Py_ssize_t count = list ? PySequence_Size(list) : 0;

	if (!list)
		return true;
	settings->mask |= BE_SET_THRESHOLDS;
	if (count < 0)
		return false;
	if (count > BE_THRESHOLDS_MAX) {
		PyErr_Format(PyExc_ValueError, "an envelope has up to %d thresholds",
			     BE_THRESHOLDS_MAX);
		return false;
	}
	for (Py_ssize_t i = 0; i < count; i++)
		if (!read_threshold(list, i, &settings->thresholds[i]))
			return false;
	return true;
}

/* (namespace, category), as of its new name; None: no parent. */
static bool read_parent(PyObject *parent, struct be_settings *settings)
{
	if (!parent)
		return true;
	settings->mask |= BE_SET_PARENT;
	if (parent == Py_None)
		return true;
	if (!PyTuple_Check(parent)) {
		PyErr_SetString(PyExc_TypeError, "parent is (namespace, category) or None");
		return false;
	}
	return PyArg_ParseTuple(parent, "zs;parent is (namespace, category)",
				&settings->parent_namespace, &settings->parent_category);
}

/* (namespace, category); None as the namespace is its own. */
static bool read_name(PyObject *name, struct be_settings *settings)
{
	if (!name)
		return true;
	settings->mask |= BE_SET_NAME;
	if (!PyTuple_Check(name)) {
		PyErr_SetString(PyExc_TypeError, "name is (namespace, category)");
		return false;
	}
	return PyArg_ParseTuple(name, "zs;name is (namespace, category)", &settings->new_namespace,
				&settings->new_category);
}

static bool read_settings(PyObject *arguments, PyObject *keywords, const char **category,
			  struct be_settings *settings)
{
	static const char *const names[] = {
		"category",  "limit",     "period",       "zone",       "begins_on",
		"suspended", "roll_over", "observe_only", "thresholds", "clear_spent",
		"raised",    "name",      "parent",       NULL};
	PyObject *limit = NULL, *suspended = NULL, *roll_over = NULL, *observe_only = NULL;
	PyObject *thresholds = NULL, *raised = NULL, *name = NULL, *parent = NULL;
	const char *period = NULL;
	unsigned begins_on = 0;
	int clear_spent = 0;

	if (!PARSE(arguments, keywords, "s|$OzzIOOOOpOOO:set_envelope", names, category, &limit,
		   &period, &settings->zone, &begins_on, &suspended, &roll_over, &observe_only,
		   &thresholds, &clear_spent, &raised, &name, &parent))
		return false;
	settings->begins_on = begins_on;
	if (clear_spent)
		settings->mask |= BE_SET_SPENT;
	if (period) {
		settings->mask |= BE_SET_PERIOD;
	} else if (settings->zone || begins_on != 0) {
		PyErr_SetString(PyExc_TypeError, "zone and begins_on are set with a period");
		return false;
	}
	return (!period || read_period(period, &settings->period)) &&
	       read_amount(limit, BE_SET_LIMIT, &settings->limit, &settings->mask) &&
	       read_amount(roll_over, BE_SET_ROLL_OVER, &settings->roll_over, &settings->mask) &&
	       read_flag(suspended, BE_SET_SUSPENDED, &settings->suspended, &settings->mask) &&
	       read_flag(observe_only, BE_SET_OBSERVE_ONLY, &settings->observe_only,
			 &settings->mask) &&
	       read_thresholds(thresholds, settings) && read_raise(raised, settings) &&
	       read_name(name, settings) && read_parent(parent, settings);
}

PyObject *settings_change(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_settings settings = BE_SETTINGS_INIT;
	const char *category = NULL;
	PyObject *made = NULL;
	enum be_status status = BE_OK;

	if (!read_settings(arguments, keywords, &category, &settings))
		return NULL;
	made = value_make(envelope_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = be_envelope_set(self->handle, category, &settings,
					     &((struct envelope_object *)made)->value));
	enforcer_leave(self);
	return made_or_failed(made, status);
}

/* ---- several changes together */

/* What a change points at. */
struct given_change {
	PyObject *kept; /* a dict that has its texts */
	struct be_envelope_options options;
	struct be_settings settings;
};

/* By its name, of what the library changes together. */
static bool find_operation(PyObject *name, enum be_operation *operation)
{
	static const enum be_operation known[] = {
		BE_OPERATION_CREATE,  BE_OPERATION_ENSURE, BE_OPERATION_SET_LIMIT,
		BE_OPERATION_SUSPEND, BE_OPERATION_RESUME, BE_OPERATION_RESET,
		BE_OPERATION_SET,     BE_OPERATION_REMOVE,
	};
	const char *text = NULL;

	if (name && !PyArg_Parse(name, "s", &text))
		return false;
	for (size_t i = 0; text && i < sizeof known / sizeof *known; i++)
		if (strcmp(be_operation_name(known[i]), text) == 0) {
			*operation = known[i];
			return true;
		}
	PyErr_SetString(PyExc_ValueError,
			"the operation of a change is \"create\", \"ensure\", \"set_limit\", "
			"\"suspend\", \"resume\", \"reset\", \"set\" or \"remove\"");
	return false;
}

/* What is left of a change beside operation and namespace: as the call for it alone takes it. */
static bool read_rest(PyObject *rest, struct be_envelope_change *change, struct given_change *given)
{
	static const char *const names[] = {"category", NULL};
	static const char *const names_of_limit[] = {"category", "limit", NULL};
	struct new_envelope new = {.options = BE_ENVELOPE_OPTIONS_INIT};
	PyObject *nothing = PyTuple_New(0), *limit = NULL;
	bool good = nothing != NULL;

	switch (change->operation) {
	case BE_OPERATION_CREATE:
	case BE_OPERATION_ENSURE:
		good = good && read_new(nothing, rest, &new);
		if (good && new.must_be_new) {
			PyErr_SetString(PyExc_TypeError, "what must be new is a \"create\"");
			good = false;
		}
		given->options = new.options;
		change->category = new.category;
		change->limit = new.limit;
		change->period = new.period;
		change->options = &given->options;
		break;
	case BE_OPERATION_SET:
		good = good && read_settings(nothing, rest, &change->category, &given->settings);
		change->settings = &given->settings;
		break;
	case BE_OPERATION_SET_LIMIT:
		good = good &&
		       PARSE(nothing, rest, "sO:set_limit", names_of_limit, &change->category,
			     &limit) &&
		       amount_read(limit, &change->limit);
		break;
	default:
		good = good && PARSE(nothing, rest, "s", names, &change->category);
	}
	Py_XDECREF(nothing);
	return good;
}

static bool read_change(PyObject *one, struct be_envelope_change *change,
			struct given_change *given)
{
	PyObject *namespace_name = NULL, *rest = NULL;
	bool good = false;

	*change = (struct be_envelope_change){.size = sizeof *change};
	given->settings = (struct be_settings)BE_SETTINGS_INIT;
	if (!PyDict_Check(one)) {
		PyErr_SetString(PyExc_TypeError, "a change is a dict");
		return false;
	}
	/* Another thread may change the caller's meanwhile. */
	given->kept = PyDict_Copy(one);
	if (!given->kept ||
	    !find_operation(PyDict_GetItemString(given->kept, "operation"), &change->operation))
		return false;
	namespace_name = PyDict_GetItemString(given->kept, "namespace");
	if (namespace_name && !PyArg_Parse(namespace_name, "z", &change->namespace_name))
		return false;
	rest = PyDict_Copy(given->kept);
	good = rest && PyDict_DelItemString(rest, "operation") == 0 &&
	       (!namespace_name || PyDict_DelItemString(rest, "namespace") == 0) &&
	       read_rest(rest, change, given);
	Py_XDECREF(rest);
	return good;
}

/* The exception that is set tells which change it is about. */
static void tell_failed(size_t failed)
{
	PyObject *type = NULL, *value = NULL, *trace = NULL;
	PyObject *number = NULL;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	number = PyLong_FromSize_t(failed);
	if (!number || PyObject_SetAttrString(value, "failed", number) < 0)
		PyErr_Clear();
	Py_XDECREF(number);
	PyErr_Restore(type, value, trace);
}

static PyObject *apply(struct enforcer_object *self, PyObject *list,
		       struct be_envelope_change *changes, struct given_change *given)
{
	size_t count = (size_t)PyList_Size(list), failed = count;
	enum be_status status = BE_OK;

	for (size_t i = 0; i < count; i++)
		if (!read_change(PyList_GetItem(list, (Py_ssize_t)i), &changes[i], &given[i])) {
			tell_failed(i);
			return NULL;
		}
	if (!enforcer_enter(self))
		return NULL;
	WITHOUT_GIL(status = be_envelopes_apply(self->handle, changes, count, &failed));
	enforcer_leave(self);
	if (status == BE_OK)
		Py_RETURN_NONE;
	(void)fail(status, NULL);
	if (failed < count)
		tell_failed(failed);
	return NULL;
}

/* (changes): a sequence of dicts, all of which are made, or none. */
PyObject *settings_apply(PyObject *object, PyObject *sequence)
{
	PyObject *list = PySequence_List(sequence), *made = NULL;
	struct be_envelope_change *changes = NULL;
	struct given_change *given = NULL;
	size_t count = 0;

	if (!list)
		return NULL;
	count = (size_t)PyList_Size(list);
	changes = calloc(count + 1, sizeof *changes);
	given = calloc(count + 1, sizeof *given);
	if (changes && given)
		made = apply((struct enforcer_object *)object, list, changes, given);
	else
		(void)PyErr_NoMemory();
	for (size_t i = 0; given && i < count; i++)
		Py_XDECREF(given[i].kept);
	free(changes);
	free(given);
	Py_DECREF(list);
	return made;
}
