/* SPDX-License-Identifier: Apache-2.0 */
/* Labels, which are dicts in Python, and names of envelopes, which are tuples. */
#include "native.h"

/* The text of a str, which lives as long as that; NULL: an exception is set. */
static const char *text_of(PyObject *value)
{
	const char *text = NULL;

	if (!PyUnicode_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "labels are a dict of str");
		return NULL;
	}
	return PyArg_Parse(value, "s", &text) ? text : NULL;
}

static bool take(PyObject *key, PyObject *value, bool any, struct be_label *label)
{
	label->key = text_of(key);
	label->value = any && value == Py_None ? NULL : label->key ? text_of(value) : NULL;
	return label->key && (label->value || (any && value == Py_None));
}

bool labels_read(PyObject *value, bool any, struct given_labels *given)
{
	PyObject *key = NULL, *text = NULL;
	Py_ssize_t at = 0;

	given->kept = NULL;
	given->count = 0;
	if (!value || value == Py_None)
		return true;
	if (!PyDict_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "labels are a dict of str");
		return false;
	}
	/* Another thread may change the caller's meanwhile. */
	given->kept = PyDict_Copy(value);
	if (!given->kept)
		return false;
	for (; PyDict_Next(given->kept, &at, &key, &text); given->count++) {
		if (given->count >= BE_LABELS_MAX)
			continue;
		if (!take(key, text, any, &given->labels[given->count])) {
			Py_CLEAR(given->kept);
			return false;
		}
	}
	return true;
}

bool names_read(PyObject *value, struct given_names *given)
{
	given->kept = NULL;
	given->count = 0;
	if (!value || value == Py_None)
		return true;
	given->kept = PySequence_Tuple(value);
	if (!given->kept)
		return false;
	for (; given->count < (size_t)PyTuple_Size(given->kept); given->count++) {
		PyObject *name = PyTuple_GetItem(given->kept, (Py_ssize_t)given->count);
		struct be_envelope_name *read = &given->names[given->count];

		if (given->count == BE_ENVELOPES_MAX)
			break; /* the library says that they are too many */
		if (!PyTuple_Check(name))
			PyErr_SetString(PyExc_TypeError,
					"also is a sequence of (namespace, category)");
		if (PyErr_Occurred() ||
		    !PyArg_ParseTuple(name, "zs;also is a sequence of (namespace, category)",
				      &read->namespace_name, &read->category)) {
			Py_CLEAR(given->kept);
			return false;
		}
	}
	return true;
}

bool given_read(PyObject *labels, struct given_labels *given, PyObject *names,
		struct given_names *names_given)
{
	if (!labels_read(labels, false, given))
		return false;
	if (names_read(names, names_given))
		return true;
	Py_CLEAR(given->kept);
	return false;
}

void given_drop(struct given_labels *given, struct given_names *names_given)
{
	Py_CLEAR(given->kept);
	Py_CLEAR(names_given->kept);
}
