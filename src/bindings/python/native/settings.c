/* SPDX-License-Identifier: Apache-2.0 */
/* What an envelope is made with, and what it is set to afterwards. */
#include "native.h"

static bool read_period(const char *name, enum be_period *period)
{
	enum be_status status = be_period_parse(name, period);

	if (status != BE_OK)
		(void)fail(status, NULL);
	return status == BE_OK;
}

/* ---- making one */

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

PyObject *settings_create(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {
		"category",    "limit", "period",    "parent",    "period_start_ns", "suspended",
		"must_be_new", "zone",  "begins_on", "roll_over", "observe_only",    NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	const char *category = NULL, *period_name = "total";
	PyObject *limit = NULL, *parent = Py_None, *roll_over = NULL, *made = NULL;
	enum be_period period = BE_PERIOD_TOTAL;
	long long start_ns = 0;
	int suspended = 0, must_be_new = 0, observe_only = 0;
	unsigned begins_on = 0;
	int64_t nanos = 0;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "sO|s$OLppzIOp:create_envelope", names, &category, &limit,
		   &period_name, &parent, &start_ns, &suspended, &must_be_new, &options.zone,
		   &begins_on, &roll_over, &observe_only) ||
	    !amount_read(limit, &nanos) ||
	    (roll_over && !amount_read(roll_over, &options.roll_over)) ||
	    !read_period(period_name, &period))
		return NULL;
	if (parent != Py_None &&
	    !PyArg_ParseTuple(parent, "zs;parent is (namespace, category)",
			      &options.parent_namespace, &options.parent_category))
		return NULL;
	options.period_start_ns = start_ns;
	options.suspended = suspended;
	options.begins_on = begins_on;
	options.observe_only = observe_only;
	made = value_make(envelope_type);
	if (!made || !enforcer_enter(self)) {
		Py_XDECREF(made);
		return NULL;
	}
	WITHOUT_GIL(status = create(self->handle, category, nanos, period, &options, must_be_new,
				    &((struct envelope_object *)made)->value));
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
