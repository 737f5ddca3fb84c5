/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/lease.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/attempt.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* It is renewed when so many parts of it are over; and when that did not work, again after a part
 * half as long. */
#define RENEWALS 3

/* ---- in a txn */

bool lease_is_needed(const struct operation *operation)
{
	return operation->kind == BE_OPERATION_COMMIT && !operation->detached &&
	       owner_has_host(&operation->owner);
}

void lease_ask(struct remote_host *host, int64_t lease_ns)
{
	int64_t asked = atomic_load(&host->lease_ns);

	while (asked < lease_ns && !atomic_compare_exchange_weak(&host->lease_ns, &asked, lease_ns))
		;
}

int64_t lease_length(const struct remote_host *host)
{
	int64_t lease_ns = atomic_load(&host->lease_ns);

	return lease_ns < LEASE_LEAST_NS || lease_ns > LEASE_MOST_NS ? LEASE_DEFAULT_NS : lease_ns;
}

void lease_begin(struct remote_host *host)
{
	if (atomic_load(&host->holds))
		return;
	lease_put_off(host, remote_steady());
	atomic_store(&host->holds, 1);
}

void lease_put_off(struct remote_host *host, int64_t since_ns)
{
	atomic_store(&host->renew_ns, since_ns + lease_length(host) / RENEWALS);
}

void lease_extend(struct host *host, int64_t now_ns, int64_t lease_ns)
{
	int64_t end_ns = now_ns + lease_ns;

	if (end_ns > host->lease_end_ns || host->lease_end_ns > now_ns + LEASE_MOST_NS)
		host->lease_end_ns = end_ns;
}

static enum be_status find_host(struct ledger *ledger, const uint8_t *id, struct host *host)
{
	int found = ledger_host_get(ledger, id, host);

	if (found == LEDGER_NONE) {
		memset(host, 0, sizeof *host);
		memcpy(host->id, id, sizeof host->id);
	}
	return found < 0 ? (enum be_status)found : BE_OK;
}

enum be_status lease_put(struct ledger *ledger, const uint8_t *id, int64_t now_ns, int64_t lease_ns)
{
	struct host host;
	enum be_status status = find_host(ledger, id, &host);

	if (status != BE_OK)
		return status;
	host.at_ns = now_ns;
	lease_extend(&host, now_ns, lease_ns);
	return ledger_host_put(ledger, &host);
}

bool lease_has_ended(const struct host *host, int64_t now_ns)
{
	return host->lease_end_ns <= now_ns;
}

enum be_status lease_expect_ended(struct ledger *ledger, const uint8_t *id, int64_t now_ns)
{
	struct host host;
	enum be_status status = find_host(ledger, id, &host);

	return status == BE_OK && !lease_has_ended(&host, now_ns) ? BE_NO_COMMIT : status;
}

static enum be_status ask_clock(struct ledger *ledger, int64_t *now_ns)
{
	const struct be_storage *storage = ledger->storage;

	enum be_status status =
		ledger_answer(storage->ops->now(storage->self, ledger->txn, now_ns));

	if (status == BE_OK && (*now_ns <= 0 || *now_ns > INT64_MAX - LEASE_MOST_NS))
		status = error_set(BE_STORAGE_FAILED, "the storage's clock says %lld",
				   (long long)*now_ns);
	return status;
}

enum be_status lease_look(struct ledger *ledger, const struct owner *owner, bool *lives)
{
	struct host host;
	int64_t now_ns;
	enum be_status status = ask_clock(ledger, &now_ns);

	if (status == BE_OK)
		status = find_host(ledger, owner->host, &host);
	*lives = status == BE_OK && !lease_has_ended(&host, now_ns);
	return status;
}

/* ---- txns for leases alone */

static enum be_status begin_for(struct attempt *attempt, struct ledger *ledger, const uint8_t *id,
				struct host *host, int64_t *now_ns)
{
	const struct be_storage *storage = attempt->storage;
	struct record_key keys[2];
	struct be_bytes wanted[2];
	enum be_status status = attempt_begin(attempt, ledger);

	if (status != BE_OK)
		return status;
	record_key_header(&keys[0]);
	record_key_host(&keys[1], id);
	for (int i = 0; i < 2; i++)
		wanted[i] = record_key_bytes(&keys[i]);
	if (storage->ops->prefetch)
		status = ledger_answer(
			storage->ops->prefetch(storage->self, ledger->txn, wanted, 2));
	if (status == BE_OK)
		status = ledger_header(ledger);
	if (status == BE_OK)
		status = ask_clock(ledger, now_ns);
	if (status == BE_OK)
		status = find_host(ledger, id, host);
	if (status != BE_OK)
		ledger_abort(ledger);
	return status;
}

/* What the lease is to end at, or 0; `seen` is only then to be changed, if it is still that. */
static enum be_status change(const struct be_storage *storage, const uint8_t *id, int64_t lease_ns,
			     const struct host *seen, int64_t *since_ns)
{
	struct attempt attempt;
	struct ledger ledger;
	struct host host;
	int64_t now_ns;
	enum be_status status;

	attempt_open(&attempt, storage, NULL, NULL);
	attempt.repeatable = true;
	do {
		*since_ns = remote_steady();
		status = begin_for(&attempt, &ledger, id, &host, &now_ns);
		if (status != BE_OK)
			continue;
		if (seen && seen->lease_end_ns == host.lease_end_ns &&
		    lease_has_ended(&host, now_ns)) {
			host.lease_end_ns = 0;
			status = ledger_host_put(&ledger, &host);
		} else if (!seen && host.lease_end_ns != 0) {
			host.at_ns = now_ns;
			lease_extend(&host, now_ns, lease_ns);
			status = ledger_host_put(&ledger, &host);
		}
		status = attempt_end(&attempt, &ledger, status);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	return status;
}

enum be_status lease_clear(const struct be_storage *storage, const struct host *seen)
{
	int64_t since_ns;

	return change(storage, seen->id, 0, seen, &since_ns);
}

/* ---- the thread
 *
 * `list_lock` covers the list, and who renews. Nothing is asked of the storage under it. */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* by CLOCK_MONOTONIC */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct executor *list;
static _Atomic uint64_t process = 1; /* another number in each fork child */
static _Atomic uint64_t renewer;     /* the number of the process that has a thread */
static struct keeper {
	pthread_t thread;
	bool ends;
} * keeper; /* of that process */

static void make_condition(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&list_lock);
}

static void after_fork_in_child(void)
{
	atomic_fetch_add(&process, 1);
	list = NULL;
	make_condition();
	pthread_mutex_unlock(&list_lock);
}

static void begin_process(void)
{
	make_condition();
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* When is there something to do, of remote_steady()? */
static int64_t due_at(const struct remote_host *host, int64_t now_ns)
{
	int64_t renew_ns = atomic_load(&host->renew_ns), part_ns = lease_length(host) / RENEWALS;

	if (!atomic_load(&host->holds))
		return now_ns + part_ns / 2;
	/* What is later than it can be was written by another clock. */
	return renew_ns > now_ns + part_ns ? now_ns : renew_ns;
}

/* Of all processes of the host one does it; if it does not, another one does somewhat later. A try
 * that failed may have taken longer than that: the next one counts from its end, so that a server
 * which is not there leaves time for others. */
static void renew(struct executor *executor)
{
	struct remote *remote = atomic_load(&executor->remote);
	struct remote_host *host = executor_host(executor, remote);
	int64_t now_ns = remote_steady(), due_ns = atomic_load(&host->renew_ns), since_ns;
	int64_t pause_ns = lease_length(host) / RENEWALS / 2, claim_ns = now_ns + pause_ns;

	if (due_at(host, now_ns) > now_ns ||
	    !atomic_compare_exchange_strong(&host->renew_ns, &due_ns, claim_ns))
		return;
	if (change(executor->storage, host->id, lease_length(host), NULL, &since_ns) == BE_OK)
		lease_put_off(host, since_ns);
	else
		(void)atomic_compare_exchange_strong(&host->renew_ns, &claim_ns,
						     remote_steady() + pause_ns);
}

/* The one that has been due for longest; else *next_ns is when one will be. */
static struct executor *find_due(int64_t now_ns, int64_t *next_ns)
{
	struct executor *first = NULL;

	*next_ns = now_ns + BE_UNIT * 3600;
	for (struct executor *one = list; one; one = one->lease.next) {
		struct remote *remote;
		int64_t due_ns;

		if (remote_find(&one->remote, &remote) != BE_OK) /* no memory in a fork child */
			continue;
		due_ns = due_at(executor_host(one, remote), now_ns);
		if (due_ns < *next_ns) {
			*next_ns = due_ns;
			first = one;
		}
	}
	return *next_ns <= now_ns ? first : NULL;
}

static void sleep_for(int64_t ns)
{
	int64_t until_ns = monotonic_ns() + ns;
	struct timespec until = {until_ns / BE_UNIT, until_ns % BE_UNIT};

	pthread_cond_timedwait(&changed, &list_lock, &until);
}

static void *keep_leases(void *own)
{
	const struct keeper *self = own;
	int64_t next_ns, now_ns;

	pthread_mutex_lock(&list_lock);
	while (!self->ends) {
		struct executor *due;

		now_ns = remote_steady();
		due = find_due(now_ns, &next_ns);
		if (!due) {
			sleep_for(next_ns - now_ns);
			continue;
		}
		due->lease.is_busy = true;
		pthread_mutex_unlock(&list_lock);
		renew(due);
		pthread_mutex_lock(&list_lock);
		due->lease.is_busy = false;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&list_lock);
	return NULL;
}

static void put_in_list(struct executor *executor)
{
	if (atomic_load(&executor->lease.listed) == process)
		return;
	executor->lease.next = list;
	executor->lease.is_busy = false;
	list = executor;
	atomic_store(&executor->lease.listed, process);
	pthread_cond_broadcast(&changed);
}

/* Signals are for the threads of the program. */
static enum be_status start(void)
{
	struct keeper *made = calloc(1, sizeof *made);
	sigset_t all, before;
	int rc;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&made->thread, NULL, keep_leases, made);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		free(made);
		return error_errno(BE_NO_MEMORY, rc,
				   "a thread that renews this host's lease cannot be started");
	}
	keeper = made;
	atomic_store(&renewer, process);
	return BE_OK;
}

void lease_list(struct executor *executor)
{
	pthread_once(&once, begin_process);
	pthread_mutex_lock(&list_lock);
	put_in_list(executor);
	pthread_mutex_unlock(&list_lock);
}

enum be_status lease_hold(struct executor *executor)
{
	enum be_status status = BE_OK;

	pthread_once(&once, begin_process);
	if (atomic_load(&executor->lease.listed) == process && atomic_load(&renewer) == process)
		return BE_OK;
	pthread_mutex_lock(&list_lock);
	put_in_list(executor);
	if (atomic_load(&renewer) != process)
		status = start();
	pthread_mutex_unlock(&list_lock);
	return status;
}

static void take_from_list(struct executor *executor)
{
	struct executor **at = &list;

	while (*at && *at != executor)
		at = &(*at)->lease.next;
	if (*at)
		*at = executor->lease.next;
}

void lease_unlist(struct executor *executor)
{
	struct keeper *ending = NULL;

	if (atomic_load(&executor->lease.listed) != process)
		return;
	pthread_mutex_lock(&list_lock);
	take_from_list(executor);
	while (executor->lease.is_busy)
		pthread_cond_wait(&changed, &list_lock);
	atomic_store(&executor->lease.listed, 0);
	if (!list && atomic_load(&renewer) == process) {
		ending = keeper;
		ending->ends = true;
		atomic_store(&renewer, 0);
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&list_lock);
	if (!ending)
		return;
	pthread_join(ending->thread, NULL);
	free(ending);
}
