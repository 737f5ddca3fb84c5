/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the storage in Redis makes of what a server answers: which URLs it takes; that it says what
 * to do when the server refuses, and has changed nothing then; that the rights which the header
 * lists are enough; that it goes on when the server has forgotten the scripts; and that a commit
 * which reaches the server late, when its doubt is resolved, does nothing.
 */
#include "kind.h"
#include "proxy.h"
#include "server.h"

#include <budget_enforcer_redis.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static redisContext *server; /* the operator's own connection */
static struct be_enforcer *handle;

static void tell(const char *command)
{
	redisReply *reply = redisCommand(server, command);

	if (!reply || reply->type == REDIS_REPLY_ERROR)
		test_fail(__FILE__, __LINE__, "%s: %s", command, reply ? reply->str : "lost");
	freeReplyObject(reply);
}

/* The URL of the server's socket with something before and behind. */
static enum be_status open_as(const char *user, const char *behind, struct be_storage **storage)
{
	char url[512];

	snprintf(url, sizeof url, "unix://%s%s/redis.sock%s", user, server_directory(), behind);
	return be_storage_redis_open(url, storage);
}

static void expect_said(const char *text)
{
	if (!strstr(be_last_error(), text))
		test_fail(__FILE__, __LINE__, "it does not say \"%s\": %s", text, be_last_error());
}

/* ---- URLs */

static void urls_that_are_none_are_refused(void)
{
	static const char too_long[] =
		"unix:///run/redis.sock?environment="
		"12345678901234567890123456789012345678901234567890123456789012345";
	static const char *const wrong[] = {
		"",
		"http://localhost",
		"redis://localhost:0",
		"redis://localhost:65536",
		"redis://localhost:6379x",
		"redis://localhost/x",
		"redis://[::1",
		"redis://[::1]x",
		"redis://user@localhost",
		"redis://:a%2@localhost",
		"redis://:a%00b@localhost",
		"redis://localhost?environment",
		"redis://localhost?environment=",
		"redis://localhost?environment=a{b}",
		"redis://localhost?environment=a%20b",
		"redis://localhost?wait=1",
		"redis://localhost?cacert=/x",
		"redis://localhost?db=1",
		"unix://relative",
		"unix:///run/redis.sock?db=x",
		too_long,
	};
	struct be_storage *storage;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		enum be_status status = be_storage_redis_open(wrong[i], &storage);

		if (status != BE_INVALID_ARGUMENT || storage)
			test_fail(__FILE__, __LINE__, "%s: %s", wrong[i], be_status_name(status));
	}
	EXPECT_STATUS(be_storage_redis_open(NULL, &storage), BE_INVALID_ARGUMENT);
	EXPECT_STATUS(be_storage_redis_open("redis://localhost", NULL), BE_INVALID_ARGUMENT);
	be_storage_redis_close(NULL);
	EXPECT_STATUS(be_storage_redis_open("redis+unix:///nowhere/redis.sock", &storage),
		      BE_UNREACHABLE);
	EXPECT_STATUS(be_storage_redis_open("redis://127.0.0.1:1/0", &storage), BE_UNREACHABLE);
	expect_said("refused");
}

static int get_header(struct be_storage *storage)
{
	struct be_bytes value;
	void *txn;
	int status;

	EXPECT_EQUAL(storage->ops->begin(storage->self, false, &txn), 0);
	status = storage->ops->get(storage->self, txn, (struct be_bytes){"\3", 1}, &value);
	storage->ops->abort(storage->self, txn);
	return status;
}

static void an_environment_is_named_by_database_and_name(void)
{
	struct be_storage *storage;

	EXPECT_OK(open_as("", "?environment=answers", &storage));
	EXPECT_EQUAL(get_header(storage), 0);
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("", "?db=3&environment=answers", &storage));
	EXPECT_EQUAL(get_header(storage), BE_STORAGE_NOT_FOUND);
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("", "", &storage));
	EXPECT_EQUAL(get_header(storage), BE_STORAGE_NOT_FOUND);
	EXPECT(strstr(storage->ops->where(storage->self), "main"));
	be_storage_redis_close(storage);
}

/* ---- users */

static void a_password_is_asked_for_and_kept(void)
{
	struct be_storage *storage;

	tell("CONFIG SET requirepass s:cret");
	EXPECT_STATUS(open_as("", "", &storage), BE_PERMISSION);
	expect_said("REDISCLI_AUTH");
	EXPECT_STATUS(open_as(":wrong@", "", &storage), BE_PERMISSION);
	EXPECT_OK(open_as(":s%3Acret@", "", &storage));
	EXPECT(!strstr(storage->ops->where(storage->self), "cret"));
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("default:s%3acret@", "", &storage));
	be_storage_redis_close(storage);
	setenv("REDISCLI_AUTH", "s:cret", 1);
	EXPECT_OK(open_as("", "", &storage));
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("default@", "", &storage));
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("default:@", "", &storage));
	be_storage_redis_close(storage);
	EXPECT_STATUS(open_as("nobody@", "", &storage), BE_PERMISSION);
	EXPECT_STATUS(open_as("default:wrong@", "", &storage), BE_PERMISSION);
	unsetenv("REDISCLI_AUTH");
	EXPECT_STATUS(open_as("default@", "", &storage), BE_INVALID_ARGUMENT);
	expect_said("REDISCLI_AUTH");
	tell("ACL SETUSER default nopass");
	EXPECT_STATUS(open_as("nobody:x@", "", &storage), BE_PERMISSION);
}

/* Also while snapshots are there, one of which has ended. */
static void each_right_that_lacks_leaves_all_as_it_was(struct be_enforcer *own)
{
	static const char *const rights[] = {"hset", "hdel", "zadd", "zrem", "hsetnx", "del"};
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	char command[64];
	uint64_t id;

	options.ttl_ms = 3600000;
	EXPECT_OK(be_commit_with(own, "llm", 5, NULL, &options, &id, NULL));
	for (size_t i = 0; i < sizeof rights / sizeof *rights; i++) {
		tell("ZADD {be:own}:snapshots 9999999999999 lasting 1 ended");
		snprintf(command, sizeof command, "ACL SETUSER budgets -%s", rights[i]);
		tell(command);
		EXPECT_STATUS(be_settle(own, id, 3, NULL, NULL), BE_PERMISSION);
		snprintf(command, sizeof command, "ACL SETUSER budgets +%s", rights[i]);
		tell(command);
		EXPECT_BALANCE(own, "llm", 4, 5);
		EXPECT_VERIFIED(own);
	}
	tell("DEL {be:own}:snapshots {be:own}:undo:lasting {be:own}:gone:lasting");
	EXPECT_OK(be_settle(own, id, 3, NULL, NULL));
	EXPECT_BALANCE(own, "llm", 7, 0);
	EXPECT_VERIFIED(own);
}

/* The rights are those of budget_enforcer_redis.h, without what is in brackets there. */
static void the_rights_that_are_listed_are_enough(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *own;
	struct be_storage *storage;
	uint64_t id;

	tell("ACL SETUSER budgets on >x ~{be:own}:* +eval +evalsha +hget +hmget +hset +hsetnx "
	     "+hdel "
	     "+zadd +zrem +zrange +zrangebylex +zrangebyscore +zscore +exists +del +time");
	EXPECT_OK(open_as("budgets:x@", "?environment=own", &storage));
	options.storage = storage;
	EXPECT_OK(be_open(NULL, &options, &own));
	EXPECT_OK(be_envelope_create(own, "llm", 10, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(own, "llm", 5, NULL, &id));
	EXPECT_OK(be_settle(own, id, 4, NULL, NULL));
	EXPECT_BALANCE(own, "llm", 4, 0);
	EXPECT_VERIFIED(own);
	tell("ACL SETUSER budgets -hset");
	EXPECT_STATUS(be_record(own, "llm", 1, NULL, NULL), BE_PERMISSION);
	expect_said("budget_enforcer_redis.h");
	EXPECT_BALANCE(own, "llm", 4, 0);
	tell("ACL SETUSER budgets +hset");
	each_right_that_lacks_leaves_all_as_it_was(own);
	be_close(own);
	be_storage_redis_close(storage);
	EXPECT_OK(open_as("budgets:x@", "?environment=other", &storage));
	EXPECT_EQUAL(get_header(storage), BE_PERMISSION);
	be_storage_redis_close(storage);
}

/* ---- refusals */

static void a_server_that_refuses_has_changed_nothing(void)
{
	static const struct {
		const char *begin, *end;
		enum be_status status;
		const char *said;
	} table[] = {
		{"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", BE_DISK_FULL, "maxmemory"},
		{"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", BE_PERMISSION, "primary"},
		{"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0",
		 BE_UNREACHABLE, "replicas"},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		tell(table[i].begin);
		EXPECT_STATUS(be_record(handle, "llm", 1, NULL, NULL), table[i].status);
		expect_said(table[i].said);
		tell(table[i].end);
		EXPECT_BALANCE(handle, "llm", (int64_t)i, 0);
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
		EXPECT_VERIFIED(handle);
	}
}

static void a_server_that_would_remove_budgets_is_refused(void)
{
	struct be_storage *storage;

	tell("CONFIG SET maxmemory-policy allkeys-lru");
	EXPECT_OK(open_as("", "", &storage)); /* memory has no end */
	be_storage_redis_close(storage);
	tell("CONFIG SET maxmemory 1gb");
	EXPECT_STATUS(open_as("", "", &storage), BE_STORAGE_FAILED);
	expect_said("noeviction");
	tell("CONFIG SET maxmemory-policy noeviction");
	EXPECT_OK(open_as("", "", &storage));
	be_storage_redis_close(storage);
	tell("CONFIG SET maxmemory 0");
}

static void keys_of_another_kind_are_no_environment(void)
{
	struct be_storage *storage;

	tell("SET {be:other}:values x");
	EXPECT_OK(open_as("", "?environment=other", &storage));
	EXPECT_EQUAL(get_header(storage), BE_DAMAGED);
	be_storage_redis_close(storage);
}

static int walk_from(struct be_storage *storage, const char *from)
{
	struct be_bytes key, value;
	void *txn;
	int status;

	EXPECT_EQUAL(storage->ops->begin(storage->self, false, &txn), 0);
	status = storage->ops->next(storage->self, txn, (struct be_bytes){from, strlen(from)}, &key,
				    &value);
	storage->ops->abort(storage->self, txn);
	return status;
}

/* One that is out of the order, as scores that differ make it, leads back. */
static void a_walk_ends_whatever_keys_there_are(void)
{
	struct be_storage *storage;
	char command[512];

	EXPECT_OK(open_as("", "?environment=odd", &storage));
	for (int letter = 'a'; letter <= 't'; letter++) {
		snprintf(command, sizeof command, "ZADD {be:odd}:keys 0 %c", letter);
		tell(command);
		snprintf(command, sizeof command, "HSET {be:odd}:values %c x", letter);
		tell(command);
	}
	EXPECT_EQUAL(walk_from(storage, "s"), 0);
	EXPECT_EQUAL(walk_from(storage, "u"), BE_STORAGE_NOT_FOUND);
	tell("ZADD {be:odd}:keys -1 z");
	EXPECT_EQUAL(walk_from(storage, "s"), BE_STORAGE_FAILED);
	expect_said("order");
	tell("ZREM {be:odd}:keys z");
	snprintf(command, sizeof command, "ZADD {be:odd}:keys 0 %0*d", BE_STORAGE_KEY_MAX + 1, 7);
	tell(command);
	EXPECT_EQUAL(walk_from(storage, "0"), BE_DAMAGED);
	expect_said("too long");
	be_storage_redis_close(storage);
}

static void a_server_may_forget_the_scripts(void)
{
	int64_t spent = 3;

	for (int i = 0; i < 3; i++) {
		tell("SCRIPT FLUSH");
		EXPECT_OK(be_check(handle, "llm", 1, NULL));
		tell("SCRIPT FLUSH");
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
		EXPECT_BALANCE(handle, "llm", ++spent, 0);
	}
}

/* ---- a commit that comes late */

enum {
	PASS_ON,
	HOLD,
	HELD,
	LET_GO,
	REFUSED,
	ACCEPTED
};

/* Holds what commits, while its sender believes that it is lost. */
static _Atomic int *step;

static bool hold_commit(int client, int to, const char *bytes, ssize_t size, bool answered)
{
	int wanted = HOLD;
	char answer[64] = "";

	(void)answered;
	if (!server_kind.commits(bytes, (size_t)size) ||
	    !atomic_compare_exchange_strong(step, &wanted, HELD))
		return proxy_send(to, bytes, size);
	shutdown(client, SHUT_RDWR);
	while (atomic_load(step) != LET_GO)
		usleep(1000);
	EXPECT(proxy_send(to, bytes, size));
	EXPECT(read(to, answer, sizeof answer - 1) > 0);
	atomic_store(step, strcmp(answer, "*1\r\n:0\r\n") == 0 ? REFUSED : ACCEPTED);
	return false;
}

static int run_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, hold_commit);
}

static const char *const strange[] = {":1\r\n",       "*0\r\n",       "$-1\r\n",
				      "*1\r\n:2\r\n", "*1\r\n+1\r\n", "*2\r\n:1\r\n:1\r\n"};

/* Has what commits carried out, and gives the answer of this step. */
static bool answer_strangely(int client, int to, const char *bytes, ssize_t size, bool answered)
{
	int wanted = atomic_load(step);
	char answer[64];

	(void)answered;
	if (wanted < 0 || !server_kind.commits(bytes, (size_t)size) ||
	    !atomic_compare_exchange_strong(step, &wanted, -1))
		return proxy_send(to, bytes, size);
	EXPECT(proxy_send(to, bytes, size));
	EXPECT(read(to, answer, sizeof answer) > 0);
	return proxy_send(client, strange[wanted], (ssize_t)strlen(strange[wanted]));
}

static int run_strange_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, answer_strangely);
}

/* Of a server behind a proxy in `directory`. */
static struct be_enforcer *open_behind(const char *directory, const char *name,
				       struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *own;

	options.storage = *storage = server_storage(directory, name);
	EXPECT_OK(be_open(NULL, &options, &own));
	EXPECT_OK(be_envelope_create(own, "llm", 1000, BE_PERIOD_TOTAL, NULL));
	return own;
}

static void a_strange_answer_leaves_a_commit_in_doubt(void)
{
	struct be_storage *storage;
	struct be_enforcer *own;
	char directory[64];
	int listening;
	pid_t proxy;

	atomic_store(step, -1);
	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	proxy = child_start(run_strange_proxy, 0, &listening);
	own = open_behind(directory, "strange", &storage);
	for (int i = 0; i < (int)(sizeof strange / sizeof *strange); i++) {
		atomic_store(step, i);
		EXPECT_OK(be_record(own, "llm", 1, NULL, NULL));
		EXPECT_EQUAL(atomic_load(step), -1);
		EXPECT_BALANCE(own, "llm", i + 1, 0);
	}
	EXPECT_VERIFIED(own);
	server_close(own, storage);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	test_remove(directory);
}

static void a_commit_that_comes_late_does_nothing(void)
{
	struct be_storage *storage;
	struct be_enforcer *own;
	char directory[64];
	int listening;
	pid_t proxy;

	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	proxy = child_start(run_proxy, 0, &listening);
	own = open_behind(directory, "late", &storage);
	for (int i = 0; i < 20; i++) {
		int64_t start_ns = test_monotonic_ns();

		atomic_store(step, HOLD);
		EXPECT_OK(be_record(own, "llm", 1, NULL, NULL));
		EXPECT_EQUAL(atomic_load(step), HELD);
		atomic_store(step, LET_GO);
		while (atomic_load(step) == LET_GO)
			EXPECT(test_wait_on(start_ns, 30));
		EXPECT_EQUAL(atomic_load(step), REFUSED);
		EXPECT_BALANCE(own, "llm", i + 1, 0);
	}
	EXPECT_VERIFIED(own);
	server_close(own, storage);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	test_remove(directory);
}

/* ---- readers of a pool that lives */

static const struct be_storage_ops *undisturbed;
static struct be_enforcer *disturber;

/* What the source is asked for others change behind each answer. */
static int get_disturbed(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	int status = undisturbed->get(self, txn, key, value);

	if (disturber)
		EXPECT_OK(be_record(disturber, "llm", 1, NULL, NULL));
	return status;
}

static int next_disturbed(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
			  struct be_bytes *value)
{
	int status = undisturbed->next(self, txn, from, key, value);

	if (disturber)
		EXPECT_OK(be_record(disturber, "llm", 1, NULL, NULL));
	return status;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	uint64_t *last = context;

	EXPECT_EQUAL(transaction->id, *last + 1);
	*last = transaction->id;
	return true;
}

static void list_disturbed(struct be_enforcer *own, uint64_t most)
{
	struct be_filter filter = BE_FILTER_INIT;
	uint64_t last = 0;

	filter.max_count = most;
	EXPECT_OK(be_transactions_each(own, &filter, see_transaction, &last));
	EXPECT(last >= most);
}

static void copy_disturbed(struct be_enforcer *own, const char *name)
{
	struct be_storage *target = server_storage(NULL, name);
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *copied;

	EXPECT_OK(be_copy(own, target, NULL, NULL));
	options.storage = target;
	EXPECT_OK(be_open(NULL, &options, &copied));
	EXPECT_VERIFIED(copied);
	server_close(copied, target);
}

/* `was_little`: one trip was enough for the same questions before, which is remembered. */
static void reading_goes_on_while_others_change(const char *name, bool was_little)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *inner, *another, outer;
	struct be_enforcer *own, *other = server_open(name, &another);
	struct be_storage_ops ops;

	inner = server_storage(NULL, name);
	undisturbed = inner->ops;
	ops = *inner->ops;
	ops.get = get_disturbed;
	ops.next = next_disturbed;
	outer = (struct be_storage){&ops, inner->self};
	options.storage = &outer;
	EXPECT_OK(be_open(NULL, &options, &own));
	EXPECT_OK(be_envelope_create(own, "llm", 1000000, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(own, "llm", 1, NULL, NULL));
	if (was_little) {
		list_disturbed(own, 1);
		copy_disturbed(own, "copy-little");
	}
	for (int i = 0; i < 100; i++)
		EXPECT_OK(be_record(own, "llm", 1, NULL, NULL));
	disturber = other;
	copy_disturbed(own, was_little ? "copy-grown" : "copy-large");
	list_disturbed(own, 100);
	EXPECT_VERIFIED(own);
	disturber = NULL;
	server_close(own, inner);
	server_close(other, another);
}

int main(void)
{
	struct be_storage *storage;
	char path[256];

	test_begin(20);
	server_start(NULL);
	snprintf(path, sizeof path, "%s/redis.sock", server_directory());
	server = redisConnectUnix(path);
	EXPECT(server && !server->err);
	handle = server_open("answers", &storage);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000, BE_PERIOD_TOTAL, NULL));
	urls_that_are_none_are_refused();
	an_environment_is_named_by_database_and_name();
	a_password_is_asked_for_and_kept();
	the_rights_that_are_listed_are_enough();
	a_server_that_refuses_has_changed_nothing();
	a_server_that_would_remove_budgets_is_refused();
	keys_of_another_kind_are_no_environment();
	a_walk_ends_whatever_keys_there_are();
	a_server_may_forget_the_scripts();
	step = shared_make(sizeof *step);
	a_commit_that_comes_late_does_nothing();
	a_strange_answer_leaves_a_commit_in_doubt();
	reading_goes_on_while_others_change("large", false);
	reading_goes_on_while_others_change("grown", true);
	server_close(handle, storage);
	redisFree(server);
	server_stop();
	return 0;
}
