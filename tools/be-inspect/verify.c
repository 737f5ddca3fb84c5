/* SPDX-License-Identifier: Apache-2.0 */
/* The view that recomputes every balance. */
#include "verify.h"

#include "complain.h"
#include "json.h"
#include "text.h"
#include "tool.h"
#include "verifying.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct findings {
	const struct arguments *arguments;
	uint64_t differences; /* printed so far */
};

static void print_difference(void *context, const char *sentence)
{
	struct findings *findings = context;
	char *safe = text_escape(sentence);

	if (findings->arguments->form != FORM_JSON) {
		puts(safe);
		findings->differences++;
	} else {
		if (findings->differences == 0)
			json_begin(findings->arguments, "{\"differences\": [");
		json_element(json_string(safe), &findings->differences);
	}
	free(safe);
}

static void count_text(char *text, size_t size, const struct verified *verified, uint64_t count)
{
	if (verified->counted)
		snprintf(text, size, "%" PRIu64, count);
	else
		snprintf(text, size, "null");
}

static void print_json_end(struct findings *findings, const struct verified *verified)
{
	char envelopes[24], commits[24], transactions[24], closing[160];

	if (findings->differences == 0)
		json_begin(findings->arguments, "{\"differences\": [");
	count_text(envelopes, sizeof envelopes, verified, verified->found.envelopes);
	count_text(commits, sizeof commits, verified, verified->found.commits);
	count_text(transactions, sizeof transactions, verified, verified->found.transactions);
	snprintf(closing, sizeof closing,
		 "], \"ok\": %s, \"envelopes\": %s, \"commits\": %s, \"transactions\": %s}",
		 verified->status == BE_OK ? "true" : "false", envelopes, commits, transactions);
	json_end(closing);
}

static void print_count(const char *before, uint64_t count, const char *noun)
{
	printf("%s%" PRIu64 " %s%s", before, count, noun, count == 1 ? "" : "s");
}

static void print_text_end(const struct findings *findings, const struct verified *verified)
{
	if (verified->status == BE_OK)
		printf("all balances add up");
	else
		print_count("", findings->differences, "difference");
	if (verified->counted) {
		print_count(": ", verified->found.envelopes, "envelope");
		print_count(", ", verified->found.commits, "pending commit");
		print_count(", ", verified->found.transactions, "transaction");
	}
	putchar('\n');
}

int verify_run(const struct arguments *arguments)
{
	struct findings findings = {.arguments = arguments};
	struct verified verified;

	verify_environment(arguments->environment, print_difference, &findings, &verified);
	if (verified.status != BE_OK && !verified_is_finding(verified.status)) {
		complain(arguments->environment, verified.error);
		return TOOL_EXIT_FAULT;
	}
	if (arguments->form == FORM_JSON)
		print_json_end(&findings, &verified);
	else
		print_text_end(&findings, &verified);
	return verified.status == BE_OK ? EXIT_SUCCESS : VERIFY_EXIT_DIFFERENCES;
}
