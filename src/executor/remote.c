/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/remote.h"

#include "base/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Both tables forget: a name or id takes the place of whatever was there. */
#define PARENTS 256
#define COMMITS 1024

struct parent_hint {
	struct name name; /* category_size 0: empty */
	struct name parent;
};

struct commit_hint {
	uint64_t id;
	struct name name; /* of its envelope */
};

struct hints {
	pthread_mutex_t lock;
	struct parent_hint parents[PARENTS];
	struct commit_hint commits[COMMITS];
};

/* ---- making */

static enum be_status no_memory(void)
{
	return error_set(BE_NO_MEMORY, "out of memory");
}

static struct hints *make_hints(void)
{
	struct hints *hints = calloc(1, sizeof *hints);

	if (hints)
		pthread_mutex_init(&hints->lock, NULL);
	return hints;
}

enum be_status remote_host_make(struct remote_host *host)
{
	if (getrandom(host->id, sizeof host->id, 0) != sizeof host->id)
		return error_errno(BE_IO_ERROR, errno, "there are no random numbers");
	atomic_store(&host->batch, 0);
	remote_copy_times(&host->begun, &(struct batch_times){0});
	atomic_store(&host->acked, 0);
	remote_copy_times(&host->acked_times, &host->begun);
	atomic_store(&host->losses, 0);
	atomic_store(&host->upsets, 0);
	atomic_store(&host->holds, 0);
	atomic_store(&host->renew_ns, 0);
	atomic_store(&host->watch.looked_ns, 0);
	return BE_OK;
}

/* What there is of a storage that is told beforehand what is read. */
static enum be_status make_ahead(struct remote *remote)
{
	remote->hints = make_hints();
	if (remote->check_age_ns > 0)
		remote->checks = checks_make(remote->check_age_ns);
	if (!remote->hints || (remote->check_age_ns > 0 && !remote->checks))
		return no_memory();
	return BE_OK;
}

enum be_status remote_make(const struct be_storage *storage, bool own_clock, int64_t lease_ns,
			   int64_t check_age_ns, struct remote **remote)
{
	const struct be_storage_ops *ops = storage->ops;
	bool may_doubt = ops->traits & BE_STORAGE_MAY_DOUBT;
	struct remote *made;
	enum be_status status = BE_OK;

	*remote = NULL;
	if (!may_doubt && !ops->prefetch && !ops->history && (!ops->now || own_clock))
		return BE_OK;
	made = calloc(1, sizeof *made);
	if (!made)
		return no_memory();
	made->storage = storage;
	made->may_doubt = may_doubt;
	made->has_clock = ops->now && !own_clock;
	made->lease_ns = may_doubt && ops->now ? lease_ns : 0;
	made->pid = getpid();
	pthread_mutex_init(&made->lock, NULL);
	made->check_age_ns = check_age_ns;
	if (ops->prefetch)
		status = make_ahead(made);
	if (status == BE_OK)
		status = remote_host_make(&made->own);
	if (status == BE_OK)
		*remote = made;
	else
		remote_free(made);
	return status;
}

void remote_free(struct remote *remote)
{
	if (!remote)
		return;
	free(remote->hints);
	checks_free(remote->checks);
	free(remote);
}

/* What the parent had is left as it is: one of its threads may have held a lock. */
enum be_status remote_find(_Atomic(struct remote *) *place, struct remote **remote)
{
	struct remote *found = atomic_load(place), *made;
	enum be_status status;

	*remote = found;
	if (!found || found->pid == getpid())
		return BE_OK;
	status = remote_make(found->storage, !found->has_clock, found->lease_ns,
			     found->check_age_ns, &made);
	if (status != BE_OK)
		return status;
	assert(made); /* the storage needs one, as it did in the parent */
	atomic_store(&made->clock_ns, atomic_load(&found->clock_ns));
	made->group = found->group; /* that of the child: renew_given() */
	if (atomic_compare_exchange_strong(place, &found, made)) {
		*remote = made;
	} else {
		remote_free(made);
		*remote = found;
	}
	return BE_OK;
}

/* ---- losses */

static void raise_to(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t now = atomic_load(word);

	while (now < value && !atomic_compare_exchange_weak(word, &now, value))
		;
}

void remote_copy_times(struct batch_times *times, const struct batch_times *from)
{
	atomic_store(&times->begun_ns, atomic_load(&from->begun_ns));
	atomic_store(&times->at_ns, atomic_load(&from->at_ns));
	atomic_store(&times->life_ns, atomic_load(&from->life_ns));
}

void remote_ack(struct remote_host *host, uint64_t batch, const struct batch_times *times)
{
	remote_copy_times(&host->acked_times, times);
	raise_to(&host->acked, batch);
}

/* Who leads and who asks may note the same one at once, which does no harm. */
void remote_note_loss(struct remote_host *host, uint64_t kept, uint64_t last)
{
	uint64_t losses = atomic_load(&host->losses);
	struct lost_batches *lost = &host->lost[(losses - 1) % LOSSES_KEPT];

	if (losses == 0 || atomic_load(&lost->kept) != kept) {
		lost = &host->lost[losses % LOSSES_KEPT];
		atomic_store(&lost->kept, kept);
		atomic_store(&lost->last, last);
		(void)atomic_compare_exchange_strong(&host->losses, &losses, losses + 1);
	} else {
		raise_to(&lost->last, last);
	}
}

bool remote_has_lost(const struct remote_host *host, uint64_t batch)
{
	uint64_t losses = atomic_load(&host->losses), remembered;

	if (__builtin_expect(losses == 0, true) || batch == 0)
		return false;
	remembered = losses < LOSSES_KEPT ? losses : LOSSES_KEPT;
	for (uint64_t i = 1; i <= remembered; i++) {
		const struct lost_batches *lost = &host->lost[(losses - i) % LOSSES_KEPT];

		if (batch > atomic_load(&lost->kept) && batch <= atomic_load(&lost->last))
			return true;
	}
	return losses > LOSSES_KEPT && batch <= atomic_load(&host->lost[losses % LOSSES_KEPT].kept);
}

static bool tells(const struct remote_host *host, _Atomic uint64_t *heard,
		  _Atomic uint64_t *heard_otherwise)
{
	uint64_t batch = atomic_load(heard);

	if (!remote_has_lost(host, batch) || !atomic_compare_exchange_strong(heard, &batch, 0))
		return false;
	atomic_store(heard_otherwise, 0);
	return true;
}

bool remote_tells(struct remote *remote)
{
	return remote->group && tells(remote->group, &remote->heard, &remote->heard_alone);
}

bool remote_tells_alone(struct remote *remote)
{
	return tells(&remote->own, &remote->heard_alone, &remote->heard);
}

/* As long as it is to be told of a loss, what it heard then stays. */
void remote_hear(struct remote *remote, uint64_t batch, const struct result *result)
{
	if (!remote->group)
		return;
	if (result->status == BE_CHANGES_LOST)
		(void)remote_tells(remote);
	else if (result->status == BE_OK && !result->repeated &&
		 remote_has_lost(remote->group, batch))
		atomic_store(&remote->heard,
			     batch); /* this thread was late: the next call is told */
	else if (result->status == BE_OK && !result->repeated &&
		 !remote_has_lost(remote->group, atomic_load(&remote->heard)))
		raise_to(&remote->heard, batch);
}

enum be_status remote_say_lost(void)
{
	return error_set(BE_CHANGES_LOST,
			 "the server, or one that took over from it, lacks the latest changes, of "
			 "which it had acknowledged some to this handle: look at what is there, "
			 "and make again what is missing. This call did nothing, and the next one "
			 "goes on");
}

/* ---- the clock */

int64_t remote_steady(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * BE_UNIT + now.tv_nsec;
}

bool remote_time(const struct remote *remote, int64_t *now_ns)
{
	int64_t clock_ns = remote->has_clock ? atomic_load(&remote->clock_ns) : 0;

	*now_ns = remote_steady() + clock_ns;
	return clock_ns != 0;
}

enum be_status remote_ask_clock(struct remote *remote, const struct ledger *ledger, int64_t *now_ns)
{
	const struct be_storage *storage = ledger->storage;
	int answer = storage->ops->now(storage->self, ledger->txn, now_ns);

	if (answer != 0)
		return ledger_answer(answer);
	if (*now_ns <= 0)
		return error_set(BE_STORAGE_FAILED, "the storage's clock says %lld",
				 (long long)*now_ns);
	atomic_store(&remote->clock_ns, *now_ns - remote_steady());
	return BE_OK;
}

void remote_retime(struct operation *operation, int64_t now_ns)
{
	int64_t later_ns = now_ns - operation->now_ns;

	operation->now_ns = now_ns;
	if (operation->deadline_ns != 0 &&
	    (__builtin_add_overflow(operation->deadline_ns, later_ns, &operation->deadline_ns) ||
	     operation->deadline_ns <= 0))
		operation->deadline_ns = now_ns;
	if (operation->key_size > 0 &&
	    (__builtin_add_overflow(operation->key_until_ns, later_ns, &operation->key_until_ns) ||
	     operation->key_until_ns <= 0))
		operation->key_until_ns = INT64_MAX;
}

/* ---- hints */

static bool same_name(const struct name *a, const struct name *b)
{
	return a->category_size == b->category_size && a->namespace_size == b->namespace_size &&
	       memcmp(a->category, b->category, a->category_size) == 0 &&
	       memcmp(a->namespace_name, b->namespace_name, a->namespace_size) == 0;
}

static struct parent_hint *parent_hint(struct hints *hints, const struct name *name)
{
	struct record_key key;

	record_key_envelope(&key, name);
	return &hints->parents[record_sum(record_key_bytes(&key)) % PARENTS];
}

/* ---- keys
 *
 * A list without doubles: `places` is a table of their sums, with the index plus 1 of each. */

/* Of an operation: the chains of its envelope and of a parent, a commit, a request, a host. */
#define KEYS_EACH (2 * BE_DEPTH_MAX + 3)
#define KEYS_MAX 8192

struct remote_keys {
	size_t count;
	size_t room;
	size_t mask; /* of the table */
	uint16_t *places;
	struct be_bytes *keys;
	struct record_key bytes[];
};

static size_t table_size(size_t room)
{
	size_t size = 16;

	while (size < 2 * room)
		size *= 2;
	return size;
}

static struct remote_keys *make_keys(size_t room)
{
	struct remote_keys *keys = malloc(sizeof *keys + room * sizeof *keys->bytes);

	if (!keys)
		return NULL;
	keys->count = 0;
	keys->room = room;
	keys->mask = table_size(room) - 1;
	keys->places = calloc(keys->mask + 1, sizeof *keys->places);
	keys->keys = calloc(room, sizeof *keys->keys);
	if (keys->places && keys->keys)
		return keys;
	remote_keys_free(keys);
	return NULL;
}

void remote_keys_free(struct remote_keys *keys)
{
	if (!keys)
		return;
	free(keys->places);
	free(keys->keys);
	free(keys);
}

static void want(struct remote_keys *keys, const struct record_key *key)
{
	struct be_bytes bytes = record_key_bytes(key);
	size_t at = record_sum(bytes) & keys->mask;

	for (; keys->places[at] != 0; at = (at + 1) & keys->mask) {
		const struct record_key *there = &keys->bytes[keys->places[at] - 1];

		if (there->size == key->size && memcmp(there->bytes, key->bytes, key->size) == 0)
			return;
	}
	if (keys->count == keys->room)
		return;
	memcpy(&keys->bytes[keys->count], key, offsetof(struct record_key, bytes) + key->size);
	keys->keys[keys->count] = record_key_bytes(&keys->bytes[keys->count]);
	keys->places[at] = (uint16_t)++keys->count;
}

struct remote_keys *remote_keys_make(struct remote *remote, const struct remote_host *host,
				     size_t operations)
{
	size_t room = 3 + KEYS_EACH * operations;
	struct remote_keys *keys;
	struct record_key key;

	if (!remote || !remote->hints)
		return NULL;
	keys = make_keys(room < KEYS_MAX ? room : KEYS_MAX);
	if (!keys)
		return NULL;
	record_key_header(&key);
	want(keys, &key);
	if (remote->may_doubt)
		remote_want_host(keys, host->id);
	return keys;
}

void remote_want_host(struct remote_keys *keys, const uint8_t id[RECORD_HOST_ID_SIZE])
{
	struct record_key key;

	record_key_host(&key, id);
	want(keys, &key);
}

static void want_name(struct remote_keys *keys, const struct name *name)
{
	struct record_key key;

	record_key_envelope(&key, name);
	want(keys, &key);
}

void remote_want_chain(struct remote *remote, const struct name *name, struct remote_keys *keys)
{
	struct name next;

	name_copy(&next, name);
	pthread_mutex_lock(&remote->hints->lock);
	for (int depth = 0; depth < BE_DEPTH_MAX && next.category_size > 0; depth++) {
		const struct parent_hint *hint = parent_hint(remote->hints, &next);

		want_name(keys, &next);
		if (!same_name(&hint->name, &next))
			break;
		name_copy(&next, &hint->parent);
	}
	pthread_mutex_unlock(&remote->hints->lock);
}

static bool find_commit(struct hints *hints, uint64_t id, struct name *name)
{
	const struct commit_hint *hint = &hints->commits[id % COMMITS];
	bool found;

	pthread_mutex_lock(&hints->lock);
	found = hint->id == id;
	if (found)
		name_copy(name, &hint->name);
	pthread_mutex_unlock(&hints->lock);
	return found;
}

static void want_request(struct remote_keys *keys, const struct operation *operation)
{
	struct request_name request = {.namespace_size = operation->name.namespace_size,
				       .key_size = operation->key_size};
	struct record_key key;

	memcpy(request.namespace_name, operation->name.namespace_name, request.namespace_size);
	memcpy(request.key, operation->key, request.key_size);
	record_key_request(&key, &request);
	want(keys, &key);
}

/* What was posted need not be a name where the operation's kind does not look at it. */
static bool is_named(const struct name *name)
{
	return name->category_size > 0 && name->category_size < BE_NAME_SIZE &&
	       name->namespace_size < BE_NAME_SIZE;
}

void remote_want(struct remote *remote, const struct operation *operation, struct remote_keys *keys)
{
	const uint8_t *further = operation->further;
	struct record_key key;
	struct name name;

	if (operation->id != 0) {
		record_key_id(&key, RECORD_COMMIT, operation->id);
		want(keys, &key);
		if (is_named(&operation->hint))
			remote_want_chain(remote, &operation->hint, keys);
		else if (find_commit(remote->hints, operation->id, &name))
			remote_want_chain(remote, &name, keys);
	}
	if (is_named(&operation->name))
		remote_want_chain(remote, &operation->name, keys);
	if (is_named(&operation->parent))
		remote_want_chain(remote, &operation->parent, keys);
	if (operation->kind == BE_OPERATION_SET && operation->further_count > 0 &&
	    name_unpack(&further, further + sizeof operation->further, &name))
		want_name(keys, &name);
	if (operation->key_size > 0)
		want_request(keys, operation);
	if (operation->kind == BE_OPERATION_REAP && operation->by_lease)
		remote_want_host(keys, operation->owner.host);
}

enum be_status remote_fetch(const struct ledger *ledger, const struct remote_keys *keys)
{
	const struct be_storage *storage = ledger->storage;

	return ledger_answer(
		storage->ops->prefetch(storage->self, ledger->txn, keys->keys, keys->count));
}

/* Writes down a parent: the name that the rules found it by. */
static void learn_parent(struct hints *hints, const struct name *name, const struct name *parent)
{
	struct parent_hint *hint = parent_hint(hints, name);

	pthread_mutex_lock(&hints->lock);
	name_copy(&hint->name, name);
	name_copy(&hint->parent, parent);
	pthread_mutex_unlock(&hints->lock);
}

static bool knows_parent(struct hints *hints, const struct name *name, const struct name *parent)
{
	const struct parent_hint *hint = parent_hint(hints, name);
	bool knows;

	pthread_mutex_lock(&hints->lock);
	knows = same_name(&hint->name, name) && same_name(&hint->parent, parent);
	pthread_mutex_unlock(&hints->lock);
	return knows;
}

static void name_take(struct name *name, const char *namespace_name, const char *category)
{
	name->namespace_size = (uint8_t)strlen(namespace_name);
	name->category_size = (uint8_t)strlen(category);
	memcpy(name->namespace_name, namespace_name, name->namespace_size + 1U);
	memcpy(name->category, category, name->category_size + 1U);
}

static void learn_commit(struct hints *hints, uint64_t id, const struct name *name)
{
	struct commit_hint *hint = &hints->commits[id % COMMITS];

	if (id == 0)
		return;
	pthread_mutex_lock(&hints->lock);
	hint->id = id;
	name_copy(&hint->name, name);
	pthread_mutex_unlock(&hints->lock);
}

static bool tells_names(const struct remote *remote, const struct result *result, struct name *name,
			struct name *parent)
{
	if (!remote->hints || !result->has_envelope || result->status != BE_OK)
		return false;
	name_take(name, result->envelope.namespace_name, result->envelope.category);
	name_take(parent, result->envelope.parent_namespace, result->envelope.parent_category);
	return true;
}

/* What the rules have read is at hand, and is read once more: each parent may be another by now. */
void remote_learn(struct remote *remote, struct ledger *ledger, const struct result *result)
{
	struct envelope envelope;
	struct name parent;

	if (!tells_names(remote, result, &envelope.name, &parent))
		return;
	learn_commit(remote->hints, result->commit_id, &envelope.name);
	if (!knows_parent(remote->hints, &envelope.name, &parent))
		learn_parent(remote->hints, &envelope.name, &parent);
	for (int depth = 1; depth < BE_DEPTH_MAX && parent.category_size > 0; depth++) {
		struct name next;

		name_copy(&next, &parent);
		if (ledger_envelope_get(ledger, &next, &envelope) != 0) {
			error_clear();
			return;
		}
		name_copy(&parent, &envelope.parent);
		if (knows_parent(remote->hints, &next, &parent))
			continue;
		/* It was renamed, or is new here. */
		if (ledger_name_now(ledger, envelope.parent_id, &parent) != BE_OK) {
			error_clear();
			return;
		}
		learn_parent(remote->hints, &next, &parent);
	}
}

void remote_note(struct remote *remote, const struct result *result)
{
	struct name name, parent;

	if (tells_names(remote, result, &name, &parent))
		learn_commit(remote->hints, result->commit_id, &name);
}

void remote_help(struct remote *remote, struct operation *operation)
{
	operation->by_storage_clock = remote->has_clock;
	operation->heard = atomic_load(&remote->heard);
	operation->hint.category_size = 0;
	if (operation->id != 0 && remote->hints)
		(void)find_commit(remote->hints, operation->id, &operation->hint);
}
