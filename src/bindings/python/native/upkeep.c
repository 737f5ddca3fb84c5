/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of whole environments: backups, and from one storage into another. */
#include "native.h"
#include "server.h"

#include <budget_enforcer_storage.h>

/* backup(path) */
PyObject *upkeep_backup(PyObject *object, PyObject *arguments)
{
	struct enforcer_object *self = (struct enforcer_object *)object;
	PyObject *bytes = NULL;
	const char *path = NULL;
	enum be_status status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "O&:backup", PyUnicode_FSConverter, &bytes))
		return NULL;
	path = PyBytes_AsString(bytes);
	if (!enforcer_enter(self)) {
		Py_DECREF(bytes);
		return NULL;
	}
	WITHOUT_GIL(status = be_backup(self->handle, path));
	enforcer_leave(self);
	Py_DECREF(bytes);
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}

/* restore(backup, directory), which needs no handle */
PyObject *upkeep_restore(PyObject *module, PyObject *arguments)
{
	PyObject *backup = NULL, *directory = NULL;
	const char *from = NULL, *to = NULL;
	enum be_status status = BE_OK;

	(void)module;
	if (!PyArg_ParseTuple(arguments, "O&O&:restore", PyUnicode_FSConverter, &backup,
			      PyUnicode_FSConverter, &directory)) {
		/* The converter gives back what it made when a later argument is none. */
		return NULL;
	}
	from = PyBytes_AsString(backup);
	to = PyBytes_AsString(directory);
	WITHOUT_GIL(status = be_restore(from, to));
	Py_DECREF(backup);
	Py_DECREF(directory);
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}

/* ---- copy(url, progress) */

unsigned upkeep_copies;

/* What it raises, and signals, such as Ctrl-C, end the copying. */
static bool copied(void *context, uint64_t records)
{
	PyObject *progress = context;
	PyGILState_STATE state = PyGILState_Ensure();
	bool goes_on = PyErr_CheckSignals() == 0;
	PyObject *said = NULL;

	if (goes_on && progress != Py_None) {
		said = PyObject_CallFunction(progress, "K", (unsigned long long)records);
		goes_on = said && said != Py_False;
		Py_XDECREF(said);
	}
	PyGILState_Release(state);
	return goes_on;
}

/* Progress is NULL where nothing may be called. */
static enum be_status copy_to(struct be_enforcer *handle, const char *url, PyObject *progress)
{
	struct py_server *server = NULL;
	enum be_status status = BE_OK;

	if (!server_is_url(url)) {
		be_storage_explain("a copy goes to the URL of a server; backup() and restore() "
				   "make a directory");
		return BE_INVALID_ARGUMENT;
	}
	status = server_open(url, &server);
	if (status != BE_OK)
		return status;
	status = be_copy(handle, server_storage(server), progress ? copied : NULL, progress);
	server_close(server);
	return status;
}

static bool is_memory(const struct enforcer_object *self)
{
	return self->origin ? self->origin->memory != NULL : self->memory != NULL;
}

PyObject *upkeep_copy(PyObject *object, PyObject *arguments, PyObject *keywords)
{
	static const char *const names[] = {"url", "progress", NULL};
	struct enforcer_object *self = (struct enforcer_object *)object;
	PyObject *progress = Py_None;
	const char *url = NULL;
	enum be_status status = BE_OK;

	if (!PARSE(arguments, keywords, "s|$O:copy", names, &url, &progress) ||
	    !enforcer_enter(self))
		return NULL;
	if (is_memory(self) && progress != Py_None) {
		enforcer_leave(self);
		PyErr_SetString(PyExc_ValueError,
				"a copy of a budget in memory has no progress: it keeps out "
				"others, and would wait for them");
		return NULL;
	}
	upkeep_copies++;
	WITHOUT_GIL(status = copy_to(self->handle, url, is_memory(self) ? NULL : progress));
	upkeep_copies--;
	enforcer_leave(self);
	if (PyErr_Occurred())
		return NULL;
	if (status != BE_OK)
		return fail(status, NULL);
	Py_RETURN_NONE;
}
