/* SPDX-License-Identifier: Apache-2.0 */
/* Records on standard output: table.c, csv.c or json.c, whichever was asked for. */
#include "output.h"

#include "csv.h"
#include "json.h"
#include "table.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

struct output {
	const struct arguments *arguments;
	struct table *table; /* of a form that has one */
	uint64_t count;
};

struct output *output_begin(const struct arguments *arguments)
{
	struct output *output = calloc(1, sizeof *output);

	if (!output)
		tool_out_of_memory();
	output->arguments = arguments;
	switch (arguments->form) {
	case FORM_TABLE:
	case FORM_RAW:
		output->table = table_create(arguments);
		break;
	case FORM_CSV:
		if (!arguments->noheadings)
			csv_begin(stdout, arguments->columns, arguments->column_count,
				  arguments->crlf);
		break;
	case FORM_JSON:
		if (!arguments->follow)
			json_begin(arguments, "[");
		break;
	case FORM_PROMETHEUS: /* see prometheus.c, */
	case FORM_SVG:        /* and report.c */
	case FORM_HTML:
		break;
	}
	return output;
}

bool output_row(struct output *output, const void *record, const char *branch)
{
	const struct arguments *arguments = output->arguments;
	uint64_t before = output->count++;

	switch (arguments->form) {
	case FORM_CSV:
		csv_row(stdout, arguments->columns, arguments->column_count, arguments->crlf,
			record, arguments->now_ns);
		return tool_output_is_sound();
	case FORM_JSON:
		return arguments->follow ? json_line(arguments, record)
					 : json_row(arguments, record, &before);
	default:
		return table_row(output->table, record, branch);
	}
}

uint64_t output_count(const struct output *output)
{
	return output->count;
}

bool output_flush(struct output *output)
{
	if (output->table)
		return table_flush(output->table);
	fflush(stdout);
	return tool_output_is_sound();
}

void output_end(struct output *output, bool whole)
{
	if (output->table)
		table_finish(output->table);
	else if (output->arguments->form == FORM_JSON && !output->arguments->follow && whole)
		json_end("]");
	free(output);
}
