/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML by libyaml's events, so that a file of a million values needs the memory of one.
 *
 * libyaml leaves every scalar as the text that stands in the file, and tells where it begins.
 * Values that have an anchor are kept, since an alias may name them later; an alias within the
 * value that it names is refused, so that there are no loops.
 */
#include "nodes.h"

#include "blocks.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Nothing that we understand is nested so deeply. */
#define DEPTH_MAX 16
/* Bytes before the place of reading that are kept, in case that they are malformed. */
#define WINDOW_SIZE 65536

struct anchor {
	char *name;
	struct yaml_node *node;
};

struct nodes {
	FILE *stream;
	int read_error; /* an errno */
	yaml_parser_t parser;
	yaml_event_t event; /* that comes next */
	bool has_event, failed, has_ended;
	const char *complaint; /* ours; NULL: libyaml's */
	struct yaml_mark complaint_at;
	struct block *blocks, *kept;
	bool has_anchors; /* in `blocks` */
	struct anchor *anchors;
	size_t anchor_count;
	char window[2 * WINDOW_SIZE]; /* what was read last, */
	size_t window_size;
	size_t window_offset;       /* where in the stream it begins, */
	struct yaml_mark window_at; /* and where that is */
};

/* ---- reading */

static void move_on(struct yaml_mark *at, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			*at = (struct yaml_mark){at->line + 1, 1};
		else if (((unsigned char)text[i] & 0xc0) != 0x80)
			at->column++;
	}
}

static int read_stream(void *context, unsigned char *buffer, size_t size, size_t *got)
{
	struct nodes *nodes = context;

	if (size > WINDOW_SIZE)
		size = WINDOW_SIZE;
	errno = 0;
	*got = fread(buffer, 1, size, nodes->stream);
	if (*got == 0 && ferror(nodes->stream)) {
		nodes->read_error = errno ? errno : EIO;
		return 0;
	}
	if (nodes->window_size + *got > sizeof nodes->window) {
		size_t gone = nodes->window_size - WINDOW_SIZE;

		move_on(&nodes->window_at, nodes->window, gone);
		nodes->window_offset += gone;
		memmove(nodes->window, nodes->window + gone, WINDOW_SIZE);
		nodes->window_size = WINDOW_SIZE;
	}
	memcpy(nodes->window + nodes->window_size, buffer, *got);
	nodes->window_size += *got;
	return 1;
}

static void drop_event(struct nodes *nodes)
{
	if (nodes->has_event)
		yaml_event_delete(&nodes->event);
	nodes->has_event = false;
}

/* Looks at the next event; false: there is none. */
static bool look(struct nodes *nodes)
{
	if (nodes->failed || nodes->has_ended)
		return false;
	if (nodes->has_event)
		return true;
	if (!yaml_parser_parse(&nodes->parser, &nodes->event)) {
		if (nodes->parser.error == YAML_MEMORY_ERROR)
			tool_out_of_memory();
		nodes->failed = true;
		return false;
	}
	nodes->has_event = true;
	if (nodes->event.type == YAML_STREAM_END_EVENT)
		nodes->has_ended = true;
	return !nodes->has_ended;
}

static void refuse(struct nodes *nodes, const char *complaint)
{
	nodes->failed = true;
	nodes->complaint = complaint;
	nodes->complaint_at = nodes_mark(nodes);
}

struct nodes *nodes_open(FILE *stream)
{
	struct nodes *nodes = calloc(1, sizeof *nodes);

	if (!nodes || !yaml_parser_initialize(&nodes->parser))
		tool_out_of_memory();
	nodes->stream = stream;
	nodes->window_at = (struct yaml_mark){1, 1};
	yaml_parser_set_input(&nodes->parser, read_stream, nodes);
	while (look(nodes) && (nodes->event.type == YAML_STREAM_START_EVENT ||
			       nodes->event.type == YAML_DOCUMENT_START_EVENT))
		drop_event(nodes);
	return nodes;
}

void nodes_close(struct nodes *nodes)
{
	drop_event(nodes);
	yaml_parser_delete(&nodes->parser);
	blocks_free(nodes->blocks);
	blocks_free(nodes->kept);
	for (size_t i = 0; i < nodes->anchor_count; i++)
		free(nodes->anchors[i].name);
	free(nodes->anchors);
	free(nodes);
}

enum nodes_next nodes_next(struct nodes *nodes)
{
	if (!look(nodes))
		return nodes->failed ? NODES_FAULT : NODES_END;
	switch (nodes->event.type) {
	case YAML_SEQUENCE_START_EVENT:
		return NODES_SEQUENCE;
	case YAML_MAPPING_START_EVENT:
		return NODES_MAPPING;
	case YAML_SCALAR_EVENT:
	case YAML_ALIAS_EVENT:
		return NODES_VALUE;
	default:
		return NODES_END;
	}
}

struct yaml_mark nodes_mark(const struct nodes *nodes)
{
	const yaml_mark_t *mark = &nodes->event.start_mark;

	if (!nodes->has_event)
		return (struct yaml_mark){1, 1};
	return (struct yaml_mark){(uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

void nodes_enter(struct nodes *nodes)
{
	drop_event(nodes);
}

void nodes_leave(struct nodes *nodes)
{
	drop_event(nodes);
}

bool nodes_is_more(struct nodes *nodes)
{
	if (look(nodes) && nodes->event.type == YAML_DOCUMENT_END_EVENT)
		drop_event(nodes);
	if (!look(nodes) || nodes->event.type != YAML_DOCUMENT_START_EVENT)
		return false;
	drop_event(nodes);
	return look(nodes);
}

/* ---- values */

static void *allocate(struct nodes *nodes, size_t size)
{
	return blocks_take(&nodes->blocks, size, _Alignof(max_align_t));
}

void nodes_forget(struct nodes *nodes)
{
	if (nodes->has_anchors)
		blocks_move(&nodes->blocks, &nodes->kept);
	else
		blocks_reset(&nodes->blocks);
	nodes->has_anchors = false;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): what is remembered is freed */
static void remember(struct nodes *nodes, char *name, struct yaml_node *node)
{
	size_t count = nodes->anchor_count;

	if ((count & (count - 1)) == 0)
		nodes->anchors =
			reallocarray(nodes->anchors, count ? 2 * count : 1, sizeof *nodes->anchors);
	if (!nodes->anchors)
		tool_out_of_memory();
	nodes->anchors[nodes->anchor_count++] = (struct anchor){name, node};
	nodes->has_anchors = true;
}

/* The last one of that name counts. */
static struct yaml_node *recall(struct nodes *nodes, const char *name)
{
	for (size_t i = nodes->anchor_count; i > 0; i--)
		if (strcmp(nodes->anchors[i - 1].name, name) == 0)
			return nodes->anchors[i - 1].node;
	refuse(nodes, "found undefined alias");
	return NULL;
}

static bool is_null(const yaml_event_t *event)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
		if (strcmp((const char *)event->data.scalar.value, nulls[i]) == 0)
			return event->data.scalar.plain_implicit &&
			       event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return false;
}

static struct yaml_node *load_scalar(struct nodes *nodes, struct yaml_node *node)
{
	size_t size = nodes->event.data.scalar.length;
	char *text = allocate(nodes, size + 1);

	memcpy(text, nodes->event.data.scalar.value, size);
	text[size] = '\0';
	node->text = text;
	node->size = size;
	node->is_null = is_null(&nodes->event);
	drop_event(nodes);
	return node;
}

static struct yaml_node *load(struct nodes *nodes, unsigned depth);

static struct yaml_node *load_items(struct nodes *nodes, struct yaml_node *node, unsigned depth)
{
	size_t room = 0;

	drop_event(nodes);
	while (look(nodes) && nodes_next(nodes) != NODES_END) {
		if (node->count == room) {
			struct yaml_node **items;

			room = room ? 2 * room : 8;
			items = allocate(nodes, room * sizeof *items);
			if (node->count > 0)
				memcpy(items, node->items, node->count * sizeof *items);
			node->items = items;
		}
		node->items[node->count] = load(nodes, depth + 1);
		if (!node->items[node->count++])
			return NULL;
	}
	drop_event(nodes);
	return nodes->failed ? NULL : node;
}

static struct yaml_node *load(struct nodes *nodes, unsigned depth)
{
	enum nodes_next next = nodes_next(nodes);
	const yaml_char_t *anchor = NULL;
	struct yaml_node *node;
	char *name;

	if (next == NODES_END || next == NODES_FAULT)
		return NULL;
	if (depth > DEPTH_MAX) {
		refuse(nodes, "values are nested too deeply");
		return NULL;
	}
	if (nodes->event.type == YAML_ALIAS_EVENT) {
		node = recall(nodes, (const char *)nodes->event.data.alias.anchor);
		drop_event(nodes);
		return node;
	}
	node = allocate(nodes, sizeof *node);
	*node = (struct yaml_node){.at = nodes_mark(nodes)};
	if (next == NODES_VALUE)
		anchor = nodes->event.data.scalar.anchor;
	else if (next == NODES_SEQUENCE)
		anchor = nodes->event.data.sequence_start.anchor;
	else
		anchor = nodes->event.data.mapping_start.anchor;
	name = anchor ? strdup((const char *)anchor) : NULL;
	if (anchor && !name)
		tool_out_of_memory();
	node->kind = next == NODES_VALUE      ? NODE_SCALAR
		     : next == NODES_SEQUENCE ? NODE_SEQUENCE
					      : NODE_MAPPING;
	node = next == NODES_VALUE ? load_scalar(nodes, node) : load_items(nodes, node, depth);
	if (name && node)
		remember(nodes, name, node);
	else
		free(name);
	return node;
}

struct yaml_node *nodes_load(struct nodes *nodes)
{
	return load(nodes, 0);
}

/* ---- errors */

char *nodes_error(const struct nodes *nodes, struct yaml_mark *at)
{
	const yaml_parser_t *parser = &nodes->parser;
	const char *problem = parser->problem ? parser->problem : "it is no YAML";
	char *sentence = NULL;
	int made;

	if (nodes->read_error != 0) {
		errno = nodes->read_error;
		return NULL;
	}
	*at = (struct yaml_mark){(uint32_t)parser->problem_mark.line + 1,
				 (uint32_t)parser->problem_mark.column + 1};
	/* An error of the reader is about bytes, and has no mark of its own. */
	if (!nodes->complaint && parser->error == YAML_READER_ERROR) {
		size_t size = parser->problem_offset > nodes->window_offset
				      ? parser->problem_offset - nodes->window_offset
				      : 0;

		*at = nodes->window_at;
		move_on(at, nodes->window, size < nodes->window_size ? size : nodes->window_size);
	}
	if (nodes->complaint) {
		*at = nodes->complaint_at;
		made = asprintf(&sentence, "%s", nodes->complaint);
	} else {
		made = asprintf(&sentence, "%s%s%s", parser->context ? parser->context : "",
				parser->context ? ": " : "", problem);
	}
	if (made < 0)
		tool_out_of_memory();
	return sentence;
}
