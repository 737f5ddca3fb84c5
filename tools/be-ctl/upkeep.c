/* SPDX-License-Identifier: Apache-2.0 */
/* prune, backup and restore. What may take long says on a terminal that it is at work. */
#include "upkeep.h"

#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static bool show_pruned(void *context, const struct be_pruning *done)
{
	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIu64 " transactions removed", done->transactions);
	return true;
}

enum be_status upkeep_prune(const struct request *request, struct be_enforcer *handle, struct answer *answer)
{
	struct be_pruning pruning = BE_PRUNING_INIT;
	enum be_status status = be_prune(handle, request->before_ns, show_pruned, NULL, &pruning);

	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	/* On failure, too: what was removed is removed. */
	answer->has_number = true;
	answer->number_name = "transactions";
	answer->number = pruning.transactions;
	answer->more = json_object();
	answer_add(answer->more, "commits", json_integer((json_int_t)pruning.commits));
	return status;
}

enum be_status upkeep_backup(const struct request *request, struct be_enforcer *handle, struct answer *answer)
{
	enum be_status status;

	(void)answer;
	if (isatty(STDERR_FILENO))
		fputs("copying...", stderr);
	status = be_backup(handle, request->file);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	return status;
}

int upkeep_restore(const struct request *request)
{
	struct answer answer = answer_to(request);

	return answer_finish(&answer, be_restore(request->file, request->environment));
}
