/* SPDX-License-Identifier: Apache-2.0 */
/* Recomputes every balance. */
#include "verify.h"

#include "answer.h"
#include "text.h"
#include "tool.h"
#include "verifying.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct told_differences {
	const struct request *request;
	json_t *differences;
};

static void tell_difference(void *context, const char *sentence)
{
	const struct told_differences *told = context;
	char *safe;

	if (told->request->json) {
		if (json_array_append_new(told->differences, answer_json_text(sentence)) != 0)
			tool_out_of_memory();
		return;
	}
	safe = text_escape(sentence);
	puts(safe);
	free(safe);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void print_counts(const struct be_verification *found)
{
	printf("%s: %" PRIu64 " envelope%s, %" PRIu64 " pending commit%s, %" PRIu64
	       " transaction%s\n",
	       found->differences == 0 ? "all balances add up" : "balances differ",
	       found->envelopes, plural(found->envelopes), found->commits, plural(found->commits),
	       found->transactions, plural(found->transactions));
}

static json_t *json_count(const struct verified *verified, uint64_t count)
{
	return verified->counted ? json_integer((json_int_t)count) : json_null();
}

int verify_run(const struct request *request)
{
	struct told_differences told = {.request = request, .differences = json_array()};
	struct answer answer = answer_to(request);
	struct verified verified;
	int result;

	verify_environment(request->environment, tell_difference, &told, &verified);
	if (verified.counted && !request->json)
		print_counts(&verified.found);
	answer.told = verified_is_finding(verified.status);
	answer.error = verified.error;
	answer.more = json_object();
	answer_add(answer.more, "differences", told.differences);
	answer_add(answer.more, "envelopes", json_count(&verified, verified.found.envelopes));
	answer_add(answer.more, "commits", json_count(&verified, verified.found.commits));
	answer_add(answer.more, "transactions", json_count(&verified, verified.found.transactions));
	result = answer_finish(&answer, verified.status);
	return answer.told ? EXIT_REFUSED : result;
}
