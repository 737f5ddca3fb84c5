/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage in memory: a skip list of records, one readers-writer lock, and an undo log.
 *
 * A record is a node, and a node never changes but for its links. Storing replaces the node of that
 * key by a new one, removing takes it out. The node taken out is kept in the log until the txn
 * ends: commit frees it, abort links it in again. Abort therefore allocates nothing and cannot
 * fail, and a value that get returned stays where it is at least until the txn ends.
 *
 * A write txn holds the lock alone, read txns share it. glibc is told to let a waiting writer go
 * first, since threads that read in a loop would keep it waiting for ever. A fork takes all locks,
 * so that the child has a whole copy of each map.
 */
#include "base/error.h"

#include <budget_enforcer_storage.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HEIGHT_MAX 16 /* enough for 4^16 records, with one node in four going up a level */

struct tree_node {
	size_t key_size;
	size_t value_size;
	unsigned height;
	struct tree_node *next[]; /* `height` links, then the key's bytes, then the value's */
};

/* A change: `added` took the place of `removed`; one of them may be NULL. */
struct change {
	struct tree_node *removed;
	struct tree_node *added;
};

struct map {
	struct be_storage interface;
	pthread_rwlock_t lock;
	struct map *next_map;                /* all maps of the process, under maps_lock */
	struct tree_node *first[HEIGHT_MAX]; /* the rest is under lock */
	struct change *changes;              /* of the write txn */
	size_t changes_used;
	size_t changes_size;
	uint64_t random;
	char write_txn; /* the address of this stands for the write txn, */
	char read_txn;  /* and of this for every read txn */
};

static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map *maps;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* ------------------------------------------------------------------- nodes */

static const unsigned char *node_key(const struct tree_node *node)
{
	return (const unsigned char *)&node->next[node->height];
}

static const unsigned char *node_value(const struct tree_node *node)
{
	return node_key(node) + node->key_size;
}

/* As memcmp() orders, and a prefix first. */
static int compare(const struct tree_node *node, struct be_bytes key)
{
	size_t common = node->key_size < key.size ? node->key_size : key.size;
	int order = common ? memcmp(node_key(node), key.data, common) : 0;

	if (order != 0)
		return order;
	return (node->key_size > key.size) - (node->key_size < key.size);
}

static unsigned random_height(struct map *map)
{
	unsigned height = 1;
	uint64_t bits;

	/* xorshift64 */
	map->random ^= map->random << 13;
	map->random ^= map->random >> 7;
	map->random ^= map->random << 17;
	for (bits = map->random >> 20; height < HEIGHT_MAX && (bits & 3) == 0; bits >>= 2)
		height++;
	return height;
}

static struct tree_node *make_node(struct map *map, struct be_bytes key, struct be_bytes value)
{
	unsigned height = random_height(map);
	struct tree_node *node;
	unsigned char *bytes;

	node = malloc(sizeof *node + height * sizeof node->next[0] + key.size + value.size);
	if (!node)
		return NULL;
	node->key_size = key.size;
	node->value_size = value.size;
	node->height = height;
	bytes = (unsigned char *)&node->next[height];
	memcpy(bytes, key.data, key.size);
	if (value.size)
		memcpy(bytes + key.size, value.data, value.size);
	return node;
}

/* The first node whose key is `key` or after it. links[i] is the link of level i that leads to it,
 * or past it. */
static struct tree_node *seek(struct map *map, struct be_bytes key,
			      struct tree_node **links[HEIGHT_MAX])
{
	struct tree_node **row = map->first;

	for (int level = HEIGHT_MAX - 1; level >= 0; level--) {
		while (row[level] && compare(row[level], key) < 0)
			row = row[level]->next;
		links[level] = &row[level];
	}
	return *links[0];
}

static struct be_bytes key_of(const struct tree_node *node)
{
	return (struct be_bytes){.data = node_key(node), .size = node->key_size};
}

static struct be_bytes value_of(const struct tree_node *node)
{
	return (struct be_bytes){.data = node_value(node), .size = node->value_size};
}

static void link_in(struct map *map, struct tree_node *node)
{
	struct tree_node **links[HEIGHT_MAX];

	seek(map, key_of(node), links);
	for (unsigned level = 0; level < node->height; level++) {
		node->next[level] = *links[level];
		*links[level] = node;
	}
}

static void take_out(struct map *map, struct tree_node *node)
{
	struct tree_node **links[HEIGHT_MAX];

	seek(map, key_of(node), links);
	for (unsigned level = 0; level < node->height; level++)
		*links[level] = node->next[level];
}

/* ---------------------------------------------------------------- txn */

static enum be_status no_memory(void)
{
	return error_set(BE_NO_MEMORY, "the storage in memory cannot grow");
}

static int memory_begin(void *self, bool write, void **txn)
{
	struct map *map = self;
	int rc = write ? pthread_rwlock_wrlock(&map->lock) : pthread_rwlock_rdlock(&map->lock);

	if (rc)
		return error_errno(BE_STORAGE_FAILED, rc, "the storage in memory cannot be locked");
	*txn = write ? &map->write_txn : &map->read_txn;
	return 0;
}

/* Room for one more change, so that what follows cannot fail. */
static bool reserve_change(struct map *map)
{
	size_t size = map->changes_size ? 2 * map->changes_size : 16;
	struct change *changes;

	if (map->changes_used < map->changes_size)
		return true;
	changes = reallocarray(map->changes, size, sizeof *changes);
	if (!changes)
		return false;
	map->changes = changes;
	map->changes_size = size;
	return true;
}

static int memory_commit(void *self, void *txn)
{
	struct map *map = self;

	(void)txn;
	for (size_t i = 0; i < map->changes_used; i++)
		free(map->changes[i].removed);
	map->changes_used = 0;
	pthread_rwlock_unlock(&map->lock);
	return 0;
}

static void memory_abort(void *self, void *txn)
{
	struct map *map = self;

	if (txn == &map->write_txn) {
		while (map->changes_used > 0) {
			struct change *last = &map->changes[--map->changes_used];

			if (last->added)
				take_out(map, last->added);
			if (last->removed)
				link_in(map, last->removed);
			free(last->added);
		}
	}
	pthread_rwlock_unlock(&map->lock);
}

/* ----------------------------------------------------------------- records */

static struct tree_node *find(struct map *map, struct be_bytes key)
{
	struct tree_node **links[HEIGHT_MAX];
	struct tree_node *node = seek(map, key, links);

	return node && compare(node, key) == 0 ? node : NULL;
}

static int memory_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	const struct tree_node *node = find(self, key);

	(void)txn;
	if (!node)
		return BE_STORAGE_NOT_FOUND;
	*value = value_of(node);
	return 0;
}

static void replace(struct map *map, struct tree_node *removed, struct tree_node *added)
{
	if (removed)
		take_out(map, removed);
	if (added)
		link_in(map, added);
	map->changes[map->changes_used++] = (struct change){.removed = removed, .added = added};
}

static int memory_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct map *map = self;
	struct tree_node *node;

	(void)txn;
	if (!reserve_change(map))
		return no_memory();
	node = make_node(map, key, value);
	if (!node)
		return no_memory();
	replace(map, find(map, key), node);
	return 0;
}

static int memory_del(void *self, void *txn, struct be_bytes key)
{
	struct map *map = self;
	struct tree_node *node = find(map, key);

	(void)txn;
	if (!node)
		return BE_STORAGE_NOT_FOUND;
	if (!reserve_change(map))
		return no_memory();
	replace(map, node, NULL);
	return 0;
}

static int memory_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		       struct be_bytes *value)
{
	struct tree_node **links[HEIGHT_MAX];
	const struct tree_node *node = seek(self, from, links);

	(void)txn;
	if (!node)
		return BE_STORAGE_NOT_FOUND;
	*key = key_of(node);
	*value = value_of(node);
	return 0;
}

static const struct be_storage_ops operations = {
	.size = sizeof operations,
	.begin = memory_begin,
	.commit = memory_commit,
	.abort = memory_abort,
	.get = memory_get,
	.put = memory_put,
	.del = memory_del,
	.next = memory_next,
};

/* ------------------------------------------------------- making, fork, end */

static int init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;
	int rc = pthread_rwlockattr_init(&attributes);

	if (rc)
		return rc;
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	rc = pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return rc;
}

static void before_fork(void)
{
	pthread_mutex_lock(&maps_lock);
	for (struct map *map = maps; map; map = map->next_map)
		pthread_rwlock_wrlock(&map->lock);
}

static void after_fork_parent(void)
{
	for (struct map *map = maps; map; map = map->next_map)
		pthread_rwlock_unlock(&map->lock);
	pthread_mutex_unlock(&maps_lock);
}

/* The locks are made anew: unlocked, they would be handed to threads that wait only in the
 * parent. */
static void after_fork_child(void)
{
	for (struct map *map = maps; map; map = map->next_map)
		init_lock(&map->lock);
	pthread_mutex_unlock(&maps_lock);
}

static void watch_forks(void)
{
	/* Without the memory for it, only a fork in the midst of another thread's txn goes
	 * wrong. */
	(void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

enum be_status be_storage_memory_create(struct be_storage **storage)
{
	struct map *map;

	error_clear();
	if (!storage)
		return error_set(BE_INVALID_ARGUMENT, "be_storage_memory_create: storage is NULL");
	*storage = NULL;
	map = calloc(1, sizeof *map);
	if (!map)
		return no_memory();
	if (init_lock(&map->lock) != 0) {
		free(map);
		return no_memory();
	}
	map->interface = (struct be_storage){.ops = &operations, .self = map};
	map->random = 0x9e3779b97f4a7c15;
	pthread_once(&fork_once, watch_forks);
	pthread_mutex_lock(&maps_lock);
	map->next_map = maps;
	maps = map;
	pthread_mutex_unlock(&maps_lock);
	*storage = &map->interface;
	return BE_OK;
}

void be_storage_explain(const char *text)
{
	error_clear();
	if (text && *text)
		error_write("%s", text);
}

void be_storage_memory_destroy(struct be_storage *storage)
{
	struct map *map;
	struct map **link;

	if (!storage)
		return;
	map = storage->self;
	pthread_mutex_lock(&maps_lock);
	for (link = &maps; *link != map; link = &(*link)->next_map)
		;
	*link = map->next_map;
	pthread_mutex_unlock(&maps_lock);
	for (struct tree_node *node = map->first[0], *next; node; node = next) {
		next = node->next[0];
		free(node);
	}
	free(map->changes);
	pthread_rwlock_destroy(&map->lock);
	free(map);
}
