/* SPDX-License-Identifier: Apache-2.0 */
/* A file of prices. */
#include "price.h"

#include "tool.h"

#include <budget_enforcer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MOST 5

struct price {
	char *model;
	struct prices prices;
};

struct price_list {
	struct price *prices;
	size_t count, room;
};

/* Says what is wrong with a line, which is taken apart, or NULL. */
static const char *parse_line(char *line, struct price *price)
{
	int64_t amounts[FIELDS_MOST] = {0};
	size_t count = 0;

	price->model = strsep(&line, ",");
	for (char *field; count < FIELDS_MOST && (field = strsep(&line, ",")); count++)
		if (be_amount_parse(field, &amounts[count]) != BE_OK)
			return "a price is an amount for a million tokens, such as 2.50";
	if (count < 2 || count == FIELDS_MOST)
		return "expected model,input,output[,cached[,written]] as in \"gpt-4o,2.50,10\"";
	if (*price->model == '\0')
		return "no model is named; * is for all others";
	price->prices = (struct prices){
		.input = amounts[0],
		.output = amounts[1],
		.cached = count > 2 ? amounts[2] : amounts[0],
		.written = count > 3 ? amounts[3] : amounts[0],
	};
	return NULL;
}

static const struct price *find_exactly(const struct price_list *list, const char *model)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->prices[i].model, model) == 0)
			return &list->prices[i];
	return NULL;
}

static const char *add_line(struct price_list *list, char *line)
{
	struct price price;
	const char *wrong = parse_line(line, &price);

	if (!wrong && find_exactly(list, price.model))
		wrong = "this model has prices already";
	if (wrong)
		return wrong;
	price.model = strdup(price.model);
	if (!price.model)
		tool_out_of_memory();
	list->prices = tool_grow(list->prices, list->count, &list->room, sizeof *list->prices);
	list->prices[list->count++] = price;
	return NULL;
}

struct price_list *price_list_read(const char *path, struct file_problem *problem)
{
	size_t size;
	char *text = file_load(path, &size, problem), *rest, *line;
	struct price_list *list = calloc(1, sizeof *list);
	const char *wrong = NULL;

	if (!list)
		tool_out_of_memory();
	text = text ? realloc(text, size + 1) : NULL;
	if (!text) {
		free(list);
		return NULL;
	}
	text[size] = '\0';
	rest = text;
	for (problem->line = 1; !wrong && (line = strsep(&rest, "\n")); problem->line++) {
		line[strcspn(line, "\r")] = '\0';
		if (*line != '\0' && !(problem->line == 1 && strncmp(line, "model,", 6) == 0))
			wrong = add_line(list, line);
	}
	free(text);
	problem->line--;
	if (!wrong && list->count == 0) {
		wrong = "no prices in it";
		problem->line = 0;
	}
	if (!wrong)
		return list;
	snprintf(problem->text, sizeof problem->text, "%s", wrong);
	price_list_free(list);
	return NULL;
}

const struct prices *price_list_find(const struct price_list *list, const char *model)
{
	const struct price *best = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct price *price = &list->prices[i];
		size_t size = strlen(price->model);

		if (strncmp(model, price->model, size) == 0 &&
		    (!best || size > strlen(best->model)))
			best = price;
	}
	if (!best)
		best = find_exactly(list, "*");
	return best ? &best->prices : NULL;
}

void price_list_free(struct price_list *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		free(list->prices[i].model);
	if (list)
		free(list->prices);
	free(list);
}
