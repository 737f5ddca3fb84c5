/* SPDX-License-Identifier: Apache-2.0 */
/* The values of options, for argp parsers. Each call returns the value, or prints the option, the
 * text and what is wrong with it, and ends the process with TOOL_EXIT_USAGE. `option` is
 * "--name". */
#ifndef ARGUMENT_H
#define ARGUMENT_H

#include <argp.h>
#include <budget_enforcer.h>
#include <stdint.h>

/* A decimal amount such as 0.40, in nanos. */
int64_t argument_amount(const struct argp_state *state, const char *option, const char *text);

/* A whole number from `least` to `most`. */
uint64_t argument_count(const struct argp_state *state, const char *option, const char *text,
			uint64_t least, uint64_t most);

/* A duration such as 90s or 1h, in nanoseconds. */
int64_t argument_duration(const struct argp_state *state, const char *option, const char *text);

/* A moment; see moment_parse() for what it may look like. */
int64_t argument_moment(const struct argp_state *state, const char *option, const char *text,
			int64_t now_ns);

/* full or process. */
enum be_durability argument_durability(const struct argp_state *state, const char *option,
				       const char *text);

/* hourly, daily, weekly, monthly or total. */
enum be_period argument_period(const struct argp_state *state, const char *option,
			       const char *text);

/* Only the end: for values that one tool alone has. */
void argument_refuse(const struct argp_state *state, const char *option, const char *text,
		     const char *reason);

/* -h, which argp does not have: an option for the table of a tool, and what its parser does with a
 * key that is none of its own. */
#define ARGUMENT_HELP_OPTION                                                                       \
	{                                                                                          \
		NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0                                            \
	}
error_t argument_help(int key, struct argp_state *state);

/* The environment where none is given: what BUDGET_ENFORCER_DIR says; NULL when that is not set, or
 * empty. */
const char *argument_usual_environment(void);

/* A part of an argument as a text of its own, which lives as long as the process. */
const char *argument_keep(const char *text, size_t size);

/* Takes KEY=VALUE, or KEY, whose value is then NULL, apart. NULL, or what is wrong with it. The
 * key lives as long as the process. */
const char *argument_label(const char *text, struct be_label *label);

#endif
