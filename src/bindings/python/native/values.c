/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls return: objects around the library's own structures. A member becomes a Python object
 * when somebody reads it: a Decimal costs as much as a check, and most are never looked at.
 */
#include "native.h"

#include <stddef.h>
#include <string.h>

PyTypeObject *decision_type, *transaction_type, *envelope_type, *commit_type;

enum member_kind {
	AMOUNT,
	INT,
	ID,
	BOOL,
	TEXT,
	PID,
	REASON,
	PERMITTED,
	KIND,
	PERIOD,
	STATE
};

/* A member: what it is, and where in the object. */
struct object_member {
	enum member_kind kind;
	size_t offset;
};

static const char *state_name(enum be_commit_state state)
{
	static const char *const names[] = {"pending", "released", "settled", "expired",
					    "orphaned"};
	size_t at = (size_t)state;

	return at < sizeof names / sizeof *names ? names[at] : "unknown";
}

/* What is told by names. */
static const char *name_of(const struct object_member *member, const void *at)
{
	switch (member->kind) {
	case REASON: {
		enum be_status status = *(const enum be_status *)at;

		return status == BE_OK ? "within_budget" : be_status_name(status);
	}
	case KIND:
		return be_transaction_kind_name(*(const enum be_transaction_kind *)at);
	case PERIOD:
		return be_period_name(*(const enum be_period *)at);
	case STATE:
		return state_name(*(const enum be_commit_state *)at);
	default:
		return at;
	}
}

static PyObject *get(PyObject *self, void *closure)
{
	const struct object_member *member = closure;
	const void *at = (const char *)self + member->offset;

	switch (member->kind) {
	case AMOUNT:
		return amount_make(*(const int64_t *)at);
	case INT:
		return PyLong_FromLongLong(*(const int64_t *)at);
	case ID:
		return PyLong_FromUnsignedLongLong(*(const uint64_t *)at);
	case PID:
		return PyLong_FromUnsignedLong(*(const uint32_t *)at);
	case BOOL:
		return PyBool_FromLong(*(const bool *)at);
	case PERMITTED:
		return PyBool_FromLong(*(const enum be_status *)at == BE_OK);
	default:
		return PyUnicode_FromString(name_of(member, at));
	}
}

#define MEMBER(type, name, kind, place)                                                            \
	{                                                                                          \
		name, get, NULL, NULL, &(struct object_member)                                     \
		{                                                                                  \
			kind, offsetof(struct type, value.place)                                   \
		}                                                                                  \
	}

static PyGetSetDef decision_members[] = {
	MEMBER(decision_object, "permitted", PERMITTED, status),
	MEMBER(decision_object, "reason", REASON, status),
	MEMBER(decision_object, "requested", AMOUNT, requested),
	MEMBER(decision_object, "available", AMOUNT, available),
	MEMBER(decision_object, "limit", AMOUNT, limit),
	MEMBER(decision_object, "spent", AMOUNT, spent),
	MEMBER(decision_object, "committed", AMOUNT, committed),
	MEMBER(decision_object, "namespace", TEXT, namespace_name),
	MEMBER(decision_object, "category", TEXT, category),
	{0},
};

static PyGetSetDef transaction_members[] = {
	MEMBER(transaction_object, "id", ID, id),
	MEMBER(transaction_object, "kind", KIND, kind),
	MEMBER(transaction_object, "commit_id", ID, commit_id),
	MEMBER(transaction_object, "amount", AMOUNT, amount),
	MEMBER(transaction_object, "held", AMOUNT, held),
	MEMBER(transaction_object, "at_ns", INT, at_ns),
	MEMBER(transaction_object, "late", BOOL, late),
	MEMBER(transaction_object, "namespace", TEXT, namespace_name),
	MEMBER(transaction_object, "category", TEXT, category),
	MEMBER(transaction_object, "description", TEXT, description),
	{0},
};

static PyGetSetDef envelope_members[] = {
	MEMBER(envelope_object, "id", ID, id),
	MEMBER(envelope_object, "namespace", TEXT, namespace_name),
	MEMBER(envelope_object, "category", TEXT, category),
	MEMBER(envelope_object, "limit", AMOUNT, limit),
	MEMBER(envelope_object, "spent", AMOUNT, spent),
	MEMBER(envelope_object, "committed", AMOUNT, committed),
	MEMBER(envelope_object, "available", AMOUNT, available),
	MEMBER(envelope_object, "period", PERIOD, period),
	MEMBER(envelope_object, "period_start_ns", INT, period_start_ns),
	MEMBER(envelope_object, "period_end_ns", INT, period_end_ns),
	MEMBER(envelope_object, "created_ns", INT, created_ns),
	MEMBER(envelope_object, "pending_commits", ID, pending_commits),
	MEMBER(envelope_object, "children", ID, children),
	MEMBER(envelope_object, "suspended", BOOL, suspended),
	MEMBER(envelope_object, "has_parent", BOOL, has_parent),
	MEMBER(envelope_object, "parent_namespace", TEXT, parent_namespace),
	MEMBER(envelope_object, "parent_category", TEXT, parent_category),
	{0},
};

static PyGetSetDef commit_members[] = {
	MEMBER(commit_object, "id", ID, id),
	MEMBER(commit_object, "state", STATE, state),
	MEMBER(commit_object, "amount", AMOUNT, amount),
	MEMBER(commit_object, "created_ns", INT, created_ns),
	MEMBER(commit_object, "deadline_ns", INT, deadline_ns),
	MEMBER(commit_object, "detached", BOOL, detached),
	MEMBER(commit_object, "owner_pid", PID, owner_pid),
	MEMBER(commit_object, "owner_alive", BOOL, owner_alive),
	MEMBER(commit_object, "namespace", TEXT, namespace_name),
	MEMBER(commit_object, "category", TEXT, category),
	MEMBER(commit_object, "description", TEXT, description),
	{0},
};

/* ---- the types */

struct kind_of_value {
	PyTypeObject **type;
	PyGetSetDef *members;
	uint32_t size; /* of the structure within, whose first member says the same */
	const char *name;
};

static const struct kind_of_value kinds[] = {
	{&decision_type, decision_members, sizeof(struct be_decision), "Decision"},
	{&transaction_type, transaction_members, sizeof(struct be_transaction), "Transaction"},
	{&envelope_type, envelope_members, sizeof(struct be_envelope), "Envelope"},
	{&commit_type, commit_members, sizeof(struct be_commit_info), "Commit"},
};

/* All four begin alike, so that this is where the structure lies in each. */
static void *inside(PyObject *self)
{
	return &((struct decision_object *)self)->value;
}

static const struct kind_of_value *kind_of(PyTypeObject *type)
{
	const struct kind_of_value *kind = kinds;

	while (*kind->type != type)
		kind++;
	return kind;
}

PyObject *value_make(PyTypeObject *type)
{
	PyObject *made = PyType_GenericAlloc(type, 0);

	if (made)
		memcpy(inside(made), &kind_of(type)->size, sizeof(uint32_t));
	return made;
}

static void deallocate(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyObject_Free(self);
	Py_DECREF(type);
}

static int is_permitted(PyObject *self)
{
	return ((struct decision_object *)self)->value.status == BE_OK;
}

/* Decision(permitted=True, reason='within_budget', ...) */
static PyObject *represent(PyObject *self)
{
	const struct kind_of_value *kind = kind_of(Py_TYPE(self));
	PyObject *text = PyUnicode_FromFormat("%s(", kind->name);

	for (const PyGetSetDef *member = kind->members; text && member->name; member++) {
		PyObject *value = member->get(self, member->closure);
		PyObject *longer = value ? PyUnicode_FromFormat("%U%s%s=%R", text,
								member == kind->members ? "" : ", ",
								member->name, value)
					 : NULL;

		Py_XDECREF(value);
		Py_DECREF(text);
		text = longer;
	}
	if (text) {
		PyObject *whole = PyUnicode_FromFormat("%U)", text);

		Py_DECREF(text);
		text = whole;
	}
	return text;
}

/* ---- pickling: exceptions carry decisions from process to process */

static PyObject *reduce(PyObject *self, PyObject *unused)
{
	PyObject *type = (PyObject *)Py_TYPE(self);

	(void)unused;
	return Py_BuildValue("N(y#)", PyObject_GetAttrString(type, "_restore"), inside(self),
			     (Py_ssize_t)kind_of(Py_TYPE(self))->size);
}

/* The bytes may come from anywhere: what reads them believes that texts end and that bools are
 * bools. */
static void make_sound(PyObject *self, const struct kind_of_value *kind)
{
	for (const PyGetSetDef *one = kind->members; one->name; one++) {
		const struct object_member *member = one->closure;
		unsigned char *at = (unsigned char *)self + member->offset;

		if (member->kind == TEXT)
			at[(strcmp(one->name, "description") == 0 ? BE_DESCRIPTION_SIZE
								  : BE_NAME_SIZE) -
			   1] = '\0';
		else if (member->kind == BOOL)
			*at = *at != 0;
	}
}

static PyObject *restore(PyObject *class, PyObject *bytes)
{
	const struct kind_of_value *kind = kind_of((PyTypeObject *)class);
	PyObject *made = NULL;
	char *data = NULL;
	Py_ssize_t size = 0;

	if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
		return NULL;
	if (size != (Py_ssize_t)kind->size) {
		PyErr_Format(PyExc_ValueError, "this %s was pickled by another version",
			     kind->name);
		return NULL;
	}
	made = value_make((PyTypeObject *)class);
	if (made) {
		memcpy(inside(made), data, kind->size);
		make_sound(made, kind);
	}
	return made;
}

static PyMethodDef methods[] = {
	{"__reduce__", reduce, METH_NOARGS, NULL},
	{"_restore", restore, METH_O | METH_CLASS, NULL},
	{0},
};

static bool add(PyObject *module, const struct kind_of_value *kind, PyType_Spec *spec)
{
	PyObject *type = PyType_FromSpec(spec);

	if (!type)
		return false;
	*kind->type = (PyTypeObject *)type;
	Py_INCREF(type); /* one reference is the module's, one ours */
	return PyModule_AddObject(module, kind->name, type) == 0;
}

bool values_add(PyObject *module)
{
	static PyType_Spec specs[] = {
		{"budget_enforcer._native.Decision", sizeof(struct decision_object), 0, 0, NULL},
		{"budget_enforcer._native.Transaction", sizeof(struct transaction_object), 0, 0,
		 NULL},
		{"budget_enforcer._native.Envelope", sizeof(struct envelope_object), 0, 0, NULL},
		{"budget_enforcer._native.Commit", sizeof(struct commit_object), 0, 0, NULL},
	};

	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		PyType_Slot slots[] = {
			{Py_tp_dealloc, (void *)deallocate},
			{Py_tp_repr, (void *)represent},
			{Py_tp_getset, kinds[i].members},
			{Py_tp_methods, methods},
			{i == 0 ? Py_nb_bool : 0, (void *)is_permitted},
			{0, NULL},
		};

		specs[i].flags = Py_TPFLAGS_DEFAULT;
		specs[i].slots = slots;
		if (!add(module, &kinds[i], &specs[i]))
			return false;
	}
	return true;
}
