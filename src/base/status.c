/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers to words: statuses, operations and kinds of transaction. Each set is one table, indexed
 * by the number (by its negative for statuses); a gap in a table is a number that means nothing.
 */
#include <budget_enforcer.h>

#define SIZE(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
	const char *name;
	const char *text;
} statuses[] = {
	[-BE_OK] = {"ok", "Done"},
	[-BE_EXCEEDS_BUDGET] = {"exceeds_budget", "The amount is more than what is available"},
	[-BE_NO_ENVELOPE] = {"no_envelope", "There is no envelope for this namespace and category"},
	[-BE_SUSPENDED] =
		{"suspended",
		 "An operator suspended the envelope, which grants nothing until resumed"},
	[-BE_ENVELOPE_EXISTS] = {"envelope_exists",
				 "The envelope exists; be_envelope_ensure() accepts that"},
	[-BE_HAS_CHILDREN] = {"has_children",
			      "Other envelopes name it as their parent; remove those first"},
	[-BE_HAS_COMMITS] = {"has_commits", "Commits are pending against it; end those first"},
	[-BE_NO_PARENT] = {"no_parent", "The parent envelope does not exist; create it first"},
	[-BE_PARENT_CYCLE] = {"parent_cycle", "The envelope would be its own ancestor"},
	[-BE_TOO_DEEP] = {"too_deep",
			  "The chain of parents would be longer than the library allows"},
	[-BE_NO_COMMIT] = {"no_commit", "There is no commit of this id"},
	[-BE_ALREADY_RELEASED] = {"already_released", "The commit was released before"},
	[-BE_ALREADY_SETTLED] = {"already_settled", "The commit was settled before"},
	[-BE_ALREADY_REAPED] = {"already_reaped",
				"The commit expired or its owner died; its amount was freed"},
	[-BE_ALREADY_CHARGED] = {"already_charged",
				 "The commit expired or its owner died; its amount was charged"},
	[-BE_KEY_REUSED] = {"key_reused", "The key was given before, with another request"},
	[-BE_TOO_MANY_WAITING] = {"too_many_waiting", "As many commits wait already as can"},

	[-BE_NO_ALERT] = {"no_alert", "There is no alert of this id"},
	[-BE_NO_TRANSACTION] = {"no_transaction", "There is no transaction of this id"},
	[-BE_EXCEEDS_CHARGE] = {"exceeds_charge",
				"More would be given back than the transaction charged"},
	[-BE_ALREADY_DONE] = {"already_done", "The alert was marked as done before"},
	[-BE_INVALID_ARGUMENT] =
		{"invalid_argument",
		 "An argument is NULL where it must not be, or has no known meaning"},
	[-BE_INVALID_SIZE] = {"invalid_size", "The structure was not begun with its initialiser"},
	[-BE_INVALID_NAME] = {"invalid_name",
			      "A namespace or category is not 1 to 127 bytes of plain UTF-8"},
	[-BE_INVALID_DESCRIPTION] = {"invalid_description",
				     "A description is not 0 to 512 bytes of plain UTF-8"},
	[-BE_INVALID_LIMIT] = {"invalid_limit", "A limit must be above zero"},
	[-BE_INVALID_PERIOD] = {"invalid_period",
				"There is no such period, or its start lies in the future"},
	[-BE_AMOUNT_NEGATIVE] = {"amount_negative", "An amount must not be below zero"},
	[-BE_AMOUNT_EMPTY] = {"amount_empty", "There is no amount in the text"},
	[-BE_AMOUNT_SPACE] = {"amount_space",
			      "The text of the amount has white space in or around it"},
	[-BE_AMOUNT_EXPONENT] = {"amount_exponent",
				 "The amount has an exponent; write its digits out"},
	[-BE_AMOUNT_NOT_A_NUMBER] =
		{"amount_not_a_number",
		 "The amount is not decimal digits with at most one point between them"},
	[-BE_AMOUNT_TOO_PRECISE] =
		{"amount_too_precise",
		 "The amount has more than nine decimals; round it as you see fit"},
	[-BE_AMOUNT_TOO_LARGE] = {"amount_too_large",
				  "The amount is more than 9223372036.854775807"},
	[-BE_OVERFLOW] = {"overflow", "A balance would become larger than the library can count"},
	[-BE_READ_ONLY] = {"read_only",
			   "The environment was opened read-only, and this changes it"},
	[-BE_STOPPED] = {"stopped", "The listing was stopped by its callback"},

	[-BE_INVALID_ZONE] = {"invalid_zone", "There is no such time zone, or its file is none"},
	[-BE_INVALID_KEY] = {"invalid_key", "A key is not 1 to 64 bytes of plain UTF-8"},
	[-BE_INVALID_LABEL] = {"invalid_label",
			       "A label is not plain UTF-8 of 1 to 48 and 0 to 128 bytes, is there "
			       "twice, or is one too many"},
	[-BE_NOT_FOUND] = {"not_found", "The environment's directory or its files are missing"},
	[-BE_NOT_AN_ENVIRONMENT] = {"not_an_environment",
				    "What is there is no environment of this library"},
	[-BE_NEWER_FORMAT] = {"newer_format",
			      "A later version wrote the environment; update this library"},
	[-BE_OLDER_FORMAT] = {"older_format",
			      "An earlier version wrote the environment; use that or begin anew"},
	[-BE_DAMAGED] = {"damaged",
			 "A file or record of the environment is damaged; restore a backup"},
	[-BE_UNBALANCED] = {"unbalanced",
			    "Balances differ from the pending commits and the ledger"},
	[-BE_OTHER_BOOT] = {"other_boot",
			    "The machine went down with it; restore a backup or begin anew"},
	[-BE_BAD_FILE_SYSTEM] = {"bad_file_system",
				 "Shared maps are unsafe on this file system; use a local one"},
	[-BE_SECOND_COPY] = {"second_copy",
			     "Another copy of this library in this process has it open"},
	[-BE_OTHER_DURABILITY] = {"other_durability",
				  "It is in use with the other durability; open it with that one"},
	[-BE_ALREADY_THERE] = {"already_there",
			       "Something has that name already; give another one"},

	[-BE_PERMISSION] = {"permission", "The system does not permit this to the user it runs as"},
	[-BE_DISK_FULL] = {"disk_full",
			   "The disk is full; the same call works once there is space"},
	[-BE_MAP_FULL] = {"map_full",
			  "The environment has grown to its map_size; open it with a larger one"},
	[-BE_IO_ERROR] = {"io_error", "The system could not read or write a file"},
	[-BE_NO_MEMORY] = {"no_memory", "The system has no memory left"},
	[-BE_TOO_MANY_PROCESSES] = {"too_many_processes",
				    "Too many processes have the environment open"},
	[-BE_STORAGE_FAILED] = {"storage_failed",
				"The storage supplied by the caller broke its contract"},
	[-BE_MUST_REOPEN] =
		{"must_reopen",
		 "A write failed in this process; close all its handles and open again"},
	[-BE_UNKNOWN_OUTCOME] = {"unknown_outcome",
				 "It is not known whether it was done: look it up later"},
	[-BE_CONFLICT] = {"conflict", "Others changed the storage first each time; try again"},
	[-BE_UNREACHABLE] = {"unreachable", "The server of the storage did not answer in time"},
	[-BE_CHANGES_LOST] = {"changes_lost",
			      "The server lost changes that it had acknowledged: look at what is "
			      "there"},
};

static const char *const operations[] = {
	[BE_OPERATION_CHECK] = "check",     [BE_OPERATION_COMMIT] = "commit",
	[BE_OPERATION_RELEASE] = "release", [BE_OPERATION_RECORD] = "record",
	[BE_OPERATION_SETTLE] = "settle",   [BE_OPERATION_EXTEND] = "extend",
	[BE_OPERATION_REAP] = "reap",       [BE_OPERATION_CREATE] = "create",
	[BE_OPERATION_ENSURE] = "ensure",   [BE_OPERATION_SET_LIMIT] = "set_limit",
	[BE_OPERATION_SUSPEND] = "suspend", [BE_OPERATION_RESUME] = "resume",
	[BE_OPERATION_RESET] = "reset",     [BE_OPERATION_REMOVE] = "remove",
	[BE_OPERATION_SET] = "set",         [BE_OPERATION_CHARGE] = "charge",
	[BE_OPERATION_ALERT] = "alert",     [BE_OPERATION_ALERT_DONE] = "alert_done",
	[BE_OPERATION_CORRECT] = "correct",
};

static const char *const transaction_kinds[] = {
	[BE_TRANSACTION_RECORD] = "record",   [BE_TRANSACTION_SETTLE] = "settle",
	[BE_TRANSACTION_EXPIRED] = "expired", [BE_TRANSACTION_ORPHANED] = "orphaned",
	[BE_TRANSACTION_CHARGE] = "charge",   [BE_TRANSACTION_CORRECTION] = "correction",
};

/* Negated as an unsigned number, a status above zero is far outside of the table. */
static bool is_known(enum be_status status)
{
	unsigned at = 0U - (unsigned)status;

	return at < SIZE(statuses) && statuses[at].name;
}

const char *be_status_name(enum be_status status)
{
	return is_known(status) ? statuses[-status].name : "unknown";
}

const char *be_status_text(enum be_status status)
{
	return is_known(status) ? statuses[-status].text
				: "This number is not a status of the library";
}

bool be_status_is_refusal(enum be_status status)
{
	return status <= -1 && status >= -99;
}

static const char *word(const char *const *table, size_t size, unsigned number)
{
	return number < size && table[number] ? table[number] : "unknown";
}

const char *be_operation_name(enum be_operation operation)
{
	return word(operations, SIZE(operations), (unsigned)operation);
}

const char *be_transaction_kind_name(enum be_transaction_kind kind)
{
	return word(transaction_kinds, SIZE(transaction_kinds), (unsigned)kind);
}
