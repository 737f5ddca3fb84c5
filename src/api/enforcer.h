/* SPDX-License-Identifier: Apache-2.0 */
/* The handle, and what the public calls (spend.c, envelopes.c, query.c, verify.c) share. */
#ifndef ENFORCER_H
#define ENFORCER_H

#include "environment/environment.h"
#include "records/record.h"
#include "rules/operation.h"

/* Address space for an environment, unless the options say otherwise. */
#define ENFORCER_DEFAULT_MAP_SIZE (UINT64_C(64) << 30)

struct holds;

/* Nothing changes after be_open(), except the environment and the holds, which a fork child
 * replaces. */
struct be_enforcer {
	_Atomic(struct environment *) environment;
	_Atomic(struct holds *) holds; /* of one that was opened with BE_OPEN_OWNING: api/holds.h */
	struct environment_settings settings; /* to open it again */
	struct name name;                     /* its namespace; the category is empty */
	struct record_key prefix;             /* how the keys of its envelopes begin */
	struct be_storage_ops storage_ops; /* of a storage that was given: what it lacks is NULL */
	struct be_storage storage;         /* the same with its functions in storage_ops */
	int64_t (*now)(void *context);
	void *now_context;
	void (*observe)(void *context, const struct be_event *event);
	void *observe_context;
	_Atomic uint64_t next_alert_id; /* of the first one that the observer was not told of */
	char path[];                    /* absolute */
};

/* The environment, opened anew if this is a fork child that has not used the handle yet. */
enum be_status enforcer_environment(struct be_enforcer *handle, struct environment **environment);

/* The same for a call that changes something: READ_ONLY when the handle may not. An environment
 * that is open read-only has only such handles; one that is open to write may have some. */
enum be_status enforcer_environment_to_write(struct be_enforcer *handle,
					     struct environment **environment);

static inline bool enforcer_is_read_only(const struct be_enforcer *handle)
{
	return handle->settings.flags & BE_OPEN_READ_ONLY;
}

/* For writes: exact. For reads: good to a few milliseconds, and without a system call. */
int64_t enforcer_now(const struct be_enforcer *handle);
int64_t enforcer_now_coarse(const struct be_enforcer *handle);

/* The handle's namespace with this category (not NULL). */
enum be_status enforcer_name(const struct be_enforcer *handle, const char *category,
			     struct name *name);

/* The key of that envelope, for look-ups only, since it does not check whether the name is valid.
 * False: the category is empty or too long. */
bool enforcer_key(const struct be_enforcer *handle, const char *category, struct record_key *key);

/* Clears an operation, its description excepted, and sets its kind and time: that given, or now. */
void enforcer_prepare_at(struct operation *operation, enum be_operation kind, int64_t now_ns);
void enforcer_prepare(const struct be_enforcer *handle, struct operation *operation,
		      enum be_operation kind);

/* Runs one operation, tells the observer, and returns the result's status with an error text. An
 * operation that is refused for lack of budget is run a second time, with the time read anew, when
 * the answer may have changed. */
enum be_status enforcer_run(struct be_enforcer *handle, struct operation *operation,
			    struct result *result);

/* The same for one that moves an envelope, with what was found to be below that (rules/move.h). */
enum be_status enforcer_run_move(struct be_enforcer *handle, struct operation *operation,
				 struct family *family, struct result *result);

/* The same for a commit that may wait. */
struct patience;
enum be_status enforcer_run_patiently(struct be_enforcer *handle, struct operation *operation,
				      const struct patience *patience, struct result *result);

/* After a refusal for lack of budget: reaps what is due. *again: the window has ended, or something
 * was freed since the decision, so that the caller must decide again, at *now_ns. A fault of
 * reaping is the answer in place of the refusal. A handle opened read-only reaps nothing. */
enum be_status enforcer_doubt(struct be_enforcer *handle, const struct refusal *refusal,
			      int64_t *now_ns, bool *again);

/* Counts a check, commit or extension that ended with this status, if it was refused, at the
 * envelope that refused. */
void enforcer_count(struct be_enforcer *handle, enum be_status status, uint64_t refuser);

/* Tells the observer, if there is one. */
void enforcer_observe(struct be_enforcer *handle, const struct operation *operation,
		      const struct result *result);

/* Copies a storage's functions, which may be those of an older or a newer header. */
enum be_status enforcer_read_storage(const struct be_storage *given, struct be_storage_ops *ops);

/* reap_run() with the handle's clock and observer. */
enum be_status enforcer_reap(struct be_enforcer *handle, bool thorough, uint64_t *reaped);

/* reap_given_up() likewise, of commits of this process. */
enum be_status enforcer_give_up(struct be_enforcer *handle, const uint64_t *ids, size_t count);

#endif
