/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-owners, as another program may have written it, before this process opens it and
 * after. Who lives is asked about whatever it says: nobody crashes, waits for ever, or looks behind
 * its end, and it never says that this process is dead.
 *
 * The input is a row of changes: one byte says what is changed, one which slot, one where, one how
 * many bytes follow. The mutexes are left alone, since the C library keeps pointers in them.
 */
#include "../../src/sharing/owner.c"

#include "fuzz.h"

static char directory[64];
static struct shared_directory *shared;

static void remove_directory(void)
{
	unlinkat(shared->fd, OWNERS_FILE, 0);
	rmdir(directory);
}

static void make_directory(void)
{
	if (shared)
		return;
	strcpy(directory, "/tmp/be-fuzz-owners-XXXXXX");
	assert(mkdtemp(directory));
	assert(shared_directory_open(directory, &shared) == BE_OK);
	atexit(remove_directory);
}

static void change(void *what, size_t room, size_t where, const uint8_t *bytes, size_t size)
{
	if (where < room)
		memcpy((char *)what + where, bytes, size < room - where ? size : room - where);
}

/* Returns how much of the input there is left after so many changes. */
static size_t apply_changes(struct owners_file *file, const uint8_t *data, size_t size, int most)
{
	for (; size >= 4 && most > 0; most--) {
		size_t where = data[2], count = data[3] < size - 4 ? data[3] : size - 4;
		struct owner_slot *slot = &file->slots[data[1] % 8];

		if (data[0] % 3 == 0)
			change(file, offsetof(struct owners_file, padding), where, data + 4, count);
		else if (data[0] % 3 == 1)
			change(slot, offsetof(struct owner_slot, alive), where, data + 4, count);
		else
			change((void *)&slot->first_commit, sizeof slot->first_commit, where,
			       data + 4, count);
		data += 4 + count;
		size -= 4 + count;
	}
	return size;
}

static bool count_owner(void *context, const struct owner *owner, bool alive)
{
	size_t *count = context;

	assert(owner->slot < OWNER_SLOTS && owner->generation != 0);
	*count += alive;
	return true;
}

static void ask(struct owners *owners)
{
	struct owner dead[4], strange = {.generation = 1, .slot = UINT32_MAX};
	size_t count = 0, found;

	assert(owners_each(owners, count_owner, &count));
	assert(count <= OWNER_SLOTS);
	assert(owners_first_commit(owners, &strange) == 0);
	assert(!owners_alive(owners, &strange) && !owners_registered(owners, &strange));
	found = owners_find_dead(owners, dead, 4);
	assert(found <= 4);
	for (size_t i = 0; i < found; i++) {
		assert(dead[i].slot < OWNER_SLOTS);
		(void)owners_first_commit(owners, &dead[i]);
		owners_forget(owners, &dead[i]);
		assert(!owners_registered(owners, &dead[i]));
	}
}

static void ask_as_owner(struct owners *owners)
{
	struct owner self, dead[4];
	size_t found;

	ask(owners);
	self = owners_self(owners);
	assert(self.generation != 0);
	found = owners_find_dead(owners, dead, 4);
	for (size_t i = 0; i < found; i++)
		assert(dead[i].slot != self.slot);
	owners_commits_from(owners, 7);
	(void)owners_first_commit(owners, &self);
	if (owners_claim_unknown(owners))
		owners_leave_unknown(owners);
}

/* A file as the library makes it, and as somebody changed it. Returns how much input is left. */
static size_t make_file(const uint8_t *data, size_t size)
{
	static struct owners_file file;
	char id[BOOT_ID_SIZE];
	size_t left;
	int fd;

	assert(boot_id(id) == BE_OK);
	assert(initialise(&file, id) == BE_OK);
	file.used = 5;
	for (uint32_t i = 0; i < 5; i++)
		file.slots[i].generation = i + 1;
	left = apply_changes(&file, data, size, 4);
	unlinkat(shared->fd, OWNERS_FILE, 0);
	assert(shared_file_open(shared, OWNERS_FILE, SHARED_NEW, 0600, &fd) == BE_OK);
	assert(write(fd, &file, sizeof file) == sizeof file);
	close(fd);
	return left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct owners *owners;
	enum be_status status;
	size_t left;

	make_directory();
	left = make_file(data, size);
	status = owners_open_read_only(shared, &owners);
	if (status == BE_OK && owners)
		discard(owners);
	status = owners_open(shared, 0600, BE_DURABILITY_FULL, &owners);
	assert(status <= BE_OK && status >= -199);
	if (status != BE_OK)
		return 0;
	owners_opened(owners);
	ask_as_owner(owners);
	(void)apply_changes(owners->file, data + size - left, left, 1000);
	ask_as_owner(owners);
	assert(owners_close(owners));
	return 0;
}
