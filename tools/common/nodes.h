/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML file as a stream of values, each read when it is asked for. */
#ifndef NODES_H
#define NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A place in the file, counted from 1. */
struct yaml_mark {
	uint32_t line;
	uint32_t column;
};

enum node_kind {
	NODE_SCALAR,
	NODE_SEQUENCE,
	NODE_MAPPING,
};

struct yaml_node {
	enum node_kind kind;
	bool is_null; /* scalar: nothing, ~ or null, not quoted */
	struct yaml_mark at;
	const char *text;         /* scalar: its text, as it stands in the file, and a NUL */
	size_t size;              /* of the text */
	size_t count;             /* of items */
	struct yaml_node **items; /* sequence: its values; mapping: key, value, key, value, ... */
};

/* What comes next in the stream. */
enum nodes_next {
	NODES_VALUE,    /* a scalar, or a value that was named before: nodes_load() has it */
	NODES_SEQUENCE, /* one begins: nodes_load() has it as a whole, nodes_enter() steps inside */
	NODES_MAPPING,  /* likewise */
	NODES_END,      /* of the sequence, of the mapping, or of the document: nodes_leave() */
	NODES_FAULT,    /* nodes_error() tells */
};

struct nodes;

/* Begins with the first document. Ends the process when memory has run out. */
struct nodes *nodes_open(FILE *stream);
void nodes_close(struct nodes *nodes);

enum nodes_next nodes_next(struct nodes *nodes);

/* Where it begins. */
struct yaml_mark nodes_mark(const struct nodes *nodes);

/* The next value as a whole, valid until nodes_forget(); NULL: there is none, see nodes_next() or
 * nodes_error(). */
struct yaml_node *nodes_load(struct nodes *nodes);
void nodes_forget(struct nodes *nodes);

void nodes_enter(struct nodes *nodes);
void nodes_leave(struct nodes *nodes);

/* After the end of the first document: is there another, and where? */
bool nodes_is_more(struct nodes *nodes);

/* What is wrong, and where, to be freed. NULL: the stream cannot be read, and errno says why. */
char *nodes_error(const struct nodes *nodes, struct yaml_mark *at);

#endif
