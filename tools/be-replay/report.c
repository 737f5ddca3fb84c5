/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary. One table of figures feeds both forms. All text from outside are the names of
 * envelopes that a file declares, which are UTF-8 without control characters.
 */
#include "report.h"

#include "moment.h"
#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum kind {
	COUNT,
	AMOUNT,
	DURATION,
};

struct figure {
	const char *key;   /* in JSON */
	const char *label; /* for people */
	enum kind kind;
	int64_t value;
	bool only_if_any; /* people are not shown a 0 */
};

/* Bytes for any value in either form. */
#define TEXT_SIZE 40

/* Columns on a terminal. */
static int width_of(const char *label)
{
	wchar_t wide[2 * 4 * BE_NAME_SIZE + 8];
	size_t size = mbstowcs(wide, label, sizeof wide / sizeof *wide);
	int width = size < sizeof wide / sizeof *wide ? wcswidth(wide, size) : -1;

	return width < 0 ? (int)strlen(label) : width;
}

/* Digits in groups of three: 8819 is "8 819". */
static const char *count_text(int64_t count, char text[TEXT_SIZE])
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%" PRId64, count);
	char *out = text;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*out++ = ' ';
		*out++ = digits[i];
	}
	*out = '\0';
	return text;
}

static const char *amount_text(int64_t amount, char text[TEXT_SIZE])
{
	/* It cannot fail: the amounts here are sums of what the library took. */
	if (be_amount_format(amount, text, TEXT_SIZE) != BE_OK)
		snprintf(text, TEXT_SIZE, "?");
	return text;
}

static const char *duration_text(int64_t ns, char text[TEXT_SIZE])
{
	if (ns < 1000000)
		snprintf(text, TEXT_SIZE, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, TEXT_SIZE, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, TEXT_SIZE, "%.2f s", (double)ns / 1e9);
	return text;
}

/* Whose limits the answer is about. */
static void subject(const struct report *report, char *text, size_t size)
{
	static const char *const per[] = {
		[BE_PERIOD_TOTAL] = "",           [BE_PERIOD_HOURLY] = " an hour",
		[BE_PERIOD_DAILY] = " a day",     [BE_PERIOD_WEEKLY] = " a week",
		[BE_PERIOD_MONTHLY] = " a month", [BE_PERIOD_QUARTERLY] = " a quarter",
		[BE_PERIOD_YEARLY] = " a year",
	};
	const struct budget *budget = report->budgets->of;
	char amount[TEXT_SIZE];
	int length;

	if (report->budgets->file) {
		snprintf(text, size, "These limits");
		return;
	}
	length = snprintf(text, size, "The budget of %s%s", amount_text(budget->limit, amount),
			  per[budget->period]);
	if (budget->spent_before > 0)
		snprintf(text + length, size - (size_t)length, ", with %s spent before,",
			 amount_text(budget->spent_before, amount));
}

/* The sentence that the whole program is there for. */
static void answer(const struct report *report, char *text, size_t size)
{
	const struct pool_result *result = report->result;
	uint64_t done = result->permitted + result->refused;
	char a[TEXT_SIZE], b[TEXT_SIZE], c[TEXT_SIZE], limits[128];

	subject(report, limits, sizeof limits);
	if (done < report->requests)
		snprintf(text, size,
			 "No answer: only %s of %s requests were replayed, and %s of them refused.",
			 count_text((int64_t)done, a), count_text((int64_t)report->requests, b),
			 count_text((int64_t)result->refused, c));
	else if (result->refused == 0)
		snprintf(text, size,
			 "%s would have held: all %s requests permitted, at a cost of %s.", limits,
			 count_text((int64_t)done, a), amount_text(result->spent, b));
	else
		snprintf(text, size, "%s would have refused %s of %s requests, costing %s.", limits,
			 count_text((int64_t)result->refused, a), count_text((int64_t)done, b),
			 amount_text(result->refused_cost, c));
}

/* Where it was refused, by hour; nothing where nothing was. */
static void print_hours(const struct report *report)
{
	char at[MOMENT_TEXT_SIZE], permitted[TEXT_SIZE], refused[TEXT_SIZE], spent[TEXT_SIZE],
		cost[TEXT_SIZE];

	if (report->result->refused == 0)
		return;
	printf("\n%-17s %12s %12s %20s %20s\n", "hour", "permitted", "refused", "spent",
	       "refused cost");
	for (size_t i = 0; i < report->hour_count; i++) {
		const struct hour *hour = &report->hours[i];

		moment_format(hour->at_ns, 0, at);
		printf("%.16sZ %12s %12s %20s %20s\n", at,
		       count_text((int64_t)hour->permitted, permitted),
		       count_text((int64_t)hour->refused, refused), amount_text(hour->spent, spent),
		       amount_text(hour->refused_cost, cost));
	}
}

static void print_json_hours(const struct report *report)
{
	char at[MOMENT_TEXT_SIZE], spent[TEXT_SIZE], cost[TEXT_SIZE];

	printf("  \"hours\": [");
	for (size_t i = 0; i < report->hour_count; i++) {
		const struct hour *hour = &report->hours[i];

		moment_format(hour->at_ns, 9, at);
		printf("%s\n    {\"hour\": \"%s\", \"permitted\": %" PRIu64
		       ", \"refused\": %" PRIu64 ", \"spent\": \"%s\", \"refused_cost\": \"%s\"}",
		       i > 0 ? "," : "", at, hour->permitted, hour->refused,
		       amount_text(hour->spent, spent), amount_text(hour->refused_cost, cost));
	}
	printf("\n  ],\n");
}

/* ---- the envelopes of a file */

/* The label of each, for people. To be given back with free(), as are its members. *width is that
 * of the widest on a terminal, and that of the heading at least. */
static char **labels_of(const struct budgets *budgets, int *width)
{
	char **labels = calloc(budgets->count, sizeof *labels);

	if (!labels)
		tool_out_of_memory();
	*width = (int)strlen("envelope");
	for (uint32_t i = 0; i < budgets->count; i++) {
		char *label = text_label(budgets->of[i].namespace_name, budgets->of[i].category);

		labels[i] = text_escape(label);
		free(label);
		if (width_of(labels[i]) > *width)
			*width = width_of(labels[i]);
	}
	return labels;
}

static void print_label(const char *label, int width)
{
	printf("%s%*s", label, width - width_of(label), "");
}

static void print_shares(const struct report *report, char *const *labels, int width)
{
	char limit[TEXT_SIZE], requests[TEXT_SIZE], refused[TEXT_SIZE], spent[TEXT_SIZE],
		cost[TEXT_SIZE];

	printf("\n%-*s %20s %-9s %12s %12s %20s %20s\n", width, "envelope", "limit", "period",
	       "requests", "refused", "spent", "refused cost");
	for (uint32_t i = 0; i < report->budgets->count; i++) {
		const struct budget *budget = &report->budgets->of[i];
		const struct share *share = &report->shares[i];

		print_label(labels[i], width);
		printf(" %20s %-9s %12s %12s %20s %20s\n", amount_text(budget->limit, limit),
		       be_period_name(budget->period),
		       count_text((int64_t)share->requests, requests),
		       count_text((int64_t)share->refused, refused),
		       amount_text(share->spent, spent), amount_text(share->refused_cost, cost));
	}
}

/* Which refused, by hour; nothing where nothing was. */
static void print_refusals(const struct report *report, char *const *labels, int width)
{
	char at[MOMENT_TEXT_SIZE], refused[TEXT_SIZE], cost[TEXT_SIZE];

	if (report->refusal_count == 0)
		return;
	printf("\n%-17s %-*s %12s %20s\n", "hour", width, "envelope", "refused", "refused cost");
	for (size_t i = 0; i < report->refusal_count; i++) {
		const struct hour_refusal *refusal = &report->refusals[i];

		moment_format(refusal->at_ns, 0, at);
		printf("%.16sZ ", at);
		print_label(labels[refusal->envelope], width);
		printf(" %12s %20s\n", count_text((int64_t)refusal->refused, refused),
		       amount_text(refusal->refused_cost, cost));
	}
}

static void print_envelopes(const struct report *report)
{
	int width;
	char **labels = labels_of(report->budgets, &width);

	print_shares(report, labels, width);
	print_refusals(report, labels, width);
	for (uint32_t i = 0; i < report->budgets->count; i++)
		free(labels[i]);
	free(labels);
}

static void print_json_name(const struct budget *budget)
{
	const char *const texts[] = {budget->namespace_name, budget->category};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		printf("%s\": \"", i == 0 ? "\"namespace" : ", \"category");
		for (const char *at = texts[i]; *at; at++)
			printf("%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
		putchar('"');
	}
}

static void print_json_envelopes(const struct report *report)
{
	char limit[TEXT_SIZE], before[TEXT_SIZE], spent[TEXT_SIZE], cost[TEXT_SIZE],
		at[MOMENT_TEXT_SIZE];

	printf("  \"envelopes\": [");
	for (uint32_t i = 0; i < report->budgets->count; i++) {
		const struct budget *budget = &report->budgets->of[i];
		const struct share *share = &report->shares[i];

		printf("%s\n    {", i > 0 ? "," : "");
		print_json_name(budget);
		printf(", \"limit\": \"%s\", \"period\": \"%s\", \"requests\": %" PRIu64
		       ", \"refused\": %" PRIu64 ", \"spent_before\": \"%s\", \"spent\": \"%s\", "
		       "\"refused_cost\": \"%s\"}",
		       amount_text(budget->limit, limit), be_period_name(budget->period),
		       share->requests, share->refused, amount_text(budget->spent_before, before),
		       amount_text(share->spent, spent), amount_text(share->refused_cost, cost));
	}
	printf("\n  ],\n  \"refusals\": [");
	for (size_t i = 0; i < report->refusal_count; i++) {
		const struct hour_refusal *refusal = &report->refusals[i];

		moment_format(refusal->at_ns, 9, at);
		printf("%s\n    {\"hour\": \"%s\", ", i > 0 ? "," : "", at);
		print_json_name(&report->budgets->of[refusal->envelope]);
		printf(", \"refused\": %" PRIu64 ", \"refused_cost\": \"%s\"}", refusal->refused,
		       amount_text(refusal->refused_cost, cost));
	}
	printf("\n  ],\n");
}

/* ---- all together */

static void print_json_budget(const struct budget *budget)
{
	char limit[TEXT_SIZE], before[TEXT_SIZE];

	printf("  \"limit\": \"%s\",\n  \"period\": \"%s\",\n  \"spent_before\": \"%s\",\n",
	       amount_text(budget->limit, limit), be_period_name(budget->period),
	       amount_text(budget->spent_before, before));
}

static void print_text(const struct report *report, const struct figure *figures, size_t count,
		       const char *sentence)
{
	char text[TEXT_SIZE];

	if (report->budgets->file) {
		printf("%-22s %s\n", "envelopes", count_text(report->budgets->count, text));
	} else {
		printf("%-22s %s\n", "limit", amount_text(report->budgets->of->limit, text));
		printf("%-22s %s\n", "period", be_period_name(report->budgets->of->period));
		if (report->budgets->of->spent_before > 0)
			printf("%-22s %s\n", "spent before",
			       amount_text(report->budgets->of->spent_before, text));
	}
	for (size_t i = 0; i < count; i++) {
		const struct figure *figure = &figures[i];
		const char *value = NULL;

		if (figure->only_if_any && figure->value == 0)
			continue;
		switch (figure->kind) {
		case COUNT:
			value = count_text(figure->value, text);
			break;
		case AMOUNT:
			value = amount_text(figure->value, text);
			break;
		case DURATION:
			value = duration_text(figure->value, text);
			break;
		}
		printf("%-22s %s\n", figure->label, value);
	}
	print_hours(report);
	if (report->budgets->file)
		print_envelopes(report);
	printf("\n%s\n", sentence);
}

static void print_json(const struct report *report, const struct figure *figures, size_t count,
		       const char *sentence)
{
	char text[TEXT_SIZE];

	printf("{\n  \"version\": 1,\n");
	if (!report->budgets->file)
		print_json_budget(report->budgets->of);
	for (size_t i = 0; i < count; i++) {
		const struct figure *figure = &figures[i];

		if (figure->kind == AMOUNT)
			printf("  \"%s\": \"%s\",\n", figure->key,
			       amount_text(figure->value, text));
		else
			printf("  \"%s\": %" PRId64 ",\n", figure->key, figure->value);
	}
	print_json_hours(report);
	if (report->budgets->file)
		print_json_envelopes(report);
	printf("  \"interrupted\": %s,\n  \"answer\": \"%s\"\n}\n",
	       report->result->interrupted ? "true" : "false", sentence);
}

void report_print(const struct report *report, bool json)
{
	const struct pool_result *result = report->result;
	const struct histogram *latency = &result->latency;
	double seconds = (double)result->elapsed_ns / 1e9;
	int64_t per_second = seconds > 0 ? (int64_t)((double)result->calls / seconds) : 0;
	const struct figure figures[] = {
		{"requests", "requests", COUNT, (int64_t)report->requests, false},
		{"permitted", "permitted", COUNT, (int64_t)result->permitted, false},
		{"refused", "refused", COUNT, (int64_t)result->refused, false},
		{"unfinished", "unfinished", COUNT, (int64_t)result->unfinished, true},
		{"spent", "spent", AMOUNT, result->spent, false},
		{"refused_cost", "refused cost", AMOUNT, result->refused_cost, false},
		{"costs_rounded_up", "costs rounded up", COUNT, (int64_t)report->rounded, true},
		{"costs_above_estimate", "costs above estimate", COUNT, (int64_t)report->above,
		 true},
		{"elapsed_ns", "elapsed", DURATION, result->elapsed_ns, false},
		{"operations", "operations", COUNT, (int64_t)result->calls, false},
		{"operations_per_second", "operations per second", COUNT, per_second, false},
		{"latency_p50_ns", "latency p50", DURATION,
		 (int64_t)histogram_quantile(latency, 500), false},
		{"latency_p99_ns", "latency p99", DURATION,
		 (int64_t)histogram_quantile(latency, 990), false},
		{"latency_max_ns", "latency max", DURATION, (int64_t)latency->max_ns, false},
	};
	char sentence[320];

	answer(report, sentence, sizeof sentence);
	(json ? print_json : print_text)(report, figures, sizeof figures / sizeof *figures,
					 sentence);
}
