/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary. One table of figures feeds both forms. The JSON holds numbers, amounts as decimal
 * strings and sentences made here, and no text that came from outside; so nothing needs escaping.
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

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

/* The sentence that the whole program is there for. */
static void answer(const struct report *report, char *text, size_t size)
{
	static const char *const per[] = {"", " an hour", " a day", " a week", " a month"};
	const struct pool_result *result = report->result;
	uint64_t done = result->permitted + result->refused;
	char a[TEXT_SIZE], b[TEXT_SIZE], c[TEXT_SIZE], budget[128];
	int length = snprintf(budget, sizeof budget, "The budget of %s%s",
			      amount_text(report->limit, a), per[report->period]);

	if (report->spent_before > 0)
		snprintf(budget + length, sizeof budget - (size_t)length, ", with %s spent before,",
			 amount_text(report->spent_before, a));
	if (done < report->requests)
		snprintf(text, size,
			 "No answer: only %s of %s requests were replayed, and %s of them refused.",
			 count_text((int64_t)done, a), count_text((int64_t)report->requests, b),
			 count_text((int64_t)result->refused, c));
	else if (result->refused == 0)
		snprintf(text, size,
			 "%s would have held: all %s requests permitted, at a cost of %s.", budget,
			 count_text((int64_t)done, a), amount_text(result->spent, b));
	else
		snprintf(text, size, "%s would have refused %s of %s requests, costing %s.", budget,
			 count_text((int64_t)result->refused, a), count_text((int64_t)done, b),
			 amount_text(result->refused_cost, c));
}

static void print_text(const struct report *report, const struct figure *figures, size_t count,
		       const char *sentence)
{
	char text[TEXT_SIZE];

	printf("%-22s %s\n", "limit", amount_text(report->limit, text));
	printf("%-22s %s\n", "period", be_period_name(report->period));
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
	printf("\n%s\n", sentence);
}

static void print_json(const struct report *report, const struct figure *figures, size_t count,
		       const char *sentence)
{
	char text[TEXT_SIZE];

	printf("{\n  \"version\": 1,\n  \"limit\": \"%s\",\n  \"period\": \"%s\",\n",
	       amount_text(report->limit, text), be_period_name(report->period));
	for (size_t i = 0; i < count; i++) {
		const struct figure *figure = &figures[i];

		if (figure->kind == AMOUNT)
			printf("  \"%s\": \"%s\",\n", figure->key,
			       amount_text(figure->value, text));
		else
			printf("  \"%s\": %" PRId64 ",\n", figure->key, figure->value);
	}
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
		{"spent_before", "spent before", AMOUNT, report->spent_before, true},
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
