/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a doubt is resolved truly. The txn in doubt carries a number that no other txn of this host
 * has, and the host's record names the last that was committed. While the lock of struct remote, or
 * `leader`, is held this host begins no other batch. So in a write txn begun later the record names
 * that number if the txn in doubt was committed before. If it does not, a greater number is
 * written, and with it the header. Once this is committed, the txn in doubt cannot be any more: so
 * the storage promises. That txn may conflict or be in doubt itself, and is then begun again, which
 * changes nothing in what it tells. Only after it the rules run again: until then the results of
 * the txn in doubt are kept.
 *
 * A server that took over may lack both the txn in doubt and some that were acknowledged before:
 * the record then names an older batch, and what is written next makes sure, as above, that the txn
 * in doubt is not in this history, nor will be. It is carried out again, unless its handle is to be
 * told of those before.
 */
#include "executor/attempt.h"

#include "base/error.h"
#include "executor/lease.h"

#include <string.h>
#include <time.h>

/* Then others change the storage faster than this process can. The pauses between add up to some
 * seconds. */
#define CONFLICTS_MAX 300
#define PAUSE_FIRST_NS 50000
#define PAUSE_MAX_NS 20000000
/* Each takes as long as the storage takes to reach its server again. */
#define ASKS_MAX 32
/* Records that others have left are removed after an hour, of so many that are looked at. */
#define HOST_LIFE_NS (3600 * INT64_C(1000000000))
#define HOSTS_LOOKED_AT 16

static void prepare(struct attempt *attempt, const struct be_storage *storage,
		    struct remote *remote)
{
	attempt->storage = storage;
	attempt->remote = remote;
	attempt->numbers = NULL;
	attempt->owners = NULL;
	attempt->watcher = NULL;
	attempt->group = NULL;
	attempt->tells_time = remote && storage->ops->now;
	attempt->keys = NULL;
	attempt->repeatable = false;
	attempt->is_batch = false;
	attempt->has_clock = false;
	attempt->is_untold = false;
	attempt->is_behind = false;
	attempt->is_upset = false;
	attempt->is_gone = false;
	attempt->in_doubt = false;
	attempt->asks = false;
	attempt->conflicts = 0;
	attempt->number = 0;
	attempt->begun_ns = 0;
	attempt->times = (struct batch_times){0};
	attempt->host.batch = 0; /* of a storage that keeps no such record */
}

void attempt_open(struct attempt *attempt, const struct be_storage *storage, struct remote *remote,
		  struct remote_host *owners)
{
	prepare(attempt, storage, remote);
	if (!remote)
		return;
	attempt->numbers = &remote->own;
	attempt->watcher = &remote->own;
	attempt->owners = remote->lease_ns != 0 ? owners : NULL;
	attempt->group = remote->may_doubt ? remote_group(remote) : NULL;
	attempt->has_clock = remote->has_clock;
	pthread_mutex_lock(&remote->lock);
}

void attempt_open_batch(struct attempt *attempt, const struct be_storage *storage,
			struct remote *remote, struct remote_host *host)
{
	prepare(attempt, storage, remote);
	attempt->is_batch = true;
	if (!remote)
		return;
	attempt->numbers = host;
	attempt->watcher = host;
	attempt->owners = remote->lease_ns != 0 ? host : NULL;
	attempt->has_clock = attempt->tells_time;
}

void attempt_close(struct attempt *attempt)
{
	if (attempt->remote && !attempt->is_batch)
		pthread_mutex_unlock(&attempt->remote->lock);
}

/* Reads the host's record. Its number is 0 where there is none. */
static enum be_status find_host(struct attempt *attempt, struct ledger *ledger)
{
	enum be_status status = ledger_header(ledger);
	int found;

	if (status != BE_OK)
		return status;
	found = ledger_host_get(ledger, attempt->numbers->id, &attempt->host);
	if (found == LEDGER_NONE) {
		memcpy(attempt->host.id, attempt->numbers->id, sizeof attempt->host.id);
		attempt->host.checksum = 0;
		attempt->host.batch = 0;
		attempt->host.lease_end_ns = 0;
	}
	return found < 0 ? (enum be_status)found : BE_OK;
}

/* Has so much time passed? Of moments that cannot be it may be any. */
static bool has_passed(int64_t now_ns, int64_t since_ns, int64_t time_ns)
{
	int64_t passed_ns;

	return __builtin_sub_overflow(now_ns, since_ns, &passed_ns) || passed_ns >= time_ns;
}

/* May the record of this host, which was looked for and is not there, have been removed since a
 * batch began? Others do that when its lease has ended, or an hour after the last batch, by the
 * storage's clock; without such a clock they may have been days ahead. Behind a batch that found no
 * lease another process of the host may have begun one. */
static bool may_be_removed(const struct attempt *attempt, const struct remote_host *host,
			   const struct batch_times *since)
{
	int64_t life_ns = atomic_load(&since->life_ns);

	if (!attempt->tells_time)
		return atomic_load(&host->acked) != 0;
	if (life_ns >= HOST_LIFE_NS)
		life_ns = atomic_load(&host->holds) ? LEASE_LEAST_NS : HOST_LIFE_NS;
	return has_passed(remote_steady(), atomic_load(&since->begun_ns), life_ns / 2) ||
	       has_passed(attempt->now_ns, atomic_load(&since->at_ns), life_ns);
}

/* Does the record, which names this batch (0: it is gone), lack what was acknowledged? */
static bool lacks_batches(const struct attempt *attempt, const struct remote_host *host,
			  const struct numbers *numbers, uint64_t batch)
{
	if (numbers->acked == 0 || batch >= numbers->acked)
		return false;
	if (batch != 0)
		return true;
	return !may_be_removed(attempt, host, &numbers->times);
}

/* Only to know what this process has lost: who leads the next batch counts it. */
static enum be_status look_at_group(struct attempt *attempt, struct ledger *ledger)
{
	struct host host;
	int found = ledger_host_get(ledger, attempt->group->id, &host);
	uint64_t batch = found == 0 ? host.batch : 0;

	if (found < 0)
		return (enum be_status)found;
	if (lacks_batches(attempt, attempt->group, &attempt->of_group, batch))
		remote_note_loss(attempt->group, batch, attempt->of_group.acked);
	return BE_OK;
}

/* The storage's history, and its own losses. */
static enum be_status follow_history(struct attempt *attempt, struct ledger *ledger)
{
	const struct be_storage *storage = attempt->storage;
	const struct loss loss = {.acked_ns = atomic_load(&attempt->own.times.at_ns)};
	uint64_t history = 0;
	struct timespec now;
	enum be_status status = BE_OK;

	attempt->is_upset = false;
	if (storage->ops->history)
		status = ledger_answer(storage->ops->history(storage->self, ledger->txn, &history));
	if (status == BE_OK)
		status = ledger_header(ledger);
	if (status == BE_OK && attempt->group)
		status = look_at_group(attempt, ledger);
	attempt->is_behind =
		status == BE_OK && attempt->remote->may_doubt &&
		lacks_batches(attempt, attempt->numbers, &attempt->own, attempt->host.batch);
	if (status != BE_OK ||
	    (!attempt->is_behind && (history == 0 || history == ledger->header.histories.latest)))
		return status;
	if (attempt->is_behind)
		remote_note_loss(attempt->numbers, attempt->host.batch, attempt->own.given);
	attempt->is_upset = true;
	clock_gettime(CLOCK_REALTIME, &now);
	return ledger_follow(ledger, history, attempt->is_behind ? &loss : NULL,
			     attempt->tells_time ? attempt->now_ns : (int64_t)now.tv_sec * BE_UNIT);
}

/* Of a batch that is on its way nobody can say whose it is by a number that was given twice. */
static uint64_t take_number(struct attempt *attempt)
{
	return atomic_fetch_add(&attempt->numbers->batch, 1) + 1;
}

/* Before the number is given out, so that whoever has to ask what became of it knows them. */
static void note_times(struct attempt *attempt, int64_t life_ns)
{
	atomic_store(&attempt->times.begun_ns, attempt->begun_ns);
	atomic_store(&attempt->times.at_ns, attempt->tells_time ? attempt->now_ns : 0);
	atomic_store(&attempt->times.life_ns, life_ns);
	remote_copy_times(&attempt->numbers->begun, &attempt->times);
}

static enum be_status begin_far_away(struct attempt *attempt, struct ledger *ledger)
{
	struct remote *remote = attempt->remote;
	uint64_t upsets = remote->group ? atomic_load(&remote->group->upsets) : 0;
	enum be_status status = BE_OK;

	attempt->begun_ns = remote_steady();
	if (attempt->keys)
		status = remote_fetch(ledger, attempt->keys);
	if (status == BE_OK && attempt->tells_time)
		status = remote_ask_clock(remote, ledger, &attempt->now_ns);
	if (status == BE_OK && remote->may_doubt)
		status = find_host(attempt, ledger);
	if (status == BE_OK)
		status = follow_history(attempt, ledger);
	if (status == BE_OK && !attempt->is_batch)
		atomic_store(&remote->upsets_seen, upsets);
	if (status == BE_OK && !attempt->asks)
		note_times(attempt, HOST_LIFE_NS);
	if (attempt->is_batch)
		attempt->number = take_number(attempt);
	/* Counted whatever else becomes of it. */
	if (status == BE_OK && attempt->is_batch && attempt->is_behind)
		ledger->changes++;
	return status;
}

/* The header has the number of the last batch. */
static enum be_status begin_near(struct attempt *attempt, struct ledger *ledger)
{
	enum be_status status = attempt->is_batch ? ledger_header(ledger) : BE_OK;

	if (status == BE_OK && attempt->is_batch &&
	    (attempt->number = ledger->header.batch + 1) == 0)
		attempt->number = 1; /* 0 would be no batch */
	return status;
}

/* What others of this host acknowledge from here on the txn need not see. */
static void look_at_numbers(const struct remote_host *host, struct numbers *numbers)
{
	remote_copy_times(&numbers->times, &host->acked_times);
	numbers->acked = atomic_load(&host->acked);
	numbers->given = atomic_load(&host->batch);
}

static enum be_status begin(struct attempt *attempt, struct ledger *ledger)
{
	enum be_status status;

	if (attempt->remote)
		look_at_numbers(attempt->numbers, &attempt->own);
	if (attempt->remote && attempt->group)
		look_at_numbers(attempt->group, &attempt->of_group);
	status = ledger_begin(ledger, attempt->storage, true);
	if (status != BE_OK)
		return status;
	status = attempt->remote ? begin_far_away(attempt, ledger) : begin_near(attempt, ledger);
	if (status != BE_OK)
		ledger_abort(ledger);
	return status;
}

/* In place of what the txn was to do. If the loss cannot be counted now, it is the next time. */
static enum be_status tell_loss(struct attempt *attempt, struct ledger *ledger)
{
	enum be_status status = BE_OK;

	if (attempt->is_behind) {
		ledger->changes++;
		status = attempt_end(attempt, ledger, BE_OK);
		attempt->in_doubt = false;
	} else {
		ledger_abort(ledger);
	}
	if (status != BE_OK && status != BE_UNKNOWN_OUTCOME)
		return status;
	(void)remote_tells(attempt->remote);
	(void)remote_tells_alone(attempt->remote);
	return remote_say_lost();
}

static bool has_lost(const struct remote *remote)
{
	return remote_has_lost(&remote->own, atomic_load(&remote->heard_alone)) ||
	       (remote->group && remote_has_lost(remote->group, atomic_load(&remote->heard)));
}

enum be_status attempt_begin(struct attempt *attempt, struct ledger *ledger)
{
	enum be_status status = begin(attempt, ledger);

	if (__builtin_expect(!attempt->remote, true) || status != BE_OK || attempt->is_batch ||
	    attempt->is_untold)
		return status;
	return has_lost(attempt->remote) ? tell_loss(attempt, ledger) : BE_OK;
}

/* What processes have left that ended long ago. Each process does it once, and begins behind its
 * own id, which is as good as random: so all records have their turn, and a newcomer that adds one
 * removes many. */
static enum be_status remove_old_hosts(const struct attempt *attempt, struct ledger *ledger)
{
	const uint8_t *after = attempt->host.id;
	enum be_status status = BE_OK;
	struct host old;
	int found = 0;

	for (int i = 0; i < HOSTS_LOOKED_AT && status == BE_OK; i++) {
		found = ledger_host_next(ledger, after, &old);
		if (found == LEDGER_NONE && after)
			found = ledger_host_next(ledger, NULL, &old);
		if (found != 0)
			break;
		after = old.id;
		if (attempt->host.at_ns - old.at_ns > HOST_LIFE_NS && old.lease_end_ns == 0)
			status = ledger_host_del(ledger, &old);
	}
	return found < 0 ? (enum be_status)found : status;
}

/* A process that goes without the group makes commits for an owner of the group's host. */
static enum be_status put_owners(const struct attempt *attempt, struct ledger *ledger)
{
	if (!attempt->owners || attempt->owners == attempt->numbers)
		return BE_OK;
	return lease_put(ledger, attempt->owners->id, attempt->now_ns,
			 lease_length(attempt->owners));
}

static enum be_status put_host(struct attempt *attempt, struct ledger *ledger)
{
	struct timespec now;
	enum be_status status = BE_OK;

	clock_gettime(CLOCK_REALTIME, &now);
	attempt->host.at_ns =
		attempt->tells_time ? attempt->now_ns : (int64_t)now.tv_sec * BE_UNIT + now.tv_nsec;
	if (atomic_load(&attempt->numbers->acked) == 0)
		status = remove_old_hosts(attempt, ledger);
	attempt->host.batch = attempt->is_batch ? attempt->number : take_number(attempt);
	if (status == BE_OK && attempt->owners == attempt->numbers && attempt->owners &&
	    atomic_load(&attempt->owners->holds))
		lease_extend(&attempt->host, attempt->now_ns, lease_length(attempt->owners));
	if (!attempt->asks && attempt->host.lease_end_ns != 0)
		note_times(attempt, attempt->host.lease_end_ns - attempt->host.at_ns);
	if (status == BE_OK)
		status = ledger_host_put(ledger, &attempt->host);
	return status == BE_OK ? put_owners(attempt, ledger) : status;
}

static void note_acked(struct attempt *attempt, uint64_t number)
{
	struct remote *remote = attempt->remote;

	remote_ack(attempt->numbers, number, &attempt->times);
	if (!attempt->is_batch &&
	    !remote_has_lost(attempt->numbers, atomic_load(&remote->heard_alone)))
		atomic_store(&remote->heard_alone, number);
}

/* For all processes of the group. */
static void note_upset(const struct attempt *attempt)
{
	struct remote_host *group = attempt->is_batch ? attempt->numbers : attempt->remote->group;

	if (group)
		atomic_fetch_add(&group->upsets, 1);
}

enum be_status attempt_end(struct attempt *attempt, struct ledger *ledger, enum be_status status)
{
	bool is_remote = attempt->remote != NULL, changes = ledger->changes > 0;
	bool tells = is_remote && attempt->remote->may_doubt && changes;

	if (status == BE_OK && tells)
		status = put_host(attempt, ledger);
	if (status != BE_OK) {
		ledger_abort(ledger);
		return status;
	}
	status = ledger_commit(ledger, is_remote ? 0 : attempt->number);
	if (status == BE_OK && tells)
		note_acked(attempt, attempt->host.batch);
	if (status == BE_OK && tells && attempt->is_upset)
		note_upset(attempt);
	if (status == BE_OK && tells && attempt->owners)
		lease_put_off(attempt->owners, attempt->begun_ns);
	/* Of a txn that changes nothing it does not matter whether it was kept. */
	if (status == BE_UNKNOWN_OUTCOME && is_remote && !changes)
		status = BE_CONFLICT;
	/* Only a txn that says so in the host's record can be found again. */
	attempt->in_doubt = status == BE_UNKNOWN_OUTCOME && tells;
	return status;
}

static void pause_for_others(uint32_t conflicts)
{
	struct timespec now;
	int64_t most_ns = (int64_t)PAUSE_FIRST_NS << (conflicts < 9 ? conflicts : 9);

	if (most_ns > PAUSE_MAX_NS)
		most_ns = PAUSE_MAX_NS;
	clock_gettime(CLOCK_MONOTONIC, &now); /* its last digits are as good as random */
	nanosleep(&(struct timespec){0, now.tv_nsec * INT64_C(7919) % most_ns}, NULL);
}

/* Was the batch of this number committed, or is it certain that it never will be? */
static enum be_status ask(struct attempt *attempt, uint64_t doubted, bool *landed)
{
	struct ledger ledger;
	enum be_status status = begin(attempt, &ledger);

	if (status != BE_OK)
		return status;
	/* The leader whose batch it is may have been at work until then. */
	remote_copy_times(&attempt->times, &attempt->numbers->begun);
	*landed = attempt->host.batch == doubted;
	if (*landed || attempt->host.batch > doubted) {
		ledger_abort(&ledger);
		return BE_OK;
	}
	if (attempt->host.batch == 0 &&
	    may_be_removed(attempt, attempt->numbers, &attempt->times)) {
		ledger_abort(&ledger);
		attempt->is_gone = true;
		return error_set(BE_DAMAGED,
				 "the record by which this process would know has been removed");
	}
	ledger.changes++;
	return attempt_end(attempt, &ledger, BE_OK);
}

/* Finds out what became of the txn in doubt. Another status than BE_OK: that cannot be told. */
static enum be_status resolve(struct attempt *attempt, uint64_t doubted, bool *landed)
{
	const struct remote_keys *keys = attempt->keys;
	char text[ERROR_TEXT_SIZE];
	bool was_upset = attempt->is_upset;
	enum be_status status = BE_UNKNOWN_OUTCOME;
	uint32_t asks = 0, conflicts = 0;

	attempt->keys = NULL;
	attempt->asks = true;
	while (asks < ASKS_MAX && conflicts < CONFLICTS_MAX) {
		error_clear();
		*landed = false;
		status = ask(attempt, doubted, landed);
		if (status == BE_CONFLICT)
			pause_for_others(conflicts++);
		else if (status == BE_UNKNOWN_OUTCOME)
			asks++;
		else
			break;
	}
	attempt->keys = keys;
	attempt->asks = false;
	attempt->in_doubt = false;
	if (*landed)
		note_acked(attempt, doubted);
	if (*landed && was_upset)
		note_upset(attempt);
	if (status == BE_OK)
		return BE_OK;
	(void)error_default(status);
	error_save(text);
	return error_set(BE_UNKNOWN_OUTCOME,
			 "whether it was carried out cannot be told now, and must be looked up "
			 "later: %s",
			 text);
}

bool attempt_again(struct attempt *attempt, enum be_status *status)
{
	bool landed;

	if (__builtin_expect(*status == BE_OK, true))
		return false;
	if (*status == BE_CONFLICT && attempt->conflicts < CONFLICTS_MAX) {
		pause_for_others(attempt->conflicts++);
		return true;
	}
	if (*status != BE_UNKNOWN_OUTCOME)
		return false;
	if (attempt->in_doubt) {
		*status = resolve(attempt, attempt->host.batch, &landed);
		return *status == BE_OK && !landed;
	}
	return attempt->repeatable && attempt->conflicts++ < CONFLICTS_MAX;
}

bool attempt_tells_alone(const struct be_storage *storage, struct remote *remote)
{
	struct attempt attempt;
	struct ledger ledger;
	enum be_status status;

	attempt_open(&attempt, storage, remote, NULL);
	do {
		status = begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		if (remote_has_lost(&remote->own, atomic_load(&remote->heard_alone)))
			status = tell_loss(&attempt, &ledger);
		else
			ledger_abort(&ledger);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	return status == BE_CHANGES_LOST;
}

enum be_status attempt_ask(const struct be_storage *storage, struct remote *remote,
			   struct remote_host *host, uint64_t number, bool *landed, bool *gone)
{
	struct attempt attempt;
	enum be_status status;

	attempt_open_batch(&attempt, storage, remote, host);
	status = resolve(&attempt, number, landed);
	*gone = attempt.is_gone;
	attempt_close(&attempt);
	return status;
}
