/* SPDX-License-Identifier: Apache-2.0 */
/* verify says so when all adds up, and exits with 1 for a balance that differs, a damaged record, a
 * file cut short, and pages that point outside of it. */
#include "inspects.h"

#include "records/record.h"
#include "storage/lmdb/lmdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[PATH_MAX];

static void fill(void)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	uint64_t id;

	if (path[0])
		test_remove(path);
	handle = inspected_open("task", &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "tools", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
	EXPECT_OK(be_record(handle, "tools", BE_UNIT, NULL, NULL));
	EXPECT_OK(be_commit(handle, "tools", BE_UNIT, NULL, &id));
	be_close(handle);
}

static void check_fine(void)
{
	char *text = inspect_text(path, "verify", NULL);
	json_t *document;

	EXPECT_TEXT(text, "all balances add up: 2 envelopes, 1 pending commit, 2 transactions\n");
	free(text);
	document = inspect_json("--json", path, "verify", NULL);
	EXPECT_JSON(document, "version", "1");
	EXPECT_JSON(document, "verify",
		    "{\"differences\":[],\"ok\":true,\"envelopes\":2,\"commits\":1,"
		    "\"transactions\":2}");
	json_decref(document);
}

/* It exits with 1 and prints `count` differences, of which the first has `part` in it, as text and
 * in JSON, where the number of envelopes is `records` unless that is NULL. */
static void check_differences(size_t count, const char *part, const char *records)
{
	struct ending ending;
	json_t *document, *verify, *differences;
	char last[64];

	inspect(&ending, path, "verify", NULL);
	EXPECT_EQUAL(ending.status, 1);
	EXPECT_TEXT(ending.errors, "");
	EXPECT_CONTAINS(ending.output, part);
	snprintf(last, sizeof last, "\n%zu difference%s", count, count == 1 ? "" : "s");
	EXPECT_CONTAINS(ending.output, last);
	ending_free(&ending);

	inspect(&ending, "--json", path, "verify", NULL);
	EXPECT_EQUAL(ending.status, 1);
	EXPECT_TEXT(ending.errors, "");
	document = json_loads(ending.output, JSON_REJECT_DUPLICATES, NULL);
	EXPECT(document);
	verify = json_object_get(document, "verify");
	EXPECT_JSON(verify, "ok", "false");
	if (records)
		EXPECT_JSON(verify, "envelopes", records);
	differences = json_object_get(verify, "differences");
	EXPECT_EQUAL(json_array_size(differences), count);
	EXPECT_CONTAINS(json_string_value(json_array_get(differences, 0)), part);
	printf("%s\n", json_string_value(json_array_get(differences, 0)));
	json_decref(document);
	ending_free(&ending);
}

/* ---- ways to do damage */

/* Replaces a record by what `change` makes of it, in LMDB but past all rules. */
static void change_record(const struct record_key *key,
			  void (*change)(const struct record_key *key, struct record_value *value))
{
	struct lmdb_settings settings = {
		.path = path, .sync = true, .mode = 0600, .map_size = 1 << 30};
	struct be_bytes name = record_key_bytes(key), found;
	struct lmdb_storage *lmdb;
	struct record_value value;
	struct be_storage *storage;
	void *txn;

	EXPECT_OK(lmdb_storage_open(&settings, &lmdb));
	storage = lmdb_storage_interface(lmdb);
	EXPECT_EQUAL(storage->ops->begin(storage->self, true, &txn), 0);
	EXPECT_EQUAL(storage->ops->get(storage->self, txn, name, &found), 0);
	memcpy(value.bytes, found.data, found.size);
	value.size = (uint16_t)found.size;
	change(key, &value);
	found = (struct be_bytes){value.bytes, value.size};
	EXPECT_EQUAL(storage->ops->put(storage->self, txn, name, found), 0);
	EXPECT_EQUAL(storage->ops->commit(storage->self, txn), 0);
	lmdb_storage_close(lmdb);
}

static void add_to_spent(const struct record_key *key, struct record_value *value)
{
	struct be_bytes bytes = {value->bytes, value->size};
	struct envelope envelope;

	EXPECT_OK(record_decode_envelope(bytes, &envelope));
	envelope.spent++;
	record_encode_envelope(value, key, &envelope);
}

static void flip_bit(const struct record_key *key, struct record_value *value)
{
	(void)key;
	value->bytes[0] ^= 1;
}

static void spend_without_ledger(void)
{
	struct record_key key;
	struct name name = {0};

	EXPECT_OK(name_set_namespace(&name, "task"));
	EXPECT_OK(name_set_category(&name, "llm"));
	record_key_envelope(&key, &name);
	change_record(&key, add_to_spent);
}

static void damage_transaction(void)
{
	struct record_key key;

	record_key_id(&key, RECORD_TRANSACTION, 1);
	change_record(&key, flip_bit);
}

static int open_data_file(struct stat *status)
{
	char file[PATH_MAX + 16];
	int fd;

	snprintf(file, sizeof file, "%s/data.mdb", path);
	fd = open(file, O_RDWR | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, status) == 0);
	return fd;
}

static void cut_short(void)
{
	struct stat status;
	int fd = open_data_file(&status);

	EXPECT(ftruncate(fd, 2 * sysconf(_SC_PAGESIZE)) == 0);
	close(fd);
}

/* Makes every node of every leaf page begin so far behind its page that it is outside of the
 * file. */
static void point_outside(void)
{
	enum {
		FLAGS = 10,
		LOWER = 12,
		POINTERS = 16,
		LEAF = 2
	};
	long page_size = sysconf(_SC_PAGESIZE);
	struct stat status;
	int fd = open_data_file(&status), pages = 0;
	uint8_t *page = malloc((size_t)page_size);

	EXPECT(page && status.st_size < 60000);
	for (off_t at = 2 * page_size; at < status.st_size; at += page_size) {
		EXPECT_EQUAL(pread(fd, page, (size_t)page_size, at), page_size);
		if ((page[FLAGS] & LEAF) == 0)
			continue;
		memset(page + POINTERS, 0xff,
		       (size_t)(page[LOWER] | page[LOWER + 1] << 8) - POINTERS);
		EXPECT_EQUAL(pwrite(fd, page, (size_t)page_size, at), page_size);
		pages++;
	}
	EXPECT(pages > 0);
	free(page);
	close(fd);
}

int main(int argc, char **argv)
{
	inspects_begin(argc, argv, 60);
	fill();
	check_fine();
	spend_without_ledger();
	check_differences(3, "llm", "2");
	fill();
	damage_transaction();
	check_differences(2, "a record is damaged: transaction", "2");
	fill();
	cut_short();
	check_differences(1, "data.mdb", "null");

	/* A sanitizer would make something else of the crash. */
	setenv("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:handle_abort=0", 1);
	fill();
	point_outside();
	/* Whether the library sees it or LMDB crashes on it. */
	check_differences(1, "damaged", NULL);
	return 0;
}
