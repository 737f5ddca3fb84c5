/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include "argument.h"
#include "price.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where those are counted that cost what --prices says of this kind; NULL: there is none. */
static uint64_t *place_of(const char *kind, struct usage *usage)
{
	if (strcmp(kind, "input") == 0)
		return &usage->input;
	if (strcmp(kind, "output") == 0)
		return &usage->output;
	if (strcmp(kind, "cached") == 0)
		return &usage->cached;
	return strcmp(kind, "written") == 0 ? &usage->written : NULL;
}

static _Noreturn void refuse(const struct argp_state *state, const char *option, const char *text,
			     const char *reason)
{
	argument_refuse(state, option, text, reason);
	abort();
}

static _Noreturn void refuse_sum(const struct argp_state *state)
{
	argp_error(state, "--tokens, --answer: that is more than can be counted");
	abort();
}

void tokens_take(const struct argp_state *state, const char *text, struct tokens *tokens)
{
	const char *at = strchr(text, '@');
	uint64_t count, *place;

	if (!at)
		refuse(state, "--tokens", text,
		       "a number of tokens and their price per million are needed, or with "
		       "--prices what kind they are: 1200@2.50, 1200@input");
	count = argument_count(state, "--tokens", argument_keep(text, (size_t)(at - text)), 0,
			       UINT64_MAX);
	place = place_of(at + 1, &tokens->usage);
	if (place) {
		tokens->needs_prices = true;
		if (__builtin_add_overflow(*place, count, place))
			refuse_sum(state);
	} else if (be_cost_add(&tokens->cost, count, argument_amount(state, "--tokens", at + 1)) !=
		   BE_OK) {
		refuse_sum(state);
	}
}

static _Noreturn void refuse_file(const struct argp_state *state, const char *option,
				  const char *path, const struct file_problem *problem)
{
	char text[sizeof problem->text + 32];

	if (problem->line > 0)
		snprintf(text, sizeof text, "line %zu: %s", problem->line, problem->text);
	refuse(state, option, path, problem->line > 0 ? text : problem->text);
}

/* Adds what the answer says to what --tokens said. */
static void take_answer(const struct argp_state *state, struct tokens *tokens)
{
	struct file_problem problem;
	struct usage used, *all = &tokens->usage;
	const char *model;

	if (!usage_read(tokens->answer, &used, &model, &problem))
		refuse_file(state, "--answer", tokens->answer, &problem);
	if (__builtin_add_overflow(all->input, used.input, &all->input) ||
	    __builtin_add_overflow(all->output, used.output, &all->output) ||
	    __builtin_add_overflow(all->cached, used.cached, &all->cached) ||
	    __builtin_add_overflow(all->written, used.written, &all->written))
		refuse_sum(state);
	if (!tokens->model)
		tokens->model = model;
}

static void add_by_prices(const struct argp_state *state, struct tokens *tokens)
{
	struct file_problem problem;
	struct price_list *list = price_list_read(tokens->prices, &problem);
	const struct prices *prices;

	if (!list)
		refuse_file(state, "--prices", tokens->prices, &problem);
	if (!tokens->model)
		argp_error(state, tokens->answer ? "the answer names no model; --model does"
						 : "--model is missing, for which --prices are");
	prices = price_list_find(list, tokens->model);
	if (!prices)
		refuse(state, "--model", tokens->model,
		       "--prices have none of it, nor of *, which is all others");
	if (be_cost_add(&tokens->cost, tokens->usage.input, prices->input) != BE_OK ||
	    be_cost_add(&tokens->cost, tokens->usage.output, prices->output) != BE_OK ||
	    be_cost_add(&tokens->cost, tokens->usage.cached, prices->cached) != BE_OK ||
	    be_cost_add(&tokens->cost, tokens->usage.written, prices->written) != BE_OK)
		refuse_sum(state);
	price_list_free(list);
}

int64_t tokens_total(const struct argp_state *state, struct tokens *tokens)
{
	bool by_prices = tokens->needs_prices || tokens->answer;
	int64_t total;

	if (by_prices && !tokens->prices)
		argp_error(state, "--prices is missing, the file with what tokens cost");
	if (!by_prices && (tokens->prices || tokens->model))
		argp_error(state, "--prices and --model need --answer, or --tokens such as "
				  "1200@input");
	if (tokens->answer)
		take_answer(state, tokens);
	if (by_prices)
		add_by_prices(state, tokens);
	if (be_cost_total(&tokens->cost, &total) != BE_OK)
		refuse_sum(state);
	return total;
}
