/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage in a Redis server. An environment is a few keys with one hash tag, {be:NAME}: what
 * script.h lists. Each change replaces its token by a new random one.
 *
 * A write txn reads what it is asked for, keeps what it has read and changed in an overlay, and
 * notes the token of its first trip. A later trip that finds another token is a conflict. Its
 * commit is one script, which compares the token and applies the changes, or does nothing: so txns
 * that change something come one after the other, as if each had run alone when its commit did.
 *
 * A read txn of one trip needs nothing else. One of several trips is given a snapshot by its first:
 * while there is one, each commit notes what it replaces, and the reader is shown that instead. A
 * snapshot is a change of the server's, too, which it may have to flush. So a first trip that asks
 * for what was enough before does without one, as most checks do. If it is not enough this time,
 * the second trip makes the snapshot, or, when there was a change in between, the txn conflicts:
 * then a check is made again. Other questions, which were not told beforehand, have a snapshot for
 * ever after, so that one conflicts once in the life of a process at most.
 *
 * WHY A DOUBT IS RESOLVED. When the answer to a commit is lost, its script may have run, or be on
 * its way still, on the old connection, and run at any later time. Say it wants the token T. A
 * later write txn begins by reading the token. If that is not T, the script has run, which the txn
 * sees, or never does anything: for tokens are random numbers of 128 bits that are given once, so T
 * does not come again. If it is T, the script has not run; then either it runs before this txn's
 * commit, which conflicts and begins again; or this txn's commit replaces T, after which the script
 * does nothing. So once a later txn that changes something is committed, the one in doubt was seen
 * by it, or never comes. That a server forgets (it was killed, and its file lacks the last second;
 * or a replica took over) brings a T back that the old server had replaced: but the script was on
 * its way to the old process, and ended with its connections. What is between the two, such as a
 * proxy, must not send a command again by itself.
 *
 * The storage knows two things of what it keeps: the header's key, to fetch it ahead, and that keys
 * are never empty.
 */
#include "storage/redis/wire.h"
#include "storage/remote/view.h"

#include <budget_enforcer_redis.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOKEN_SIZE 16
#define KEY_SIZE (ADDRESS_NAME_SIZE + 64)
/* Remembered first questions, by their sums. */
#define QUESTIONS 1024

enum memory {
	UNKNOWN,
	ENOUGH,     /* the last time */
	NOT_ENOUGH, /* the last time, or ever */
};

struct redis {
	struct be_storage interface;
	struct address address;
	_Atomic(struct links *) links;
	_Atomic unsigned char memory[QUESTIONS]; /* enum memory */
	_Atomic bool tells_no_history;
	char values[KEY_SIZE];
	char keys[KEY_SIZE];
	char snapshots[KEY_SIZE];
	char where[512];
};

struct redis_txn {
	struct view view;
	struct redis *redis;
	struct wire *wire;
	bool has_snapshot;
	bool was_told; /* what would be read */
	unsigned trips;
	size_t question;                /* the first one's place */
	char since[1 + TOKEN_SIZE + 1]; /* "=" and the token, which may be none */
	size_t since_size;
	char snapshot[2 * TOKEN_SIZE + 1];
	char undo[KEY_SIZE];
	char gone[KEY_SIZE];
};

/* ---- connections */

static int connect_txn(struct redis_txn *txn)
{
	struct links *links = links_find(&txn->redis->links);

	if (!links)
		return BE_NO_MEMORY;
	if (!txn->wire)
		txn->wire = (struct wire *)links_take(links);
	return txn->wire ? 0 : wire_open(&txn->redis->address, &txn->wire);
}

static void disconnect(struct redis_txn *txn)
{
	wire_close(txn->wire);
	txn->wire = NULL;
}

static bool make_token(unsigned char *token)
{
	return getrandom(token, TOKEN_SIZE, 0) == TOKEN_SIZE;
}

/* ---- snapshots */

static bool name_snapshot(struct redis_txn *txn)
{
	unsigned char token[TOKEN_SIZE];
	const char *name = txn->redis->address.environment;

	if (!make_token(token))
		return false;
	for (size_t i = 0; i < TOKEN_SIZE; i++)
		snprintf(txn->snapshot + 2 * i, 3, "%02x", token[i]);
	snprintf(txn->undo, sizeof txn->undo, "{be:%s}:undo:%s", name, txn->snapshot);
	snprintf(txn->gone, sizeof txn->gone, "{be:%s}:gone:%s", name, txn->snapshot);
	return true;
}

static void end_snapshot(struct redis_txn *txn)
{
	const char *const words[] = {
		"ZREM", txn->redis->snapshots, txn->snapshot, "DEL", txn->undo, txn->gone};
	const size_t counts[] = {3, 3};

	if (txn->has_snapshot && txn->wire)
		wire_send_last(txn->wire, words, counts, 2);
}

/* ---- reading */

static size_t add_up(size_t sum, struct be_bytes bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		sum = (sum ^ ((const unsigned char *)bytes.data)[i]) * 16777619;
	return sum * 31 + bytes.size;
}

/* The place of a txn's first question among those that are remembered. */
static size_t place_of(const struct question *question)
{
	size_t sum = question->from ? add_up(1, *question->from) : 2;

	for (size_t i = 0; i < question->count; i++)
		sum = add_up(sum, question->keys[i]);
	return sum % QUESTIONS;
}

/* Does this trip make a snapshot? */
static bool wants_snapshot(struct redis_txn *txn)
{
	if (txn->view.write || txn->has_snapshot)
		return false;
	return txn->trips > 0 || atomic_load(&txn->redis->memory[txn->question]) != ENOUGH;
}

/* A server that did not tell this user is not asked again: it would note each time that the user
 * may not ask. */
static bool asks_history(const struct redis_txn *txn)
{
	return txn->view.write && !txn->view.is_begun &&
	       !atomic_load(&txn->redis->tells_no_history);
}

static void write_question(const struct redis_txn *txn, const struct question *question, bool opens,
			   const char *most, struct command *command)
{
	const struct redis *redis = txn->redis;

	command_begin(command, "5");
	command_add_text(command, redis->values);
	command_add_text(command, redis->keys);
	command_add_text(command, redis->snapshots);
	/* Without a snapshot they are not looked at; but they are keys, and of this environment. */
	command_add_text(command, *txn->undo ? txn->undo : redis->values);
	command_add_text(command, *txn->gone ? txn->gone : redis->values);
	command_add(command, txn->since, txn->since_size);
	command_add_text(command, opens || txn->has_snapshot ? txn->snapshot : "");
	command_add_text(command, opens ? "1" : "0");
	if (question->from)
		command_add(command, question->from->data, question->from->size);
	else
		command_add_text(command, "");
	command_add_text(command, question->from ? most : "0");
	command_add_text(command, asks_history(txn) ? "1" : "0");
	for (size_t i = 0; i < question->count; i++)
		if (!overlay_find(&txn->view.overlay, question->keys[i]))
			command_add(command, question->keys[i].data, question->keys[i].size);
}

static struct be_bytes bytes_of(const redisReply *reply)
{
	return (struct be_bytes){reply->str, (size_t)reply->len};
}

static int answered_otherwise(int status)
{
	return link_fail(status, "the Redis server gave another answer");
}

static bool is_bytes(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

static bool take(struct redis_txn *txn, struct be_bytes key, const redisReply *value)
{
	struct be_bytes none = {NULL, 0};

	return is_bytes(value) ? overlay_set(&txn->view.overlay, key, bytes_of(value), OVERLAY_READ)
			       : overlay_set(&txn->view.overlay, key, none, OVERLAY_ABSENT);
}

/* The values of the keys that were asked for, in their order. */
static int take_values(struct redis_txn *txn, const struct question *question,
		       const redisReply *values)
{
	size_t at = 0;

	for (size_t i = 0; i < question->count; i++) {
		if (overlay_find(&txn->view.overlay, question->keys[i]))
			continue;
		if (at == values->elements)
			return answered_otherwise(BE_STORAGE_FAILED);
		if (!take(txn, question->keys[i], values->element[at++]))
			return BE_NO_MEMORY;
	}
	return at == values->elements ? 0 : answered_otherwise(BE_STORAGE_FAILED);
}

/* A list of a scan's. What lies behind the last of a list that is full is not known, so `last`
 * becomes the first of such lasts. */
static int take_list(struct redis_txn *txn, struct be_bytes from, const redisReply *keys,
		     const redisReply *values, struct be_bytes *last)
{
	struct be_bytes end = {NULL, 0};

	if (keys->elements != values->elements || keys->elements > txn->view.window.most)
		return answered_otherwise(BE_STORAGE_FAILED);
	for (size_t i = 0; i < keys->elements; i++) {
		int status;

		if (!is_bytes(keys->element[i]))
			return answered_otherwise(BE_STORAGE_FAILED);
		status = window_check(from, &end, bytes_of(keys->element[i]));
		if (status != 0)
			return status;
		if (!take(txn, end, values->element[i]))
			return BE_NO_MEMORY;
	}
	if (keys->elements == txn->view.window.most &&
	    (last->size == 0 || overlay_compare(end, *last) < 0))
		*last = end;
	return 0;
}

static int take_scan(struct redis_txn *txn, struct be_bytes from, redisReply *const *lists)
{
	struct be_bytes last = {NULL, 0};
	int status = take_list(txn, from, lists[0], lists[1], &last);

	if (status == 0)
		status = take_list(txn, from, lists[2], lists[3], &last);
	if (status == 0)
		window_take(&txn->view.window, from, last.size > 0 ? &last : NULL);
	return status;
}

/* What a read script has answered. */
enum answer_part {
	SECONDS,
	MICROSECONDS,
	TOKEN,
	STATE,
	HISTORY,
	VALUES,
	LISTS,
	PARTS = LISTS + 4,
};

static bool is_answer(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != PARTS)
		return false;
	for (size_t i = 0; i < PARTS; i++)
		if (reply->element[i]->type !=
		    (i < VALUES ? REDIS_REPLY_STRING : REDIS_REPLY_ARRAY))
			return false;
	return bytes_of(reply->element[TOKEN]).size <= TOKEN_SIZE;
}

/* Half of the identifier of replication, in hexadecimal. */
static void take_history(struct redis_txn *txn, const char *text)
{
	char half[17];

	if (!asks_history(txn))
		return;
	snprintf(half, sizeof half, "%s", text);
	txn->view.history = strtoull(half, NULL, 16);
	if (txn->view.history == 0)
		atomic_store(&txn->redis->tells_no_history, true);
}

static int take_answer(struct redis_txn *txn, const struct question *question,
		       const redisReply *reply)
{
	redisReply *const *parts = reply->element;
	int status;

	if (!is_answer(reply))
		return answered_otherwise(BE_STORAGE_FAILED);
	if (strcmp(parts[STATE]->str, "ok") != 0)
		return link_fail(BE_STORAGE_CONFLICT, "others have changed the storage meanwhile");
	take_history(txn, parts[HISTORY]->str);
	if (!txn->view.is_begun) {
		struct be_bytes token = bytes_of(parts[TOKEN]);

		txn->view.now_ns = strtoll(parts[SECONDS]->str, NULL, 10) * BE_UNIT +
				   strtoll(parts[MICROSECONDS]->str, NULL, 10) * 1000;
		txn->since[0] = '=';
		memcpy(txn->since + 1, token.data, token.size);
		txn->since_size = 1 + token.size;
		txn->view.is_begun = true;
	}
	status = take_values(txn, question, parts[VALUES]);
	if (status == 0 && question->from)
		status = take_scan(txn, *question->from, parts + LISTS);
	return status;
}

static int ask_once(struct redis_txn *txn, const struct question *question, bool opens)
{
	struct command command = {0};
	redisReply *reply;
	char most[16];
	int status;

	snprintf(most, sizeof most, "%u", txn->view.window.most);
	write_question(txn, question, opens, most, &command);
	status = wire_run(txn->wire, SCRIPT_READ, &command, &reply);
	if (status == 0) {
		txn->has_snapshot |= opens;
		status = take_answer(txn, question, reply);
	}
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

/* Asks until it can be told whether the server can be reached: to ask again changes nothing, and
 * what has changed in between is noticed. */
static int ask(struct redis_txn *txn, const struct question *question)
{
	int64_t since_ns = link_clock();
	bool opens;

	if (txn->trips == 0)
		txn->question = place_of(question);
	opens = wants_snapshot(txn);
	for (;;) {
		int status = connect_txn(txn);

		/* Another for each try: one that was made, and not heard of, has noted what has
		 * been replaced since, and this try sees what has replaced it. */
		if (status == 0 && opens && !name_snapshot(txn))
			status = link_fail(BE_IO_ERROR, "there are no random numbers");
		if (status == 0)
			status = ask_once(txn, question, opens);
		if (status != LINK_LOST) {
			txn->trips++;
			return status;
		}
		disconnect(txn);
		if (!link_try_again(since_ns))
			return BE_UNREACHABLE;
	}
}

static int fetch(struct view *view, const struct be_bytes *keys, size_t count)
{
	struct redis_txn *txn = (struct redis_txn *)view;
	bool knows = txn->view.is_begun;

	for (size_t i = 0; i < count && knows; i++)
		knows = overlay_find(&txn->view.overlay, keys[i]);
	return knows ? 0 : ask(txn, &(struct question){keys, count, NULL});
}

/* A txn that begins with a scan reads the header, too. */
static int scan(void *context, struct be_bytes from)
{
	struct redis_txn *txn = context;

	if (!txn->view.write && txn->view.overlay.bytes > LINK_READ_MAX)
		overlay_forget(&txn->view.overlay);
	return ask(txn, &(struct question){&view_header_key, txn->view.is_begun ? 0 : 1, &from});
}

/* ---- the txn */

static int redis_begin(void *self, bool write, void **txn)
{
	struct redis_txn *made = calloc(1, sizeof *made);

	if (!made)
		return BE_NO_MEMORY;
	made->redis = self;
	made->view.write = write;
	made->view.window.most = WINDOW_FIRST;
	made->view.fetch = fetch;
	made->view.scan = scan;
	*txn = made;
	return 0;
}

static void remember(struct redis *redis, const struct redis_txn *txn)
{
	_Atomic unsigned char *memory = &redis->memory[txn->question];

	if (txn->view.write || txn->trips == 0)
		return;
	if (txn->trips > 1)
		atomic_store(memory, NOT_ENOUGH);
	else if (txn->was_told || atomic_load(memory) == UNKNOWN)
		atomic_store(memory, ENOUGH);
}

static void redis_abort(void *self, void *txn_begun)
{
	struct redis_txn *txn = txn_begun;
	struct redis *redis = self;

	remember(redis, txn);
	end_snapshot(txn);
	links_give_back(links_find(&redis->links), &wire_kind, (struct link *)txn->wire);
	overlay_free(&txn->view.overlay);
	free(txn);
}

static int redis_prefetch(void *self, void *txn_begun, const struct be_bytes *keys, size_t count)
{
	struct redis_txn *txn = txn_begun;

	txn->was_told |= txn->trips == 0;
	return view_prefetch(self, txn, keys, count);
}

static int redis_now(void *self, void *txn_begun, int64_t *now_ns)
{
	struct redis_txn *txn = txn_begun;
	int status = txn->view.is_begun ? 0 : fetch(&txn->view, &view_header_key, 1);

	(void)self;
	*now_ns = txn->view.now_ns;
	return status;
}

/* ---- commit */

static size_t count_changes(const struct redis_txn *txn, enum overlay_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < txn->view.overlay.count; i++)
		count += txn->view.overlay.records[i]->state == state;
	return count;
}

static void write_changes(const struct redis_txn *txn, struct command *command)
{
	for (size_t i = 0; i < txn->view.overlay.count; i++) {
		const struct overlay_record *record = txn->view.overlay.records[i];

		if (record->state != OVERLAY_PUT)
			continue;
		command_add(command, overlay_key(record).data, record->key_size);
		command_add(command, overlay_value(record).data, record->value_size);
	}
	for (size_t i = 0; i < txn->view.overlay.count; i++) {
		const struct overlay_record *record = txn->view.overlay.records[i];

		if (record->state == OVERLAY_DELETED)
			command_add(command, overlay_key(record).data, record->key_size);
	}
}

/* What is none of the script's answers tells nothing, and what follows it may not either. */
static int take_outcome(const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
	    reply->element[0]->type == REDIS_REPLY_INTEGER) {
		if (reply->element[0]->integer == 1)
			return 0;
		if (reply->element[0]->integer == 0)
			return BE_STORAGE_CONFLICT;
	}
	return answered_otherwise(LINK_LOST);
}

/* Once anything may have been sent, a connection that is lost leaves the txn in doubt. */
static int apply(struct redis_txn *txn)
{
	struct command command = {0};
	unsigned char token[TOKEN_SIZE];
	char puts[24], dels[24];
	redisReply *reply = NULL;
	int status;

	if (!make_token(token))
		return link_fail(BE_IO_ERROR, "there are no random numbers");
	snprintf(puts, sizeof puts, "%zu", count_changes(txn, OVERLAY_PUT));
	snprintf(dels, sizeof dels, "%zu", count_changes(txn, OVERLAY_DELETED));
	command_begin(&command, "3");
	command_add_text(&command, txn->redis->values);
	command_add_text(&command, txn->redis->keys);
	command_add_text(&command, txn->redis->snapshots);
	command_add(&command, txn->since, txn->since_size);
	command_add(&command, token, sizeof token);
	command_add_text(&command, puts);
	command_add_text(&command, dels);
	write_changes(txn, &command);
	status = wire_run(txn->wire, SCRIPT_APPLY, &command, &reply);
	if (status == 0)
		status = take_outcome(reply);
	freeReplyObject(reply);
	command_free(&command);
	/* An error that is none of the server's may be of a proxy that has lost the answer. */
	if (status != LINK_LOST && status != BE_IO_ERROR)
		return status;
	disconnect(txn);
	return BE_STORAGE_IN_DOUBT;
}

static int redis_commit(void *self, void *txn_begun)
{
	struct redis_txn *txn = txn_begun;
	int status = 0;

	if (txn->view.overlay.changes > 0)
		status = txn->wire ? apply(txn) : BE_STORAGE_CONFLICT;
	redis_abort(self, txn);
	return status;
}

static const char *redis_where(void *self)
{
	return ((const struct redis *)self)->where;
}

/* ---- making */

static const struct be_storage_ops operations = {
	.size = sizeof operations,
	.begin = redis_begin,
	.commit = redis_commit,
	.abort = redis_abort,
	.get = view_get,
	.put = view_put,
	.del = view_del,
	.next = view_next,
	.prefetch = redis_prefetch,
	.now = redis_now,
	.traits = BE_STORAGE_MAY_DOUBT,
	.where = redis_where,
	.history = view_history,
};

static void name_keys(struct redis *redis)
{
	const char *name = redis->address.environment;

	snprintf(redis->values, sizeof redis->values, "{be:%s}:values", name);
	snprintf(redis->keys, sizeof redis->keys, "{be:%s}:keys", name);
	snprintf(redis->snapshots, sizeof redis->snapshots, "{be:%s}:snapshots", name);
}

static void name_place(struct redis *redis, const struct wire *wire)
{
	const struct address *address = &redis->address;
	char peer[96];

	wire_peer(wire, peer, sizeof peer);
	snprintf(redis->where, sizeof redis->where, "redis %s %d %s %d %s %s", address->host,
		 address->port, peer, address->database, address->user ? address->user : "-",
		 address->environment);
}

enum be_status be_storage_redis_open(const char *url, struct be_storage **storage)
{
	struct redis *made;
	struct wire *first = NULL;
	int status;

	be_storage_explain("");
	if (storage)
		*storage = NULL;
	if (!url || !storage)
		return (enum be_status)link_fail(BE_INVALID_ARGUMENT,
						 "be_storage_redis_open: no %s was given",
						 url ? "place for it" : "URL");
	made = calloc(1, sizeof *made);
	if (!made)
		return BE_NO_MEMORY;
	made->interface = (struct be_storage){.ops = &operations, .self = made};
	atomic_store(&made->links, links_make(&wire_kind));
	status = atomic_load(&made->links) ? address_read(url, &made->address) : BE_NO_MEMORY;
	if (status == 0)
		status = wire_open(&made->address, &first);
	if (status == 0)
		status = wire_check_eviction(first);
	if (status == 0) {
		name_keys(made);
		name_place(made, first);
		*storage = &made->interface;
	}
	links_give_back(links_find(&made->links), &wire_kind, (struct link *)first);
	if (status != 0)
		be_storage_redis_close(&made->interface);
	return status == LINK_LOST ? BE_UNREACHABLE : (enum be_status)status;
}

void be_storage_redis_close(struct be_storage *storage)
{
	struct redis *redis = storage ? storage->self : NULL;

	if (!redis)
		return;
	links_free(links_find(&redis->links));
	address_free(&redis->address);
	free(redis);
}
