/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the Node.js package, in C against Node-API 8: what its files share. The other
 * half is ../index.js.
 *
 * values.c reads amounts, ids and texts, and leaves figures; storage.c lets the library call a
 * storage that is written in JavaScript; handle.c opens and closes; calls.c is what asks and
 * spends, at once or, by threads.c, on threads of the addon's own; envelopes.c changes and lists;
 * addon.c puts it together.
 *
 * A call returns an enum be_status as a number and leaves its figures in memory that JavaScript
 * sees as typed arrays: to read those there and to write an object literal takes a fifth of the
 * time that building the object through Node-API does.
 *
 * Nothing is global: every environment of Node's (the main thread's, each worker thread's) has an
 * instance of all this. A worker thread may be terminated at any call: then those of Node-API fail,
 * leave NULL, and take that for an argument without harm. So what they return is looked at only
 * where more hangs on it.
 */
#ifndef ADDON_H
#define ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <budget_enforcer.h>
#include <budget_enforcer_storage.h>
#include <pthread.h>
#include <stdbool.h>

enum {
	FIGURES = 12,
	ERROR_SIZE = 1024
};

/* Names and descriptions may be as long as the library allows; one character more shows it that
 * they are not. */
enum {
	NAME_ROOM = BE_NAME_SIZE + 4,
	DESCRIPTION_ROOM = BE_DESCRIPTION_SIZE + 4
};

struct thread_pool;

/* Of one environment of Node's. */
struct addon {
	double *units;  /* FIGURES of them: a Float64Array, the amounts as numbers */
	int64_t *nanos; /* a BigInt64Array: the same amounts exactly, and ids */
	struct be_decision decision;
	struct be_envelope envelope;
	struct be_transaction transaction;
	char error[ERROR_SIZE]; /* of the last call that failed */
	struct thread_pool *pool;
};

struct js_storage;

/* What a BudgetEnforcer holds. */
struct js_handle {
	struct be_enforcer *enforcer;
	struct js_storage *storage; /* written in JavaScript; NULL: none */
	struct be_storage *memory;
	unsigned working; /* calls on threads; touched by the thread of JavaScript only */
	bool closing, collected;
};

/* The arguments of a call, those that are missing undefined, and the addon. */
#define ARGUMENTS(count)                                                                           \
	napi_value argv[count] = {0};                                                              \
	size_t argc = (count);                                                                     \
	struct addon *addon = NULL;                                                                \
	napi_get_cb_info(env, info, &argc, argv, NULL, (void **)&addon)

/* ---- values.c */

/* A number is the nearest nano, a string is exact or refused, a bigint is nanos. */
enum be_status read_amount(napi_env env, napi_value value, int64_t *nanos);
enum be_status read_id(napi_env env, napi_value value, uint64_t *id);
/* undefined and null are NULL. A NUL within is INVALID_NAME: it would cut the text. */
enum be_status read_text(napi_env env, napi_value value, char *room, size_t size,
			 const char **text);
/* Milliseconds since 1970; nothing is 0. */
int64_t read_time(napi_env env, napi_value value);
bool read_bool(napi_env env, napi_value value);
uint32_t read_number(napi_env env, napi_value value);

napi_value make_text(napi_env env, const char *text);
napi_value make_number(napi_env env, double number);
napi_value make_bigint(napi_env env, uint64_t number);
napi_value make_status(napi_env env, enum be_status status);

void put_decision(struct addon *addon, const struct be_decision *decision);
void put_transaction(struct addon *addon, const struct be_transaction *transaction);
void put_envelope(struct addon *addon, const struct be_envelope *envelope);

/* Keeps the text of what failed just now in this thread, or before it reached the library. */
void keep_error(struct addon *addon, enum be_status status);
void keep_own_error(struct addon *addon, enum be_status status);

/* ---- storage.c */

struct js_storage *js_storage_make(napi_env env, napi_value object);
void js_storage_free(struct js_storage *storage);
struct be_storage *js_storage_of(struct js_storage *storage);
/* Throws what the storage threw, if it did. */
bool js_storage_rethrow(napi_env env, struct js_storage *storage);

/* ---- handle.c */

napi_value handle_open(napi_env env, napi_callback_info info);
napi_value handle_close(napi_env env, napi_callback_info info);
/* NULL: it is closed. */
struct js_handle *handle_of(napi_env env, napi_value value);
/* A call on a thread has ended: a handle that waited for it is closed, or freed. */
void handle_leave(struct js_handle *handle);
/* What a call returns: the status, or nothing when its storage threw. */
napi_value handle_result(napi_env env, struct js_handle *handle, enum be_status status);

/* ---- calls.c */

/* One call that asks or spends, which may be made by any thread. */
struct call {
	enum be_operation operation;
	bool has_description;
	enum be_status status;
	struct js_handle *handle;
	uint64_t id;
	int64_t amount;
	struct be_commit_options options;
	union {
		struct be_decision decision;
		struct be_transaction transaction;
	};
	char category[NAME_ROOM];
	char description[DESCRIPTION_ROOM];
	/* On threads only. */
	struct call *next;
	napi_deferred deferred;
	napi_ref keep; /* [handle, function]: not to be collected meanwhile */
	char error[ERROR_SIZE];
};

enum be_status call_read(napi_env env, size_t argc, napi_value *argv, struct call *call);
void call_run(struct call *call);
void call_publish(struct addon *addon, const struct call *call);

napi_value call_now(napi_env env, napi_callback_info info);
napi_value call_check(napi_env env, napi_callback_info info);

/* ---- threads.c */

napi_value call_on_thread(napi_env env, napi_callback_info info);

/* ---- envelopes.c */

napi_value envelope_change(napi_env env, napi_callback_info info);
napi_value envelope_show(napi_env env, napi_callback_info info);
napi_value list_envelopes(napi_env env, napi_callback_info info);
napi_value list_transactions(napi_env env, napi_callback_info info);
napi_value verify(napi_env env, napi_callback_info info);

#endif
