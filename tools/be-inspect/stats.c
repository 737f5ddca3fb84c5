/* SPDX-License-Identifier: Apache-2.0 */
/* The view of an environment from outside: one record, so its fields stand below each other. */
#include "stats.h"

#include "complain.h"
#include "json.h"
#include "opening.h"
#include "output.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

static void print_lines(const struct arguments *arguments, const struct be_statistics *stats)
{
	char text[FIELD_TEXT_SIZE];
	size_t i;

	for (i = 0; i < arguments->column_count; i++) {
		field_text(arguments->columns[i], stats, arguments->now_ns, text);
		printf("%-20s %s\n", arguments->columns[i]->key, text);
	}
}

int stats_run(const struct arguments *arguments)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;
	uint64_t count = 0;

	options.flags = BE_OPEN_READ_ONLY;
	status = tool_open(arguments->environment, &options, &handle);
	if (status == BE_OK)
		status = be_stats(handle, &stats);
	if (status != BE_OK) {
		complain(arguments->environment, be_last_error());
		be_close(handle);
		return TOOL_EXIT_FAULT;
	}
	if (arguments->form == FORM_JSON) {
		json_begin(arguments, "");
		json_row(arguments, &stats, &count);
		json_end("");
	} else if (arguments->form == FORM_CSV) {
		struct output *output = output_begin(arguments);

		output_row(output, &stats, "");
		output_end(output, true);
	} else {
		print_lines(arguments, &stats);
	}
	be_close(handle);
	return EXIT_SUCCESS;
}
