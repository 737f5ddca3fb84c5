/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON on standard output. The elements are jansson's; what stands around them is constant. All
 * that is not ASCII is escaped, which keeps it harmless on any terminal.
 */
#include "json.h"

#include "moment.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

void json_begin(const struct arguments *arguments, const char *opening)
{
	char at[MOMENT_TEXT_SIZE];

	moment_format(arguments->now_ns, 9, at);
	printf("{\"version\": 1, \"at\": \"%s\", \"%s\": %s", at, view_name(arguments->view),
	       opening);
}

bool json_element(json_t *element, uint64_t *count)
{
	char *text = element ? json_dumps(element, JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;
	bool written;

	if (!text)
		tool_out_of_memory();
	printf("%s\n  %s", *count > 0 ? "," : "", text);
	written = tool_output_is_sound();
	++*count;
	free(text);
	json_decref(element);
	return written;
}

static json_t *json_of_record(const struct arguments *arguments, const void *record)
{
	json_t *element = json_object();
	size_t i;

	for (i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		if (json_object_set_new(element, field->key,
					field_json(field, record, arguments->now_ns)) != 0)
			tool_out_of_memory();
	}
	return element;
}

bool json_row(const struct arguments *arguments, const void *record, uint64_t *count)
{
	return json_element(json_of_record(arguments, record), count);
}

bool json_line(const struct arguments *arguments, const void *record)
{
	json_t *document = json_of_record(arguments, record);

	if (json_dumpf(document, stdout, JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(document);
	return tool_output_is_sound();
}

void json_end(const char *closing)
{
	printf("\n%s}\n", closing);
}
