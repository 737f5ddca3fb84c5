/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways for a newest txn not to be whole that only one check of the proof notices each, and ways to
 * be whole that look wrong. Each function here turns red when the check that it names is taken out
 * of newest.c.
 */
#include "support.h"
#include "vouched.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEYS 2000
#define NOTED 4096

/* Which pages were written; pwrite() is this program's own. The compiler would call it pwrite64. */
static bool written[NOTED];

ssize_t own_pwrite(int fd, const void *bytes, size_t size, off_t offset) __asm__("pwrite64");

ssize_t own_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	for (size_t i = 0; i < (size + PAGE - 1) / PAGE; i++)
		if ((size_t)offset / PAGE + i < NOTED)
			written[(size_t)offset / PAGE + i] = true;
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

static char directory[PATH_MAX];
static unsigned directories;

static void put(struct vouched_env *env, unsigned number, int fill)
{
	char key[32], value[200];

	memset(value, fill, sizeof value);
	snprintf(key, sizeof key, "k%06u", number);
	vouched_put(env, key, value, sizeof value);
}

/* An environment of some thousand records: a root, branch pages and leaves. */
static void make(struct vouched_env *env)
{
	test_path(directory, "holes%u", directories++);
	vouched_open(env, directory);
	vouched_begin(env);
	for (unsigned i = 0; i < KEYS; i++)
		put(env, i * 10, 'a');
	vouched_commit(env);
	for (int i = 0; i < 6; i++) {
		vouched_begin(env);
		put(env, (unsigned)i * 70, 'b' + i);
		vouched_commit(env);
	}
}

static int memory_file(const struct bytes *file)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	EXPECT(fd >= 0);
	EXPECT_EQUAL(pwrite(fd, file->data, file->size, 0), file->size);
	return fd;
}

static void expect_verdict(int line, const struct bytes *file, enum be_status expected,
			   const char *words)
{
	struct pages_fault fault;
	int fd = memory_file(file);
	bool may_go_back;
	enum be_status status = vouched_prove(fd, &may_go_back, &fault);

	close(fd);
	if (status != expected || !strstr(fault.text, words))
		test_fail(__FILE__, line, "status %d: %s; expected %d: %s", status, fault.text,
			  expected, words);
}

#define EXPECT_ACCEPTED(file) expect_verdict(__LINE__, (file), BE_OK, "")
#define EXPECT_REFUSED(file, words) expect_verdict(__LINE__, (file), BE_DAMAGED, (words))

/* ---- finding things in a file */

static unsigned char *page_at(const struct bytes *file, uint64_t number)
{
	EXPECT((number + 1) * PAGE <= file->size);
	return file->data + number * PAGE;
}

static size_t count_of(const unsigned char *page)
{
	struct page_header header;

	memcpy(&header, page, sizeof header);
	return (header.lower - sizeof header) / 2;
}

static unsigned char *node_at(unsigned char *page, size_t i, struct node_header *node)
{
	uint16_t offset;

	memcpy(&offset, page + sizeof(struct page_header) + i * 2, sizeof offset);
	memcpy(node, page + offset, sizeof *node);
	return page + offset + sizeof *node;
}

static uint64_t child_at(unsigned char *page, size_t i)
{
	struct node_header node;

	node_at(page, i, &node);
	return node.low | (uint64_t)node.high << 16 | (uint64_t)node.flags << 32;
}

/* The leaf with the key, from the root of the records. */
static unsigned char *find(const struct bytes *file, const char *key, size_t *at,
			   unsigned char **parent, size_t *in_parent)
{
	const struct meta_tree *tree = &bytes_newest(file)->trees[1];
	unsigned char *page = page_at(file, tree->root);
	struct node_header node;

	for (unsigned levels = tree->depth;; levels--) {
		size_t i = levels == 1 ? 0 : 1;

		for (; i < count_of(page); i++) {
			unsigned char *name = node_at(page, i, &node);
			size_t common = node.key_size < strlen(key) ? node.key_size : strlen(key);
			int order = memcmp(name, key, common);

			if (order == 0 && levels == 1 && node.key_size == strlen(key)) {
				*at = i;
				return page;
			}
			if (levels > 1 &&
			    (order > 0 || (order == 0 && node.key_size > strlen(key))))
				break;
		}
		EXPECT(levels > 1);
		*parent = page;
		*in_parent = i - 1;
		page = page_at(file, child_at(page, i - 1));
	}
}

/* The header record's bytes. */
static unsigned char *header_of(const struct bytes *file)
{
	unsigned char *parent, *leaf;
	struct node_header node;
	size_t at, above;

	leaf = find(file, HEADER_KEY, &at, &parent, &above);
	return node_at(leaf, at, &node) + strlen(HEADER_KEY);
}

static bool is_shared(const struct bytes *file, const struct bytes *before, const void *page)
{
	size_t offset = (size_t)((const unsigned char *)page - file->data);

	return offset < before->size && memcmp(before->data + offset, page, PAGE) == 0;
}

/* ---- separators */

enum side_of_separator {
	BELOW,
	ABOVE,
};

/* A txn changes one record; then the separator beside the leaf that it wrote, or beside one that it
 * did not, is another one, too high for the page above it or too low for the page below. */
static void separator(bool beside_shared, enum side_of_separator side)
{
	unsigned char *leaf, *parent, *neighbour, *separator, *key;
	struct bytes before, file;
	struct node_header node, other;
	struct vouched_env env;
	size_t at, above, index;

	make(&env);
	before = bytes_of(env.fd);
	vouched_begin(&env);
	put(&env, 5000, 'x');
	vouched_commit(&env);
	file = bytes_of(env.fd);
	EXPECT_ACCEPTED(&file);
	leaf = find(&file, "k005000", &at, &parent, &above);
	EXPECT(!is_shared(&file, &before, leaf));
	EXPECT(above > 2 && above + 3 < count_of(parent));
	/* The child whose key is no longer on its side of the separator. */
	index = beside_shared ? above + (side == ABOVE ? 2 : (size_t)-2) : above;
	neighbour = page_at(&file, child_at(parent, index));
	EXPECT(is_shared(&file, &before, neighbour) == beside_shared);
	separator = node_at(parent, side == ABOVE ? index : index + 1, &node);
	key = side == ABOVE ? node_at(neighbour, 1, &other)
			    : node_at(neighbour, count_of(neighbour) - 1, &other);
	EXPECT_EQUAL(node.key_size, other.key_size);
	memcpy(separator, key, node.key_size);
	EXPECT_REFUSED(&file, beside_shared ? "are not where they are looked for"
					    : "its keys are out of order");
	free(before.data);
	free(file.data);
	vouched_close(&env);
}

/* ---- the writer that died */

/* Two txns of one number over the same state, of which the first did not come to its meta page. */
static void dead_writer(void)
{
	struct bytes start, dead, living, image;
	struct vouched_env env;
	uint64_t records;
	size_t meta;
	int fd;

	make(&env);
	vouched_close(&env);
	for (int same_count = 0; same_count < 2; same_count++) {
		fd = open(env.path, O_RDWR | O_CLOEXEC);
		start = bytes_of(fd);
		vouched_open(&env, directory);
		vouched_begin(&env);
		put(&env, same_count ? 1000 : 1001, 'd');
		vouched_commit(&env);
		dead = bytes_of(env.fd);
		vouched_close(&env);
		EXPECT_EQUAL(pwrite(fd, start.data, start.size, 0), start.size);
		vouched_open(&env, directory);
		vouched_begin(&env);
		put(&env, 1000, 'l');
		vouched_commit(&env);
		living = bytes_of(env.fd);
		vouched_close(&env);
		meta = bytes_newest(&living)->txn % 2 * PAGE;
		EXPECT_EQUAL(bytes_newest(&living)->txn, bytes_newest(&dead)->txn);
		EXPECT_EQUAL(bytes_newest(&living)->trees[1].root,
			     bytes_newest(&dead)->trees[1].root);
		EXPECT_ACCEPTED(&living);
		EXPECT_ACCEPTED(&dead);
		/* All of the dead one's pages, and the living one's meta page. */
		image = dead;
		memcpy(image.data + meta, living.data + meta, PAGE);
		if (same_count)
			EXPECT_ACCEPTED(&image); /* a whole txn, and nobody was told of either */
		else
			EXPECT_REFUSED(&image, "more or fewer records");
		free(bytes_used(&living, &records));
		/* Go on as if the living one had never been. */
		EXPECT_EQUAL(pwrite(fd, start.data, start.size, 0), start.size);
		free(start.data);
		free(dead.data);
		free(living.data);
		close(fd);
	}
}

/* ---- the header */

static void one_more(struct vouched_env *env, struct bytes *file)
{
	make(env);
	vouched_begin(env);
	put(env, 5000, 'x');
	vouched_commit(env);
	*file = bytes_of(env->fd);
	EXPECT_ACCEPTED(file);
}

static void torn_header(void)
{
	struct vouched_env env;
	struct bytes file;

	one_more(&env, &file);
	header_of(&file)[offsetof(struct vouched_header, other)] ^= 1;
	EXPECT_REFUSED(&file, "the header is damaged");
	free(file.data);
	vouched_close(&env);
}

/* Whole, but not of this txn. */
static void older_header(void)
{
	struct vouched_header header;
	struct vouched_env env;
	struct bytes file;

	one_more(&env, &file);
	memcpy(&header, header_of(&file), sizeof header);
	header.txn -= 2;
	header.checksum = vouched_checksum(&header);
	memcpy(header_of(&file), &header, sizeof header);
	EXPECT_REFUSED(&file, "the header is that of txn");
	free(file.data);
	vouched_close(&env);
}

/* A txn of somebody else's, who knows no header. */
static void no_header(void)
{
	MDB_val key = {7, (void *)(uintptr_t) "k009000"}, value = {3, (void *)(uintptr_t) "abc"};
	struct vouched_env env;
	struct bytes file;

	make(&env);
	vouched_begin(&env);
	EXPECT_EQUAL(mdb_put(env.txn, env.dbi, &key, &value, 0), 0);
	EXPECT_EQUAL(mdb_txn_commit(env.txn), 0);
	file = bytes_of(env.fd);
	EXPECT_REFUSED(&file, "the header was not written");
	free(file.data);
	vouched_close(&env);
}

static void torn_record(void)
{
	unsigned char *parent, *leaf;
	struct node_header node;
	struct vouched_env env;
	struct bytes file;
	size_t at, above;

	one_more(&env, &file);
	leaf = find(&file, "k005000", &at, &parent, &above);
	node_at(leaf, at, &node)[node.key_size + 100] ^= 1;
	EXPECT_REFUSED(&file, "the records are not those");
	free(file.data);
	vouched_close(&env);
}

/* ---- lists of free pages */

/* The longest list in the leaf or leaves of the free pages' tree whose pages are inline, or not. */
static unsigned char *longest_list(const struct bytes *file, uint64_t number, unsigned levels,
				   bool overflow, uint64_t *longest)
{
	unsigned char *page = page_at(file, number), *found = NULL;
	struct node_header node;

	for (size_t i = 0; i < count_of(page); i++) {
		unsigned char *list = node_at(page, i, &node) + node.key_size, *below;
		uint64_t first, count;

		if (levels > 1) {
			below = longest_list(file, child_at(page, i), levels - 1, overflow,
					     longest);
			found = below ? below : found;
			continue;
		}
		if (!(node.flags & LMDB_OVERFLOW_NODE) == overflow)
			continue;
		memcpy(&first, list, sizeof first);
		if (overflow)
			list = page_at(file, first) + sizeof(struct page_header);
		memcpy(&count, list, sizeof count);
		if (count > *longest) {
			*longest = count;
			found = list;
		}
	}
	return found;
}

/* A page of the list is missing, near the end, where there is room for it to be another one: which
 * is listed twice, or in use. */
static void spoil_list(unsigned char *list, uint64_t count)
{
	uint64_t page, next;

	for (uint64_t i = count - 1; i > 0; i--) {
		memcpy(&page, list + i * 8, 8);
		memcpy(&next, list + (i + 1) * 8, 8);
		if (page - 1 > next) {
			page--;
			memcpy(list + i * 8, &page, 8);
			return;
		}
	}
	test_fail(__FILE__, __LINE__, "no gap in the list");
}

static void swap_in_list(unsigned char *list, uint64_t count)
{
	unsigned char kept[8];

	memcpy(kept, list + (count - 1) * 8, 8);
	memcpy(list + (count - 1) * 8, list + count * 8, 8);
	memcpy(list + count * 8, kept, 8);
}

static unsigned char *list_of(const struct bytes *file, const struct meta_page *meta, bool overflow,
			      uint64_t *count)
{
	const struct meta_tree *tree = &meta->trees[0];

	*count = 0;
	return longest_list(file, tree->root, tree->depth, overflow, count);
}

/* The newest txn lists what it freed inline, or on pages of its own, two at least. */
static unsigned char *make_list(struct vouched_env *env, struct bytes *file, bool overflow,
				uint64_t *count)
{
	unsigned char *list;

	make(env);
	vouched_begin(env);
	for (unsigned i = 0; overflow && i < 40000; i++)
		put(env, 100000 + i, 'y');
	vouched_commit(env);
	vouched_begin(env);
	for (unsigned i = 0; overflow && i < 40000; i += 51) /* every third leaf */
		put(env, 100000 + i, 'z');
	for (unsigned i = 0; !overflow && i < KEYS; i += 51)
		put(env, i * 10, 'z');
	vouched_commit(env);
	*file = bytes_of(env->fd);
	EXPECT_ACCEPTED(file);
	list = list_of(file, bytes_newest(file), overflow, count);
	EXPECT(list && *count > (overflow ? PAGE / sizeof(uint64_t) + 100 : 30));
	return list;
}

/* What is stale is the end of the list. */
static void stale_list(bool overflow)
{
	unsigned char *list, kept[4 * PAGE];
	struct vouched_env env;
	struct bytes file;
	uint64_t count, size;

	list = make_list(&env, &file, overflow, &count);
	size = (count + 1) * 8;
	EXPECT(size <= sizeof kept);
	memcpy(kept, list, size);
	spoil_list(list, count);
	EXPECT_REFUSED(&file, "");
	memcpy(list, kept, size);
	swap_in_list(list, count);
	EXPECT_REFUSED(&file, "out of order in a list of free pages");
	memcpy(list, kept, size);
	/* One that is too short: a page is in no list. */
	size = count - 1;
	memcpy(list, &size, 8);
	EXPECT_REFUSED(&file, "is not accounted for");
	memcpy(list, kept, 8);
	EXPECT_ACCEPTED(&file);
	free(file.data);
	vouched_close(&env);
}

/* LMDB leaves a list the pages that it was given, also when it came to need fewer. */
static void longer_chain(void)
{
	struct pages_fault fault;
	struct meta_page *meta;
	struct page_header header;
	struct vouched_env env;
	unsigned char *chain;
	struct bytes file;
	uint64_t count;
	uint32_t pages;
	int fd;

	chain = make_list(&env, &file, true, &count) - sizeof header;
	meta = (struct meta_page *)(uintptr_t)bytes_newest(&file);
	memcpy(&header, chain, sizeof header);
	memcpy(&pages, &header.lower, sizeof pages);
	EXPECT_EQUAL(header.number + pages - 1, meta->last_page);
	EXPECT_EQUAL(file.size / PAGE - 1, meta->last_page);
	pages++;
	memcpy(&header.lower, &pages, sizeof pages);
	memcpy(chain, &header, sizeof header);
	meta->last_page++;
	meta->trees[0].overflow_pages++;
	file.data = realloc(file.data, file.size + PAGE);
	EXPECT(file.data);
	memset(file.data + file.size, 0xee, PAGE);
	file.size += PAGE;
	EXPECT_ACCEPTED(&file);
	fd = memory_file(&file);
	if (pages_check(fd, bytes_newest(&file), NULL, file.size / PAGE, &fault) != BE_OK)
		test_fail(__FILE__, __LINE__, "%s", fault.text);
	close(fd);
	free(file.data);
	vouched_close(&env);
}

/* A page that the txn before had not listed as free. */
static void not_free(void)
{
	struct vouched_env env;
	unsigned char *list;
	struct bytes file;
	uint64_t count;

	one_more(&env, &file);
	list = list_of(&file, bytes_meta(&file, bytes_newest(&file) == bytes_meta(&file, 0)), false,
		       &count);
	EXPECT(list && count > 1);
	count--; /* LMDB takes pages from the end of the lists */
	memcpy(list, &count, sizeof count);
	EXPECT_REFUSED(&file, "was not free and is used");
	free(file.data);
	vouched_close(&env);
}

/* ---- the meta page's numbers */

static void wrong_counts(void)
{
	struct vouched_env env;
	struct meta_tree *tree;
	struct bytes file;

	one_more(&env, &file);
	for (int i = 0; i < 2; i++) {
		tree = (struct meta_tree *)(uintptr_t)&bytes_newest(&file)->trees[i];
		tree->leaf_pages++;
		EXPECT_REFUSED(&file, "another number of pages");
		tree->leaf_pages--;
		tree->branch_pages++;
		EXPECT_REFUSED(&file, "another number of pages");
		tree->branch_pages--;
		tree->overflow_pages++;
		EXPECT_REFUSED(&file, "another number of pages");
		tree->overflow_pages--;
		tree->entries--;
		EXPECT_REFUSED(&file, "more or fewer");
		tree->entries++;
	}
	EXPECT_ACCEPTED(&file);
	free(file.data);
	vouched_close(&env);
}

/* ---- going back */

static void expect_state(struct vouched_env *env, uint64_t txn, int fill)
{
	MDB_val key = {7, (void *)(uintptr_t) "k005000"}, value;
	MDB_txn *reader;

	EXPECT_EQUAL(mdb_txn_begin(env->env, NULL, MDB_RDONLY, &reader), 0);
	EXPECT_EQUAL(mdb_txn_id(reader), txn);
	EXPECT_EQUAL(mdb_get(reader, env->dbi, &key, &value), 0);
	EXPECT_EQUAL(*(char *)value.mv_data, fill);
	mdb_txn_abort(reader);
}

/* Tears the newest txn of a file that nobody has open, and goes back. */
static void tear_and_go_back(const char *path, uint64_t txn)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct bytes file = bytes_of(fd);
	const struct meta_page *metas[2] = {bytes_meta(&file, 0), bytes_meta(&file, 1)};
	struct meta_page both[2];
	struct pages_fault fault;
	bool may_go_back;

	both[0] = *metas[0];
	both[1] = *metas[1];
	EXPECT_EQUAL(bytes_newest(&file)->txn, txn);
	memset(page_at(&file, bytes_newest(&file)->trees[1].root), 0, SECTOR);
	EXPECT_EQUAL(pwrite(fd, file.data, file.size, 0), file.size);
	EXPECT_STATUS(vouched_prove(fd, &may_go_back, &fault), BE_DAMAGED);
	EXPECT(may_go_back);
	EXPECT_OK(newest_go_back(path, fd, both));
	if (vouched_prove(fd, &may_go_back, &fault) != BE_OK)
		test_fail(__FILE__, __LINE__, "after going back: %s", fault.text);
	free(file.data);
	close(fd);
}

/* The power fails again after going back, before anything was written and after. */
static void went_back(void)
{
	struct vouched_env env;
	struct bytes file;
	uint64_t txn;

	one_more(&env, &file);
	txn = bytes_newest(&file)->txn;
	free(file.data);
	for (int round = 0; round < 3; round++) {
		vouched_begin(&env);
		put(&env, 5000, 'y');
		vouched_commit(&env);
		expect_state(&env, txn + 1, 'y');
		vouched_close(&env);
		tear_and_go_back(env.path, txn + 1);
		vouched_open(&env, directory);
		expect_state(&env, txn, 'x');
	}
	for (int round = 0; round < 5; round++) {
		vouched_begin(&env);
		put(&env, 5000, 'z');
		vouched_commit(&env);
		file = bytes_of(env.fd);
		EXPECT_ACCEPTED(&file);
		free(file.data);
	}
	vouched_close(&env);
}

/* The meta page of a txn could not be written: LMDB left its trees under the number that was there
 * before. Then the power failed. The txn before it is the newest, and whole. */
static void failed_meta_page(void)
{
	struct vouched_env env;
	struct bytes file;
	uint64_t older;

	one_more(&env, &file);
	older = bytes_newest(&file)->txn - 2;
	memcpy((unsigned char *)bytes_newest(&file) + offsetof(struct meta_page, txn), &older,
	       sizeof older);
	EXPECT_ACCEPTED(&file);
	free(file.data);
	vouched_close(&env);
}

/* The first txn of a new file goes back to nothing; one that has more than its header may be a
 * copy. */
static void first_txn(void)
{
	struct pages_fault fault;
	struct meta_page metas[2];
	struct vouched_env env;
	struct bytes file;
	bool may_go_back;
	int fd;

	for (unsigned records = 0; records < 2; records++) {
		test_path(directory, "holes%u", directories++);
		vouched_open(&env, directory);
		vouched_begin(&env);
		if (records)
			put(&env, 1, 'f');
		vouched_commit(&env);
		vouched_close(&env);
		fd = open(env.path, O_RDWR | O_CLOEXEC);
		file = bytes_of(fd);
		EXPECT_ACCEPTED(&file);
		header_of(&file)[8] ^= 1;
		EXPECT_EQUAL(pwrite(fd, file.data, file.size, 0), file.size);
		EXPECT_STATUS(vouched_prove(fd, &may_go_back, &fault), BE_DAMAGED);
		EXPECT_EQUAL(may_go_back, records == 0);
		metas[0] = *bytes_meta(&file, 0);
		metas[1] = *bytes_meta(&file, 1);
		EXPECT_OK(newest_go_back(env.path, fd, metas));
		EXPECT_STATUS(vouched_prove(fd, &may_go_back, &fault), BE_OK);
		close(fd);
		free(file.data);
		vouched_open(&env, directory);
		env.digest = 0;
		vouched_begin(&env);
		EXPECT_EQUAL(mdb_txn_id(env.txn), 1);
		put(&env, 2, 'g');
		vouched_commit(&env);
		file = bytes_of(env.fd);
		EXPECT_ACCEPTED(&file);
		free(file.data);
		vouched_close(&env);
	}
}

/* ---- a copy */

static void compacted_copy(void)
{
	struct vouched_env env, copy;
	unsigned char *parent, *leaf;
	struct node_header node;
	struct pages_fault fault;
	char path[PATH_MAX];
	struct bytes file;
	bool may_go_back;
	size_t at, above;
	int fd;

	make(&env);
	test_path(path, "copy");
	EXPECT_EQUAL(mkdir(path, 0700), 0);
	EXPECT_EQUAL(mdb_env_copy2(env.env, path, MDB_CP_COMPACT), 0);
	vouched_close(&env);
	vouched_open(&copy, path);
	file = bytes_of(copy.fd);
	EXPECT_EQUAL(bytes_newest(&file)->txn, 1);
	EXPECT_ACCEPTED(&file);
	leaf = find(&file, "k007000", &at, &parent, &above);
	node_at(leaf, at, &node)[node.key_size + 100] ^= 1;
	EXPECT_REFUSED(&file, "the records are not those");
	fd = memory_file(&file);
	EXPECT_STATUS(vouched_prove(fd, &may_go_back, &fault), BE_DAMAGED);
	EXPECT(!may_go_back); /* to nothing at all */
	close(fd);
	free(file.data);
	for (int i = 0; i < 3; i++) { /* the numbers go on from 1, and the header with them */
		vouched_begin(&copy);
		put(&copy, 7000, 'c');
		vouched_commit(&copy);
		file = bytes_of(copy.fd);
		EXPECT_ACCEPTED(&file);
		free(file.data);
	}
	vouched_close(&copy);
}

/* ---- writing again */

/* Every page that the txn wrote is written again with the same bytes, and its meta page. One that
 * has become another one meanwhile is found. */
static void written_again(void)
{
	struct meta_page metas[2];
	struct pages_fault fault;
	struct vouched_env env;
	struct bytes before, file, after;
	unsigned char *used;
	uint64_t slot, pages, records, count = 0;
	int fd;

	make(&env);
	before = bytes_of(env.fd);
	vouched_begin(&env);
	put(&env, 5000, 'x');
	vouched_commit(&env);
	file = bytes_of(env.fd);
	used = bytes_used(&file, &records);
	fd = memory_file(&file);
	for (int i = 0; i < 2; i++)
		metas[i] = *bytes_meta(&file, i);
	slot = bytes_newest(&file)->txn % 2;
	pages = file.size / PAGE;
	memset(written, 0, sizeof written);
	EXPECT_OK(newest_rewrite(fd, metas, pages, &vouched, &fault));
	for (uint64_t page = 2; page < pages && page < NOTED; page++) {
		bool is_in_use = memchr(used + page * PAGE, 1, PAGE);
		bool is_new = page * PAGE >= before.size ||
			      memcmp(before.data + page * PAGE, file.data + page * PAGE, PAGE);

		EXPECT_EQUAL(written[page], is_in_use && is_new);
		count += written[page];
	}
	EXPECT(count >= 4 && written[slot] && !written[!slot]);
	free(used);
	free(before.data);
	after = bytes_of(fd);
	EXPECT(after.size == file.size && memcmp(after.data, file.data, file.size) == 0);
	free(after.data);
	/* The meta page comes from the caller's hand. */
	EXPECT_EQUAL(pwrite(fd, &(uint64_t){0}, 8, (off_t)(slot * PAGE + 144)), 8);
	EXPECT_OK(newest_rewrite(fd, metas, pages, &vouched, &fault));
	after = bytes_of(fd);
	EXPECT(memcmp(after.data, file.data, file.size) == 0);
	free(after.data);
	/* A page was given up. */
	header_of(&file)[offsetof(struct vouched_header, digest)] ^= 1;
	EXPECT_EQUAL(pwrite(fd, file.data, file.size, 0), file.size);
	EXPECT_EQUAL(pwrite(fd, &(uint64_t){0}, 8, (off_t)(slot * PAGE + 144)), 8);
	EXPECT_STATUS(newest_rewrite(fd, metas, pages, &vouched, &fault), BE_DAMAGED);
	after = bytes_of(fd);
	EXPECT_EQUAL(bytes_meta(&after, (int)slot)->txn, 0);
	free(after.data);
	close(fd);
	/* What cannot be written is no success. */
	test_path(directory, "read-only");
	fd = open(env.path, O_RDONLY | O_CLOEXEC);
	EXPECT_STATUS(newest_rewrite(fd, metas, pages, &vouched, &fault), BE_IO_ERROR);
	EXPECT_STATUS(newest_go_back(env.path, fd, metas), BE_IO_ERROR);
	close(fd);
	free(file.data);
	vouched_close(&env);
}

int main(void)
{
	test_begin(30);
	separator(false, ABOVE);
	separator(false, BELOW);
	separator(true, ABOVE);
	separator(true, BELOW);
	dead_writer();
	torn_header();
	older_header();
	no_header();
	torn_record();
	stale_list(false);
	stale_list(true);
	longer_chain();
	not_free();
	wrong_counts();
	went_back();
	failed_meta_page();
	first_txn();
	compacted_copy();
	written_again();
	return 0;
}
