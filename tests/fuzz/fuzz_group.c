/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-group, as another program may have written it. A leader works through it, and the
 * users of slots read their results: none of them crashes or waits for ever, and what is handed to
 * a caller has texts that end, and a status that there is.
 *
 * The input is a row of changes to a file in which every kind of operation is posted: one byte says
 * what is changed, one which, two where, one how many bytes follow.
 */
#include "../../src/executor/group.c"
#include "../../src/executor/group_file.c"

#include "fuzz.h"

#include <budget_enforcer_storage.h>
#include <stdio.h>

#define USED 14 /* slots */

static struct group *group;
static char directory[64];

static void remove_directory(void)
{
	static const char *const names[] = {"be-owners", "be-group"};
	char path[96];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

static void open_group(void)
{
	static struct shared_directory *shared; /* open until the process ends */
	struct owners *owners;

	if (group)
		return;
	strcpy(directory, "/tmp/be-fuzz-group-XXXXXX");
	assert(mkdtemp(directory));
	atexit(remove_directory);
	assert(shared_directory_open(directory, &shared) == BE_OK);
	assert(owners_open(shared, 0600, BE_DURABILITY_PROCESS, &owners) == BE_OK);
	owners_opened(owners);
	assert(group_open(shared, 0600, true, true, owners, &group) == BE_OK);
}

static struct operation make_operation(enum be_operation kind)
{
	struct operation operation = {
		.kind = kind, .amount = 1, .now_ns = 1, .id = 1, .reap_as = BE_COMMIT_EXPIRED};

	assert(name_set_namespace(&operation.name, "task") == BE_OK);
	assert(name_set_category(&operation.name, "llm") == BE_OK);
	/* Where an envelope's window is set, the zone takes the description's place. */
	if (kind == BE_OPERATION_SET)
		operation.mask = BE_SET_LIMIT;
	else if (kind != BE_OPERATION_CREATE && kind != BE_OPERATION_ENSURE)
		assert(name_set_description(operation.description, &operation.description_size,
					    "text") == BE_OK);
	assert(operation_is_valid(&operation) == (kind != BE_OPERATION_CHECK));
	return operation;
}

static struct be_storage *make_storage(void)
{
	struct be_storage *storage;
	struct operation operations[] = {make_operation(BE_OPERATION_CREATE),
					 make_operation(BE_OPERATION_COMMIT)};
	struct result results[2];
	struct ledger ledger;

	assert(be_storage_memory_create(&storage) == BE_OK);
	assert(ledger_begin(&ledger, storage, true) == BE_OK);
	assert(ledger_initialise(&ledger, 1) == BE_OK);
	assert(ledger_commit(&ledger, 0) == BE_OK);
	assert(batch_run(storage, NULL, NULL, NULL, operations, results, 2) == BE_OK);
	return storage;
}

/* The file as the library leaves it, with an operation of each kind in its slot. */
static void prepare(struct group_file *file)
{
	initialise(file, false);
	memset(file->slots, 0, USED * sizeof file->slots[0]);
	for (uint32_t i = 0; i < USED; i++) {
		file->slots[i].operation = make_operation((enum be_operation)(i + 1));
		file->marks[i].user = group->self.name;
		file->marks[i].state = POSTED;
		file->rows[0].posted |= posted_bit(i);
	}
	atomic_store(&group->alone, 0);
	atomic_store(&group->penalty, 1);
}

static void change(unsigned char *what, size_t room, size_t where, const uint8_t *bytes,
		   size_t size)
{
	if (where < room)
		memcpy(what + where, bytes, size < room - where ? size : room - where);
}

static void apply_changes(struct group_file *file, const uint8_t *data, size_t size)
{
	while (size >= 5) {
		size_t where = (size_t)data[2] << 8 | data[3], count = data[4];
		struct slot *slot = &file->slots[data[1] % USED];

		count = count < size - 5 ? count : size - 5;
		switch (data[0] % 4) {
		case 0:
			change((unsigned char *)file + sizeof file->magic,
			       offsetof(struct group_file, slots) - sizeof file->magic, where,
			       data + 5, count);
			break;
		case 1:
			change((unsigned char *)&file->marks[data[1]], sizeof file->marks[0], where,
			       data + 5, count);
			break;
		case 2:
			change((unsigned char *)&slot->operation, sizeof slot->operation, where,
			       data + 5, count);
			break;
		default:
			change((unsigned char *)&slot->result,
			       sizeof slot->result + sizeof slot->error, where, data + 5, count);
			break;
		}
		data += 5 + count;
		size -= 5 + count;
	}
	/* A lock that names a process which lives is waited for, and we live. */
	if (!lock_name_is_dead(&group->self, file->leader.word))
		file->leader.word = 0;
	if (!lock_name_is_dead(&group->self, file->next.word))
		file->next.word = 0;
}

static void expect_sound(const struct result *result)
{
	assert(result->status <= BE_OK && result->status >= -199);
	assert(strlen(result->decision.category) < BE_NAME_SIZE);
	if (result->has_envelope)
		assert(strlen(result->envelope.parent_category) < BE_NAME_SIZE &&
		       (result->envelope.suspended || !result->envelope.suspended));
	if (result->transaction.id != 0)
		assert(strlen(result->transaction.description) < BE_DESCRIPTION_SIZE);
	assert(strlen(be_last_error()) < ERROR_TEXT_SIZE);
}

/* What the user of a slot sees when it is told that it has been answered. */
static void read_slot(struct group_file *file, uint32_t index, uint32_t state)
{
	static struct result result;
	struct turn turn = {.group = group, .file = file, .slot = index, .result = &result};

	memset(&result, 0xa5, sizeof result);
	if (take_answer(&turn, state) == DONE)
		expect_sound(&result);
	assert(turn.slot == NO_SLOT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct operation operation = make_operation(BE_OPERATION_RECORD);
	struct be_storage *storage;
	struct group_file *file;
	struct result result;
	uint64_t number;

	open_group();
	file = group->file;
	storage = make_storage();
	prepare(file);
	apply_changes(file, data, size);
	for (uint32_t i = 0; i < USED; i += 3)
		read_slot(file, i, ANSWERED);
	if (group_run(group, storage, NULL, &operation, &result))
		expect_sound(&result);
	for (uint32_t i = 0; i < USED; i++)
		if (file->marks[i].state != IDLE)
			read_slot(file, i, file->marks[i].state);
	assert(batch_last(storage, &number) == BE_OK);
	be_storage_memory_destroy(storage);
	return 0;
}
