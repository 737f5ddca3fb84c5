/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A durable storage of one's own, complete: all records in one file, read whole when a txn begins
 * and written whole when it commits. Good for a few thousand records; what it shows is the contract
 * of <budget_enforcer_storage.h>.
 *
 *   One writer       A write txn holds an exclusive flock() on the file "lock" from begin to its
 *                    end,
 *                    on a descriptor of its own: that excludes other processes and other threads
 *                    alike, and the kernel drops it when the process dies.
 *   All or nothing   Changes are made in memory. Commit writes them to "records.new", flushes it
 *                    and
 *                    renames it to "records": a reader finds the file before or the file
 *                    after.
 *   Readers          take no lock; the file they have read is the state they see.
 *   Nothing shared   A txn owns all that it uses, so threads and fork children need no further
 *                    care.
 *
 * The file holds, for each record in the order of the keys, two uint16_t sizes, the key and the
 * value.
 */
#include <budget_enforcer_storage.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct record {
	uint16_t key_size, value_size;
	unsigned char
		bytes[BE_STORAGE_KEY_MAX + BE_STORAGE_VALUE_MAX]; /* the key, and then the value */
};

struct txn {
	int lock; /* -1 in a read txn */
	size_t count, room;
	struct record *records; /* in the order of their keys */
};

/* ------------------------------------------------- the records in memory */

static int compare(const struct record *record, struct be_bytes key)
{
	size_t shorter = record->key_size < key.size ? record->key_size : key.size;
	int order = memcmp(record->bytes, key.data, shorter);

	return order != 0 ? order : (record->key_size > key.size) - (record->key_size < key.size);
}

/* The place of the first record at or after `key`; *found says whether it is that very key. */
static size_t seek(const struct txn *txn, struct be_bytes key, bool *found)
{
	size_t low = 0, high = txn->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&txn->records[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < txn->count && compare(&txn->records[low], key) == 0;
	return low;
}

/* Opens a gap for one more record at `place`. */
static int make_room(struct txn *txn, size_t place)
{
	if (txn->count == txn->room) {
		size_t room = txn->room == 0 ? 64 : 2 * txn->room;
		struct record *records = realloc(txn->records, room * sizeof *records);
		if (records == NULL)
			return BE_NO_MEMORY;
		txn->records = records;
		txn->room = room;
	}
	memmove(&txn->records[place + 1], &txn->records[place],
		(txn->count - place) * sizeof *txn->records);
	txn->count++;
	return BE_OK;
}

/* -------------------------------------------------- the records on disk */

static int status_of(int code)
{
	switch (code) {
	case EACCES:
		return BE_PERMISSION;
	case ENOSPC:
		return BE_DISK_FULL;
	case ENOMEM:
		return BE_NO_MEMORY;
	default:
		return BE_IO_ERROR;
	}
}

static FILE *open_file(int directory, const char *name, int flags, const char *mode)
{
	int descriptor = openat(directory, name, flags | O_CLOEXEC, 0600);

	return descriptor < 0 ? NULL : fdopen(descriptor, mode);
}

static int load(int directory, struct txn *txn)
{
	FILE *file = open_file(directory, "records", O_RDONLY, "r");
	int result = BE_OK;
	uint16_t sizes[2];

	if (file == NULL)
		return errno == ENOENT ? BE_OK : status_of(errno); /* nothing was ever stored */
	while (result == BE_OK && fread(sizes, sizeof sizes, 1, file) == 1) {
		if (sizes[0] > BE_STORAGE_KEY_MAX || sizes[1] > BE_STORAGE_VALUE_MAX)
			result = BE_IO_ERROR;
		else
			result = make_room(txn, txn->count);
		if (result == BE_OK) {
			struct record *record = &txn->records[txn->count - 1];
			record->key_size = sizes[0];
			record->value_size = sizes[1];
			if (fread(record->bytes, (size_t)sizes[0] + sizes[1], 1, file) != 1)
				result = BE_IO_ERROR;
		}
	}
	if (result == BE_OK && ferror(file))
		result = BE_IO_ERROR;
	fclose(file);
	return result;
}

static int save(int directory, const struct txn *txn)
{
	FILE *file = open_file(directory, "records.new", O_WRONLY | O_CREAT | O_TRUNC, "w");
	bool written = file != NULL;
	int result;

	for (size_t i = 0; written && i < txn->count; i++) {
		const struct record *record = &txn->records[i];
		uint16_t sizes[2] = {record->key_size, record->value_size};
		written = fwrite(sizes, sizeof sizes, 1, file) == 1 &&
			  fwrite(record->bytes, (size_t)sizes[0] + sizes[1], 1, file) == 1;
	}
	written = written && fflush(file) == 0 && fsync(fileno(file)) == 0;
	result = written ? BE_OK : status_of(errno);
	if (file != NULL)
		fclose(file);
	/* The rename is what commits; it survives the loss of power once the directory is flushed
	 * too. */
	if (result == BE_OK && (renameat(directory, "records.new", directory, "records") != 0 ||
				fsync(directory) != 0))
		result = status_of(errno);
	return result;
}

/* ----------------------------------------------------------- the storage */

static void file_abort(void *self, void *opaque)
{
	struct txn *txn = opaque;

	(void)self;
	if (txn->lock >= 0)
		close(txn->lock); /* which also frees the lock */
	free(txn->records);
	free(txn);
}

static int file_begin(void *self, bool write, void **opaque)
{
	const int *directory = self;
	struct txn *txn = calloc(1, sizeof *txn);
	int result = BE_OK;

	if (txn == NULL)
		return BE_NO_MEMORY;
	txn->lock = write ? openat(*directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (write && txn->lock < 0)
		result = status_of(errno);
	while (result == BE_OK && write && flock(txn->lock, LOCK_EX) != 0)
		if (errno != EINTR)
			result = status_of(errno);
	if (result == BE_OK)
		result = load(*directory, txn);
	if (result != BE_OK) {
		file_abort(self, txn);
		return result;
	}
	*opaque = txn;
	return BE_OK;
}

static int file_commit(void *self, void *opaque)
{
	const int *directory = self;
	int result = save(*directory, opaque);

	file_abort(self, opaque);
	return result;
}

static int file_next(void *self, void *opaque, struct be_bytes from, struct be_bytes *key,
		     struct be_bytes *value)
{
	const struct txn *txn = opaque;
	bool found;
	size_t place = seek(txn, from, &found);

	(void)self;
	if (place == txn->count)
		return BE_STORAGE_NOT_FOUND;
	const struct record *record = &txn->records[place];
	*key = (struct be_bytes){record->bytes, record->key_size};
	*value = (struct be_bytes){record->bytes + record->key_size, record->value_size};
	return BE_OK;
}

static int file_get(void *self, void *opaque, struct be_bytes key, struct be_bytes *value)
{
	struct be_bytes same;
	bool found;

	seek(opaque, key, &found);
	return found ? file_next(self, opaque, key, &same, value) : BE_STORAGE_NOT_FOUND;
}

static int file_put(void *self, void *opaque, struct be_bytes key, struct be_bytes value)
{
	struct txn *txn = opaque;
	struct record record = {.key_size = (uint16_t)key.size, .value_size = (uint16_t)value.size};
	bool found;
	size_t place = seek(txn, key, &found);

	(void)self;
	/* Copied first, since what is passed may lie within the records that are about to move. */
	memcpy(record.bytes, key.data, key.size);
	if (value.size > 0)
		memcpy(record.bytes + key.size, value.data, value.size);
	if (!found && make_room(txn, place) != BE_OK)
		return BE_NO_MEMORY;
	txn->records[place] = record;
	return BE_OK;
}

static int file_del(void *self, void *opaque, struct be_bytes key)
{
	struct txn *txn = opaque;
	bool found;
	size_t place = seek(txn, key, &found);

	(void)self;
	if (!found)
		return BE_STORAGE_NOT_FOUND;
	txn->count--;
	memmove(&txn->records[place], &txn->records[place + 1],
		(txn->count - place) * sizeof *txn->records);
	return BE_OK;
}

static const struct be_storage_ops file_ops = {
	.size = sizeof file_ops,
	.begin = file_begin,
	.commit = file_commit,
	.abort = file_abort,
	.get = file_get,
	.put = file_put,
	.del = file_del,
	.next = file_next,
};

/* ------------------------------------------------------------ its use */

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(99); /* more than a worker can be granted */
}

/* Spends 0.1 at a time until that is refused, and says how often it was granted. */
static int spend(struct be_storage *storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *budget = NULL;
	enum be_status status;
	int granted = 0;
	uint64_t id;

	options.storage = storage;
	must(be_open(NULL, &options, &budget));
	must(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	while ((status = be_commit(budget, "llm", 100000000, NULL, &id)) == BE_OK) {
		must(be_settle(budget, id, 100000000, NULL, NULL));
		granted++;
	}
	if (status != BE_EXCEEDS_BUDGET)
		must(status);
	must(be_verify(budget, NULL, NULL, NULL));
	be_close(budget);
	return granted;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "budget";
	int directory, granted = 0, ended, workers = 4;
	struct be_storage storage = {&file_ops, &directory};

	if ((mkdir(path, 0700) != 0 && errno != EEXIST) ||
	    (directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		perror(path);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < workers; i++)
		if (fork() == 0)
			_exit(spend(&storage));
	for (int i = 0; i < workers; i++)
		if (wait(&ended) >= 0 && WIFEXITED(ended))
			granted += WEXITSTATUS(ended);
	printf("%d workers were granted 0.1 of a limit of 1 %d times\n", workers, granted);
	return granted == 10 && spend(&storage) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
