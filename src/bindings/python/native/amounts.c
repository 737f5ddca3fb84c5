/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts: nanos in the library, Decimals in Python. Text goes between them, which never rounds. */
#include "native.h"

#include <string.h>

PyObject *amount_make(int64_t nanos)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	if (be_amount_format(nanos, text, sizeof text) != BE_OK)
		return PyErr_Format(PyExc_SystemError, "%s", be_last_error());
	return PyObject_CallFunction(decimal_type, "s", text);
}

/* Zeros behind the ninth decimal stand for nothing in a Decimal; in text somebody wrote them. */
static void drop_zeros(char *text)
{
	char *point = strchr(text, '.');
	char *end = text + strlen(text);

	while (point && end - point > 10 && end[-1] == '0')
		*--end = '\0';
}

static bool read_text(PyObject *text, bool zeros_mean_nothing, int64_t *nanos)
{
	PyObject *bytes = PyUnicode_AsUTF8String(text);
	enum be_status status = BE_OK;
	char *start = NULL;

	/* Without a place for the length, a NUL within is a ValueError. */
	if (!bytes || PyBytes_AsStringAndSize(bytes, &start, NULL) < 0) {
		Py_XDECREF(bytes);
		return false;
	}
	if (zeros_mean_nothing)
		drop_zeros(start);
	status = be_amount_parse(start, nanos);
	Py_DECREF(bytes);
	if (status != BE_OK)
		(void)fail(status, NULL);
	return status == BE_OK;
}

static bool read_text_of(PyObject *value, int64_t *nanos)
{
	PyObject *text = PyObject_Str(value);
	bool good = text && read_text(text, false, nanos);

	Py_XDECREF(text);
	return good;
}

/* Whole units. What does not fit has its digits refused like those of a text. */
static bool read_int(PyObject *value, int64_t *nanos)
{
	long long units = PyLong_AsLongLong(value);

	if (units == -1 && PyErr_Occurred()) {
		PyErr_Clear();
		return read_text_of(value, nanos);
	}
	if (units < 0 || __builtin_mul_overflow((int64_t)units, BE_UNIT, nanos))
		return read_text_of(value, nanos);
	return true;
}

/* str(Decimal("1E+2")) has an exponent, which the library refuses; format(..., "f") has none. */
static bool read_decimal(PyObject *value, int64_t *nanos)
{
	PyObject *format = PyUnicode_FromString("f");
	PyObject *text = format ? PyObject_Format(value, format) : NULL;
	bool good = text && read_text(text, true, nanos);

	Py_XDECREF(format);
	Py_XDECREF(text);
	return good;
}

bool amount_read(PyObject *value, int64_t *nanos)
{
	int is_decimal = 0;

	*nanos = 0;
	if (PyUnicode_Check(value))
		return read_text(value, false, nanos);
	if (PyLong_Check(value) && !PyBool_Check(value))
		return read_int(value, nanos);
	is_decimal = PyObject_IsInstance(value, decimal_type);
	if (is_decimal > 0)
		return read_decimal(value, nanos);
	if (is_decimal == 0)
		PyErr_Format(PyExc_TypeError,
			     "an amount is a Decimal, an int or a str such as \"0.40\", not %R",
			     value);
	return false;
}
