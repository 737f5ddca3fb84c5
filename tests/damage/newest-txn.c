/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the newest txn over real files of LMDB's: every txn that is whole is accepted, of
 * whatever kind; of the images that a loss of power can leave, with the meta page arrived and any
 * part of the changed sectors not, exactly those are accepted whose bytes in use are those of the
 * txn. (Rarely others, which are sound all the same and hold the same records: a separator that is
 * an older one and still separates.)
 */
#include "support.h"
#include "vouched.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TXNS 3000
#define TXNS_LONG 30000
#define IMAGE_TXNS 250
#define IMAGE_TXNS_LONG 4000
#define IMAGES_PER_TXN 16
#define LARGE 1000000

static uint64_t randomness;

static uint64_t below(uint64_t limit)
{
	return test_random(&randomness) % limit;
}

/* ---- random txns */

struct work {
	struct vouched_env env;
	MDB_txn *reader; /* pins pages */
	unsigned keys;   /* that there may be */
};

static void random_key(char *key, size_t size, unsigned keys)
{
	unsigned number = (unsigned)below(keys);

	snprintf(key, size, "%0*u", 4 + (int)(number % 7) * 5, number);
}

static void change(struct work *work)
{
	char value[VALUE_MAX], key[64];

	random_key(key, sizeof key, work->keys);
	if (below(5) < 2) {
		vouched_delete(&work->env, key);
		return;
	}
	memset(value, (int)below(256), sizeof value);
	vouched_put(&work->env, key, value, below(3) ? below(80) : below(VALUE_MAX + 1));
}

/* Fills or empties a range of keys, so that the tree grows and shrinks. */
static void change_many(struct work *work)
{
	unsigned first = (unsigned)below(work->keys), count = (unsigned)below(work->keys / 2);
	bool fill = below(2);
	char value[VALUE_MAX] = "many", key[64];

	for (unsigned i = first; i < first + count && i < work->keys; i++) {
		snprintf(key, sizeof key, "%0*u", 4 + (int)(i % 7) * 5, i);
		if (fill)
			vouched_put(&work->env, key, value, below(VALUE_MAX + 1));
		else
			vouched_delete(&work->env, key);
	}
}

static void pin_or_let_go(struct work *work)
{
	if (work->reader && below(30) == 0) {
		mdb_txn_abort(work->reader);
		work->reader = NULL;
	} else if (!work->reader && below(40) == 0) {
		EXPECT_EQUAL(mdb_txn_begin(work->env.env, NULL, MDB_RDONLY, &work->reader), 0);
	}
}

static void random_txn(struct work *work)
{
	uint64_t kind = below(60);

	pin_or_let_go(work);
	vouched_begin(&work->env);
	if (kind == 0)
		change_many(work);
	for (uint64_t i = 0, count = kind < 50 ? below(6) : below(80); i < count; i++)
		change(work);
	vouched_commit(&work->env);
}

/* A pool of free pages that is larger than LMDB keeps in one piece: it writes lists on more pages
 * than they need in the end. */
static void empty_and_fill(struct work *work, unsigned round)
{
	char value[VALUE_MAX] = "much", key[64];
	unsigned records = 20000 + (unsigned)below(20000);
	unsigned each = round % 4 == 1 ? records : 4000;

	for (unsigned i = 0; i < records; i++) {
		if (i % each == 0)
			vouched_begin(&work->env);
		snprintf(key, sizeof key, "m%08u", i);
		if (round % 2)
			vouched_delete(&work->env, key);
		else
			vouched_put(&work->env, key, value, VALUE_MAX / 2);
		if (i % each == each - 1 || i + 1 == records)
			vouched_commit(&work->env);
	}
}

static void expect_accepted(int fd, const char *what)
{
	struct pages_fault fault;
	bool may_go_back;
	enum be_status status = vouched_prove(fd, &may_go_back, &fault);

	if (status != BE_OK)
		test_fail(__FILE__, __LINE__, "%s is refused: %s", what, fault.text);
	EXPECT(!may_go_back);
}

static void expect_sound(const struct bytes *file, int fd)
{
	const struct meta_page *newest = bytes_newest(file);
	struct pages_fault fault;

	if (pages_check(fd, newest, NULL, file->size / PAGE, &fault) != BE_OK)
		test_fail(__FILE__, __LINE__, "not sound: %s", fault.text);
}

static void begin_work(struct work *work, const char *name, unsigned keys)
{
	char path[PATH_MAX];

	*work = (struct work){.keys = keys};
	test_path(path, "%s", name);
	vouched_open(&work->env, path);
	expect_accepted(work->env.fd, "a file that was just made");
}

static void end_work(struct work *work)
{
	if (work->reader)
		mdb_txn_abort(work->reader);
	vouched_close(&work->env);
}

static struct meta_page newest_meta(int fd)
{
	struct meta_page metas[2];

	for (int slot = 0; slot < 2; slot++)
		EXPECT_EQUAL(pread(fd, &metas[slot], sizeof metas[slot], (off_t)slot * PAGE),
			     sizeof metas[slot]);
	return metas[metas[1].txn > metas[0].txn];
}

static void accept_every_txn(void)
{
	unsigned txns = test_is_long() ? TXNS_LONG : TXNS;
	int64_t start = test_monotonic_ns();
	struct work work;
	unsigned deepest = 0;
	struct bytes file;

	begin_work(&work, "accepted", 6000);
	for (unsigned i = 0; i < txns; i++) {
		struct meta_page newest;

		random_txn(&work);
		expect_accepted(work.env.fd, "a txn that is whole");
		newest = newest_meta(work.env.fd);
		if (newest.trees[1].depth > deepest)
			deepest = newest.trees[1].depth;
		if (i % 100 == 0) {
			file = bytes_of(work.env.fd);
			expect_sound(&file, work.env.fd);
			free(file.data);
		}
	}
	end_work(&work);
	EXPECT(deepest >= 3);
	printf("%u txns accepted; depth to %u; %.1f s\n", txns, deepest, test_seconds_since(start));
}

static void accept_large_lists(void)
{
	unsigned rounds = test_is_long() ? 40 : 6, txns = 0, overflowing = 0;
	struct work work;
	struct bytes file;

	begin_work(&work, "lists", 100);
	for (unsigned round = 0; round < rounds; round++) {
		empty_and_fill(&work, round);
		for (unsigned i = 0; i < 60; i++, txns++) {
			vouched_begin(&work.env);
			for (uint64_t j = 0, count = below(i % 10 ? 3 : 2000); j < count; j++) {
				char key[64];

				snprintf(key, sizeof key, "n%08u", (unsigned)below(20000));
				vouched_put(&work.env, key, key, 60);
			}
			vouched_commit(&work.env);
			expect_accepted(work.env.fd, "a txn beside many free pages");
			overflowing += newest_meta(work.env.fd).trees[0].overflow_pages > 0;
			if (i % 5 == 0) {
				file = bytes_of(work.env.fd);
				expect_sound(&file, work.env.fd);
				free(file.data);
			}
		}
	}
	end_work(&work);
	EXPECT(overflowing > 0);
	printf("%u txns beside thousands of free pages accepted; %u of them with free lists on "
	       "pages of their own\n",
	       txns, overflowing);
}

/* ---- a loss of power */

struct loss {
	struct bytes before, after;
	unsigned char *used;
	uint64_t records;
	int image; /* a file in memory */
	size_t *changed;
	size_t count;
	unsigned accepted, refused, equivalent;
};

static void begin_loss(struct loss *loss)
{
	size_t meta = bytes_newest(&loss->after)->txn % 2 * PAGE;

	loss->used = bytes_used(&loss->after, &loss->records);
	loss->changed = malloc(loss->after.size / SECTOR * sizeof *loss->changed);
	EXPECT(loss->changed);
	loss->count = 0;
	for (size_t at = 0; at < loss->after.size; at += SECTOR)
		if (at != meta && (at + SECTOR > loss->before.size ||
				   memcmp(loss->before.data + at, loss->after.data + at, SECTOR)))
			loss->changed[loss->count++] = at;
	EXPECT_EQUAL(ftruncate(loss->image, 0), 0);
	EXPECT_EQUAL(pwrite(loss->image, loss->before.data, loss->before.size, 0),
		     loss->before.size);
	EXPECT_EQUAL(pwrite(loss->image, loss->after.data + meta, SECTOR, (off_t)meta), SECTOR);
}

static void end_loss(struct loss *loss)
{
	free(loss->used);
	free(loss->changed);
	free(loss->before.data);
	loss->before = loss->after;
}

/* Does the sector's old content, where it is missing, differ in a byte that is in use? */
static bool differs(const struct loss *loss, size_t sector)
{
	for (size_t i = sector; i < sector + SECTOR; i++) {
		unsigned char old = i < loss->before.size ? loss->before.data[i] : 0;

		if (loss->used[i] && old != loss->after.data[i])
			return true;
	}
	return false;
}

/* What is accepted and differs must be sound and hold the same records. */
static void expect_equivalent(struct loss *loss)
{
	struct bytes image = bytes_of(loss->image);
	uint64_t records;

	expect_sound(&image, loss->image);
	free(bytes_used(&image, &records));
	EXPECT(records == loss->records);
	loss->equivalent++;
	free(image.data);
}

static void judge(struct loss *loss, bool differs_from_txn, bool is_short)
{
	struct pages_fault fault;
	bool may_go_back;
	enum be_status status = vouched_prove(loss->image, &may_go_back, &fault);

	if (status == BE_DAMAGED && may_go_back && differs_from_txn) {
		loss->refused++;
	} else if (status == BE_OK && !differs_from_txn) {
		loss->accepted++;
	} else if (status == BE_OK && !is_short) {
		expect_equivalent(loss);
	} else {
		test_fail(__FILE__, __LINE__, "status %d (%s), may go back %d, differs %d", status,
			  fault.text, may_go_back, differs_from_txn);
	}
}

/* One image: some of the changed sectors have arrived. The file's length is the old or the new one,
 * if what arrived allows. */
static void lose_power(struct loss *loss)
{
	uint64_t how = below(4), part = below(100);
	size_t only = loss->count ? below(loss->count) : 0;
	bool *arrived = calloc(loss->count + 1, 1);
	size_t size = below(2) ? loss->after.size : loss->before.size;
	bool damaged = false;

	EXPECT(arrived);
	if (size < loss->before.size)
		size = loss->before.size;
	for (size_t i = 0; i < loss->count; i++) {
		size_t at = loss->changed[i];

		arrived[i] = how == 0 ? i != only : how == 1 ? i == only : below(100) < part;
		if (how == 3) /* whole pages, not torn */
			arrived[i] = (at / PAGE * 2654435761u + part) % 7 != 0;
		if (arrived[i] && at + SECTOR > size)
			size = (at / PAGE + 1) * PAGE;
		damaged |= !arrived[i] && differs(loss, at);
		if (arrived[i])
			EXPECT_EQUAL(pwrite(loss->image, loss->after.data + at, SECTOR, (off_t)at),
				     SECTOR);
	}
	EXPECT_EQUAL(ftruncate(loss->image, (off_t)size), 0);
	judge(loss, damaged, size < loss->after.size);
	/* As before. */
	EXPECT_EQUAL(ftruncate(loss->image, (off_t)loss->before.size), 0);
	for (size_t i = 0; i < loss->count; i++)
		if (arrived[i] && loss->changed[i] < loss->before.size)
			EXPECT_EQUAL(pwrite(loss->image, loss->before.data + loss->changed[i],
					    SECTOR, (off_t)loss->changed[i]),
				     SECTOR);
	free(arrived);
}

static void lose_power_often(const char *name, unsigned keys)
{
	unsigned txns = test_is_long() ? IMAGE_TXNS_LONG : IMAGE_TXNS;
	struct loss loss = {.image = memfd_create(name, MFD_CLOEXEC)};
	int64_t start = test_monotonic_ns();
	struct work work;

	EXPECT(loss.image >= 0);
	begin_work(&work, name, keys);
	for (unsigned i = 0; i < 200; i++)
		random_txn(&work);
	loss.before = bytes_of(work.env.fd);
	for (unsigned i = 0; i < txns; i++) {
		random_txn(&work);
		loss.after = bytes_of(work.env.fd);
		begin_loss(&loss);
		for (unsigned j = 0; j < IMAGES_PER_TXN; j++)
			lose_power(&loss);
		end_loss(&loss);
	}
	free(loss.before.data);
	close(loss.image);
	end_work(&work);
	EXPECT(loss.refused > 0 && loss.accepted > 0);
	printf("%s: %u images refused, %u accepted as the txn itself, %u others that are sound; "
	       "%.1f s\n",
	       name, loss.refused, loss.accepted, loss.equivalent, test_seconds_since(start));
}

/* ---- a large file */

static uint64_t reads_so_far(void)
{
	FILE *file = fopen("/proc/self/io", "re");
	char line[128];
	uint64_t reads = 0;

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "syscr: ", 7) == 0)
			reads = strtoull(line + 7, NULL, 10);
	if (file)
		fclose(file);
	return reads;
}

static void fill_large(struct vouched_env *env, char kind, size_t size)
{
	char key[64], value[VALUE_MAX] = "large";

	for (unsigned i = 0; i < LARGE; i++) {
		if (i % 10000 == 0)
			vouched_begin(env);
		snprintf(key, sizeof key, "%c%016u", kind, i);
		vouched_put(env, key, value, size);
		if (i % 10000 == 9999)
			vouched_commit(env);
	}
}

/* Work is in proportion to the txn: figures to read, and reads that are counted. */
static void prove_in_a_large_file(void)
{
	char path[PATH_MAX], key[64], value[VALUE_MAX] = "changed";
	struct vouched_env env;
	struct stat state;

	test_path(path, "large");
	vouched_open(&env, path);
	fill_large(&env, 'e', 220);
	fill_large(&env, 'p', 130);
	for (int round = 0; round < 6; round++) {
		uint64_t reads;
		int64_t start;

		vouched_begin(&env);
		for (int i = 0; i < 64; i++) {
			snprintf(key, sizeof key, "%c%016u", i % 2 ? 'e' : 'p',
				 (unsigned)below(LARGE));
			vouched_put(&env, key, value, i % 2 ? 220 : 130);
		}
		vouched_commit(&env);
		reads = reads_so_far();
		start = test_monotonic_ns();
		expect_accepted(env.fd, "a txn in a large file");
		EXPECT_EQUAL(fstat(env.fd, &state), 0);
		printf("64 changes among 2 * %d records, %lld pages: %" PRIu64 " reads, %.2f ms\n",
		       LARGE, (long long)state.st_size / PAGE, reads_so_far() - reads,
		       test_seconds_since(start) * 1000);
		EXPECT(reads_so_far() - reads < 2000);
	}
	vouched_close(&env);
}

int main(void)
{
	test_begin(60);
	randomness = test_seed();
	accept_every_txn();
	accept_large_lists();
	lose_power_often("a small file", 150);
	lose_power_often("a middling file", 3000);
	if (test_is_long())
		prove_in_a_large_file();
	return 0;
}
