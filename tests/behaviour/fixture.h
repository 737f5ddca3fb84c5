/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of behaviour stand on: an environment that is new for each test, and each test run
 * over every storage. BEHAVIOUR_TEST(subject, name) defines the tests name_on_lmdb, over a real
 * environment in a temporary directory, name_on_direct, over one without group commit, and
 * name_on_memory, which is in a server where place.h has one. Each begins with an open handle on
 * the default namespace, `budget`, and ends with be_verify(): whatever a test did, the balances
 * must add up.
 *
 * Time stands still unless a test moves it, so that all figures can be compared exactly.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <budget_enforcer.h>
#include <budget_enforcer_storage.h>
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENTH (BE_UNIT / 10)
#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define DAY_NS (24 * HOUR_NS)

/* When every test begins: 2023-11-14 22:13:20 UTC. */
#define BEGINNING_NS (INT64_C(1700000000) * SECOND_NS)

struct fixture {
	bool lmdb;                  /* else memory */
	uint32_t flags;             /* of every handle, unless a test says otherwise */
	char directory[64];         /* for what a test needs to put somewhere; removed at the end */
	char path[96];              /* LMDB: the environment */
	struct be_storage *storage; /* memory */
	struct be_enforcer *handle; /* the default namespace's */
	struct be_enforcer *more[8]; /* what fixture_open() has opened */
	_Atomic int64_t now_ns;      /* the clock of every handle */
};

extern struct fixture fixture;

/* For BEHAVIOUR_TEST only. */
void fixture_begin_lmdb(void);
void fixture_begin_direct(void);
void fixture_begin_memory(void);
void fixture_check_balances(void);
void fixture_end(void);

#define FIXTURE_TEST(subject, name, storage)                                                       \
	Test(subject, name##_on_##storage, .init = fixture_begin_##storage, .fini = fixture_end)   \
	{                                                                                          \
		subject##_##name(fixture.handle);                                                  \
		fixture_check_balances();                                                          \
	}

#define BEHAVIOUR_TEST(subject, name)                                                              \
	static void subject##_##name(struct be_enforcer *budget __attribute__((unused)));          \
	FIXTURE_TEST(subject, name, lmdb)                                                          \
	FIXTURE_TEST(subject, name, direct)                                                        \
	FIXTURE_TEST(subject, name, memory)                                                        \
	static void subject##_##name(struct be_enforcer *budget __attribute__((unused)))

/* For what only an environment in a directory can show. */
#define LMDB_TEST(subject, name)                                                                   \
	static void subject##_##name(struct be_enforcer *budget __attribute__((unused)));          \
	FIXTURE_TEST(subject, name, lmdb)                                                          \
	static void subject##_##name(struct be_enforcer *budget __attribute__((unused)))

/* Where the test's environment is, for be_open(): NULL for memory, which lies in the options. */
const char *fixture_path(void);

/* Options for another handle on the test's environment, with its clock. */
struct be_options fixture_options(void);

/* Opens another handle; closed at the end of the test unless fixture_close() was called. */
struct be_enforcer *fixture_open(const char *namespace_name);
struct be_enforcer *fixture_open_with(const struct be_options *options);
void fixture_close(struct be_enforcer *handle);

/* Closes the test's own handle and opens it without flushes, for tests that make very many
 * changes. */
struct be_enforcer *fixture_reopen_unflushed(void);

void fixture_advance(int64_t nanoseconds);

/* All envelopes, pending commits and transactions as text: two of these are equal only if nothing
 * has changed. The caller frees it. */
char *fixture_state(void);

/* One envelope, which must be there. */
struct be_envelope fixture_envelope(struct be_enforcer *handle, const char *category);

/* Steps that a test expects to work. */
void fixture_create(struct be_enforcer *handle, const char *category, int64_t limit);
void fixture_create_below(struct be_enforcer *handle, const char *category, int64_t limit,
			  const char *parent_namespace, const char *parent_category);
uint64_t fixture_commit(struct be_enforcer *handle, const char *category, int64_t amount);

/* Fills an output structure with rubbish, but for its size; and is true when it holds nothing
 * else. */
void fixture_fill(void *structure, size_t size);
bool fixture_is_zeroed(const void *structure, size_t size);

#define assert_status(call, wanted)                                                                \
	do {                                                                                       \
		enum be_status got_ = (call);                                                      \
		cr_assert(got_ == (wanted), "%s gave %s, not %s (%s)", #call,                      \
			  be_status_name(got_), #wanted, be_last_error());                         \
	} while (0)

#define assert_ok(call) assert_status(call, BE_OK)

#define assert_number(got, wanted)                                                                 \
	do {                                                                                       \
		int64_t got_ = (int64_t)(got), wanted_ = (int64_t)(wanted);                        \
		cr_assert(got_ == wanted_, "%s is %" PRId64 ", not %" PRId64, #got, got_,          \
			  wanted_);                                                                \
	} while (0)

#define assert_text(got, wanted)                                                                   \
	do {                                                                                       \
		const char *got_ = (got), *wanted_ = (wanted);                                     \
		cr_assert(strcmp(got_, wanted_) == 0, "%s is '%s', not '%s'", #got, got_,          \
			  wanted_);                                                                \
	} while (0)

#define assert_balance(handle, category, spent_, committed_)                                       \
	do {                                                                                       \
		struct be_envelope envelope_ = fixture_envelope(handle, category);                 \
		assert_number(envelope_.spent, spent_);                                            \
		assert_number(envelope_.committed, committed_);                                    \
	} while (0)

/* Runs `call`, which must give `wanted` and change nothing whatever. */
#define assert_refused(call, wanted)                                                               \
	do {                                                                                       \
		char *before_ = fixture_state(), *after_;                                          \
		assert_status(call, wanted);                                                       \
		after_ = fixture_state();                                                          \
		cr_assert(strcmp(before_, after_) == 0, "%s changed\n%sinto\n%s", #call, before_,  \
			  after_);                                                                 \
		free(before_);                                                                     \
		free(after_);                                                                      \
	} while (0)

#endif
