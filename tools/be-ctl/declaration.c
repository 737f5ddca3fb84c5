/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the file that declares envelopes.
 *
 * libyaml leaves every value as the text that stands in the file, so that amounts are read by the
 * library's own parser and never pass through floating point. It also tells where each value
 * begins. What it calls a document is a tree of nodes, or, with aliases, a graph; the levels that
 * are looked at here are fixed, so a graph with a loop is read no deeper than any other.
 */
#include "declaration.h"

#include "moment.h"
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Complaints after this many would only follow from the others. */
#define ERRORS_MAX 20

static struct mark mark_of(const yaml_mark_t *mark)
{
	return (struct mark){mark->line + 1, mark->column + 1};
}

void declaration_complain(struct declaration *declaration, struct mark at, const char *format, ...)
{
	char *subject, *sentence;
	va_list list;

	if (declaration->errors++ >= ERRORS_MAX)
		return;
	va_start(list, format);
	if (asprintf(&subject, "%s:%zu:%zu", declaration->file, at.line, at.column) < 0 ||
	    vasprintf(&sentence, format, list) < 0)
		tool_out_of_memory();
	va_end(list);
	tool_complain(subject, sentence);
	free(subject);
	free(sentence);
}

/* ---- nodes */

/* The text of a scalar; NULL, with a complaint, when it is none or holds a NUL, which would cut
 * it. */
static const char *take_text(struct declaration *declaration, const yaml_node_t *node,
			     const char *what)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE) {
		declaration_complain(declaration, mark_of(&node->start_mark),
				     "%s must be a single value", what);
		return NULL;
	}
	if (strlen(text) != node->data.scalar.length) {
		declaration_complain(declaration, mark_of(&node->start_mark), "%s holds a NUL",
				     what);
		return NULL;
	}
	return text;
}

/* Finds the values of a mapping's keys: values[i] becomes that of keys[i], or NULL. Complains of
 * keys that are none of these, and of those that come twice. */
static void take_mapping(struct declaration *declaration, const yaml_node_t *node,
			 const char *const *keys, const yaml_node_t **values, size_t count)
{
	memset(values, 0, count * sizeof *values);
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(&declaration->document, pair->key);
		const char *name = take_text(declaration, key, "a key");
		size_t i = 0;

		while (name && i < count && strcmp(keys[i], name) != 0)
			i++;
		if (!name)
			continue;
		if (i == count)
			declaration_complain(declaration, mark_of(&key->start_mark),
					     "'%s' is no known key", name);
		else if (values[i])
			declaration_complain(declaration, mark_of(&key->start_mark),
					     "'%s' is given twice", name);
		else
			values[i] = yaml_document_get_node(&declaration->document, pair->value);
	}
}

/* ---- one envelope */

enum key {
	KEY_CATEGORY,
	KEY_NAMESPACE,
	KEY_LIMIT,
	KEY_PERIOD,
	KEY_PARENT,
	KEY_SUSPENDED,
	KEY_START,
	KEY_COUNT,
};

static const char *const keys[KEY_COUNT] = {
	[KEY_CATEGORY] = "category", [KEY_NAMESPACE] = "namespace", [KEY_LIMIT] = "limit",
	[KEY_PERIOD] = "period",     [KEY_PARENT] = "parent",       [KEY_SUSPENDED] = "suspended",
	[KEY_START] = "start",
};

/* A name as the library wants it; the operations themselves check it again. */
static void check_name(struct declaration *declaration, const yaml_node_t *node, const char *name,
		       const char *what, size_t least)
{
	size_t size = strlen(name);

	/* libyaml has seen to it that it is UTF-8. */
	if (size < least || size >= BE_NAME_SIZE) {
		declaration_complain(declaration, mark_of(&node->start_mark),
				     "%s has %zu bytes; %zu to %d are possible", what, size, least,
				     BE_NAME_SIZE - 1);
		return;
	}
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
			declaration_complain(declaration, mark_of(&node->start_mark),
					     "%s has a control character in it", what);
			return;
		}
}

static void take_category(struct declaration *declaration, const yaml_node_t *node,
			  const char **category)
{
	*category = take_text(declaration, node, "a category");
	if (*category)
		check_name(declaration, node, *category, "a category", 1);
}

static void take_namespace(struct declaration *declaration, const yaml_node_t *node,
			   const char **namespace_name)
{
	*namespace_name = take_text(declaration, node, "a namespace");
	if (*namespace_name)
		check_name(declaration, node, *namespace_name, "a namespace", 0);
}

/* A category in the envelope's own namespace, or a mapping of both. */
static void take_parent(struct declaration *declaration, const yaml_node_t *node,
			struct declared *declared)
{
	static const char *const parts[] = {"category", "namespace"};
	const yaml_node_t *values[2] = {node, NULL};

	declared->parent_at = mark_of(&node->start_mark);
	declared->parent_namespace = declared->namespace_name;
	if (node->type == YAML_MAPPING_NODE)
		take_mapping(declaration, node, parts, values, 2);
	if (values[0])
		take_category(declaration, values[0], &declared->parent_category);
	else
		declaration_complain(declaration, declared->parent_at,
				     "the parent has no category");
	if (values[1])
		take_namespace(declaration, values[1], &declared->parent_namespace);
}

static void take_limit(struct declaration *declaration, const yaml_node_t *node,
		       struct declared *declared)
{
	const char *text = take_text(declaration, node, "a limit");
	enum be_status status = text ? be_amount_parse(text, &declared->limit) : BE_OK;

	if (status != BE_OK)
		declaration_complain(declaration, mark_of(&node->start_mark), "'%s': %s", text,
				     be_status_text(status));
	else if (text && declared->limit == 0)
		declaration_complain(
			declaration, mark_of(&node->start_mark),
			"a limit must be more than 0; 'suspended: true' stops an envelope");
}

static void take_period(struct declaration *declaration, const yaml_node_t *node,
			struct declared *declared)
{
	const char *text = take_text(declaration, node, "a period");

	declared->period_at = mark_of(&node->start_mark);
	if (text && be_period_parse(text, &declared->period) != BE_OK)
		declaration_complain(
			declaration, declared->period_at,
			"'%s': the periods are hourly, daily, weekly, monthly and total", text);
}

static void take_suspended(struct declaration *declaration, const yaml_node_t *node,
			   struct declared *declared)
{
	const char *text = take_text(declaration, node, "suspended");

	declared->says_suspended = true;
	declared->suspended = text && strcmp(text, "true") == 0;
	if (text && !declared->suspended && strcmp(text, "false") != 0)
		declaration_complain(declaration, mark_of(&node->start_mark),
				     "'%s': it is true or false", text);
}

static void take_start(struct declaration *declaration, const yaml_node_t *node,
		       struct declared *declared)
{
	const char *text = take_text(declaration, node, "a start");
	int64_t now_ns = moment_now_ns();

	if (!text)
		return;
	if (!moment_parse(text, now_ns, &declared->start_ns))
		declaration_complain(
			declaration, mark_of(&node->start_mark),
			"'%s': a time is needed: 2023-11-16, 2023-11-16 18:15:46, @1700158546",
			text);
	else if (declared->start_ns > now_ns)
		declaration_complain(declaration, mark_of(&node->start_mark),
				     "'%s' lies in the future", text);
}

static void take_envelope(struct declaration *declaration, const yaml_node_t *node)
{
	struct declared *declared = &declaration->envelopes[declaration->count];
	const yaml_node_t *values[KEY_COUNT];

	*declared = (struct declared){.namespace_name = "", .period = BE_PERIOD_TOTAL};
	declared->at = declared->period_at = declared->parent_at = mark_of(&node->start_mark);
	if (node->type != YAML_MAPPING_NODE) {
		declaration_complain(declaration, declared->at,
				     "an envelope is a mapping with category, limit and more");
		return;
	}
	take_mapping(declaration, node, keys, values, KEY_COUNT);
	if (values[KEY_NAMESPACE])
		take_namespace(declaration, values[KEY_NAMESPACE], &declared->namespace_name);
	if (values[KEY_CATEGORY])
		take_category(declaration, values[KEY_CATEGORY], &declared->category);
	else
		declaration_complain(declaration, declared->at, "the envelope has no category");
	if (values[KEY_LIMIT])
		take_limit(declaration, values[KEY_LIMIT], declared);
	else
		declaration_complain(declaration, declared->at, "the envelope has no limit");
	if (values[KEY_PERIOD])
		take_period(declaration, values[KEY_PERIOD], declared);
	if (values[KEY_PARENT])
		take_parent(declaration, values[KEY_PARENT], declared);
	if (values[KEY_SUSPENDED])
		take_suspended(declaration, values[KEY_SUSPENDED], declared);
	if (values[KEY_START])
		take_start(declaration, values[KEY_START], declared);
	if (declared->namespace_name && declared->category)
		declaration->count++;
}

/* ---- the whole */

static int by_name(const void *a, const void *b)
{
	const struct declared *one = *(const struct declared *const *)a,
			      *other = *(const struct declared *const *)b;
	int order = strcmp(one->namespace_name, other->namespace_name);

	if (order == 0)
		order = strcmp(one->category, other->category);
	if (order == 0)
		order = one < other ? -1 : 1;
	return order;
}

static void find_duplicates(struct declaration *declaration)
{
	struct declared **sorted = calloc(declaration->count + 1, sizeof *sorted);

	if (!sorted)
		tool_out_of_memory();
	for (size_t i = 0; i < declaration->count; i++)
		sorted[i] = &declaration->envelopes[i];
	qsort(sorted, declaration->count, sizeof *sorted, by_name);
	for (size_t i = 1; i < declaration->count; i++)
		if (strcmp(sorted[i - 1]->namespace_name, sorted[i]->namespace_name) == 0 &&
		    strcmp(sorted[i - 1]->category, sorted[i]->category) == 0)
			declaration_complain(declaration, sorted[i]->at,
					     "'%s' is declared before, in line %zu",
					     sorted[i]->category, sorted[i - 1]->at.line);
	free(sorted);
}

static void take_document(struct declaration *declaration)
{
	static const char *const top[] = {"envelopes"};
	const yaml_node_t *root = yaml_document_get_root_node(&declaration->document);
	const yaml_node_t *list = NULL;
	struct mark at = root ? mark_of(&root->start_mark) : (struct mark){1, 1};
	size_t count;

	if (root && root->type == YAML_MAPPING_NODE)
		take_mapping(declaration, root, top, &list, 1);
	if (!list) {
		declaration_complain(declaration, at,
				     "a mapping with the key 'envelopes' is needed");
		return;
	}
	if (list->type != YAML_SEQUENCE_NODE) {
		declaration_complain(declaration, mark_of(&list->start_mark),
				     "'envelopes' must be a list; [] is an empty one");
		return;
	}
	count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
	declaration->envelopes = calloc(count + 1, sizeof *declaration->envelopes);
	if (!declaration->envelopes)
		tool_out_of_memory();
	for (size_t i = 0; i < count; i++)
		take_envelope(declaration,
			      yaml_document_get_node(&declaration->document,
						     list->data.sequence.items.start[i]));
	find_duplicates(declaration);
}

/* The place of a byte. Columns count characters, as libyaml's do. */
static struct mark mark_of_byte(const char *text, size_t offset)
{
	struct mark at = {1, 1};

	for (const char *c = text; c < text + offset; c++) {
		if (*c == '\n')
			at = (struct mark){at.line + 1, 1};
		else if ((*c & 0xc0) != 0x80)
			at.column++;
	}
	return at;
}

static void complain_of_parser(struct declaration *declaration, const yaml_parser_t *parser,
			       const char *text)
{
	struct mark at = mark_of(&parser->problem_mark);

	if (parser->error == YAML_MEMORY_ERROR)
		tool_out_of_memory();
	/* An error of the reader is about bytes, and has no mark of its own. */
	if (parser->error == YAML_READER_ERROR)
		at = mark_of_byte(text, parser->problem_offset);
	declaration_complain(declaration, at, "%s%s%s", parser->context ? parser->context : "",
			     parser->context ? ": " : "",
			     parser->problem ? parser->problem : "it is no YAML");
}

/* A file holds one document; what stands behind it would be ignored, and is refused instead. */
static void expect_end(struct declaration *declaration, yaml_parser_t *parser, const char *text)
{
	const yaml_node_t *root;
	yaml_document_t next;

	if (!yaml_parser_load(parser, &next)) {
		complain_of_parser(declaration, parser, text);
		return;
	}
	root = yaml_document_get_root_node(&next);
	if (root)
		declaration_complain(declaration, mark_of(&root->start_mark),
				     "there is a second document");
	yaml_document_delete(&next);
}

static void load(struct declaration *declaration, const char *text, size_t size)
{
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		tool_out_of_memory();
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&parser, &declaration->document)) {
		complain_of_parser(declaration, &parser, text);
	} else {
		declaration->has_document = true;
		if (yaml_document_get_root_node(&declaration->document))
			expect_end(declaration, &parser, text);
		if (declaration->errors == 0)
			take_document(declaration);
	}
	yaml_parser_delete(&parser);
}

/* All of a stream, to be freed; NULL and errno when it cannot be read. */
static char *read_all(FILE *stream, size_t *size)
{
	size_t room = 4096, got;
	char *text = NULL;

	*size = 0;
	do {
		room *= 2;
		text = reallocarray(text, room, 1);
		if (!text)
			tool_out_of_memory();
		got = fread(text + *size, 1, room - *size, stream);
		*size += got;
	} while (*size == room);
	if (ferror(stream)) {
		free(text);
		return NULL;
	}
	return text;
}

int declaration_read(struct declaration *declaration, const char *file)
{
	bool is_input = strcmp(file, "-") == 0;
	FILE *stream = is_input ? stdin : fopen(file, "re");
	size_t size;
	char *text;

	*declaration = (struct declaration){.file = is_input ? "standard input" : file};
	text = stream ? read_all(stream, &size) : NULL;
	if (text)
		load(declaration, text, size);
	else
		tool_complain_of_file(declaration->file, false);
	if (stream && !is_input)
		fclose(stream);
	if (!text)
		return TOOL_EXIT_FAULT;
	free(text);
	return declaration->errors == 0 ? 0 : TOOL_EXIT_USAGE;
}

void declaration_free(struct declaration *declaration)
{
	if (declaration->has_document)
		yaml_document_delete(&declaration->document);
	free(declaration->envelopes);
}
