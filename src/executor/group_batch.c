/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_batch.h"

#include "base/error.h"
#include "executor/batch.h"
#include "rules/rules.h"

#include <stdio.h>

bool batch_take(const struct slot *slot, struct operation *operation, struct result *result)
{
	if (operation_take(operation, &slot->operation))
		return true;
	batch_fail(result, error_set(BE_INVALID_ARGUMENT,
				     "what was posted in be-group is no operation: another "
				     "program writes to that file"));
	return false;
}

enum be_status batch_carry_out(struct batch *batch, const struct operation *operation,
			       struct result *result)
{
	enum be_status status;

	error_clear();
	status = batch_apply(&batch->attempt, &batch->ledger, operation, result);
	if (status == BE_OK && result->status == BE_OK && operation_frees(operation))
		batch->freed = true;
	return status;
}

void batch_write_result(struct slot *slot, const struct result *result)
{
	result_copy(&slot->result, result);
	slot->error[0] = '\0';
	if (result->status != BE_OK)
		snprintf(slot->error, sizeof slot->error, "%s", be_last_error());
}
