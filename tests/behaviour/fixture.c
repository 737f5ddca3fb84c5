/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets up and tears down the environment of one test. Criterion runs each test in a process of its
 * own, so there is one fixture; its end also runs when the test has failed.
 */
#include "fixture.h"

#include "place.h"

#include <ftw.h>
#include <unistd.h>

struct fixture fixture;

static int64_t clock_now(void *context)
{
	(void)context;
	return fixture.now_ns;
}

/* In memory, or in the server that place.h has. */
static void make_storage(void)
{
	char name[32];

	snprintf(name, sizeof name, "b_%d", (int)getpid());
	if (place_server())
		assert_ok(place_open(place_server(), name, &fixture.storage));
	else
		assert_ok(be_storage_memory_create(&fixture.storage));
}

static void destroy_storage(void)
{
	if (place_server())
		place_close(fixture.storage);
	else
		be_storage_memory_destroy(fixture.storage);
}

static void begin(bool lmdb, uint32_t flags)
{
	const char *parent = getenv("TMPDIR");
	struct be_options options;

	fixture.lmdb = lmdb;
	fixture.flags = flags;
	fixture.now_ns = BEGINNING_NS;
	snprintf(fixture.directory, sizeof fixture.directory, "%s/behaviour.XXXXXX",
		 parent ? parent : "/tmp");
	cr_assert_not_null(mkdtemp(fixture.directory), "cannot make a directory %s",
			   fixture.directory);
	snprintf(fixture.path, sizeof fixture.path, "%s/environment", fixture.directory);
	if (!lmdb)
		make_storage();
	options = fixture_options();
	assert_ok(be_open(fixture_path(), &options, &fixture.handle));
}

void fixture_begin_lmdb(void)
{
	begin(true, 0);
}

void fixture_begin_direct(void)
{
	begin(true, BE_OPEN_DIRECT);
}

void fixture_begin_memory(void)
{
	begin(false, 0);
}

static void print_difference(void *context, const char *sentence)
{
	(void)context;
	fprintf(stderr, "verify: %s\n", sentence);
}

void fixture_check_balances(void)
{
	if (fixture.handle != NULL)
		assert_ok(be_verify(fixture.handle, print_difference, NULL, NULL));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void fixture_end(void)
{
	for (size_t i = 0; i < sizeof fixture.more / sizeof fixture.more[0]; i++)
		be_close(fixture.more[i]);
	be_close(fixture.handle);
	destroy_storage();
	nftw(fixture.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(void)
{
	return fixture.lmdb ? fixture.path : NULL;
}

struct be_options fixture_options(void)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.now = clock_now;
	options.flags = fixture.flags;
	options.storage = fixture.storage;
	return options;
}

struct be_enforcer *fixture_open_with(const struct be_options *options)
{
	size_t i = 0;

	while (i < sizeof fixture.more / sizeof fixture.more[0] && fixture.more[i] != NULL)
		i++;
	cr_assert(i < sizeof fixture.more / sizeof fixture.more[0],
		  "a test has too many handles open");
	assert_ok(be_open(fixture_path(), options, &fixture.more[i]));
	return fixture.more[i];
}

struct be_enforcer *fixture_open(const char *namespace_name)
{
	struct be_options options = fixture_options();

	options.namespace_name = namespace_name;
	return fixture_open_with(&options);
}

void fixture_close(struct be_enforcer *handle)
{
	for (size_t i = 0; i < sizeof fixture.more / sizeof fixture.more[0]; i++)
		if (fixture.more[i] == handle)
			fixture.more[i] = NULL;
	if (fixture.handle == handle)
		fixture.handle = NULL;
	be_close(handle);
}

struct be_enforcer *fixture_reopen_unflushed(void)
{
	struct be_options options = fixture_options();

	options.durability = BE_DURABILITY_PROCESS;
	fixture_close(fixture.handle);
	assert_ok(be_open(fixture_path(), &options, &fixture.handle));
	return fixture.handle;
}

void fixture_advance(int64_t nanoseconds)
{
	fixture.now_ns += nanoseconds;
}

static bool print_envelope(void *context, const struct be_envelope *e)
{
	fprintf(context,
		"envelope %" PRIu64 " '%s' '%s' below %d '%s' '%s' %s limit %" PRId64
		" spent %" PRId64 " committed %" PRId64 " pending %" PRIu64 " children %" PRIu64
		" from %" PRId64 "%s\n",
		e->id, e->namespace_name, e->category, e->has_parent, e->parent_namespace,
		e->parent_category, be_period_name(e->period), e->limit, e->spent, e->committed,
		e->pending_commits, e->children, e->period_start_ns,
		e->suspended ? " suspended" : "");
	return true;
}

static bool print_commit(void *context, const struct be_commit_info *c)
{
	fprintf(context,
		"commit %" PRIu64 " '%s' '%s' holds %" PRId64 " until %" PRId64 " state %d '%s'\n",
		c->id, c->namespace_name, c->category, c->amount, c->deadline_ns, (int)c->state,
		c->description);
	return true;
}

static bool print_alert(void *context, const struct be_alert *a)
{
	fprintf(context,
		"alert %" PRIu64 " of %" PRIu64 " %u '%s' '%s' %" PRId64 " of %" PRId64
		" at %" PRId64 " done %" PRId64 "\n",
		a->id, a->transaction_id, a->percent, a->namespace_name, a->category, a->spent,
		a->limit, a->at_ns, a->done_ns);
	return true;
}

static bool print_transaction(void *context, const struct be_transaction *t)
{
	fprintf(context,
		"transaction %" PRIu64 " of %" PRIu64 " '%s' '%s' %s %" PRId64 " of %" PRId64
		" at %" PRId64 "%s '%s'\n",
		t->id, t->commit_id, t->namespace_name, t->category,
		be_transaction_kind_name(t->kind), t->amount, t->held, t->at_ns,
		t->late ? " late" : "", t->description);
	return true;
}

char *fixture_state(void)
{
	size_t size;
	char *text = NULL;
	FILE *stream = open_memstream(&text, &size);

	cr_assert_not_null(stream);
	assert_ok(be_envelopes_each(fixture.handle, NULL, print_envelope, stream));
	assert_ok(be_commits_each(fixture.handle, NULL, print_commit, stream));
	assert_ok(be_transactions_each(fixture.handle, NULL, print_transaction, stream));
	assert_ok(be_alerts_each(fixture.handle, NULL, print_alert, stream));
	fclose(stream);
	return text;
}

struct be_envelope fixture_envelope(struct be_enforcer *handle, const char *category)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	assert_ok(be_utilization(handle, category, &envelope));
	return envelope;
}

void fixture_create(struct be_enforcer *handle, const char *category, int64_t limit)
{
	assert_ok(be_envelope_create(handle, category, limit, BE_PERIOD_TOTAL, NULL));
}

void fixture_create_below(struct be_enforcer *handle, const char *category, int64_t limit,
			  const char *parent_namespace, const char *parent_category)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_namespace = parent_namespace;
	options.parent_category = parent_category;
	assert_ok(be_envelope_create(handle, category, limit, BE_PERIOD_TOTAL, &options));
}

uint64_t fixture_commit(struct be_enforcer *handle, const char *category, int64_t amount)
{
	uint64_t id = 0;

	assert_ok(be_commit(handle, category, amount, NULL, &id));
	return id;
}

void fixture_fill(void *structure, size_t size)
{
	memset((unsigned char *)structure + sizeof(uint32_t), 0xff, size - sizeof(uint32_t));
}

bool fixture_is_zeroed(const void *structure, size_t size)
{
	const unsigned char *bytes = structure;
	uint32_t said;

	memcpy(&said, bytes, sizeof said);
	if (said != size)
		return false;
	for (size_t i = sizeof said; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}
