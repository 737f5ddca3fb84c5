/* SPDX-License-Identifier: Apache-2.0 */
/* The module, and how its calls fail. */
#include "native.h"

PyObject *decimal_type, *raise_status, *event_type;

PyObject *fail(enum be_status status, PyObject *decision)
{
	const char *text = be_last_error();
	PyObject *nothing = PyObject_CallFunction(
		raise_status, "issO", (int)status, be_status_name(status),
		*text ? text : be_status_text(status), decision ? decision : Py_None);

	Py_XDECREF(nothing);
	return NULL;
}

static PyObject *version(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyUnicode_FromString(be_version());
}

/* An amount, refused where it is none. */
static PyObject *amount(PyObject *module, PyObject *value)
{
	int64_t nanos = 0;

	(void)module;
	return amount_read(value, &nanos) ? amount_make(nanos) : NULL;
}

static PyMethodDef functions[] = {
	{"amount", amount, METH_O, NULL},
	{"restore", upkeep_restore, METH_VARARGS, NULL},
	{"version", version, METH_NOARGS, NULL},
	{0},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
					"budget_enforcer._native",
					NULL,
					-1,
					functions,
					NULL,
					NULL,
					NULL,
					NULL};

static bool import(const char *module, const char *name, PyObject **place)
{
	PyObject *imported = PyImport_ImportModule(module);

	if (imported)
		*place = PyObject_GetAttrString(imported, name);
	Py_XDECREF(imported);
	return *place != NULL;
}

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (module && import("decimal", "Decimal", &decimal_type) &&
	    import("budget_enforcer._errors", "raise_status", &raise_status) &&
	    import("budget_enforcer._errors", "Event", &event_type) && values_add(module) &&
	    enforcer_add(module))
		return module;
	Py_XDECREF(module);
	return NULL;
}
