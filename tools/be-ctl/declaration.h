/* SPDX-License-Identifier: Apache-2.0 */
/* The file that declares envelopes, read and checked. */
#ifndef DECLARATION_H
#define DECLARATION_H

#include <budget_enforcer.h>
#include <yaml.h>

/* A place in the file, counted from 1. */
struct mark {
	size_t line;
	size_t column;
};

/* Texts belong to the document. */
struct declared {
	const char *namespace_name; /* never NULL */
	const char *category;
	const char *parent_namespace; /* NULL: no parent; likewise the category */
	const char *parent_category;
	int64_t limit;
	int64_t start_ns; /* 0: none */
	enum be_period period;
	bool says_suspended; /* `suspended` tells something */
	bool suspended;
	struct mark at; /* of the whole envelope, and of what may be refused in it */
	struct mark period_at;
	struct mark parent_at;
};

struct declaration {
	const char *file; /* for messages */
	yaml_document_t document;
	bool has_document;
	struct declared *envelopes;
	size_t count;
	size_t errors; /* complained of so far */
};

/* Reads `file`; "-" is standard input. Complains of all that is wrong, each with line and column.
 * The exit status: 0, or that of a usage error or a fault. To be given back with declaration_free()
 * in any case. */
int declaration_read(struct declaration *declaration, const char *file);
void declaration_free(struct declaration *declaration);

/* Complains of something at a place of the file. */
void declaration_complain(struct declaration *declaration, struct mark at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
