/* SPDX-License-Identifier: Apache-2.0 */
/* The file that declares envelopes, read and checked. */
#ifndef DECLARATION_H
#define DECLARATION_H

#include "nodes.h"

#include <budget_enforcer.h>

/* Kept small, since there may be a million. Texts belong to the declaration. */
struct declared {
	const char *namespace_name; /* never NULL */
	const char *category;
	const char *parent_namespace; /* NULL: no parent; likewise the category */
	const char *parent_category;
	const char *zone; /* NULL: none */
	int64_t limit;
	int64_t start_ns;    /* 0: none */
	struct yaml_mark at; /* of the whole envelope, and of what may be refused in it */
	struct yaml_mark period_at;
	struct yaml_mark parent_at;
	uint8_t period; /* enum be_period */
	uint8_t begins_on;
	bool says_suspended; /* `suspended` tells something */
	bool suspended;
	/* The plan's: */
	bool is_there;   /* in the environment */
	bool is_created; /* it is in the plan to be made */
	bool is_moved;   /* it is there, below another parent: this one before */
	const char *from_namespace;
	const char *from_category; /* NULL: none */
	bool is_looked_at;         /* while its ancestors are */
	bool makes_new;            /* the first of its namespace: something is created in that */
};

/* A sentence about a place of the file. */
struct complaint {
	struct yaml_mark at;
	char *sentence;
};

#define DECLARATION_COMPLAINTS_MAX 20

struct texts;

struct declaration {
	const char *file; /* for messages */
	struct declared *envelopes;
	size_t count;
	size_t errors;                                           /* complained of so far */
	struct complaint complaints[DECLARATION_COMPLAINTS_MAX]; /* the first of them */
	struct texts *texts;
	uint64_t *by_name;      /* hash tables, see declaration.c; */
	uint64_t *by_namespace; /* the first of each namespace */
	size_t room;            /* of each, a power of two */
};

/* Reads `file`; "-" is standard input. Complains of all that is wrong, each with line and column.
 * The exit status: 0, or that of a usage error or a fault. To be given back with declaration_free()
 * in any case. */
int declaration_read(struct declaration *declaration, const char *file);
void declaration_free(struct declaration *declaration);

/* The one of that name, and the first one of that namespace; NULL: there is none. */
struct declared *declaration_find(const struct declaration *declaration, const char *namespace_name,
				  const char *category);
struct declared *declaration_find_namespace(const struct declaration *declaration,
					    const char *namespace_name);

/* Complains of something at a place of the file. */
void declaration_complain(struct declaration *declaration, struct yaml_mark at, const char *format,
			  ...) __attribute__((format(printf, 3, 4)));

#endif
