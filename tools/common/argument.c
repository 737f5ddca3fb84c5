/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of options, for argp parsers. argp_error() ends the process, since no tool parses with
 * ARGP_NO_EXIT. The text is escaped, because it may come from a script that got it from elsewhere.
 */
#include "argument.h"

#include "moment.h"
#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void argument_refuse(const struct argp_state *state, const char *option, const char *text,
		     const char *reason)
{
	char *safe = text_escape(text);

	argp_error(state, "%s: '%s': %s", option, safe, reason);
	free(safe);
}

int64_t argument_amount(const struct argp_state *state, const char *option, const char *text)
{
	enum be_status status;
	int64_t amount;

	status = be_amount_parse(text, &amount);
	if (status != BE_OK)
		argument_refuse(state, option, text, be_status_text(status));
	return amount;
}

uint64_t argument_count(const struct argp_state *state, const char *option, const char *text,
			uint64_t least, uint64_t most)
{
	uint64_t count = 0;
	const char *digit;
	char reason[96];

	for (digit = text; *digit >= '0' && *digit <= '9'; digit++)
		if (__builtin_mul_overflow(count, 10, &count) ||
		    __builtin_add_overflow(count, (uint64_t)(*digit - '0'), &count))
			break;
	if (digit == text || *digit != '\0' || count < least || count > most) {
		snprintf(reason, sizeof reason,
			 "a whole number from %" PRIu64 " to %" PRIu64 " is needed", least, most);
		argument_refuse(state, option, text, reason);
	}
	return count;
}

int64_t argument_duration(const struct argp_state *state, const char *option, const char *text)
{
	int64_t duration_ns = 0;

	if (!duration_parse(text, &duration_ns))
		argument_refuse(state, option, text, "a duration is needed: 90s, 30m, 1h, 7d, 2w");
	return duration_ns;
}

int64_t argument_moment(const struct argp_state *state, const char *option, const char *text,
			int64_t now_ns)
{
	int64_t moment_ns = 0;

	if (!moment_parse(text, now_ns, &moment_ns))
		argument_refuse(state, option, text,
				"a time is needed: 2023-11-16, '2023-11-16 18:15:46', "
				"2023-11-16T18:15:46Z, "
				"@1700158546, or "
				"90s, 30m, 1h, 7d, 2w ago");
	return moment_ns;
}

enum be_durability argument_durability(const struct argp_state *state, const char *option,
				       const char *text)
{
	if (strcmp(text, "process") == 0)
		return BE_DURABILITY_PROCESS;
	if (strcmp(text, "full") != 0)
		argument_refuse(state, option, text, "it is full or process");
	return BE_DURABILITY_FULL;
}

enum be_period argument_period(const struct argp_state *state, const char *option, const char *text)
{
	enum be_period period;

	if (be_period_parse(text, &period) != BE_OK)
		argument_refuse(
			state, option, text,
			"the periods are hourly, daily, weekly, monthly, quarterly, yearly and "
			"total");
	return period;
}

error_t argument_help(int key, struct argp_state *state)
{
	if (key != 'h')
		return ARGP_ERR_UNKNOWN;
	argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
	return 0;
}

const char *argument_usual_environment(void)
{
	const char *directory = getenv("BUDGET_ENFORCER_DIR");

	return directory && *directory ? directory : NULL;
}

const char *argument_keep(const char *text, size_t size)
{
	static struct kept {
		struct kept *before;
		char text[];
	} * last;
	struct kept *made = calloc(1, sizeof *made + size + 1);

	if (!made)
		tool_out_of_memory();
	made->before = last;
	memcpy(made->text, text, size);
	last = made;
	return made->text;
}

const char *argument_label(const char *text, struct be_label *label)
{
	const char *equals = strchrnul(text, '=');

	label->key = argument_keep(text, (size_t)(equals - text));
	label->value = *equals ? equals + 1 : NULL;
	return *label->key ? NULL : "a key is needed: KEY=VALUE";
}
