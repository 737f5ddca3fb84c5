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
#include <unistd.h>

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
	atomic_store(&host->renew_ns, since_ns + lease_length(host) / LEASE_RENEWALS);
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

enum be_status lease_expect_ended(struct ledger *ledger, const struct remote_host *own,
				  const uint8_t *id, int64_t begun_ns, int64_t now_ns)
{
	struct host host;
	enum be_status status = find_host(ledger, id, &host);

	if (status == BE_OK && watch_left(&own->watch, &host, begun_ns, now_ns) > 0)
		status = BE_NO_COMMIT;
	return status;
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
	*lives = status == BE_OK && host.lease_end_ns > now_ns;
	return status;
}

enum be_status lease_look_at_all(struct ledger *ledger, struct remote_host *own, int64_t begun_ns,
				 struct lease_looked *looked)
{
	struct host host, *last = NULL;
	int64_t now_ns;
	enum be_status status = ask_clock(ledger, &now_ns);
	int found = 0;

	looked->count = 0;
	looked->is_overdue = false;
	looked->left_ns = INT64_MAX;
	if (status != BE_OK)
		return status;
	watch_begin(&own->watch, begun_ns, lease_length(own));
	while ((found = ledger_host_next(ledger, last ? last->id : NULL, &host)) == 0) {
		int64_t left_ns;

		last = &host;
		if (host.lease_end_ns == 0 || memcmp(host.id, own->id, sizeof host.id) == 0)
			continue;
		watch_note(&own->watch, &host, remote_steady());
		left_ns = watch_left(&own->watch, &host, begun_ns, now_ns);
		if (left_ns == 0 && looked->count < LEASE_ENDED_MAX)
			looked->ended[looked->count++] = host;
		if (left_ns > 0 && left_ns < looked->left_ns)
			looked->left_ns = left_ns;
		looked->is_overdue |= left_ns > 0 && host.lease_end_ns <= now_ns;
	}
	return found < 0 ? (enum be_status)found : BE_OK;
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

/* What a txn for a lease does, once it knows the host's record. */
typedef enum be_status lease_change(struct ledger *ledger, struct host *host, int64_t now_ns,
				    const void *context);

/* `stop`: somebody waits for this, and it is not begun again. May be NULL. */
static enum be_status change(const struct be_storage *storage, const uint8_t *id,
			     lease_change *make, const void *context, const _Atomic bool *stop)
{
	struct attempt attempt;
	struct ledger ledger;
	struct host host;
	int64_t now_ns;
	enum be_status status;

	attempt_open(&attempt, storage, NULL, NULL);
	attempt.repeatable = true;
	do {
		status = begin_for(&attempt, &ledger, id, &host, &now_ns);
		if (status != BE_OK)
			continue;
		status = make(&ledger, &host, now_ns, context);
		status = attempt_end(&attempt, &ledger, status);
	} while (!(stop && atomic_load(stop)) && attempt_again(&attempt, &status));
	attempt_close(&attempt);
	return status;
}

static enum be_status remove_record(struct ledger *ledger, struct host *host, int64_t now_ns,
				    const void *context)
{
	const struct host *seen = context;

	(void)now_ns;
	return host->checksum != 0 && host->checksum == seen->checksum
		       ? ledger_host_del(ledger, host)
		       : BE_OK;
}

enum be_status lease_remove(const struct be_storage *storage, const struct host *seen)
{
	return change(storage, seen->id, remove_record, seen, NULL);
}

static enum be_status extend(struct ledger *ledger, struct host *host, int64_t now_ns,
			     const void *context)
{
	const int64_t *lease_ns = context;

	if (host->lease_end_ns == 0)
		return BE_OK;
	host->at_ns = now_ns;
	lease_extend(host, now_ns, *lease_ns);
	return ledger_host_put(ledger, host);
}

/* ---- the threads
 *
 * `list_lock` covers the keepers, their lists, and who is busy with what. Nothing is asked of a
 * storage under it. */

/* The host of a handle that was closed, and worked directly. */
struct left {
	struct left *next;
	struct remote_host host;
};

struct keeper {
	struct keeper *next;
	struct be_storage storage; /* each handle has such a copy */
	struct be_storage_ops ops;
	struct executor *executors;
	struct left *left;
	const void *busy; /* with which of these; NULL: none */
	unsigned leaving; /* threads that wait until it is not busy with theirs */
	bool has_thread;
	bool ends;
	_Atomic bool is_awaited;
	pthread_t thread;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* by CLOCK_MONOTONIC */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct keeper *keepers;
static _Atomic uint64_t process = 1; /* another number in each fork child */

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
	keepers = NULL;
	make_condition();
	pthread_mutex_unlock(&list_lock);
}

static void begin_process(void)
{
	make_condition();
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* What is later than it can be was written by another clock. */
static int64_t sooner(int64_t at_ns, int64_t now_ns, int64_t part_ns)
{
	return at_ns > now_ns + part_ns ? now_ns : at_ns;
}

/* When is it to be renewed, by remote_steady()? */
static int64_t renewal_due(struct remote_host *host, int64_t now_ns)
{
	int64_t part_ns = lease_length(host) / LEASE_RENEWALS;

	return atomic_load(&host->holds) ? sooner(atomic_load(&host->renew_ns), now_ns, part_ns)
					 : now_ns + part_ns / 2;
}

static int64_t look_due(struct remote_host *host, int64_t now_ns)
{
	return sooner(atomic_load(&host->watch.look_ns), now_ns,
		      lease_length(host) / LEASE_RENEWALS);
}

/* Of all processes of the host one does it; if it does not, another one does somewhat later. */
static bool claim(_Atomic int64_t *due_ns, int64_t *claim_ns, int64_t now_ns, int64_t pause_ns)
{
	int64_t due = atomic_load(due_ns);

	*claim_ns = now_ns + pause_ns;
	return atomic_compare_exchange_strong(due_ns, &due, *claim_ns);
}

/* A try that failed may have taken longer than its claim: the next one counts from its end. */
static enum be_status renew(const struct keeper *keeper, struct remote_host *host)
{
	int64_t now_ns = remote_steady(), lease_ns = lease_length(host), claim_ns;
	int64_t pause_ns = lease_ns / LEASE_RENEWALS / 2;
	enum be_status status;

	if (renewal_due(host, now_ns) > now_ns ||
	    !claim(&host->renew_ns, &claim_ns, now_ns, pause_ns))
		return BE_OK;
	status = change(&keeper->storage, host->id, extend, &lease_ns, &keeper->is_awaited);
	if (status == BE_OK)
		lease_put_off(host, now_ns);
	else
		(void)atomic_compare_exchange_strong(&host->renew_ns, &claim_ns,
						     remote_steady() + pause_ns);
	return status;
}

/* Looks at the leases of other hosts, so that it is known for how long they were not renewed when
 * somebody wants to know. */
static void look_at_others(const struct keeper *keeper, struct remote_host *host)
{
	int64_t now_ns = remote_steady(), claim_ns;
	int64_t pause_ns = lease_length(host) / LEASE_RENEWALS / 2;
	struct lease_looked looked;
	struct ledger ledger;
	unsigned tries = 0;
	enum be_status status;

	if (look_due(host, now_ns) > now_ns ||
	    !claim(&host->watch.look_ns, &claim_ns, now_ns, pause_ns))
		return;
	do {
		status = ledger_begin(&ledger, &keeper->storage, false);
		if (status != BE_OK)
			break;
		status = lease_look_at_all(&ledger, host, now_ns, &looked);
		ledger_abort(&ledger);
	} while (ledger_reads_again(&status, &tries));
	if (status != BE_OK)
		(void)atomic_compare_exchange_strong(&host->watch.look_ns, &claim_ns,
						     remote_steady() + pause_ns);
}

/* What is to be done next. */
struct chore {
	int64_t due_ns;
	const void *of; /* an executor, or what a handle left; NULL: nothing */
	struct remote_host *host;
	bool looks; /* at the leases of others, too */
};

static void consider(struct chore *next, const struct chore *chore)
{
	if (chore->due_ns < next->due_ns)
		*next = *chore;
}

static struct chore find_next(const struct keeper *keeper, int64_t now_ns)
{
	struct chore next = {.due_ns = now_ns + BE_UNIT * 3600}, chore;

	for (struct executor *one = keeper->executors; one; one = one->lease.next) {
		struct remote *remote;

		if (remote_find(&one->remote, &remote) != BE_OK) /* no memory in a fork child */
			continue;
		chore = (struct chore){
			.of = one, .host = executor_host(one, remote), .looks = true};
		chore.due_ns = renewal_due(chore.host, now_ns);
		consider(&next, &chore);
		chore.due_ns = look_due(chore.host, now_ns);
		consider(&next, &chore);
	}
	for (struct left *one = keeper->left; one; one = one->next) {
		chore = (struct chore){.of = one, .host = &one->host};
		chore.due_ns = renewal_due(chore.host, now_ns);
		consider(&next, &chore);
	}
	return next;
}

static void sleep_for(int64_t ns)
{
	int64_t until_ns = monotonic_ns() + ns;
	struct timespec until = {until_ns / BE_UNIT, until_ns % BE_UNIT};

	pthread_cond_timedwait(&changed, &list_lock, &until);
}

static void *keep_leases(void *own)
{
	struct keeper *self = own;

	pthread_mutex_lock(&list_lock);
	while (!self->ends) {
		int64_t now_ns = remote_steady();
		struct chore next = find_next(self, now_ns);

		if (!next.host || next.due_ns > now_ns) {
			sleep_for(next.due_ns - now_ns);
			continue;
		}
		self->busy = next.of;
		pthread_mutex_unlock(&list_lock);
		if (renew(self, next.host) == BE_OK && next.looks && !self->is_awaited)
			look_at_others(self, next.host);
		error_clear();
		pthread_mutex_lock(&list_lock);
		self->busy = NULL;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&list_lock);
	return NULL;
}

/* Signals are for the threads of the program. */
static enum be_status start(struct keeper *keeper)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&keeper->thread, NULL, keep_leases, keeper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return error_errno(BE_NO_MEMORY, rc,
				   "a thread that renews this host's lease cannot be started");
	keeper->has_thread = true;
	return BE_OK;
}

static struct keeper *find_keeper(const struct be_storage *storage)
{
	struct keeper *found = keepers;

	while (found &&
	       !(found->storage.self == storage->self && found->ops.begin == storage->ops->begin))
		found = found->next;
	return found;
}

/* The executor goes on as a host that was left behind, if there is one. */
static void take_over(struct keeper *keeper, struct executor *executor)
{
	struct left **at = &keeper->left, *taken;
	struct remote *remote;

	while (*at && *at == keeper->busy)
		at = &(*at)->next;
	taken = *at;
	if (!taken || !executor->direct || remote_find(&executor->remote, &remote) != BE_OK)
		return;
	*at = taken->next;
	lease_ask(&taken->host, remote->lease_ns);
	memcpy(&remote->own, &taken->host, sizeof remote->own);
	free(taken);
}

static struct keeper *put_in_list(struct executor *executor)
{
	struct keeper *keeper = find_keeper(executor->storage);

	if (atomic_load(&executor->lease.listed) == process)
		return keeper;
	if (!keeper) {
		keeper = calloc(1, sizeof *keeper);
		if (!keeper)
			return NULL;
		keeper->ops = *executor->storage->ops;
		keeper->storage = (struct be_storage){&keeper->ops, executor->storage->self};
		keeper->next = keepers;
		keepers = keeper;
	}
	executor->lease.next = keeper->executors;
	keeper->executors = executor;
	atomic_store(&executor->lease.listed, process);
	pthread_cond_broadcast(&changed);
	return keeper;
}

void lease_list(struct executor *executor)
{
	struct keeper *keeper;

	pthread_once(&once, begin_process);
	pthread_mutex_lock(&list_lock);
	keeper = put_in_list(executor);
	if (keeper)
		take_over(keeper, executor);
	pthread_mutex_unlock(&list_lock);
}

enum be_status lease_hold(struct executor *executor)
{
	enum be_status status = BE_OK;
	struct keeper *keeper;

	pthread_once(&once, begin_process);
	if (atomic_load(&executor->lease.listed) == process &&
	    atomic_load(&executor->lease.held) == process)
		return BE_OK;
	pthread_mutex_lock(&list_lock);
	keeper = put_in_list(executor);
	if (!keeper)
		status = error_set(BE_NO_MEMORY, "out of memory");
	else if (!keeper->has_thread)
		status = start(keeper);
	if (status == BE_OK)
		atomic_store(&executor->lease.held, process);
	pthread_mutex_unlock(&list_lock);
	return status;
}

static void take_from_list(struct keeper *keeper, struct executor *executor)
{
	struct executor **at = &keeper->executors;

	while (*at != executor)
		at = &(*at)->lease.next;
	*at = executor->lease.next;
	if (keeper->busy == executor) {
		keeper->leaving++;
		atomic_store(&keeper->is_awaited, true);
		while (keeper->busy == executor)
			pthread_cond_wait(&changed, &list_lock);
		keeper->leaving--;
		atomic_store(&keeper->is_awaited, keeper->leaving > 0);
	}
	atomic_store(&executor->lease.listed, 0);
}

/* Out of memory its lease ends, as that of the last handle does. */
static void leave_host(struct keeper *keeper, struct executor *executor)
{
	struct remote *remote = atomic_load(&executor->remote);
	struct left *left;

	if (!keeper->executors || !executor->direct || remote->pid != getpid() ||
	    !atomic_load(&remote->own.holds))
		return;
	left = malloc(sizeof *left);
	if (!left)
		return;
	memcpy(&left->host, &remote->own, sizeof left->host);
	left->next = keeper->left;
	keeper->left = left;
	pthread_cond_broadcast(&changed);
}

/* Waits for what the thread does just now, which is for a host that was left behind, or nothing. */
static void end_keeper(struct keeper *keeper)
{
	if (keeper->has_thread)
		pthread_join(keeper->thread, NULL);
	while (keeper->left) {
		struct left *left = keeper->left;

		keeper->left = left->next;
		free(left);
	}
	free(keeper);
}

void lease_unlist(struct executor *executor)
{
	struct keeper *keeper, **at = &keepers;

	if (atomic_load(&executor->lease.listed) != process)
		return;
	pthread_mutex_lock(&list_lock);
	keeper = find_keeper(executor->storage);
	take_from_list(keeper, executor);
	leave_host(keeper, executor);
	if (keeper->executors || keeper->leaving > 0) { /* the last one ends it */
		pthread_mutex_unlock(&list_lock);
		return;
	}
	while (*at != keeper)
		at = &(*at)->next;
	*at = keeper->next;
	keeper->ends = true;
	atomic_store(&keeper->is_awaited, true);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&list_lock);
	end_keeper(keeper);
}
