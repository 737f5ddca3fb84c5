/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of each view: one table of them makes the columns, the JSON and the help. */
#ifndef FIELDS_H
#define FIELDS_H

#include <budget_enforcer.h>
#include <jansson.h>

/* Bytes that hold any field as text, with its NUL. */
#define FIELD_TEXT_SIZE ((size_t)BE_ENVELOPES_MAX * 2 * (BE_NAME_SIZE + 1))

/* How a field is read from its record, and shown. */
enum field_kind {
	FIELD_AMOUNT,       /* int64_t nanos */
	FIELD_COUNT,        /* uint64_t */
	FIELD_SMALL_COUNT,  /* uint32_t */
	FIELD_ID,           /* uint64_t, 0 for none */
	FIELD_PID,          /* uint32_t, 0 for none */
	FIELD_PERCENT,      /* int64_t millionths */
	FIELD_TEXT,         /* an array of char */
	FIELD_YES,          /* bool */
	FIELD_TIME,         /* int64_t ns, 0 for none */
	FIELD_TIME_LEFT,    /* the same; a column shows how long until then */
	FIELD_AGE,          /* the same; how long ago */
	FIELD_DURABILITY,   /* enum be_durability */
	FIELD_PERIOD,       /* enum be_period */
	FIELD_SUSPENDED,    /* bool */
	FIELD_PARENT,       /* of a struct be_envelope */
	FIELD_REFUSED,      /* of a struct be_envelope: for all reasons */
	FIELD_COMMIT_STATE, /* enum be_commit_state */
	FIELD_REAP_POLICY,  /* enum be_reap_policy */
	FIELD_KIND,         /* enum be_transaction_kind */
	FIELD_POINTER,      /* const char *, NULL for none */
	FIELD_FIGURE,       /* an array of char, a number in decimal digits; empty for none */
	FIELD_BAR,          /* int64_t millionths of the longest; nothing but in a table */
	FIELD_ALSO,         /* const char *, see field_make_also() */
	FIELD_LABELS,       /* const char *, see field_make_labels() */
};

struct field {
	const char *heading; /* of its column */
	const char *key;     /* in JSON */
	enum field_kind kind;
	size_t offset;  /* in the record, which is the library's structure for the view */
	size_t size;    /* what the field is read from is within so many bytes from there */
	bool on_demand; /* a column only when --output names it */
	const char *help;
};

struct fields {
	const struct field *first;
	size_t count;
};

/* The record of the view of envelopes. */
struct envelope_row {
	struct be_envelope envelope;
	int64_t held_expired;  /* nanos of what is committed: by commits whose deadline has
	                         passed, */
	int64_t held_orphaned; /* and by those of dead owners */
};

/* The records of the views of commits and transactions. */
struct commit_row {
	struct be_commit_info commit;
	const char *also;
	const char *labels;
};
struct transaction_row {
	struct be_transaction transaction;
	const char *also;
	const char *labels;
};

/* The further envelopes of either: namespace, NUL, category, NUL, and so on, ended by a NUL. NULL
 * when there are none; else to be given back with free(). */
char *field_make_also(const struct be_envelope_name *also, uint32_t count);

/* The labels of either: key, NUL, value, NUL, and so on, ended by a NUL; likewise. */
char *field_make_labels(const struct be_label *labels, uint32_t count);

/* The record of the view of owners. */
struct owner_row {
	uint64_t id;
	uint32_t pid;
	uint32_t pid_namespace;
	uint32_t pid_here;
	bool alive;
	uint64_t commits;
	int64_t held;
	int64_t oldest_ns; /* when its oldest pending commit was made; 0: it has none */
	char command[32];
};

/* Of a struct envelope_row; and those of them that the library's struct be_envelope has. */
extern const struct fields envelope_row_fields, envelope_fields;
extern const struct fields commit_row_fields, transaction_row_fields;
/* Of the library's own structures. */
extern const struct fields commit_fields, transaction_fields, alert_fields, owner_fields,
	stats_fields;

/* The field whose heading or key is the first `size` bytes of `name`, in any case; NULL when there
 * is none. */
const struct field *fields_find(const struct fields *fields, const char *name, size_t size);

/* The field of a record as text for a column, not escaped; "-" where there is nothing. */
void field_text(const struct field *field, const void *record, int64_t now_ns,
		char text[FIELD_TEXT_SIZE]);

enum field_value {
	FIELD_VALUE_NONE, /* null in JSON */
	FIELD_VALUE_WORD, /* a number, true or false */
	FIELD_VALUE_TEXT, /* UTF-8 */
};

/* The field as programs read it: its kind, and but for FIELD_VALUE_NONE its text. A parent, which
 * is two texts, is the caller's to take apart. */
enum field_value field_value(const struct field *field, const void *record, int64_t now_ns,
			     char text[FIELD_TEXT_SIZE]);

/* The same as a JSON value, a new reference. */
json_t *field_json(const struct field *field, const void *record, int64_t now_ns);

/* For all reasons. */
uint64_t field_refusals(const struct be_envelope *envelope);

/* Adds an amount to a sum over many envelopes. More than there can be is shown as the most there
 * is. */
void field_add_amount(int64_t *sum, int64_t amount);

/* Whether its column is aligned to the right. */
bool field_is_figure(const struct field *field);

#endif
