/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/batch.h"

#include "base/error.h"

#include <assert.h>
#include <string.h>

void batch_fail(struct result *result, enum be_status status)
{
	memset(result, 0, sizeof *result);
	result->status = status;
}

enum be_status batch_begin(struct ledger *ledger, const struct be_storage *storage,
			   uint64_t *number)
{
	enum be_status status = ledger_begin(ledger, storage, true);

	if (status != BE_OK)
		return status;
	status = ledger_header(ledger);
	if (status != BE_OK)
		ledger_abort(ledger);
	else if ((*number = ledger->header.batch + 1) == 0)
		*number = 1; /* 0 would be no batch */
	return status;
}

enum be_status batch_last(const struct be_storage *storage, uint64_t *number)
{
	struct header header = {.batch = 0};
	enum be_status status = ledger_read_header(storage, true, &header);

	*number = header.batch;
	return status;
}

enum be_status batch_run(const struct be_storage *storage, const struct operation *operations,
			 struct result *results, size_t count)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, true);

	for (size_t i = 0; status == BE_OK && i < count; i++) {
		assert(operation_is_valid(&operations[i]));
		error_clear();
		status = rules_apply(&ledger, &operations[i], &results[i]);
		if (status != BE_OK)
			ledger_abort(&ledger);
	}
	if (status == BE_OK)
		status = ledger_commit(&ledger, 0);
	for (size_t i = 0; status != BE_OK && i < count; i++)
		batch_fail(&results[i], status);
	return status;
}

enum be_status batch_run_together(const struct be_storage *storage,
				  const struct batch_source *source, size_t count, size_t *done)
{
	struct operation operation;
	struct result result;
	struct ledger ledger;
	enum be_status status;

	*done = count;
	status = ledger_begin(&ledger, storage, true);
	if (status != BE_OK)
		return status;
	for (*done = 0; *done < count; ++*done) {
		status = source->make(source->context, *done, &operation);
		assert(status != BE_OK || operation_is_valid(&operation));
		if (status == BE_OK)
			status = rules_apply(&ledger, &operation, &result);
		if (status == BE_OK)
			status = result.status;
		if (status != BE_OK) {
			ledger_abort(&ledger);
			return status;
		}
		if (source->look)
			source->look(source->context, *done, &result);
	}
	return ledger_commit(&ledger, 0);
}
