/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's program, in the common part of C11 and C++11: it is compiled as both, from nothing but
 * the installed files. Reserves in the environment named on the command line, settles, and prints
 * the balance.
 */
#include <budget_enforcer.h>
#include <budget_enforcer_storage.h>
#include <stdio.h>

static enum be_status spend(struct be_enforcer *handle)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	char text[BE_AMOUNT_TEXT_SIZE];
	enum be_status status;
	uint64_t id;

	status = be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL);
	if (status == BE_OK)
		status = be_commit(handle, "llm", BE_UNIT / 2, "a call", &id);
	if (status == BE_OK)
		status = be_settle(handle, id, BE_UNIT / 4, NULL, NULL);
	if (status == BE_OK)
		status = be_utilization(handle, "llm", &envelope);
	if (status == BE_OK)
		status = be_amount_format(envelope.available, text, sizeof text);
	if (status == BE_OK)
		printf("available: %s\n", text);
	return status;
}

int main(int argc, char **argv)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	if (argc != 2)
		return 2;
	status = be_open(argv[1], &options, &handle);
	if (status == BE_OK) {
		status = spend(handle);
		be_close(handle);
	}
	if (status != BE_OK)
		fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	return status == BE_OK ? 0 : 1;
}
