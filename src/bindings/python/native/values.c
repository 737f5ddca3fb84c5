/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls return: objects around the library's own structures. A member becomes a Python object
 * when somebody reads it: a Decimal costs as much as a check, and most are never looked at.
 */
#include "native.h"

#include <budget_enforcer_storage.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

PyTypeObject *decision_type, *transaction_type, *envelope_type, *commit_type, *alert_type,
	*daily_sum_type, *owner_type, *statistics_type;

enum member_kind {
	AMOUNT,
	INT,
	ID,
	BOOL,
	TEXT,
	ZONE,
	NUMBER,
	REASON,
	PERMITTED,
	KIND,
	PERIOD,
	STATE,
	ON_DEATH,
	DURABILITY,
	THRESHOLDS
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
	case ON_DEATH:
		return *(const enum be_reap_policy *)at == BE_REAP_CHARGE ? "charge" : "release";
	case DURABILITY:
		return *(const enum be_durability *)at == BE_DURABILITY_PROCESS ? "process"
										: "full";
	default:
		return at;
	}
}

static PyObject *get_thresholds(const uint16_t *thresholds)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < BE_THRESHOLDS_MAX && thresholds[i] != 0; i++) {
		PyObject *one = PyLong_FromUnsignedLong(thresholds[i]);

		if (!one || PyList_Append(list, one) < 0)
			Py_CLEAR(list);
		Py_XDECREF(one);
	}
	return list;
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
	case NUMBER:
		return PyLong_FromUnsignedLong(*(const uint32_t *)at);
	case BOOL:
		return PyBool_FromLong(*(const bool *)at);
	case PERMITTED:
		return PyBool_FromLong(*(const enum be_status *)at == BE_OK);
	case THRESHOLDS:
		return get_thresholds(at);
	default:
		return PyUnicode_FromString(name_of(member, at));
	}
}

struct value_notes *value_notes(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	return type == transaction_type ? &((struct transaction_object *)self)->notes
	       : type == commit_type    ? &((struct commit_object *)self)->notes
	       : type == daily_sum_type ? &((struct daily_sum_object *)self)->notes
					: NULL;
}

/* What a charge could not read back; false: an exception is set. */
static bool was_read(const struct value_notes *notes)
{
	char text[256];

	if (notes->status == BE_OK)
		return true;
	snprintf(text, sizeof text,
		 "it was charged, but its labels and further envelopes could not be read back: %s",
		 be_status_text(notes->status));
	be_storage_explain(text);
	(void)fail(notes->status, NULL);
	return false;
}

/* A copy: what is read of the ledger is not to be changed. */
static PyObject *get_labels(PyObject *self, void *unused)
{
	PyObject *labels = value_notes(self)->labels;

	(void)unused;
	if (!was_read(value_notes(self)))
		return NULL;
	return labels ? PyDict_Copy(labels) : PyDict_New();
}

static PyObject *get_also(PyObject *self, void *unused)
{
	PyObject *also = value_notes(self)->also;

	(void)unused;
	if (!was_read(value_notes(self)))
		return NULL;
	Py_XINCREF(also);
	return also ? also : PyTuple_New(0);
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
	MEMBER(decision_object, "window_end_ns", INT, window_end_ns),
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
	MEMBER(transaction_object, "corrects", ID, corrects),
	MEMBER(transaction_object, "envelope_id", ID, envelope_id),
	{"labels", get_labels, NULL, NULL, NULL},
	{"also", get_also, NULL, NULL, NULL},
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
	MEMBER(envelope_object, "limit_now", AMOUNT, limit_now),
	MEMBER(envelope_object, "raised", AMOUNT, raise),
	MEMBER(envelope_object, "raised_until_ns", INT, raise_until_ns),
	MEMBER(envelope_object, "roll_over", AMOUNT, roll_over),
	MEMBER(envelope_object, "carried", AMOUNT, carried),
	MEMBER(envelope_object, "charged", AMOUNT, charged),
	MEMBER(envelope_object, "given_back", AMOUNT, given_back),
	MEMBER(envelope_object, "zone", ZONE, zone),
	MEMBER(envelope_object, "begins_on", NUMBER, begins_on),
	MEMBER(envelope_object, "observe_only", BOOL, observe_only),
	MEMBER(envelope_object, "excused", ID, excused),
	MEMBER(envelope_object, "thresholds", THRESHOLDS, thresholds),
	MEMBER(envelope_object, "passed", NUMBER, passed),
	MEMBER(envelope_object, "commits_granted", ID, commits_granted),
	MEMBER(envelope_object, "refused_exceeds_budget", ID, refused_exceeds_budget),
	MEMBER(envelope_object, "refused_suspended", ID, refused_suspended),
	{0},
};

static PyGetSetDef commit_members[] = {
	MEMBER(commit_object, "id", ID, id),
	MEMBER(commit_object, "state", STATE, state),
	MEMBER(commit_object, "amount", AMOUNT, amount),
	MEMBER(commit_object, "created_ns", INT, created_ns),
	MEMBER(commit_object, "deadline_ns", INT, deadline_ns),
	MEMBER(commit_object, "detached", BOOL, detached),
	MEMBER(commit_object, "on_death", ON_DEATH, reap_policy),
	MEMBER(commit_object, "owner_id", ID, owner_id),
	MEMBER(commit_object, "owner_pid", NUMBER, owner_pid),
	MEMBER(commit_object, "owner_alive", BOOL, owner_alive),
	MEMBER(commit_object, "namespace", TEXT, namespace_name),
	MEMBER(commit_object, "category", TEXT, category),
	MEMBER(commit_object, "description", TEXT, description),
	{"labels", get_labels, NULL, NULL, NULL},
	{"also", get_also, NULL, NULL, NULL},
	{0},
};

static PyGetSetDef alert_members[] = {
	MEMBER(alert_object, "id", ID, id),
	MEMBER(alert_object, "percent", NUMBER, percent),
	MEMBER(alert_object, "limit", AMOUNT, limit),
	MEMBER(alert_object, "spent", AMOUNT, spent),
	MEMBER(alert_object, "at_ns", INT, at_ns),
	MEMBER(alert_object, "period_start_ns", INT, period_start_ns),
	MEMBER(alert_object, "period_end_ns", INT, period_end_ns),
	MEMBER(alert_object, "done_ns", INT, done_ns),
	MEMBER(alert_object, "transaction_id", ID, transaction_id),
	MEMBER(alert_object, "namespace", TEXT, namespace_name),
	MEMBER(alert_object, "category", TEXT, category),
	MEMBER(alert_object, "spender_namespace", TEXT, spender_namespace),
	MEMBER(alert_object, "spender_category", TEXT, spender_category),
	{0},
};

static PyGetSetDef daily_sum_members[] = {
	MEMBER(daily_sum_object, "day_ns", INT, day_ns),
	MEMBER(daily_sum_object, "kind", KIND, kind),
	MEMBER(daily_sum_object, "amount", AMOUNT, amount),
	MEMBER(daily_sum_object, "count", ID, count),
	MEMBER(daily_sum_object, "first_ns", INT, first_ns),
	MEMBER(daily_sum_object, "last_ns", INT, last_ns),
	MEMBER(daily_sum_object, "namespace", TEXT, namespace_name),
	MEMBER(daily_sum_object, "category", TEXT, category),
	MEMBER(daily_sum_object, "envelope_id", ID, envelope_id),
	{"also", get_also, NULL, NULL, NULL},
	{0},
};

static PyGetSetDef owner_members[] = {
	MEMBER(owner_object, "id", ID, id),
	MEMBER(owner_object, "pid", NUMBER, pid),
	MEMBER(owner_object, "pid_namespace", NUMBER, pid_namespace),
	MEMBER(owner_object, "pid_here", NUMBER, pid_here),
	MEMBER(owner_object, "alive", BOOL, alive),
	{0},
};

static PyGetSetDef statistics_members[] = {
	MEMBER(statistics_object, "format_version", NUMBER, format_version),
	MEMBER(statistics_object, "durability", DURABILITY, durability),
	MEMBER(statistics_object, "owners", NUMBER, owners),
	MEMBER(statistics_object, "created_ns", INT, created_ns),
	MEMBER(statistics_object, "changes", ID, changes),
	MEMBER(statistics_object, "next_envelope_id", ID, next_envelope_id),
	MEMBER(statistics_object, "next_commit_id", ID, next_commit_id),
	MEMBER(statistics_object, "next_transaction_id", ID, next_transaction_id),
	MEMBER(statistics_object, "expired_released", ID, expired_released),
	MEMBER(statistics_object, "expired_charged", ID, expired_charged),
	MEMBER(statistics_object, "orphaned_released", ID, orphaned_released),
	MEMBER(statistics_object, "orphaned_charged", ID, orphaned_charged),
	MEMBER(statistics_object, "settled_late", ID, settled_late),
	MEMBER(statistics_object, "file_size", ID, file_size),
	MEMBER(statistics_object, "map_size", ID, map_size),
	MEMBER(statistics_object, "page_size", ID, page_size),
	MEMBER(statistics_object, "pages", ID, pages),
	MEMBER(statistics_object, "free_pages", ID, free_pages),
	MEMBER(statistics_object, "records", ID, records),
	MEMBER(statistics_object, "readers", ID, readers),
	MEMBER(statistics_object, "readers_max", ID, readers_max),
	MEMBER(statistics_object, "stale_readers", ID, stale_readers),
	MEMBER(statistics_object, "reader_lag", ID, reader_lag),
	MEMBER(statistics_object, "refused_no_envelope", ID, refused_no_envelope),
	MEMBER(statistics_object, "lagging_pid", NUMBER, lagging_pid),
	MEMBER(statistics_object, "refusals_known", BOOL, refusals_known),
	MEMBER(statistics_object, "went_back", BOOL, went_back),
	MEMBER(statistics_object, "reads_exclude_writes", BOOL, reads_exclude_writes),
	MEMBER(statistics_object, "waiting", NUMBER, waiting),
	MEMBER(statistics_object, "pruned_id", ID, pruned_id),
	MEMBER(statistics_object, "history_changes", ID, history_changes),
	MEMBER(statistics_object, "losses", ID, losses),
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
	{&alert_type, alert_members, sizeof(struct be_alert), "Alert"},
	{&daily_sum_type, daily_sum_members, sizeof(struct be_daily_sum), "DailySum"},
	{&owner_type, owner_members, sizeof(struct be_owner_info), "Owner"},
	{&statistics_type, statistics_members, sizeof(struct be_statistics), "Statistics"},
};

/* All begin alike, so that this is where the structure lies in each. */
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
	struct value_notes *notes = value_notes(self);

	if (notes) {
		Py_CLEAR(notes->labels);
		Py_CLEAR(notes->also);
	}
	PyObject_Free(self);
	Py_DECREF(type);
}

PyObject *made_or_failed(PyObject *made, enum be_status status)
{
	if (status == BE_OK)
		return made;
	Py_DECREF(made);
	return fail(status, NULL);
}

static int is_permitted(PyObject *self)
{
	return ((struct decision_object *)self)->value.status == BE_OK;
}

/* Decision(permitted=True, reason='within_budget', ...), without what could not be read back */
static PyObject *represent(PyObject *self)
{
	const struct kind_of_value *kind = kind_of(Py_TYPE(self));
	const struct value_notes *notes = value_notes(self);
	PyObject *text = PyUnicode_FromFormat("%s(", kind->name);

	for (const PyGetSetDef *member = kind->members; text && member->name; member++) {
		PyObject *value, *longer;

		if (!member->closure && notes->status != BE_OK)
			continue;
		value = member->get(self, member->closure);
		longer = value ? PyUnicode_FromFormat("%U%s%s=%R", text,
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
	struct value_notes *notes = value_notes(self);

	(void)unused;
	return Py_BuildValue("N(y#OOi)", PyObject_GetAttrString(type, "_restore"), inside(self),
			     (Py_ssize_t)kind_of(Py_TYPE(self))->size,
			     notes && notes->labels ? notes->labels : Py_None,
			     notes && notes->also ? notes->also : Py_None,
			     notes ? (int)notes->status : BE_OK);
}

/* The bytes may come from anywhere: what reads them believes that texts end and that bools are
 * bools. */
static size_t size_of_text(const PyGetSetDef *one, enum member_kind kind)
{
	if (kind == ZONE)
		return BE_ZONE_SIZE;
	return strcmp(one->name, "description") == 0 ? BE_DESCRIPTION_SIZE : BE_NAME_SIZE;
}

static void make_sound(PyObject *self, const struct kind_of_value *kind)
{
	for (const PyGetSetDef *one = kind->members; one->name; one++) {
		const struct object_member *member = one->closure;
		unsigned char *at = (unsigned char *)self + (member ? member->offset : 0);

		if (!member) /* labels, which are no part of it */
			continue;
		if (member->kind == TEXT || member->kind == ZONE)
			at[size_of_text(one, member->kind) - 1] = '\0';
		else if (member->kind == BOOL)
			*at = *at != 0;
	}
}

/* What it was pickled with, or None: of the type. */
static bool take_note(PyObject *note, bool is_right, PyObject **place)
{
	if (note == Py_None || !place)
		return true;
	if (!is_right) {
		PyErr_SetString(PyExc_TypeError, "labels are a dict, and further names a tuple");
		return false;
	}
	Py_INCREF(note);
	*place = note;
	return true;
}

static PyObject *restore(PyObject *class, PyObject *arguments)
{
	PyObject *labels = Py_None, *also = Py_None;
	const struct kind_of_value *kind = kind_of((PyTypeObject *)class);
	struct value_notes *notes = NULL;
	PyObject *made = NULL;
	const char *data = NULL;
	Py_ssize_t size = 0;
	int status = BE_OK;

	if (!PyArg_ParseTuple(arguments, "y#|OOi:_restore", &data, &size, &labels, &also, &status))
		return NULL;
	if (size != (Py_ssize_t)kind->size) {
		PyErr_Format(PyExc_ValueError, "this %s was pickled by another version",
			     kind->name);
		return NULL;
	}
	made = value_make((PyTypeObject *)class);
	if (!made)
		return NULL;
	memcpy(inside(made), data, kind->size);
	make_sound(made, kind);
	notes = value_notes(made);
	if (!take_note(labels, PyDict_Check(labels), notes ? &notes->labels : NULL) ||
	    !take_note(also, PyTuple_Check(also), notes ? &notes->also : NULL))
		Py_CLEAR(made);
	else if (notes)
		notes->status = (enum be_status)status;
	return made;
}

static PyMethodDef methods[] = {
	{"__reduce__", reduce, METH_NOARGS, NULL},
	{"_restore", restore, METH_VARARGS | METH_CLASS, NULL},
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
		{"budget_enforcer._native.Alert", sizeof(struct alert_object), 0, 0, NULL},
		{"budget_enforcer._native.DailySum", sizeof(struct daily_sum_object), 0, 0, NULL},
		{"budget_enforcer._native.Owner", sizeof(struct owner_object), 0, 0, NULL},
		{"budget_enforcer._native.Statistics", sizeof(struct statistics_object), 0, 0,
		 NULL},
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
