/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be-inspect: shows what is in an environment, and never changes it.
 *
 *   arguments.c  the command line
 *   listing.c    envelopes, commits, transactions, owners; gathered by owners.c, sorted by rows.c
 *                and order.c; their fields, for columns, JSON and help, are in ../common/fields.c
 *   follow.c     waiting for more
 *   output.c     shows records, as table.c, csv.c or json.c do
 *   report.c     the ledger added up by tally.c, which numbers texts with names.c, adds with sum.c,
 *                and knows the calendar by span.c; chart.c draws it, page.c makes a page of it
 *   stats.c      the environment from outside
 *   prometheus.c metrics for a collector
 *   watch.c      the live view: keys and refreshes; snapshot.c and opened.c hold its data, screen.c
 *                and list.c draw it with paint.c, terminal.c restores the terminal after a crash
 *   verify.c     recomputes every balance
 */
#include "arguments.h"
#include "listing.h"
#include "prometheus.h"
#include "report.h"
#include "stats.h"
#include "tool.h"
#include "verify.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OUTPUT_BUFFER 65536

int main(int argc, char **argv)
{
	struct arguments arguments;
	int result;

	tool_start();
	/* A terminal shows each line at once, and --follow too. */
	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
	arguments_parse(argc, argv, &arguments);
	if (arguments.view == VIEW_VERIFY)
		result = verify_run(&arguments);
	else if (arguments.watch)
		result = watch_run(&arguments);
	else if (arguments.form == FORM_PROMETHEUS)
		result = prometheus_run(&arguments);
	else if (arguments.view == VIEW_REPORT)
		result = report_run(&arguments);
	else if (arguments.view == VIEW_STATS)
		result = stats_run(&arguments);
	else
		result = listing_run(&arguments);
	free(arguments.columns);
	tool_close_output();
	return result;
}
