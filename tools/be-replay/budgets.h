/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelopes that a replay charges: one that the command line names, or all that a file declares
 * (see be-ctl apply). Each has a number, which is its place in the file.
 */
#ifndef BUDGETS_H
#define BUDGETS_H

#include "log.h"

#include <budget_enforcer.h>

#define BUDGET_NONE UINT32_MAX

struct budget {
	const char *namespace_name;
	const char *category;
	uint32_t parent; /* its number; BUDGET_NONE: there is none */
	enum be_period period;
	int64_t limit;
	int64_t spent_before; /* this replay */
};

struct budgets {
	struct budget *of;
	uint32_t count;
	const char *file; /* that declares them; NULL: the command line names one */
	struct declaration *declaration;
	/* With a file, whom requests are charged to that do not say it themselves; NULL: nothing
	 * is given. */
	const char *namespace_name;
	const char *category;
};

/* Reads budgets->file; "-" is standard input. Complains of what is wrong with it, in its lines, and
 * of what is wrong with the envelopes together: parents, too, must be declared. The exit status: 0,
 * or what goes with the fault. The process has one such file, which it keeps. */
int budgets_read(struct budgets *budgets);

/* A log_options.choose; `context` is the budgets. */
bool budgets_choose(void *context, const char *namespace_name, const char *category,
		    uint32_t *envelope, char why[LOG_WHY_SIZE]);

/* The number of an envelope; BUDGET_NONE: it is none of these. */
uint32_t budgets_find(const struct budgets *budgets, const char *namespace_name,
		      const char *category);

/* Makes those of the file that are not there, in the environment `directory`, where it is
 * `begin_ns`. Complains, and says false, where one is there and not as it is declared. */
bool budgets_make(struct budgets *budgets, struct be_enforcer *handle, const char *directory,
		  int64_t begin_ns);

#endif
