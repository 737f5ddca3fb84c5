/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the Node.js package, in C against Node-API 8: what its files share. The other
 * half is ../index.js.
 *
 * values.c reads amounts, ids and texts, and leaves figures; storage.c lets the library call a
 * storage that is written in JavaScript; handle.c opens and closes; calls.c is what asks and
 * spends, upkeep.c what supervisors do, both at once or, by threads.c, on threads of the addon's
 * own; settings.c makes and changes envelopes, listings.c shows and lists; events.c keeps what
 * observers are told; addon.c puts it together.
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
#include <limits.h>
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
	DESCRIPTION_ROOM = BE_DESCRIPTION_SIZE + 4,
	KEY_ROOM = BE_KEY_SIZE + 4,
	ZONE_ROOM = BE_ZONE_SIZE + 4,
	LABEL_KEY_ROOM = BE_LABEL_KEY_SIZE + 4,
	LABEL_VALUE_ROOM = BE_LABEL_VALUE_SIZE + 4
};

/* Labels as JavaScript gave them. */
struct js_labels {
	uint32_t count;
	struct {
		bool is_any; /* of a filter: whatever its value */
		char key[LABEL_KEY_ROOM];
		char value[LABEL_VALUE_ROOM];
	} texts[BE_LABELS_MAX];
	struct be_label labels[BE_LABELS_MAX];
};

/* Names of further envelopes, likewise. */
struct js_names {
	uint32_t count;
	struct {
		bool has_namespace; /* else it is the handle's */
		char namespace_name[NAME_ROOM];
		char category[NAME_ROOM];
	} texts[BE_ENVELOPES_MAX - 1];
	struct be_envelope_name names[BE_ENVELOPES_MAX - 1];
};

struct thread_pool;

/* Of one environment of Node's. */
struct addon {
	double *units;  /* FIGURES of them: a Float64Array, the amounts as numbers */
	int64_t *nanos; /* a BigInt64Array: the same amounts exactly, and ids */
	struct be_decision decision;
	struct be_envelope envelope;
	struct be_transaction transaction;
	struct js_labels labels; /* of the transaction, */
	struct js_names also;    /* and its further envelopes */
	char error[ERROR_SIZE];  /* of the last call that failed */
	struct thread_pool *pool;
};

struct js_storage;
struct js_event;

/* What a BudgetEnforcer holds. */
struct js_handle {
	struct be_enforcer *enforcer;
	struct js_storage *storage; /* written in JavaScript; NULL: none */
	struct be_storage *memory;
	struct js_server *server;
	struct js_handle *origin; /* whose storage and events it has; NULL: its own */
	unsigned sharers;         /* open handles whose origin it is */
	unsigned pointers;        /* and all of them, closed ones, too */
	unsigned working;         /* calls on threads; touched by the thread of JavaScript only */
	bool closing, collected;
	/* What its observer has not been told of yet; any thread adds. */
	pthread_mutex_t events_lock;
	struct js_event *events, **events_end;
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
/* A path or URL, into room of PATH_MAX; one that is longer is refused, since what is cut may be
 * another. */
enum be_status read_path(napi_env env, napi_value value, char *room, const char **text);
/* From an array: a key, its value (null: any), the next key. Undefined is none. */
enum be_status read_labels(napi_env env, napi_value value, struct js_labels *given);
/* Points at them, once they have come to where they stay. */
const struct be_label *point_at_labels(struct js_labels *given);
/* From an array: a namespace (undefined: the handle's), a category, the next namespace. */
enum be_status read_names(napi_env env, napi_value value, struct js_names *given);
const struct be_envelope_name *point_at_names(struct js_names *given);
/* Those that a listing shows, kept. */
void keep_labels(struct js_labels *kept, const struct be_label *labels, uint32_t count);
void keep_names(struct js_names *kept, const struct be_envelope_name *names, uint32_t count);
void copy_text(char *room, size_t size, const char *text);
/* Milliseconds since 1970; nothing is 0. */
int64_t read_time(napi_env env, napi_value value);
bool read_bool(napi_env env, napi_value value);
uint32_t read_number(napi_env env, napi_value value);

napi_value make_text(napi_env env, const char *text);
napi_value make_number(napi_env env, double number);
napi_value make_bigint(napi_env env, uint64_t number);
napi_value make_amount(napi_env env, int64_t nanos);
napi_value make_time(napi_env env, int64_t ns);
napi_value make_status(napi_env env, enum be_status status);

void put_decision(struct addon *addon, const struct be_decision *decision);
void put_transaction(struct addon *addon, const struct be_transaction *transaction);

/* An array that is being filled. */
struct js_page {
	napi_env env;
	napi_value array;
	uint32_t count;
};

struct js_page make_page(napi_env env);
void add(struct js_page *page, napi_value value);
void add_text(struct js_page *page, const char *text);
void add_number(struct js_page *page, double number);
void add_id(struct js_page *page, uint64_t id);
void add_amount(struct js_page *page, int64_t nanos);
void add_time(struct js_page *page, int64_t ns);
void add_name(struct js_page *page, const char *namespace_name, const char *category);
void add_labels(struct js_page *page, const struct be_label *labels, uint32_t count);
void add_names(struct js_page *page, const struct be_envelope_name *names, uint32_t count);

/* Keeps the text of what failed just now in this thread, or before it reached the library. */
void keep_error(struct addon *addon, enum be_status status);
void keep_own_error(struct addon *addon, enum be_status status);

/* ---- storage.c */

struct js_storage *js_storage_make(napi_env env, napi_value object);
void js_storage_free(struct js_storage *storage);
struct be_storage *js_storage_of(struct js_storage *storage);
/* Drops what the storage threw, if it did; */
void js_storage_forget(struct js_storage *storage);
/* or throws it. */
bool js_storage_rethrow(napi_env env, struct js_storage *storage);

/* ---- handle.c */

napi_value handle_open(napi_env env, napi_callback_info info);
napi_value handle_open_namespace(napi_env env, napi_callback_info info);
napi_value handle_close(napi_env env, napi_callback_info info);
/* NULL: it is closed. */
struct js_handle *handle_of(napi_env env, napi_value value);
/* A call on a thread has ended: a handle that waited for it is closed, or freed. */
void handle_leave(struct js_handle *handle);
/* What a call returns: the status, or nothing when its storage threw and it failed. */
napi_value handle_result(napi_env env, struct js_handle *handle, enum be_status status);

/* ---- events.c */

void events_begin(struct js_handle *handle);
void events_end(struct js_handle *handle);
/* The library's observer; `context` is the handle. */
void events_keep(void *context, const struct be_event *event);
napi_value events_take(napi_env env, napi_callback_info info);

/* ---- calls.c */

/* What supervisors do is no enum be_operation; index.js has these numbers, too. */
enum upkeep_operation {
	UPKEEP_REAP = 1001,
	UPKEEP_PRUNE,
	UPKEEP_END,
	UPKEEP_BACKUP,
	UPKEEP_COPY,
	UPKEEP_APPLY
};

struct js_changes;

/* One call that asks, spends or looks after things, which may be made by any thread. */
struct call {
	unsigned operation; /* enum be_operation or upkeep_operation */
	bool has_description;
	bool has_key;
	bool has_thread;
	bool releases; /* the namespace is to end with what is committed there */
	enum be_status status;
	struct js_handle *handle;
	uint64_t id;
	int64_t amount;
	int64_t before_ns;
	struct be_commit_options options;
	union {
		struct be_decision decision;
		struct be_transaction transaction;
		uint64_t counts[2]; /* what upkeep has done; the index of a change that failed */
	};
	char category[NAME_ROOM];
	char description[DESCRIPTION_ROOM];
	char key[KEY_ROOM];
	char place[PATH_MAX];        /* a path or URL */
	struct js_changes *changes;  /* to be given back; NULL: none */
	struct js_labels labels;     /* as given; then those of the transaction */
	struct js_names also;        /* likewise */
	enum be_status notes_status; /* why these two could not be read back, if it is not OK */
	/* On threads only. */
	struct call *next;
	struct thread_pool *pool;
	pthread_t thread;        /* its own, if has_thread */
	const uint8_t *given_up; /* not 0: nobody wants it any more; NULL: nobody says so */
	napi_deferred deferred;
	napi_ref keep; /* [handle, function, given_up]: not to be collected meanwhile */
	char error[ERROR_SIZE];
};

/* Whatever it returns, changes_free() is for call->changes. */
enum be_status call_read(napi_env env, size_t argc, napi_value *argv, struct call *call);
void call_run(struct call *call);
void call_publish(struct addon *addon, struct call *call);

napi_value call_now(napi_env env, napi_callback_info info);
napi_value call_check(napi_env env, napi_callback_info info);

/* ---- threads.c */

napi_value call_on_thread(napi_env env, napi_callback_info info);
/* False: nobody waits for its answer any more. By any thread. */
bool call_is_wanted(const struct call *call);

/* ---- settings.c */

napi_value envelope_change(napi_env env, napi_callback_info info);
napi_value envelope_set(napi_env env, napi_callback_info info);

/* Changes to be made together: an array of [operation, namespace, arguments], these as the function
 * takes them that makes the change alone. What is wrong with one of them is found when they are
 * made. */
enum be_status changes_read(napi_env env, napi_value array, struct js_changes **changes);
enum be_status changes_make(struct be_enforcer *enforcer, const struct js_changes *changes,
			    uint64_t *failed);
void changes_free(struct js_changes *changes);

/* ---- listings.c */

void add_envelope(struct js_page *page, const struct be_envelope *one);
void add_alert(struct js_page *page, const struct be_alert *one);
napi_value envelope_show(napi_env env, napi_callback_info info);
napi_value envelope_last(napi_env env, napi_callback_info info);
napi_value list_envelopes(napi_env env, napi_callback_info info);
napi_value list_commits(napi_env env, napi_callback_info info);
napi_value list_transactions(napi_env env, napi_callback_info info);
napi_value list_alerts(napi_env env, napi_callback_info info);
napi_value list_daily_sums(napi_env env, napi_callback_info info);
napi_value list_owners(napi_env env, napi_callback_info info);
napi_value stats_show(napi_env env, napi_callback_info info);

/* ---- upkeep.c: what of a call is particular to its operations, and further calls */

enum be_status upkeep_read(napi_env env, napi_value argument, struct call *call);
void upkeep_run(struct call *call);
void upkeep_publish(struct addon *addon, const struct call *call);

napi_value alert_done(napi_env env, napi_callback_info info);
napi_value restore(napi_env env, napi_callback_info info);
napi_value verify(napi_env env, napi_callback_info info);

#endif
