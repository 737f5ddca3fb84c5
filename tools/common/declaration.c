/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the file that declares envelopes, one after the other.
 *
 * Every value is the text that stands in the file, so that amounts are read by the library's own
 * parser and never pass through floating point. What YAML calls null counts as if it were not
 * there; an envelope named "null" has its name in quotes.
 */
#include "declaration.h"

#include "complain.h"
#include "moment.h"
#include "texts.h"
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void declaration_complain(struct declaration *declaration, struct yaml_mark at, const char *format,
			  ...)
{
	char *subject, *sentence;
	va_list list;

	/* Further complaints would only follow from these. */
	if (declaration->errors++ >= DECLARATION_COMPLAINTS_MAX)
		return;
	va_start(list, format);
	if (asprintf(&subject, "%s:%u:%u", declaration->file, at.line, at.column) < 0 ||
	    vasprintf(&sentence, format, list) < 0)
		tool_out_of_memory();
	va_end(list);
	complain(subject, sentence);
	free(subject);
	declaration->complaints[declaration->errors - 1] = (struct complaint){at, sentence};
}

/* ---- nodes */

/* The text of a scalar; NULL, with a complaint, when it is none or holds a NUL, which would cut
 * it. */
static const char *take_text(struct declaration *declaration, const struct yaml_node *node,
			     const char *what)
{
	if (node->kind != NODE_SCALAR) {
		declaration_complain(declaration, node->at, "%s must be a single value", what);
		return NULL;
	}
	if (strlen(node->text) != node->size) {
		declaration_complain(declaration, node->at, "%s holds a NUL", what);
		return NULL;
	}
	return node->text;
}

/* Which of the keys this one is; `count` and a complaint when it is none, or one that was
 * `given`. */
static size_t take_key(struct declaration *declaration, const struct yaml_node *node,
		       const char *const *keys, bool *given, size_t count)
{
	const char *name = take_text(declaration, node, "a key");
	size_t i = 0;

	while (name && i < count && strcmp(keys[i], name) != 0)
		i++;
	if (!name)
		return count;
	if (i == count)
		declaration_complain(declaration, node->at, "'%s' is no known key", name);
	else if (given[i])
		declaration_complain(declaration, node->at, "'%s' is given twice", name);
	else
		given[i] = true;
	return i;
}

/* Finds the values of a mapping's keys: values[i] becomes that of keys[i], or NULL where it is not
 * given or null. Complains of keys that are none of these, and of those that come twice. */
static void take_mapping(struct declaration *declaration, const struct yaml_node *node,
			 const char *const *keys, const struct yaml_node **values, size_t count)
{
	bool given[16] = {false};

	memset(values, 0, count * sizeof *values);
	for (size_t i = 0; i + 1 < node->count; i += 2) {
		size_t key = take_key(declaration, node->items[i], keys, given, count);
		const struct yaml_node *value = node->items[i + 1];

		if (key < count && !values[key] && !value->is_null)
			values[key] = value;
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
	KEY_ZONE,
	KEY_BEGINS_ON,
	KEY_COUNT,
};

static const char *const keys[KEY_COUNT] = {
	[KEY_CATEGORY] = "category", [KEY_NAMESPACE] = "namespace", [KEY_LIMIT] = "limit",
	[KEY_PERIOD] = "period",     [KEY_PARENT] = "parent",       [KEY_SUSPENDED] = "suspended",
	[KEY_START] = "start",       [KEY_ZONE] = "zone",           [KEY_BEGINS_ON] = "begins_on",
};

/* A name as the library wants it; the operations themselves check it again. */
static void check_name(struct declaration *declaration, const struct yaml_node *node,
		       const char *name, const char *what, size_t least)
{
	size_t size = strlen(name);

	/* libyaml has seen to it that it is UTF-8. */
	if (size < least || size >= BE_NAME_SIZE) {
		declaration_complain(declaration, node->at,
				     "%s has %zu bytes; %zu to %d are possible", what, size, least,
				     BE_NAME_SIZE - 1);
		return;
	}
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
			declaration_complain(declaration, node->at,
					     "%s has a control character in it", what);
			return;
		}
}

static void take_category(struct declaration *declaration, const struct yaml_node *node,
			  const char **category)
{
	const char *text = take_text(declaration, node, "a category");

	if (!text)
		return;
	check_name(declaration, node, text, "a category", 1);
	*category = texts_keep(declaration->texts, text);
}

static void take_namespace(struct declaration *declaration, const struct yaml_node *node,
			   const char **namespace_name)
{
	const char *text = take_text(declaration, node, "a namespace");

	if (!text)
		return;
	check_name(declaration, node, text, "a namespace", 0);
	*namespace_name = texts_keep(declaration->texts, text);
}

/* A category in the envelope's own namespace, or a mapping of both. */
static void take_parent(struct declaration *declaration, const struct yaml_node *node,
			struct declared *declared)
{
	static const char *const parts[] = {"category", "namespace"};
	const struct yaml_node *values[2] = {node, NULL};

	declared->parent_at = node->at;
	declared->parent_namespace = declared->namespace_name;
	if (node->kind == NODE_MAPPING)
		take_mapping(declaration, node, parts, values, 2);
	if (values[0])
		take_category(declaration, values[0], &declared->parent_category);
	else
		declaration_complain(declaration, declared->parent_at,
				     "the parent has no category");
	if (values[1])
		take_namespace(declaration, values[1], &declared->parent_namespace);
}

static void take_limit(struct declaration *declaration, const struct yaml_node *node,
		       struct declared *declared)
{
	const char *text = take_text(declaration, node, "a limit");
	enum be_status status = text ? be_amount_parse(text, &declared->limit) : BE_OK;

	if (status != BE_OK)
		declaration_complain(declaration, node->at, "'%s': %s", text,
				     be_status_text(status));
	else if (text && declared->limit == 0)
		declaration_complain(
			declaration, node->at,
			"a limit must be more than 0; 'suspended: true' stops an envelope");
}

static void take_period(struct declaration *declaration, const struct yaml_node *node,
			struct declared *declared)
{
	const char *text = take_text(declaration, node, "a period");
	enum be_period period = BE_PERIOD_TOTAL;

	declared->period_at = node->at;
	if (text && be_period_parse(text, &period) != BE_OK)
		declaration_complain(
			declaration, declared->period_at,
			"'%s': the periods are hourly, daily, weekly, monthly, quarterly, yearly "
			"and total",
			text);
	declared->period = (uint8_t)period;
}

/* Whether there is such a zone the library says. */
static void take_zone(struct declaration *declaration, const struct yaml_node *node,
		      struct declared *declared)
{
	const char *text = take_text(declaration, node, "a time zone");

	if (text)
		declared->zone = texts_keep(declaration->texts, text);
}

static void take_day(struct declaration *declaration, const struct yaml_node *node,
		     struct declared *declared)
{
	const char *text = take_text(declaration, node, "a day");
	char *end = NULL;
	unsigned long day = text ? strtoul(text, &end, 10) : 0;

	if (text && (*text < '0' || *text > '9' || *end || day < 1 || day > 31))
		declaration_complain(declaration, node->at,
				     "'%s': weeks begin on day 1 (Monday) to 7, months on 1 to 31",
				     text);
	else
		declared->begins_on = (uint8_t)day;
}

static void take_suspended(struct declaration *declaration, const struct yaml_node *node,
			   struct declared *declared)
{
	const char *text = take_text(declaration, node, "suspended");

	declared->says_suspended = true;
	declared->suspended = text && strcmp(text, "true") == 0;
	if (text && !declared->suspended && strcmp(text, "false") != 0)
		declaration_complain(declaration, node->at, "'%s': it is true or false", text);
}

static void take_start(struct declaration *declaration, const struct yaml_node *node,
		       struct declared *declared)
{
	const char *text = take_text(declaration, node, "a start");
	int64_t now_ns = moment_now_ns();

	if (!text)
		return;
	if (!moment_parse(text, now_ns, &declared->start_ns))
		declaration_complain(
			declaration, node->at,
			"'%s': a time is needed: 2023-11-16, 2023-11-16 18:15:46, @1700158546",
			text);
	else if (declared->start_ns > now_ns)
		declaration_complain(declaration, node->at, "'%s' lies in the future", text);
}

/* ---- finding them again */

/* A slot holds the upper half of a hash and, below it, 1 + an index; 0 is free. So a look-up
 * compares few other names, and growing a table compares none. */
#define TAG_MASK (UINT64_C(0xffffffff) << 32)

static uint64_t hash(const char *namespace_name, const char *category)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	/* FNV-1a (Fowler, Noll, Vo), with the NUL between the names. */
	for (const char *at = namespace_name;; at++) {
		sum = (sum ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
		if (*at == '\0')
			break;
	}
	for (const char *at = category; at && *at; at++)
		sum = (sum ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
	/* The finaliser of MurmurHash3 (Appleby), so that each half depends on all of it. */
	sum = (sum ^ sum >> 33) * UINT64_C(0xff51afd7ed558ccd);
	sum = (sum ^ sum >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return sum ^ sum >> 33;
}

static struct declared *declared_of(const struct declaration *declaration, uint64_t slot)
{
	return &declaration->envelopes[(uint32_t)slot - 1];
}

/* The slot of that name, or the free one where it belongs. `category` NULL: of that namespace. */
static uint64_t *find_slot(const struct declaration *declaration, uint64_t hashed,
			   const char *namespace_name, const char *category)
{
	uint64_t *table = category ? declaration->by_name : declaration->by_namespace;
	size_t mask = declaration->room - 1, at = (size_t)(hashed >> 32) & mask;

	for (; table[at] != 0; at = (at + 1) & mask) {
		const struct declared *declared = declared_of(declaration, table[at]);

		if ((table[at] & TAG_MASK) == (hashed & TAG_MASK) &&
		    strcmp(declared->namespace_name, namespace_name) == 0 &&
		    (!category || strcmp(declared->category, category) == 0))
			break;
	}
	return &table[at];
}

static struct declared *find(const struct declaration *declaration, const char *namespace_name,
			     const char *category)
{
	uint64_t slot = 0;

	if (declaration->room > 0)
		slot = *find_slot(declaration, hash(namespace_name, category), namespace_name,
				  category);
	return slot != 0 ? declared_of(declaration, slot) : NULL;
}

struct declared *declaration_find(const struct declaration *declaration, const char *namespace_name,
				  const char *category)
{
	return find(declaration, namespace_name, category);
}

struct declared *declaration_find_namespace(const struct declaration *declaration,
					    const char *namespace_name)
{
	return find(declaration, namespace_name, NULL);
}

static uint64_t *grow_table(uint64_t *table, size_t old_room, size_t room)
{
	uint64_t *grown = calloc(room, sizeof *grown);

	if (!grown)
		tool_out_of_memory();
	for (size_t i = 0; i < old_room; i++) {
		size_t at = (size_t)(table[i] >> 32) & (room - 1);

		if (table[i] == 0)
			continue;
		while (grown[at] != 0)
			at = (at + 1) & (room - 1);
		grown[at] = table[i];
	}
	free(table);
	return grown;
}

/* Room for one more, in the tables too, which are at most half full. */
static struct declared *make_room(struct declaration *declaration)
{
	size_t room = declaration->room ? 2 * declaration->room : 64;

	if (declaration->count < declaration->room / 2)
		return &declaration->envelopes[declaration->count];
	if (room > UINT32_MAX)
		tool_out_of_memory();
	declaration->envelopes =
		reallocarray(declaration->envelopes, room / 2, sizeof *declaration->envelopes);
	if (!declaration->envelopes)
		tool_out_of_memory();
	declaration->by_name = grow_table(declaration->by_name, declaration->room, room);
	declaration->by_namespace = grow_table(declaration->by_namespace, declaration->room, room);
	declaration->room = room;
	return &declaration->envelopes[declaration->count];
}

/* Counts the last one in, unless it is declared before. */
static void enter(struct declaration *declaration, const struct declared *declared)
{
	uint64_t of_name = hash(declared->namespace_name, declared->category);
	uint64_t of_namespace = hash(declared->namespace_name, NULL);
	uint64_t *slot =
		find_slot(declaration, of_name, declared->namespace_name, declared->category);

	if (*slot != 0) {
		declaration_complain(declaration, declared->at,
				     "'%s' is declared before, in line %u", declared->category,
				     declared_of(declaration, *slot)->at.line);
		return;
	}
	declaration->count++;
	*slot = (of_name & TAG_MASK) | declaration->count;
	slot = find_slot(declaration, of_namespace, declared->namespace_name, NULL);
	if (*slot == 0)
		*slot = (of_namespace & TAG_MASK) | declaration->count;
}

/* ---- the envelope as a whole */

static void take_envelope(struct declaration *declaration, const struct yaml_node *node)
{
	struct declared *declared = make_room(declaration);
	const struct yaml_node *values[KEY_COUNT];

	*declared = (struct declared){.namespace_name = "", .period = BE_PERIOD_TOTAL};
	declared->at = declared->period_at = declared->parent_at = node->at;
	if (node->kind != NODE_MAPPING) {
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
	if (values[KEY_ZONE])
		take_zone(declaration, values[KEY_ZONE], declared);
	if (values[KEY_BEGINS_ON])
		take_day(declaration, values[KEY_BEGINS_ON], declared);
	if (declared->category)
		enter(declaration, declared);
}

/* ---- the whole */

static void take_envelopes(struct declaration *declaration, struct nodes *nodes)
{
	struct yaml_node *node;

	nodes_enter(nodes);
	while (declaration->errors < DECLARATION_COMPLAINTS_MAX && (node = nodes_load(nodes))) {
		take_envelope(declaration, node);
		nodes_forget(nodes);
	}
	if (declaration->errors < DECLARATION_COMPLAINTS_MAX && nodes_next(nodes) == NODES_END)
		nodes_leave(nodes);
}

/* The value of the key `envelopes`. */
static void take_list(struct declaration *declaration, struct nodes *nodes)
{
	const struct yaml_node *node;

	if (nodes_next(nodes) == NODES_SEQUENCE) {
		take_envelopes(declaration, nodes);
		return;
	}
	node = nodes_load(nodes);
	if (node && node->kind != NODE_SEQUENCE)
		declaration_complain(declaration, node->at,
				     "'envelopes' must be a list; [] is an empty one");
	for (size_t i = 0; node && node->kind == NODE_SEQUENCE && i < node->count; i++)
		take_envelope(declaration, node->items[i]);
	nodes_forget(nodes);
}

static void take_document(struct declaration *declaration, struct nodes *nodes)
{
	static const char *const top[] = {"envelopes"};
	enum nodes_next next = nodes_next(nodes);
	struct yaml_mark at = next == NODES_END ? (struct yaml_mark){1, 1} : nodes_mark(nodes);
	bool given = false;

	if (next == NODES_MAPPING)
		nodes_enter(nodes);
	while (next == NODES_MAPPING && declaration->errors < DECLARATION_COMPLAINTS_MAX) {
		const struct yaml_node *key = nodes_load(nodes);
		bool again = given;

		if (!key)
			break;
		if (take_key(declaration, key, top, &given, 1) == 0 && !again)
			take_list(declaration, nodes);
		else if (!nodes_load(nodes))
			break;
		nodes_forget(nodes);
	}
	if (next == NODES_FAULT || nodes_next(nodes) == NODES_FAULT ||
	    declaration->errors >= DECLARATION_COMPLAINTS_MAX)
		return;
	if (!given)
		declaration_complain(declaration, at,
				     "a mapping with the key 'envelopes' is needed");
	/* A second document would be ignored, so it is refused. */
	if (next != NODES_MAPPING)
		return;
	nodes_leave(nodes);
	if (nodes_is_more(nodes))
		declaration_complain(declaration, nodes_mark(nodes), "there is a second document");
}

int declaration_read(struct declaration *declaration, const char *file)
{
	bool is_input = strcmp(file, "-") == 0;
	FILE *stream = is_input ? stdin : fopen(file, "re");
	int result = TOOL_EXIT_FAULT, code = errno;
	struct nodes *nodes;

	*declaration = (struct declaration){.file = is_input ? "standard input" : file,
					    .texts = texts_make()};
	if (stream) {
		nodes = nodes_open(stream);
		take_document(declaration, nodes);
		result = 0;
		if (nodes_next(nodes) == NODES_FAULT) {
			struct yaml_mark at;
			char *sentence = nodes_error(nodes, &at);

			if (sentence)
				declaration_complain(declaration, at, "%s", sentence);
			else
				result = TOOL_EXIT_FAULT;
			code = errno;
			free(sentence);
		}
		nodes_close(nodes);
	}
	if (result != 0) {
		errno = code;
		complain_of_file(declaration->file, false);
	}
	if (stream && !is_input)
		fclose(stream);
	return result == 0 && declaration->errors > 0 ? TOOL_EXIT_USAGE : result;
}

void declaration_free(struct declaration *declaration)
{
	for (size_t i = 0; i < DECLARATION_COMPLAINTS_MAX; i++)
		free(declaration->complaints[i].sentence);
	free(declaration->envelopes);
	free(declaration->by_name);
	free(declaration->by_namespace);
	texts_free(declaration->texts);
}
